"""Is who is turned away held for a while, and not for exactly as long as the others?"""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from app.crowds import turn_away
from app.errors import Unavailable


async def test_crowd_is_held_and_does_not_come_back_together() -> None:
    began = perf_counter()

    async def come() -> float:
        with pytest.raises(Unavailable):
            await turn_away(0.4)
        return perf_counter() - began

    held = await asyncio.gather(*(come() for _ in range(50)))
    assert min(held) >= 0.2
    assert max(held) - min(held) > 0.1
    assert max(held) < 5
