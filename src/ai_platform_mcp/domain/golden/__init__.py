"""Golden inputs: questions with known answers that a release must agree on, wherever it runs.

Belongs here: the format of such a file, when an answer agrees with what is expected, and when a round of answers is good enough.
Does not belong here: asking anybody, metrics, the pod that it happens in.
How to decide: if two people with the file and the answers must come to the same verdict, it is here.
"""
