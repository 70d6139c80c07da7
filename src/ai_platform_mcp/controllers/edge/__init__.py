"""The controller of EdgeRollouts: what it observes, what it writes, and the loop between; the rules are in ``domain.rollout``.

Belongs here: the meaning of nodes, pods and rollouts, which nodes are compared with which, a decision as writes, the lease, the
loop. Not here: how an API server is spoken to (it is handed in: ``ports``), how both sides are measured
(``controllers.analysis``), and any decision about waves. To decide: if a fleet on paper could need it, it belongs to
``domain.rollout``; if it needs a socket, to the adapter.
"""
