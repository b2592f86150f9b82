"""How is a simulator started by hand?"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime

from app.simulator.clock import Clock
from app.simulator.control import BASE
from app.simulator.server import serving
from app.simulator.world import World


def run(port: int, seed: int, keys: int, days: int, now: datetime | None, announce: Callable[..., None]) -> None:
    """One account with some keys and usage, until SIGTERM or SIGINT.

    `announce` is told where and how, for programs and in lines for people.
    """
    world = World(Clock(now), seed)
    account = world.add_account()
    for number in range(1, keys + 1):
        account.add_key(f"key {number}")
    account.generate(days)
    account.add_management_key("admin")
    asyncio.run(_serve(world, port, announce))


async def _serve(world: World, port: int, announce: Callable[..., None]) -> None:
    stop = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    async with serving(world, port=port) as simulator:
        control_url = f"{simulator.base_url.removesuffix('/api/v1')}{BASE}"
        keys = [("management" if key.is_management else "inference", key) for key in world.accounts[0].keys]
        announce(
            {
                "openrouter_base_url": simulator.base_url,
                "control_url": control_url,
                "keys": [{"kind": kind, "name": key.name, "key": key.secret} for kind, key in keys],
            },
            f"OPENROUTER_BASE_URL={simulator.base_url}",
            f"moved by POST {control_url}/clock, /faults, /options, /spend",
            *(f"{kind} key {key.name!r}: {key.secret}" for kind, key in keys),
        )
        await stop.wait()
