"""The platform's own rules, as pure functions over plain values.

Belongs here: a decision that a person could check with paper and pencil from the same rows (placement, waves, gates, cost).
Does not belong here: any input or output, any await, the shape of a Kubernetes object (``manifests``), what is allowed
(``policies``).
How to decide: if a property test can state it without a server, it is here.
"""
