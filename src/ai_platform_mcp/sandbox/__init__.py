"""The laptop platform: servers that speak the real protocols over one small world.

Belongs here: what stands in for a cluster, a registry or a metrics store, and the world it shows.
Does not belong here: clients of those systems (`adapters`), and anything a production deployment would run.
To decide: if it would be replaced by setting a URL, it is here. It shares no code with the adapters.
"""
