"""The sandbox's metrics store: a Prometheus-compatible HTTP API over series that are computed, not stored.

Belongs here: the PromQL evaluator, the HTTP documents of Prometheus, the generated metrics world and its seed.
Does not belong here: how our server asks Prometheus (`adapters/prometheus`), what a signal means to a person.
To decide: if a real Prometheus would do it, it is here; if a client of Prometheus would do it, it is not.
"""
