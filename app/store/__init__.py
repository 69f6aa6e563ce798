"""The bridge's own database: connections, tokens and the link table, in SQLite or PostgreSQL.

Start at `store.Store`. Modules above import what they need by name from the module that defines it.
"""
