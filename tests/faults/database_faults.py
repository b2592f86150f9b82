"""What can happen to PostgreSQL itself?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from tests.faults.fault import Fault
from tests.faults.invariants import Expectation
from tests.faults.load import Load
from tests.faults.stage import Needs, Stage, each, settings_of
from tests.processes import PROJECT

DISK_MIB = 160
MIGRATIONS = 2  # at once, of each kind
IMPORTS_PER_SECOND = 4


async def start(stage: Stage) -> None:
    """Until it answers."""
    await asyncio.to_thread(stage.server.start, settings_of(stage.needs))


@asynccontextmanager
async def restarted(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """In a hurry: sessions are ended."""
    await asyncio.to_thread(stage.server.stop)
    yield
    await start(stage)


@asynccontextmanager
async def killed(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """kill -9, of all its processes."""
    backends = stage.backends()
    each(backends, psutil.Process.kill)
    await asyncio.to_thread(psutil.wait_procs, backends)
    yield
    await start(stage)


@asynccontextmanager
async def backend_killed(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """kill -9 of one session, at which PostgreSQL ends all others and recovers by itself."""
    for _ in range(2):
        async with stage.database() as database:
            pid = await database.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'openrouter-watcher' LIMIT 1"
            )
        assert pid, "nobody is connected"
        psutil.Process(pid).kill()
        await asyncio.sleep(2)
    yield


@asynccontextmanager
async def paused(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """SIGSTOP: its socket goes on taking connections that nobody answers."""
    backends = stage.backends()
    each(backends, psutil.Process.suspend)
    try:
        yield
    finally:
        each(backends, psutil.Process.resume)


@asynccontextmanager
async def table_locked(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """The one that every verdict reads."""
    async with stage.database() as database, database.transaction():
        await database.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        await database.execute("LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def pool_exhausted(stage: Stage, load: Load) -> AsyncGenerator[None]:
    """Imports that wait for a lock hold all connections."""

    async def keep_importing() -> None:
        async with asyncio.TaskGroup() as imports:
            while True:
                imports.create_task(load.imports(stage.writers[0]))
                await asyncio.sleep(1 / IMPORTS_PER_SECOND)

    async with stage.database() as database:
        async with database.transaction():
            await database.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
            await database.execute("LOCK TABLE generations IN ACCESS EXCLUSIVE MODE")
            work = asyncio.create_task(keep_importing())
            try:
                yield
            finally:
                work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@asynccontextmanager
async def out_of_connections(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Somebody else has them all: 53300."""
    taken: list[asyncpg.Connection] = []
    enough = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'openrouter-watcher'"
    )
    async with stage.database() as mine:
        while await mine.fetchval(enough):
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    taken.append(await asyncpg.connect(stage.database_url))
        try:
            yield
        finally:
            for connection in taken:
                connection.terminate()


@asynccontextmanager
async def read_only(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """As after a demotion."""
    async with stage.database() as database:
        await database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await database.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(0.5)
        yield
        await database.execute("SET transaction_read_only = off")
        await database.execute("SET default_transaction_read_only = off")
        await database.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await database.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def disk_full(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """No byte more, for tables or for the log of changes; then there is room, and PostgreSQL is started if it gave up."""
    ballast = stage.place.home / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
    with suppress(asyncpg.PostgresError, OSError):
        async with stage.database() as database:
            for _ in range(3):
                await database.execute("SELECT pg_switch_wal()")
                await database.execute("CREATE TABLE IF NOT EXISTS filler AS SELECT generate_series(1, 1000)")
    yield
    ballast.unlink()
    if not stage.server._is_running():
        await start(stage)


@asynccontextmanager
async def failed_over(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """The primary dies; the standby takes its address while it still follows, and is promoted a little later."""
    assert stage.standby
    backends = stage.backends()
    each(backends, psutil.Process.kill)
    await asyncio.to_thread(psutil.wait_procs, backends)
    stage.proxy.database_url = stage.standby.url
    yield
    await asyncio.to_thread(stage.standby.promote)
    stage.database_url = stage.standby.url
    async with stage.database() as database:
        await database.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await database.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def migrations_raced(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Several starts at once, on the schema that is in use and on a database without one."""
    async with stage.database() as database:
        await database.execute("CREATE DATABASE raced")
        raced = urlunsplit(urlsplit(stage.database_url)._replace(path="/raced"))
        environ = psutil.Process(stage.process.pid).environ()
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", "migrate", cwd=PROJECT, env={**environ, "DATABASE_URL": url},
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )
            for url in (raced, stage.database_url) * MIGRATIONS
        ]  # fmt: skip
        codes = [await process.wait() for process in processes]
        yield
        assert codes == [0] * len(codes), f"migrate ended with {codes}"
        other = await asyncpg.connect(raced)
        count = "SELECT count(*) FROM schema_migrations"
        assert await other.fetchval(count) == await database.fetchval(count)
        await other.close()


def _no_root() -> str | None:
    return None if os.geteuid() == 0 else "only root may mount a small file system"


AWAY = Expectation(readiness="away")
DATABASE_FAULTS = (
    Fault("postgres restarted", restarted, AWAY),
    Fault("postgres killed", killed, Expectation(readiness="away", loses_counts=True)),
    Fault("one session killed", backend_killed, Expectation(loses_counts=True), seconds=2),
    Fault("postgres paused", paused, AWAY, seconds=14),
    Fault("table locked", table_locked, Expectation(readiness="ready"), seconds=6),
    Fault(
        "pool exhausted",
        pool_exhausted,
        needs=Needs(environ=(("DATABASE_POOL_SIZE", "2"),), workers=1),
        seconds=8,
    ),
    Fault("out of connections", out_of_connections, AWAY, Needs(postgres=("max_connections = 40",))),
    Fault("postgres read-only", read_only, AWAY),
    Fault(
        "disk full",
        disk_full,
        Expectation(loses_counts=True),
        Needs(disk_mib=DISK_MIB, postgres=("min_wal_size = 32MB", "max_wal_size = 48MB")),
        lacks=_no_root,
    ),
    Fault(
        "failed over to a standby",
        failed_over,
        Expectation(recovers_within_seconds=10, readiness="away", loses_counts=True),
        Needs(standby=True),
        seconds=4,
    ),
    Fault("migrations raced", migrations_raced, Expectation(readiness="ready", unavailable=False), seconds=1),
)
