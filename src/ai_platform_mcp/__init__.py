"""One guarded surface over an AI platform: an MCP server and a command line that share one path.

The rooms and who may import whom are told by each package's own docstring; ``app`` wires them together.
"""
