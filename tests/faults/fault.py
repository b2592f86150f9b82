"""What is a fault, and how is one played? A while of load before it, it, and a while after; then everything is checked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from tests.faults.invariants import Expectation, Story, check, recovery_seconds
from tests.faults.load import Load, load
from tests.faults.stage import Needs, Stage


class Fault(msgspec.Struct, frozen=True):
    """`play` does it when it is entered, and heals it when it is left."""

    name: str
    play: Callable[[Stage, Load], AbstractAsyncContextManager[None]]
    expectation: Expectation = Expectation()
    needs: Needs = Needs()
    seconds: float = 5.0
    lacks: Callable[[], str | None] = lambda: None  # why it cannot be played on this machine


class Pace(msgspec.Struct, frozen=True):
    """How heavy the load is, and how long it lasts beside the fault: before it, and after the time in which all is well again."""

    per_second: float = 50
    before_seconds: float = 3.0
    after_seconds: float = 2.0


PACE = Pace()


class Outcome(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    requests: int
    statuses: dict[int, int]
    recovery_seconds: float
    slowest_seconds: float
    broken: list[str]


async def play(fault: Fault, stage: Stage, pace: Pace = PACE) -> Outcome:
    """On a stage that has what it needs."""
    broken: list[str] = []
    async with load(stage, pace.per_second) as asked:
        await asyncio.sleep(pace.before_seconds)
        story = Story(time.monotonic(), 0, 0, stage.resident_mib())
        try:
            async with fault.play(stage, asked):
                await asyncio.sleep(fault.seconds)
                story.heals_at = time.monotonic()
        except AssertionError as error:
            broken.append(f"the fault itself: {error}")
        story.healed_at = time.monotonic()
        await asyncio.sleep(pace.after_seconds + fault.expectation.recovers_within_seconds)
        story.resident_mib_after = stage.resident_mib()
    broken += await check(asked, story, fault.expectation)
    return Outcome(
        fault.name,
        len(asked.requests),
        Counter(request.status for request in asked.requests),
        recovery_seconds(asked.requests, story.healed_at),
        max(request.seconds for request in asked.requests),
        broken,
    )
