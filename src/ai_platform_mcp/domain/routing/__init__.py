"""Where a model's requests should go: per request, as a standing plan, and which kind of target pays off.

Here belongs every rule over measured latency, capability, cost, load and residency. Not here: measuring them, writing a gateway's
configuration (``manifests``). To decide: if a person could settle it from a table of targets, it is here.
"""
