"""How does the schema come to be what this version needs? sql/migrations in order, once, forward only."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from app.database import CONNECT_TIMEOUT_SECONDS, Connection, Query, sql_folder
from app.errors import OperatorError, Unavailable

# how long a start waits for another start that is migrating
OTHER_RUN_TIMEOUT_SECONDS = 600.0
OTHER_RUN_PAUSE_SECONDS = 0.1
# a migration that cannot have its locks within this gives up rather than stop the running version
LOCK_TIMEOUT = "5s"
# what is done concurrently stops nobody while it waits
CONCURRENT_LOCK_TIMEOUT = "300s"
NO_TRANSACTION = "-- no transaction"
WITHIN_TRANSACTION, FOR_SESSION = True, False

_FILE_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql", re.ASCII)


class Migration(msgspec.Struct, frozen=True):
    """One file of sql/migrations."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Applied(msgspec.Struct, frozen=True):
    """One row of the ledger."""

    version: int
    name: str
    checksum: str


class MigrationError(OperatorError):
    """The schema and this version do not fit together."""


create_ledger = Query("migrate/create_ledger")
create_entry = Query("migrate/create_entry")
list_applied = Query("migrate/list_applied", Applied)
lock_schema = Query("migrate/lock_schema")
set_patience = Query("migrate/set_patience")
set_role_timeouts = Query("migrate/set_role_timeouts")
describe_schema = Query("migrate/describe_schema", str)


def read_migrations(folder: Path | None = None) -> list[Migration]:
    """The migrations this version brings, in order. Raises MigrationError where numbers are missing or doubled."""
    paths = sorted((folder or sql_folder() / "migrations").glob("*.sql"))
    if misnamed := [path.name for path in paths if not _FILE_NAME.fullmatch(path.name)]:
        raise MigrationError(f"sql/migrations/{misnamed[0]} is not named like 0001_accounts.sql")
    migrations = [Migration(int(path.name[:4]), path.stem, path.read_text(encoding="utf-8")) for path in paths]
    if [migration.version for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise MigrationError("sql/migrations does not count from 0001 without a gap")
    return migrations


def pending(migrations: Sequence[Migration], applied: Sequence[Applied]) -> Sequence[Migration]:
    """What is still to be applied.

    Raises MigrationError when the database is newer than this version, or was migrated by files that have since changed.
    """
    for ours, theirs in zip(migrations, applied, strict=False):
        if (ours.version, ours.checksum) != (theirs.version, theirs.checksum):
            raise MigrationError(
                f"migration {theirs.name} was changed after it was applied to this database; "
                "bring back the file as it was and write a new migration instead"
            )
    if len(applied) > len(migrations):
        raise MigrationError(
            f"the database is newer than this version of the service: it has migration {applied[-1].name}, "
            f"this version knows {len(migrations)}; install the newer version"
        )
    return migrations[len(applied) :]


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Brings the database at `url` up to date and returns the names of what was applied.

    Any number of processes may call this at once: one works, the others wait and find nothing to do. Each migration is
    applied whole or not at all. Raises MigrationError, or Unavailable where the database cannot be reached.
    """
    known = read_migrations() if migrations is None else migrations
    deadline = time.monotonic() + OTHER_RUN_TIMEOUT_SECONDS
    try:
        while (done := await _migrate_if_free(url, known)) is None:
            if time.monotonic() > deadline:
                raise MigrationError("another start has been migrating the database for too long")
            await asyncio.sleep(OTHER_RUN_PAUSE_SECONDS)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"the database does not let itself be migrated: {error}") from error
    return done


async def _migrate_if_free(url: str, known: Sequence[Migration]) -> list[str] | None:
    """None while another start is migrating."""
    # Two connections: the lock belongs to a transaction, so that it works through a pooler too, and what it protects has
    # transactions of its own. Neither waits in the database, for an index that is built concurrently waits for all who do.
    async with connect(url) as guard, guard.transaction():
        await set_patience.run(guard, LOCK_TIMEOUT, WITHIN_TRANSACTION)
        # run, not fetched: what fetches keeps its snapshot until the next statement
        if not await lock_schema.run(guard):
            return None
        async with connect(url) as worker:
            return await _migrate_locked(worker, known)


async def _migrate_locked(worker: Connection, known: Sequence[Migration]) -> list[str]:
    await create_ledger.run(worker)
    done: list[str] = []
    for migration in pending(known, await list_applied.fetch(worker)):
        await _apply(worker, migration)
        done.append(migration.name)
    await set_role_timeouts.run(worker)
    return done


async def missing(connection: Connection) -> list[str]:
    """The names of what is still to be applied. Raises MigrationError as `pending` does."""
    try:
        applied = await list_applied.fetch(connection)
    except asyncpg.UndefinedTableError:
        applied = list[Applied]()
    return [migration.name for migration in pending(read_migrations(), applied)]


async def describe(url: str) -> str:
    """The schema as text, for schema.sql."""
    async with connect(url) as connection:
        return await describe_schema.get(connection)


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        if migration.sql.startswith(NO_TRANSACTION):
            await _apply_without_transaction(connection, migration)
            return
        async with connection.transaction():
            await set_patience.run(connection, LOCK_TIMEOUT, WITHIN_TRANSACTION)
            await connection.execute(migration.sql)
            await _note(connection, migration)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"migration {migration.name} failed and was rolled back: {error}") from error


async def _apply_without_transaction(connection: Connection, migration: Migration) -> None:
    await set_patience.run(connection, CONCURRENT_LOCK_TIMEOUT, FOR_SESSION)
    try:
        for statement in _statements(migration.sql):
            await connection.execute(statement)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"migration {migration.name} failed, perhaps half done: {error}") from error
    finally:
        await connection.reset()
    await _note(connection, migration)


async def _note(connection: Connection, migration: Migration) -> None:
    await create_entry.run(connection, migration.version, migration.name, migration.checksum)


def _statements(sql: str) -> list[str]:
    """One by one: PostgreSQL runs several sent together in a transaction. Such files hold plain statements only."""
    return [part for part in re.split(r";\s*$", sql, flags=re.MULTILINE) if re.sub(r"--.*", "", part).strip()]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Connection]:
    """A connection without a pool. Raises MigrationError for an address that is none, else Unavailable."""
    try:
        connection: Connection = await asyncpg.connect(
            url, timeout=round(CONNECT_TIMEOUT_SECONDS), statement_cache_size=0
        )
    except (asyncpg.ClientConfigurationError, ValueError):
        raise MigrationError("DATABASE_URL cannot be understood: check its port and its parameters") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
