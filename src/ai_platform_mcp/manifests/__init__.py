"""From a decision to Kubernetes objects: pure builders, one file per system.

Belongs here: which API version, field, label and annotation says what was decided, and the pitfall of each.
Does not belong here: the decision itself (``domain``), reading or sending anything (``adapters``), names of clusters.
How to decide: if the answer changes when a project releases a new CRD, it is here.
"""
