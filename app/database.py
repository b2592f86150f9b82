"""How does SQL reach PostgreSQL? The pool, `Query` (one SQL file, typed rows) and transactions, all of them bounded."""

from __future__ import annotations

from asyncio import timeout as asyncio_timeout
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from time import perf_counter
from types import NoneType
from typing import Any, Generic, TypeVar

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from app.errors import Unavailable

Row = TypeVar("Row")
Connection = asyncpg.Connection | PoolConnectionProxy

CONNECT_TIMEOUT_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 2.0
COMMAND_TIMEOUT_SECONDS = 6.0  # above the role's statement_timeout: the last resort when the network swallows packets
RELEASE_TIMEOUT_SECONDS = 2.0

# Everything that says "not now" rather than "never".
_NOT_NOW = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,  # shut down, starting up, statement_timeout
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a primary that was demoted
    asyncpg.TransactionRollbackError,  # deadlock
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,  # the connection or the pool was closed under us
    asyncpg.InternalClientError,  # asked on a connection that the server had just ended
    OSError,  # TimeoutError is one
)


@cache
def sql_folder() -> Path:
    """Where the SQL files are: inside the package when installed, beside it in a checkout."""
    installed = Path(__file__).parent / "sql"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"


class Watch:
    """Is told what a pool goes through; this one does nothing about it."""

    def on_open(self, size: int) -> None:
        """So many connections at most."""

    def on_acquire(self, seconds: float) -> None:
        """A connection was taken from the pool, after a wait."""

    def on_release(self) -> None:
        """It is back."""

    def on_failure(self, reason: str) -> None:
        """Something ended in Unavailable."""


class Database:
    """A pool of connections. Every wait has a bound and ends in Unavailable."""

    def __init__(self, url: str, *, pool_size: int = 10, transaction_pooler: bool = False) -> None:
        """`transaction_pooler`: PgBouncer in transaction mode stands in between, so no prepared statements."""
        self.url = url  # read when the pool is opened
        self._pool_size = pool_size
        self._statement_cache_size = 0 if transaction_pooler else 1024
        self._pool: asyncpg.Pool | None = None
        self.watch = Watch()

    async def open(self) -> None:
        """Creates the pool without connecting: the service starts, and says so, while its database is away."""
        self.watch.on_open(self._pool_size)
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=0,
            max_size=self._pool_size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            statement_cache_size=self._statement_cache_size,
            server_settings={"application_name": "openrouter-watcher"},
            reset=_keep_session,
        )

    async def answers(self, timeout_seconds: float) -> bool:
        """Whether a new connection can be had at all, whatever those of the pool are busy with."""
        try:
            async with asyncio_timeout(timeout_seconds):
                connection = await asyncpg.connect(self.url, statement_cache_size=0)
        except (*_NOT_NOW, asyncpg.PostgresError):
            return False
        connection.terminate()
        return True

    async def close(self) -> None:
        """Waits a little for what is under way, then drops the connections."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio_timeout(CONNECT_TIMEOUT_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """A connection of its own for a while. Raises Unavailable when none comes free in time."""
        pool = self._pool
        if pool is None:
            raise Unavailable
        began = perf_counter()
        try:
            connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        except (*_NOT_NOW, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            self.watch.on_failure("no_connection")
            raise Unavailable from error
        self.watch.on_acquire(perf_counter() - began)
        try:
            yield connection
        except Unavailable as error:
            if isinstance(error.__cause__, _NOT_NOW):
                self.watch.on_failure(_reason(error.__cause__))
            raise
        finally:
            self.watch.on_release()
            with suppress(*_NOT_NOW):  # then the pool has ended it
                await pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """A connection with an open transaction; leaving with an exception rolls back."""
        async with self._transaction() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Connection]:
        """A connection whose statements all see the same moment, and change nothing."""
        async with self._transaction(isolation="repeatable_read", readonly=True) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, **options: Any) -> AsyncGenerator[Connection]:
        async with self.connection() as connection:
            try:
                async with connection.transaction(**options):
                    yield connection
            except _NOT_NOW as error:
                if isinstance(error, ValueError):
                    raise  # as in _call
                raise Unavailable from error


def _reason(error: BaseException) -> str:
    """In a word, of everything that says "not now"."""
    match error:
        case asyncpg.QueryCanceledError():
            return "statement_timeout"
        case asyncpg.LockNotAvailableError():
            return "lock_timeout"
        case asyncpg.TransactionRollbackError():
            return "deadlock"
        case TimeoutError():
            return "no_answer"
        case _:
            return "connection_lost"


async def _keep_session(_: asyncpg.Connection) -> None:
    """In place of the driver's own reset at each release, a round trip: no query of ours leaves anything behind in its session.

    A transaction left open, by somebody who was cancelled, is rolled back all the same.
    """


Executor = Database | Connection


class Query(Generic[Row]):
    """One SQL file and the type of its rows: a struct whose fields are the columns, a scalar, or None."""

    def __init__(self, name: str, row: type[Row] = NoneType, *, timeout_seconds: float | None = None) -> None:
        """Reads `sql/<name>.sql`; a file that is not there fails where the module is imported.

        `timeout_seconds` for long work, which also sets its statement_timeout in its transaction.
        """
        self.name = name
        self.row = row
        self._timeout = timeout_seconds
        self.sql = (sql_folder() / f"{name}.sql").read_text(encoding="utf-8")
        self._convert: Callable[[asyncpg.Record], Row] = _struct_of(row) if issubclass(row, msgspec.Struct) else _first

    async def fetch(self, db: Executor, *arguments: object) -> list[Row]:
        """All rows."""
        return [self._convert(record) for record in await _call(db, "fetch", self.sql, arguments, self._timeout)]

    async def find(self, db: Executor, *arguments: object) -> Row | None:
        """One row, or None where there is none."""
        record = await _call(db, "fetchrow", self.sql, arguments, self._timeout)
        return None if record is None else self._convert(record)

    async def get(self, db: Executor, *arguments: object) -> Row:
        """The one row that is always there."""
        return self._convert(await _call(db, "fetchrow", self.sql, arguments, self._timeout))

    async def run(self, db: Executor, *arguments: object) -> int:
        """The number of rows changed."""
        status: str = await _call(db, "execute", self.sql, arguments, self._timeout)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


def _struct_of(row: type[Row]) -> Callable[[asyncpg.Record], Row]:
    def convert(record: asyncpg.Record) -> Row:
        # a dict, because msgspec would take a Record's methods for its columns
        return msgspec.convert(dict(record), row)

    return convert


def _first(record: asyncpg.Record) -> Any:
    return record[0]


async def _call(db: Executor, method: str, sql: str, arguments: tuple[object, ...], timeout: float | None) -> Any:  # noqa: ASYNC109 -- asyncpg's own
    """Runs one statement, on the given connection or on one borrowed for it."""
    if isinstance(db, Database):
        async with db.connection() as connection:
            return await _call(connection, method, sql, arguments, timeout)
    call: Callable[..., Awaitable[Any]] = getattr(db, method)
    try:
        return await call(sql, *arguments, timeout=timeout)
    except _NOT_NOW as error:
        if isinstance(error, ValueError):
            raise  # asyncpg's complaint about an argument: our own mistake
        if isinstance(error, TimeoutError):
            with suppress(asyncpg.InterfaceError):  # it has gone already
                db.terminate()  # neither a cancellation nor a rollback would be heard, and each is waited for
        raise Unavailable from error
