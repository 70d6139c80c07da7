"""How a new version in a cloud gets from its first share of the traffic to all of it, or back: pure rules over what was seen.

Here belongs every decision about steps, holding, verdicts, promotion and return, and which fields of an InferenceService each of
them is. Not here: reading or writing a cluster, measuring, the canaries of language models (objects of their own that a person
moves). To decide: if it needs to await, it is elsewhere.
"""
