"""What must go on when no one is calling: objects in the cluster that somebody has to move.

Belongs here: the definitions of our own kinds (``crds/``), and the handlers that move them.
Does not belong here: anything a call waits for, and any state outside of the cluster.
How to decide: if it must survive the death of every server of ours, it is an object and its controller.
"""
