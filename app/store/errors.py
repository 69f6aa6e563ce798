"""What can go wrong in the bridge's own database.

Nothing above `store` sees an exception of SQLAlchemy or of a driver: `session` turns trouble with the
database into `StoreUnavailable`, and each module names the refusals of its own.
"""

from __future__ import annotations


class StoreError(Exception):
    """Root of everything `app.store` raises on purpose; the text is written for an operator."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, stays locked, or refused a statement; trying later may help."""


class UnsupportedDatabase(StoreError):
    """The database URL names something the bridge cannot use, or its driver is not installed."""


class SchemaMismatch(StoreError):
    """The database was written by a newer release, or its tables are somebody else's."""


class UnreadableRow(StoreError):
    """A stored setting cannot be understood by this release."""


class InvalidRecord(StoreError, ValueError):
    """A value offered for storing is outside its documented form."""


class NameTaken(StoreError):
    """Another connection, or another group of the tenant, already has this name."""


class MembershipCycle(StoreError):
    """A group would become a member of itself, directly or through other groups."""


class LeaseTimeout(StoreUnavailable):
    """Somebody else held the lease for as long as it was worth waiting for."""


class EntryLost(StoreUnavailable):
    """Somebody else has taken on the journal's entry: whoever had it must send nothing more."""


class ConnectionNotFound(StoreError, LookupError):
    """No connection has this id or name."""


class TokenNotFound(StoreError, LookupError):
    """No token has this id."""


class ClientNotFound(StoreError, LookupError):
    """No client, or no secret of it, has this id."""


class TrustNotFound(StoreError, LookupError):
    """No federation trust has this id."""
