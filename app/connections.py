"""How does a process reach its database? The one in DATABASE_URL, else the embedded server's."""

from __future__ import annotations

from app import embedded
from app.database import Database
from app.replica import Reader
from app.settings import Settings


def database_url(settings: Settings) -> str:
    """Whether anybody listens there or not."""
    return settings.database_url or embedded.database_url(settings.data_dir)


def create_database(settings: Settings, pool_size: int | None = None) -> Database:
    """The pool of a process, not opened yet; of DATABASE_POOL_SIZE, if nothing else is said."""
    return _pool(settings, database_url(settings), pool_size or settings.database_pool_size)


def create_reader(settings: Settings, primary: Database) -> Reader:
    """What reads figures: beside the primary's pool one of the replica's, if there is one."""
    url = settings.database_replica_url
    return Reader(primary, None if url is None else _pool(settings, url, settings.database_pool_size))


def _pool(settings: Settings, url: str, size: int) -> Database:
    return Database(url, pool_size=size, transaction_pooler=settings.database_pooler == "transaction")
