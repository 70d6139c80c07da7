"""How one outside system speaks: each adapter implements a port of ``core.ports`` over a real protocol.

Belongs here: connections, retries, deadlines, and the translation between a system's words and ours.
Does not belong here: rules about models or machines (``domain``), decisions, anything of the sandbox.
How to decide: if it would be the same rule with another backend, it is not an adapter's.
"""
