"""Are the sums over all days always those of the days?"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import asyncpg

from app import migrate
from app.keys.register import delete_key
from tests.cast import Person
from tests.conftest import admin
from tests.usage.exports import ACTIVITY, export, imports
from tests.usage.watching import MODEL, TODAY, watching

FIGURES = ("requests", "cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached")
COLUMNS = ", ".join(f"{name}, {name}_known" for name in FIGURES)
SUMS = ", ".join(f"COALESCE(sum({name}), 0) AS {name}, sum({name}_known) AS {name}_known" for name in FIGURES)
OF_THE_DAYS = f"SELECT user_id, key_id, model_id, sum(facts) AS facts, {SUMS} FROM usage_rollups GROUP BY 1, 2, 3"  # noqa: S608 -- names from above
OF_ALL = f"SELECT user_id, key_id, model_id, facts, {COLUMNS} FROM usage_totals WHERE facts <> 0"  # noqa: S608 -- names from above


async def assert_totals_are_right(connection: asyncpg.Connection) -> int:
    """How many there are."""
    differences = await connection.fetch(
        f"(({OF_THE_DAYS}) EXCEPT ({OF_ALL})) UNION ALL (({OF_ALL}) EXCEPT ({OF_THE_DAYS}))"
    )
    assert differences == []
    leftover = "SELECT count(*) FROM usage_totals WHERE facts = 0 AND (cost <> 0 OR cost_known <> 0 OR requests <> 0)"
    assert await connection.fetchval(leftover) == 0
    return await connection.fetchval("SELECT count(*) FROM usage_totals WHERE facts <> 0")


async def test_imports_are_in_the_totals(alice: Person, bob: Person, connection: asyncpg.Connection) -> None:
    await imports(alice, ACTIVITY)
    assert await assert_totals_are_right(connection) > 3
    await imports(bob, ACTIVITY)
    await imports(alice, ACTIVITY)
    await imports(alice, export({"generation_id": "new", "cost_total": "0.000001", "byok_usage_inference": "0.5"}))
    await assert_totals_are_right(connection)
    query = "SELECT cost, requests FROM usage_totals WHERE user_id = $1 AND key_id = -1 AND model_id = -1"
    assert tuple(await connection.fetchrow(query, alice.id)) == (Decimal("1.071851"), 160)
    assert tuple(await connection.fetchrow(query, bob.id)) == (Decimal("1.071850"), 159)


async def test_better_sources_replace_and_deleted_histories_leave_the_totals(
    database_url: str, connection: asyncpg.Connection
) -> None:
    async with watching(database_url, connection) as user:
        keys = [user.account.add_key(f"key {number}") for number in range(3)]
        user.account.generate(20, keys=keys[:2])
        await user.imports([("a", "key 0", TODAY - timedelta(days=3), Decimal("0.25")), ("b", "", TODAY, Decimal(1))])
        await assert_totals_are_right(connection)
        manager = await user.adds(user.account.add_management_key("manager"))
        await user.reads(manager)
        await assert_totals_are_right(connection)
        user.passes(days=1)
        user.account.spend(keys[2], Decimal("0.125"), model=MODEL)
        await user.reads(manager)
        assert await assert_totals_are_right(connection) > 0
        client_key = await user.id_of(keys[0])
        assert client_key is not None

        await delete_key(user.sync.db, user.user_id, client_key, with_history=True)
        assert await assert_totals_are_right(connection) > 0
        total = await connection.fetchval(
            "SELECT count(*) FROM usage_totals WHERE key_id = $1 AND facts <> 0", client_key
        )
        assert total == 0


async def test_totals_of_what_was_there_before_are_made_by_the_migration(empty_database_url: str) -> None:
    migrations = migrate.read_migrations()
    await migrate.migrate(empty_database_url, migrations[:6])
    async with admin(empty_database_url) as connection:
        user_id = await connection.fetchval(
            "INSERT INTO users (email, email_key, password_hash) VALUES ('a', 'a', 'x') RETURNING id"
        )
        for day, cost in ((date(2026, 1, 1), Decimal("0.5")), (date(2026, 1, 2), None)):
            for key_id in (0, -1):
                await connection.execute(
                    """
                    INSERT INTO usage_rollups (user_id, key_id, model_id, day, facts, cost, cost_known, requests_known,
                        byok_cost_known, tokens_input_known, tokens_output_known, tokens_reasoning_known, tokens_cached_known)
                    VALUES ($1, $2, -1, $3, 1, $4, $5, 0, 0, 0, 0, 0, 0)
                    """,
                    user_id,
                    key_id,
                    day,
                    cost,
                    int(cost is not None),
                )
        await migrate.migrate(empty_database_url, migrations)
        assert await assert_totals_are_right(connection) == 2
