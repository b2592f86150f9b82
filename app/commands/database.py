"""How does a command come by its settings and its database, and how long does it wait for them?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from app import embedded, migrate
from app import settings as settings_module
from app.connections import create_database, database_url
from app.database import Database
from app.errors import Unavailable
from app.logs import configure_logs
from app.settings import Settings

T = TypeVar("T")

PATIENCE_SECONDS = 60
POOL_SIZE = 4


def load_settings() -> Settings:
    """Of the environment. Raises SettingsError."""
    settings = settings_module.load()
    configure_logs(settings.log_level, settings.log_format)
    return settings


def embedded_server(settings: Settings) -> AbstractContextManager[object]:
    """For a service, which has it alone; nothing where there is a DATABASE_URL."""
    return nullcontext() if settings.database_url else embedded.running(settings.data_dir)


@contextmanager
def beside_the_service() -> Generator[Settings]:
    """The settings, with a database that is there, for a command that may run while the service does."""
    settings = load_settings()
    with nullcontext() if settings.database_url else embedded.running_or_joined(settings.data_dir):
        yield settings


def with_database(act: Callable[[Settings, Database], Awaitable[T]]) -> T:
    """Runs a command on an open pool, with the schema up to date."""

    async def run_act(settings: Settings) -> T:
        await migrate.migrate(database_url(settings))
        db = create_database(settings, POOL_SIZE)
        await db.open()
        try:
            return await act(settings, db)
        finally:
            await db.close()

    with beside_the_service() as settings:
        return asyncio.run(run_act(settings))


async def patiently(act: Callable[[], Awaitable[T]]) -> T:
    """In a compose stack the database may need longer to start than the service. Raises Unavailable when it takes too long."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    pause = 0.2
    while True:
        try:
            return await act()
        except Unavailable as error:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise Unavailable(f"The database cannot be reached: {type(error.__cause__).__name__}.") from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
