"""How does a process reach its database? The one in DATABASE_URL, else the embedded server's."""

from __future__ import annotations

from app import embedded
from app.database import Database
from app.settings import Settings


def database_url(settings: Settings) -> str:
    """Whether anybody listens there or not."""
    return settings.database_url or embedded.database_url(settings.data_dir)


def create_database(settings: Settings, pool_size: int | None = None) -> Database:
    """The pool of a process, not opened yet; of DATABASE_POOL_SIZE, if nothing else is said."""
    return Database(
        database_url(settings),
        pool_size=pool_size or settings.database_pool_size,
        transaction_pooler=settings.database_pooler == "transaction",
    )
