"""How a terminal says it: the ``platform`` command and the server's own command, clients of the same guarded path.

Belongs here: arguments, questions, tables, progress bars, exit codes. Does not belong here: any rule; what a command does is
a tool call, in process or at ``--server URL``. How to decide: if an agent over MCP would need it too, it is a tool.
"""
