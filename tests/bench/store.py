"""What does a store look like after years? `python -m tests.bench.store URL` fills an empty database, by COPY.

Every key uses every model on every day, so that the number of facts is the product of all parameters.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec

from app import migrate
from app.database import Query

VARIANTS = 64  # different days of figures; more would only take longer to write
# as in life, where the days come one after the other for everybody: what belongs to one user lies scattered
DAYS_AT_ONCE = 10
PATIENCE_SECONDS = 4 * 3600
COLUMNS = (
    "user_id", "key_id", "day", "model_id", "provider_id", "source", "requests", "cost", "byok_cost", "tokens_input",
    "tokens_output", "tokens_reasoning", "tokens_cached",
)  # fmt: skip

_create_rollups = Query("usage/create_rollups", timeout_seconds=600.0)


class Store(msgspec.Struct, frozen=True):
    """How much there is of everything; `keys` and `models` for each user. The last day is today."""

    users: int
    keys: int
    models: int
    days: int

    @property
    def facts(self) -> int:
        """How many rows of usage that makes."""
        return self.users * self.keys * self.models * self.days


async def fill(connection: asyncpg.Connection, store: Store) -> None:
    """Fills an empty, migrated database. Its users cannot log in."""
    await connection.execute("SET statement_timeout = 0; SET synchronous_commit = off")
    users = await _create_users(connection, store)
    models = await _create_models(connection, store.models)
    days = _days(store.days)
    await connection.copy_to_table(
        "usage_facts", source=_facts(users, models, days), columns=COLUMNS, format="text", timeout=PATIENCE_SECONDS
    )
    for start in range(0, len(days), DAYS_AT_ONCE):
        for user_id in users:
            await _create_rollups.run(connection, user_id, days[start : start + DAYS_AT_ONCE])
    await connection.execute("VACUUM (ANALYZE)", timeout=PATIENCE_SECONDS)


async def _create_users(connection: asyncpg.Connection, store: Store) -> dict[int, list[int]]:
    """Their ids, with those of their keys."""
    users: dict[int, list[int]] = {}
    for number in range(store.users):
        user_id = await connection.fetchval(
            "INSERT INTO users (email, email_key, password_hash) VALUES ($1, $1, 'x') RETURNING id",
            f"user-{number}@example.com",
        )
        keys = await connection.fetch(
            """
            INSERT INTO openrouter_keys (user_id, name, kind, last_synced_at)
            SELECT $1, 'key ' || n, 'imported', now() FROM generate_series(1, $2::integer) AS n
            RETURNING id
            """,
            user_id,
            store.keys,
        )
        await connection.execute("INSERT INTO usage_versions (user_id, version) VALUES ($1, 1)", user_id)
        users[user_id] = [key["id"] for key in keys]
    return users


async def _create_models(connection: asyncpg.Connection, models: int) -> list[int]:
    rows = await connection.fetch(
        "INSERT INTO models (slug) SELECT 'maker/model-' || n FROM generate_series(1, $1::integer) AS n RETURNING id",
        models,
    )
    return [row["id"] for row in rows]


def _days(days: int) -> list[date]:
    today = datetime.now(UTC).date()
    return [today - timedelta(days=back) for back in reversed(range(days))]


async def _facts(users: dict[int, list[int]], models: Sequence[int], days: Sequence[date]) -> AsyncGenerator[bytes]:
    """As lines of COPY."""
    dice = random.Random(1)  # noqa: S311 -- no secret
    variants = [list(_figures(dice, models)) for _ in range(VARIANTS)]
    for day in days:
        for user_id, keys in users.items():
            lines = bytearray()
            for key_id in keys:
                begin = f"{user_id}\t{key_id}\t{day}\t".encode()
                lines += begin + begin.join(dice.choice(variants))
            yield bytes(lines)


def _figures(dice: random.Random, models: Sequence[int]) -> Iterator[bytes]:
    """What a key does with each model on a day, as the rest of a line."""
    for model_id in models:
        requests, tokens = dice.randint(1, 500), dice.randint(1_000, 5_000_000)
        cost = Decimal(dice.randint(1, 5_000_000)).scaleb(-6)
        yield f"{model_id}\t0\texport\t{requests}\t{cost:f}\t0\t{tokens}\t{tokens // 9}\t{tokens // 30}\t{tokens // 2}\n".encode()


async def _main(url: str, store: Store) -> None:
    await migrate.migrate(url)
    connection = await asyncpg.connect(url)
    await fill(connection, store)
    await connection.close()
    print(f"{store.facts} facts")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="postgresql://…, of an empty database")
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--keys", type=int, default=10, help="of each user")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--years", type=float, default=1.0)
    given = parser.parse_args()
    asyncio.run(_main(given.url, Store(given.users, given.keys, given.models, round(given.years * 365))))
