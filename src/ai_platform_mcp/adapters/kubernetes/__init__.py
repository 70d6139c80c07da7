"""The one door to Kubernetes: connections, the guarded transport, reads, writes and the watch-fed inventory.

Belongs here: everything that speaks to an API server, over the official client's async transport.
Does not belong here: what objects should look like (``manifests``), and what they mean for a decision (``domain``).
How to decide: if it would be needed with a perfect network and an endless cache, it is not an adapter's.
"""
