"""The commands that go on until they are stopped: which parts of the service does each of them start?"""

from __future__ import annotations

import asyncio

import click

from app import migrate
from app.commands.answers import Command, answer, note
from app.commands.database import beside_the_service, embedded_server, load_settings, patiently
from app.connections import create_database, database_url
from app.keys import encryption
from app.keys.vault import Vault
from app.settings import Settings


@click.command(cls=Command)
def run() -> None:
    """Serve, with database, schema and scheduler.

    Without DATABASE_URL it starts a PostgreSQL of its own in DATA_DIR first.
    """
    _serve("app.worker:application")


@click.command(cls=Command)
def serve() -> None:
    """Serve; the scheduler runs elsewhere.

    As `run`, but keys are read and what has had its time is removed by `scheduler`, in a process or on a host of its own.
    """
    _serve("app.worker:application_without_scheduler")


def _serve(application: str) -> None:
    from app import server  # noqa: PLC0415 -- the scheduler needs no server

    settings = load_settings()
    with embedded_server(settings):
        asyncio.run(_prepare(settings))
        server.serve(settings, application, _announce)


def _announce(url: str) -> None:
    answer({"url": url})
    note(f"OpenRouter Watcher listens on {url}")


@click.command(cls=Command)
def scheduler() -> None:
    """Read the keys that are due, without serving.

    And keep the house. Any number of these share the work, beside or instead of what `run` does.
    """
    from app import scheduler as scheduling  # noqa: PLC0415 -- the server needs no scheduler
    from app.watching import create_sync  # noqa: PLC0415

    with beside_the_service() as settings:
        asyncio.run(_prepare(settings))
        answer({"sync_interval_minutes": settings.sync_interval_minutes})
        note(f"OpenRouter keys are read every {settings.sync_interval_minutes} minutes")
        asyncio.run(scheduling.run(create_sync(settings, create_database(settings)), settings.event_retention))


@click.command(cls=Command)
def demo() -> None:
    """Serve with a simulated year of usage.

    With a user and an OpenRouter of its own. Nothing of it is kept.
    """
    from app import demo as demonstration  # noqa: PLC0415 -- nobody else needs the simulator

    demonstration.run(answer)


async def _prepare(settings: Settings) -> None:
    """A wrong encryption key is noticed before anything is written, the schema included."""
    url = database_url(settings)
    vault = Vault(settings.encryption_keys)

    async def prepare() -> None:
        async with migrate.connect(url) as connection:
            await encryption.check_keys(connection, vault)
        await migrate.migrate(url)
        async with migrate.connect(url) as connection:
            await encryption.require_right_keys(connection, vault)

    await patiently(prepare)
