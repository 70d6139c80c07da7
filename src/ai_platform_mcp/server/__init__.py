"""How MCP says it: tools, resources, prompts, asking, tasks, subscriptions, stdio and HTTP.

Belongs here: the protocol's shapes in both of its eras, and nothing that decides.
Does not belong here: what a tool does, who may do it, where it happens; a call goes to the backend and comes back.
How to decide: if a terminal would need the same rule, it belongs behind ``Backend``.
"""
