"""What nonsense may OpenRouter answer, while others only want their figures?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import get_args

from app.simulator import faults
from tests.faults.fault import Fault
from tests.faults.invariants import Expectation
from tests.faults.load import Load
from tests.faults.process_faults import until_read
from tests.faults.stage import Needs, Stage

EACH_SECONDS = 0.8
RAW = ("", "null", "[]", '{"data": null}', '{"data": {"usage": "NaN", "limit": -1e400}}', "[" * 100_000, "\x00" * 1000)


@asynccontextmanager
async def nonsense(stage: Stage, _: Load) -> AsyncGenerator[None]:
    """Each kind for a moment, while all keys are always due."""
    world = stage.simulator.world
    kinds = [faults.Fault(kind, seconds=30) for kind in get_args(faults.Kind) if kind != "patch"]
    kinds += [faults.Fault("status", status=status) for status in (401, 403, 404, 408, 429, 500, 503)]
    kinds += [
        faults.Fault("status", status=429, headers={"Retry-After": value}) for value in ("0", "-1", "soon", "9" * 30)
    ]
    kinds += [faults.Fault("patch", body=body) for body in RAW]
    asked = stage.simulator.calls()
    for fault in kinds:
        world.faults = [fault]
        await _make_due(stage)
        await asyncio.sleep(EACH_SECONDS)
    assert stage.simulator.calls() > asked, "nobody asked"
    yield
    world.faults = []
    async with asyncio.timeout(60):  # the last of them may still be waited for
        while stage.simulator.concurrent:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.1)
    await _make_due(stage)
    await until_read(stage)


async def _make_due(stage: Stage) -> None:
    async with stage.database() as database:
        await database.execute(
            "UPDATE openrouter_keys SET next_sync_at = now(), lease_until = NULL, is_active = TRUE WHERE secret IS NOT NULL"
        )


OPENROUTER_FAULTS = (
    Fault(
        "openrouter talks nonsense",
        nonsense,
        Expectation(readiness="ready", unavailable=False),
        Needs(openrouter=True),
        seconds=1,
    ),
)
