"""The controller of CanaryRollouts: what it observes, what it writes, and the loop between; the rules are in ``domain.canary``.

Belongs here: the meaning of a CanaryRollout's spec and status, a decision as writes, the loop. Not here: which share comes next,
how an InferenceService is read or changed (``domain.canary``, since plans change it too), how an API server is spoken to. To
decide: if a person's plan needs it as well, it belongs to ``domain.canary``.
"""
