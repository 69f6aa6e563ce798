"""The bridge's own database, in SQLite or PostgreSQL.

Connections, tokens, the link table and the index of users; what is remembered of groups, and the groups of
tenants whose platform has no place for them; leases, by which replicas take turns.

Start at `store.Store`. Modules above import what they need by name from the module that defines it.
"""
