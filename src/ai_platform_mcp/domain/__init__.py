"""The platform's own rules, as pure functions: placement, rollout waves, routing, gates, drift verdicts, cost, objects.

Belongs here: what would be the same rule whichever backend, tool or surface asks.
Does not belong here: input or output, time and randomness that are not passed in, Kubernetes manifests (``manifests``).
How to decide: if a test of it needs a server or a clock, it belongs elsewhere.
"""
