"""Bring a database to the present schema.

Three cases, in the order of how often they occur: the version row names `HEAD` and nothing is done; the
database is empty, and the tables are created straight from `tables.metadata` and stamped; an older version
is recorded, and Alembic runs the revisions since. Only the last imports Alembic, which takes longer than
everything else a start does. A test holds that the second and the third end in the same schema.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, func, insert, inspect, select

from app.store.errors import SchemaMismatch
from app.store.tables import metadata

HEAD = "0009"
"""The newest revision in `versions`; a test keeps it true."""

SCRIPT_LOCATION = Path(__file__).parent

_ADVISORY_LOCK = 0x5C1B_0001
"""Key of the PostgreSQL advisory lock under which replicas take turns at migrating."""

# As Alembic itself declares it, in a MetaData of its own: not a table of the bridge.
_version = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)


def recorded_version(connection: Connection) -> str | None:
    """Answer the revision the database is at, None if it has never been migrated."""
    if not inspect(connection).has_table(_version.name):
        return None
    return stamped_version(connection)


def stamped_version(connection: Connection) -> str | None:
    """Like `recorded_version`, in one statement; raises the driver's error where it was never migrated."""
    return connection.scalar(select(_version.c.version_num))


def migrate(connection: Connection) -> None:
    """Create or upgrade the schema inside the transaction of `connection`.

    The caller holds SQLite's write lock already. On PostgreSQL an advisory lock, released with the
    transaction, makes replicas that start together wait for the first, and find the work done. Raises
    SchemaMismatch where the schema is not the bridge's, or of a newer release.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    if not inspect(connection).has_table(_version.name):
        _create(connection)
    elif recorded_version(connection) != HEAD:
        run_revisions(connection)


def run_revisions(connection: Connection) -> None:
    """Let Alembic run the revisions from the recorded one (or none) to `HEAD`.

    Not reentrant: Alembic keeps its context in module globals, so the caller lets one run at a time.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    # The config parser takes "%" for the start of a reference.
    config.set_main_option("script_location", str(SCRIPT_LOCATION).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaMismatch(
            f"the database is at schema {recorded_version(connection)!r}, this release knows up to {HEAD!r}: "
            "run the release that wrote it, or a newer one"
        ) from error


def _create(connection: Connection) -> None:
    foreign = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    if foreign:
        raise SchemaMismatch(
            f"the database already has tables that SCIM Bridge did not make ({', '.join(foreign)}): "
            "give it a database or a schema of its own"
        )
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection)
    connection.execute(insert(_version).values(version_num=HEAD))
