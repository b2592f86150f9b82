"""The commands about the schema: bring it up to date, and show it."""

from __future__ import annotations

import asyncio

import click

from app import migrate as migrations
from app.commands.answers import Command, answer
from app.commands.database import beside_the_service, patiently
from app.connections import database_url


@click.command(cls=Command)
def migrate() -> None:
    """Bring the schema up to date.

    Any number of these at once, and of starts of the service, apply each migration once.
    """
    with beside_the_service() as settings:
        url = database_url(settings)
        applied = asyncio.run(patiently(lambda: migrations.migrate(url)))
        answer({"applied": applied}, *(f"applied {name}" for name in applied))


@click.command(cls=Command)
def schema() -> None:
    """Print the schema as it is now."""
    with beside_the_service() as settings:
        described = asyncio.run(migrations.describe(database_url(settings)))
        answer({"schema": described}, described)
