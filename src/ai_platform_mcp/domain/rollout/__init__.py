"""How an edge release gets from its first wave to the last owed node: pure rules over what was observed.

Here belongs every decision about waves, quorum, soak, failure and return; the controller only observes and carries out. Not
here: reading or writing a cluster, building manifests, comparing metrics. To decide: if it needs to await, it is elsewhere.
"""
