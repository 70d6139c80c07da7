"""What makes the sandbox's objects live: queues admit, training runs, services become ready, pods appear on nodes.

Each module is one controller of the real world, told in its simplest true form: it reads objects, and writes their status
or the objects that the real controller would own. Durations are those of the real thing divided by the world's speed.
A controller has no memory: whatever it must know is in the objects, so it may stop and start at any moment.
"""
