"""The laptop platform: servers on loopback that speak the real protocols over one small world.

Belongs here: stand-ins for what a laptop cannot have, behind the wire protocol of the real thing, and the life that moves
in them. Does not belong here: anything an adapter could share; if both need it, each has its own, so they cannot share a
bug. How to decide: would a real cluster bring it along? Then the sandbox must, and only over the wire.
"""
