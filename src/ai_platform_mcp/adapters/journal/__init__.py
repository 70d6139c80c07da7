"""The durable memory in SQL: plans, operations, steps, approvals and the hash-chained audit.

Belongs here: tables, transactions, leases, the chain. SQLite in WAL mode by default; PostgreSQL by its URL.
Does not belong here: what an approval proves (``adapters/approvals``), when something is journaled (``core/guard``).
How to decide: if it would be lost with the database file, it lives here.
"""
