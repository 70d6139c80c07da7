"""The check that runs beside a model: it asks golden inputs, at first until they agree, later at a calm interval.

Belongs here: when to ask, when the check is ready, and what it tells as metrics.
Does not belong here: when an answer agrees (``domain.golden``), how a model server is spoken to (``adapters``).
How to decide: if it would be the same for a model server on another planet, it is here.
"""
