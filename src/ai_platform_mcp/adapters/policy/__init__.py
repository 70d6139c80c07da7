"""How the policy engines speak: one bundle of Rego and data, judged in process or by OPA over REST, with one answer.

Belongs here: loading, checking and testing the law's files, and asking an engine about one plan.
Does not belong here: rules (``policies/``), their sentences (``core/codes.py``), what a decision means (``core/decision.py``).
How to decide: if a change alters what is allowed it is Rego; if it alters how an engine is asked or distrusted it is here.
"""
