"""What is true without any backend: plans, the guard, decisions, ports, errors.

Belongs here: data and rules that hold whatever system stands behind a port.
Does not belong here: any input or output, any third-party import but pydantic and anyio (deadlines and shields), anything
that knows MCP, Kubernetes or SQL.
How to decide: if it needs a server to be tested, it is an adapter; if it is a rule about models or machines, it is ``domain``.
"""
