"""How Prometheus speaks: its HTTP API behind deadlines, PromQL behind a guard, signals by name.

Belongs here: requests and retries, the rewriting and refusing of PromQL, which expression answers which signal.
Does not belong here: what a value means for a release or a budget (`domain`), the sandbox's own store.
To decide: if it would change with another metrics store, it is here.
"""
