"""Analysis of releases while they roll out: what is measured, when, and how a verdict stands in an object's status.

Belongs here: asking a metrics store for both sides, keeping to a cadence, the form of ``status.analysis``; for edge rollouts
and cloud canaries alike. Not here: which nodes or versions are compared (the controller of each kind knows), the verdict
(``domain.analysis``), a metric's name (the adapter). To decide: if an edge rollout and a canary both need it, and neither
could tell it from the other's, it is here.
"""
