"""How is a simulator started by hand?"""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime

import click

from app.simulator.clock import Clock
from app.simulator.control import BASE
from app.simulator.server import serving
from app.simulator.world import World


def run(port: int, seed: int, keys: int, days: int, now: datetime | None) -> None:
    """One account with some keys and usage, until SIGTERM or SIGINT."""
    world = World(Clock(now), seed)
    account = world.add_account()
    for number in range(1, keys + 1):
        account.add_key(f"key {number}")
    account.generate(days)
    account.add_management_key("admin")
    asyncio.run(_serve(world, port))


async def _serve(world: World, port: int) -> None:
    stop = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    async with serving(world, port=port) as simulator:
        click.echo(f"OPENROUTER_BASE_URL={simulator.base_url}")
        click.echo(f"moved by POST {simulator.base_url.removesuffix('/api/v1')}{BASE}/clock, /faults, /options, /spend")
        for key in world.accounts[0].keys:
            click.echo(f"{'management' if key.is_management else 'inference'} key {key.name!r}: {key.secret}")
        await stop.wait()
