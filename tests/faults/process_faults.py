"""What can happen to the service's own processes, and to what they stand on: clock, descriptors, log?"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from tests.faults.fault import Fault
from tests.faults.invariants import Expectation
from tests.faults.load import READ, Load
from tests.faults.stage import Needs, Stage, start_scheduler

BORN_WITHIN_SECONDS = 20
CONNECTIONS = 150
PRELOADED = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
FAKE_CLOCK = (
    ("LD_PRELOAD", str(PRELOADED)),
    ("FAKETIME_TIMESTAMP_FILE", "{folder}/clock"),
    ("FAKETIME_CACHE_DURATION", "1"),
    ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ("FAKETIME_FORCE_MONOTONIC_FIX", "0"),  # or waits with a deadline spin
)
# sessions are judged by the process's clock: whoever's has begun in the future or has long ended logs in again
SESSIONS_SUFFER = frozenset((kind, 401) for kind in (READ, "create", "revoke", "import"))


@asynccontextmanager
async def worker_killed(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """kill -9 of one of two; the server starts another."""
    victim = stage.workers()[0]
    victim.kill()
    async with asyncio.timeout(BORN_WITHIN_SECONDS):
        while len({worker.pid for worker in stage.workers()} - {victim.pid}) < stage.needs.workers:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.1)
    yield


@asynccontextmanager
async def scheduler_killed(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """In the middle of reading; the next one takes over when the lease has run out."""
    assert stage.scheduler
    stage.simulator.world.options.latency_seconds = 0.5
    await _make_due(stage)
    async with asyncio.timeout(BORN_WITHIN_SECONDS):
        while not stage.simulator.concurrent:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.02)
    stage.scheduler.kill()
    stage.scheduler.wait()
    stage.simulator.world.options.latency_seconds = 0
    yield
    await _make_due(stage)
    stage.scheduler = start_scheduler(stage)
    await until_read(stage)


@asynccontextmanager
async def clock_jumps(stage: Stage, _: Load, to: str) -> AsyncGenerator[None]:
    """Of the service's processes; the database's stays."""
    (stage.folder / "clock").write_text(to)
    yield
    (stage.folder / "clock").write_text("+0")


@asynccontextmanager
async def log_stalled(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Nobody reads what the service says."""
    assert stage.drain
    stage.drain.stall()
    yield
    stage.drain.flow()


@asynccontextmanager
async def log_reader_gone(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """The pipe to which the service writes is closed at its other end."""
    assert stage.drain
    stage.drain.close()
    yield
    stage.drain.open()


@asynccontextmanager
async def descriptors_exhausted(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """As many as are open by now, and no more; the database's connections have to be made anew, and many clients come."""
    workers = stage.workers()
    limits = {worker.pid: resource.prlimit(worker.pid, resource.RLIMIT_NOFILE) for worker in workers}
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (worker.num_fds(), limits[worker.pid][1]))
    stage.proxy.reset_all()
    clients = [socket.socket() for _ in range(CONNECTIONS)]
    address = ("127.0.0.1", stage.client.base_url.port)
    for client in clients:
        client.setblocking(False)  # noqa: FBT003 -- the library's own
        with suppress(BlockingIOError):
            client.connect(address)
    yield
    for client in clients:
        client.close()
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, limits[worker.pid])
    assert {worker.pid for worker in stage.workers()} == {*limits}, "a worker died of it"


async def _make_due(stage: Stage) -> None:
    async with stage.database() as database:
        await database.execute(
            "UPDATE openrouter_keys SET next_sync_at = now(), lease_until = NULL, last_synced_at = NULL WHERE secret IS NOT NULL"
        )


async def until_read(stage: Stage) -> None:
    """All keys, and well."""
    async with stage.database() as database:
        for _ in range(400):
            if await database.fetchval(
                "SELECT bool_and(last_synced_at IS NOT NULL AND sync_status = 'ok') FROM openrouter_keys WHERE secret IS NOT NULL"
            ):
                return
            await asyncio.sleep(0.05)
    raise AssertionError("keys are not read any more")


def _no_faketime() -> str | None:
    return None if PRELOADED else "libfaketime is not installed"


def _jump(name: str, to: str, *, harms_sessions: bool) -> Fault:
    also = SESSIONS_SUFFER if harms_sessions else frozenset[tuple[str, int]]()
    expectation = Expectation(readiness="ready", also=also, unavailable=False)
    return Fault(
        f"clock {name}", partial(clock_jumps, to=to), expectation, Needs(environ=FAKE_CLOCK), 4, lacks=_no_faketime
    )


READY = Expectation(readiness="ready", unavailable=False)
PROCESS_FAULTS = (
    Fault("worker killed", worker_killed, Expectation(breaks_connections=True), seconds=1),
    Fault("scheduler killed", scheduler_killed, READY, Needs(separate_scheduler=True, openrouter=True), seconds=2),
    _jump("+5 min", "+300", harms_sessions=False),
    _jump("-5 min", "-300", harms_sessions=True),
    _jump("+26 h", "+93600", harms_sessions=True),
    _jump("-26 h", "-93600", harms_sessions=True),
    Fault("log reader stalled", log_stalled, READY, Needs(log_is_a_pipe=True), seconds=8),
    Fault("log reader gone", log_reader_gone, READY, Needs(log_is_a_pipe=True), seconds=8),
    Fault("descriptors exhausted", descriptors_exhausted),
)
