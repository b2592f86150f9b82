"""What can happen on the way to PostgreSQL?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.faults.fault import Fault
from tests.faults.invariants import Expectation
from tests.faults.load import Load
from tests.faults.stage import Stage

LATENCY_SECONDS = 0.1
BYTES_PER_SECOND = 10_000
RESET_EVERY_SECONDS = 0.3


@asynccontextmanager
async def far(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Each piece takes a tenth of a second, each way."""
    stage.proxy.latency_seconds = LATENCY_SECONDS
    yield
    stage.proxy.latency_seconds = 0


@asynccontextmanager
async def narrow(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """A few kilobytes a second, for each connection."""
    stage.proxy.bytes_per_second = BYTES_PER_SECOND
    yield
    stage.proxy.bytes_per_second = None


@asynccontextmanager
async def swallowed(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Nothing comes through, and nobody says so."""
    stage.proxy.swallow()
    yield
    stage.proxy.pass_on()


@asynccontextmanager
async def lost(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """The same, and what was on its way never arrives: a firewall that has forgotten the connections."""
    stage.proxy.swallow()
    yield
    stage.proxy.reset_all()
    stage.proxy.pass_on()


@asynccontextmanager
async def reset(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Every connection ends with RST, again and again."""

    async def keep_resetting() -> None:
        while True:
            stage.proxy.reset_all()
            await asyncio.sleep(RESET_EVERY_SECONDS)

    work = asyncio.create_task(keep_resetting())
    yield
    work.cancel()


@asynccontextmanager
async def cut_at_commit(stage: Stage, load: Load) -> AsyncGenerator[None]:
    """RST right after a COMMIT was sent: nobody can know whether it happened, and nothing may be promised."""
    stage.proxy.cuts_after = b"COMMIT"
    async with asyncio.TaskGroup() as imports:
        for writer in stage.writers * 2:
            imports.create_task(load.imports(writer))
    yield
    stage.proxy.cuts_after = None
    assert stage.proxy.cuts, "no COMMIT was seen"


NETWORK_FAULTS = (
    Fault("database far away", far, seconds=6),
    Fault("way to it narrow", narrow, seconds=6),
    Fault("packets swallowed", swallowed, Expectation(readiness="away"), seconds=14),
    Fault("connections forgotten", lost, Expectation(readiness="away"), seconds=6),
    Fault("connections reset", reset),
    Fault("cut at COMMIT", cut_at_commit),
)
