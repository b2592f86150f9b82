"""The command that stands in for OpenRouter, for trying out and for tests."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from app.commands.answers import Command, answer
from app.simulator import run as simulator


@click.command("simulate-openrouter", cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), default=9009, show_default=True, help="0 takes a free one")
@click.option("--seed", default=1, show_default=True, help="the same seed makes the same keys and usage")
@click.option("--keys", type=click.IntRange(0, 10_000), default=5, show_default=True, help="inference keys")
@click.option("--days", type=click.IntRange(0, 3660), default=45, show_default=True, help="days of usage")
@click.option("--now", type=click.DateTime(), help="what time it is there (UTC); the real time if not given")
def simulate_openrouter(port: int, seed: int, keys: int, days: int, now: datetime | None) -> None:
    """Serve a simulated OpenRouter, for trying out.

    Its keys are printed.
    """
    simulator.run(port, seed, keys, days, now and now.replace(tzinfo=UTC), answer)
