"""What does reading OpenRouter's keys take in a process?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.database import Database
from app.keys.vault import Vault
from app.settings import Settings
from app.usage.openrouter import OpenRouter
from app.usage.reading import Sync, nobody

POOL_SHARE = 3  # of the pool's connections one in so many is for reading keys; the rest is for those who ask


def create_sync(settings: Settings, db: Database, observe: Callable[[str, float], None] = nobody) -> Sync:
    """Everything but the work itself."""
    return Sync(
        db=db,
        vault=Vault(settings.encryption_keys),
        openrouter=OpenRouter(settings.openrouter_base_url),
        interval_seconds=settings.sync_interval_minutes * 60,
        observe=observe,
        places=asyncio.Semaphore(max(1, settings.database_pool_size // POOL_SHARE)),
    )
