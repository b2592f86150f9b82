"""What does the service know from a key that can only tell its own counters?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from app.keys.register import Change, change_key, delete_key
from tests.usage.watching import TODAY, Watching, watching

YESTERDAY = TODAY - timedelta(days=1)
TOMORROW = TODAY + timedelta(days=1)


@pytest.fixture
async def watch(database_url: str, connection: asyncpg.Connection) -> AsyncGenerator[Watching]:
    async with watching(database_url, connection) as watching_:
        yield watching_


async def test_baseline_is_what_was_spent_before_the_first_day(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal("40.5"), at=watch.world.clock.now() - timedelta(days=3))
    watch.account.spend(key, Decimal("1.25"))
    key_id = await watch.adds(key)
    report = await watch.reads(key_id)
    assert (report.status, report.rows) == ("ok", 1)
    assert await watch.costs(key_id) == {TODAY: Decimal("1.25")}
    await watch.assert_books_are_straight()


async def test_each_day_is_exact_across_midnight(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    watch.account.spend(key, Decimal("0.1"))
    watch.passes(hours=11)
    await watch.reads(key_id)
    watch.account.spend(key, Decimal("0.02"))
    watch.passes(hours=2)
    watch.account.spend(key, Decimal("0.003"))
    await watch.reads(key_id)
    assert await watch.costs(key_id) == {TODAY: Decimal("0.12"), TOMORROW: Decimal("0.003")}


@pytest.mark.parametrize("lag", [0, 40])
async def test_sum_is_exact_when_counters_lag_around_midnight(watch: Watching, lag: int) -> None:
    watch.world.options.counter_lag_seconds = lag
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    watch.passes(hours=11, minutes=59)
    for _ in range(12):
        watch.account.spend(key, Decimal("0.000000001"))
        watch.passes(seconds=10)
        await watch.reads(key_id)
    watch.passes(minutes=2)
    await watch.reads(key_id)
    assert await watch.costs(key_id) == watch.account.cost_by_day(key)


async def test_unread_days_are_split_and_say_that_they_are_estimated(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    watch.account.spend(key, Decimal(4), at=watch.world.clock.now() + timedelta(days=2))
    watch.passes(days=4)
    watch.account.spend(key, Decimal(1))
    await watch.reads(key_id)
    assert await watch.total(key_id) == 5
    facts = await watch.connection.fetch("SELECT day, cost, is_estimated FROM usage_facts ORDER BY day")
    assert [fact["cost"] for fact in facts] == [1, 1, 1, 1, 1]
    assert [fact["is_estimated"] for fact in facts] == [True] * 4 + [False]


async def test_falling_counter_is_a_correction_of_the_day_it_was_seen(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(10))
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    watch.passes(days=1)
    watch.account.correct(key, Decimal(3))
    await watch.reads(key_id)
    assert await watch.costs(key_id) == {TODAY: Decimal(10), TOMORROW: Decimal(-3)}


async def test_same_answer_twice_changes_nothing(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(1))
    key_id = await watch.adds(key)
    for _ in range(3):
        await watch.reads(key_id)
        watch.passes(seconds=1)
    assert await watch.total(key_id) == 1
    assert await watch.connection.fetchval("SELECT count(*) FROM usage_facts") == 1


async def test_what_it_cannot_know_is_null_and_said_to_be_missing(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(1), byok_cost=Decimal("0.5"))
    await watch.reads(await watch.adds(key))
    fact = await watch.connection.fetchrow("SELECT * FROM usage_facts")
    assert (fact["cost"], fact["byok_cost"]) == (1, Decimal("0.5"))
    unknown = ("requests", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached")
    assert [fact[name] for name in unknown] == [None] * 5


async def test_idle_day_is_a_day_of_which_only_the_cost_is_known(watch: Watching) -> None:
    key_id = await watch.adds(watch.account.add_key("prod"))
    await watch.reads(key_id)
    fact = await watch.connection.fetchrow("SELECT cost, requests FROM usage_facts WHERE key_id = $1", key_id)
    assert (fact["cost"], fact["requests"]) == (0, None)


async def test_state_is_what_openrouter_says(watch: Watching) -> None:
    key = watch.account.add_key("prod", limit=Decimal(5), limit_reset="daily")
    watch.account.spend(key, Decimal("1.5"))
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    row = await watch.row(key_id)
    assert (row["label"], row["kind"], row["hash"]) == (key.label, "inference", key.hash)
    assert (row["limit_usd"], row["limit_remaining"], row["limit_reset"]) == (5, Decimal("3.5"), "daily")
    assert key.secret.encode() not in row["secret"]


async def test_larger_of_export_and_counters_is_believed(watch: Watching) -> None:
    """Both can only miss something, and nothing is counted twice."""
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    watch.account.spend(key, Decimal(2))
    await watch.reads(key_id)
    for count, expected in ((1, Decimal(2)), (5, Decimal(2)), (30, Decimal(3))):
        await watch.imports([(f"g{number}", "prod", TODAY, Decimal("0.1")) for number in range(count)])
        assert await watch.total(key_id) == expected
        assert await watch.total() == expected
        await watch.assert_books_are_straight()
    watch.account.spend(key, Decimal(4))
    watch.passes(minutes=1)
    await watch.reads(key_id)
    assert await watch.total() == 6


async def test_key_that_was_known_from_imports_goes_on_in_its_row(watch: Watching) -> None:
    await watch.imports([("g", "prod", YESTERDAY, Decimal("0.5"))])
    imported = await watch.connection.fetchval("SELECT id FROM openrouter_keys WHERE kind = 'imported'")
    assert await watch.adds(watch.account.add_key("prod")) == imported
    assert (await watch.row(imported))["kind"] == "inference"
    assert await watch.total(imported) == Decimal("0.5")


async def test_replaced_key_begins_a_new_baseline_and_keeps_the_history(watch: Watching) -> None:
    old, new = watch.account.add_key("prod"), watch.account.add_key("prod-2")
    key_id = await watch.adds(old, "prod")
    watch.account.spend(old, Decimal(1))
    await watch.reads(key_id)
    watch.account.spend(new, Decimal(100), at=watch.world.clock.now() - timedelta(days=2))
    watch.account.spend(new, Decimal("0.25"))
    await change_key(watch.sync, watch.user_id, key_id, Change(None, None, new.secret), 10)
    watch.passes(minutes=1)
    await watch.reads(key_id)
    assert await watch.total(key_id) == Decimal("1.25")
    # and back again: the old one's growth meanwhile is not lost
    watch.account.spend(old, Decimal(2))
    await change_key(watch.sync, watch.user_id, key_id, Change(None, None, old.secret), 10)
    watch.passes(minutes=1)
    await watch.reads(key_id)
    assert await watch.total(key_id) == Decimal("3.25")


@pytest.mark.parametrize("is_history_deleted", [False, True])
async def test_key_that_was_replaced_and_is_added_again_goes_on_from_its_last_reading(
    watch: Watching, *, is_history_deleted: bool
) -> None:
    """What was counted under the other row is not counted here once more, unless it is gone there."""
    old, new = watch.account.add_key("old"), watch.account.add_key("new")
    key_id = await watch.adds(old, "prod")
    watch.account.spend(old, Decimal(5))
    await watch.reads(key_id)
    await change_key(watch.sync, watch.user_id, key_id, Change(None, None, new.secret), 10)
    if is_history_deleted:
        await delete_key(watch.sync.db, watch.user_id, key_id, with_history=True)
    watch.account.spend(old, Decimal(1))
    watch.passes(minutes=1)
    old_id = await watch.adds(old, "old")
    assert old_id != key_id
    for _ in range(2):
        await watch.reads(old_id)
        assert await watch.costs(old_id) == {TODAY: 6 if is_history_deleted else 1}
        assert await watch.total() == 6
        watch.passes(minutes=1)
