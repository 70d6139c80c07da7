"""How MLflow speaks: registered models, versions, aliases, tags and runs, over REST or straight from its SQL store.

Belongs here: everything that imports ``mlflow``, and that on first use only (it takes seconds).
Does not belong here: what the tags mean (``domain/evidence``), when an alias may move (policy and the guard).
How to decide: if it would differ with another registry, it lives here.
"""
