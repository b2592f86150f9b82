"""Usage that is simply there, wherever it came from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import asyncpg
import msgspec

from app.keys import repository as keys
from app.usage import repository as usage

MEASURES = ("requests", "cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached")
COLUMNS = ("user_id", "key_id", "day", "model_id", "provider_id", "source", *MEASURES)


class Fact(msgspec.Struct, frozen=True):
    """What was used on a day by a key, of a model, at a provider, all by their names. None is not known."""

    day: date
    key: str | None = None
    model: str | None = None
    provider: str | None = None
    source: str = "export"
    requests: int | None = None
    cost: Decimal | None = None
    byok_cost: Decimal | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    tokens_reasoning: int | None = None
    tokens_cached: int | None = None


async def book(connection: asyncpg.Connection, user_id: int, *facts: Fact) -> None:
    """Adds facts behind the service's back, as it would: with what belongs to them, in one transaction."""
    key_ids = await keys.ids_by_name(connection, user_id, {fact.key for fact in facts if fact.key})
    models = await usage.model_ids(connection, {fact.model for fact in facts if fact.model})
    providers = await usage.provider_ids(connection, {fact.provider for fact in facts if fact.provider})
    rows = [
        (
            user_id,
            key_ids[fact.key] if fact.key else keys.NO_KEY,
            fact.day,
            models[fact.model] if fact.model else usage.UNKNOWN,
            providers[fact.provider] if fact.provider else usage.UNKNOWN,
            fact.source,
            *(getattr(fact, name) for name in MEASURES),
        )
        for fact in facts
    ]
    async with connection.transaction():
        await usage.begin_change(connection, user_id)
        await connection.copy_records_to_table("usage_facts", records=rows, columns=COLUMNS)
        await usage.refresh_days(connection, user_id, {fact.day for fact in facts})


async def key_ids(connection: asyncpg.Connection, user_id: int) -> dict[str, int]:
    """A user's keys by name."""
    return dict(await connection.fetch("SELECT name, id FROM openrouter_keys WHERE user_id = $1", user_id))
