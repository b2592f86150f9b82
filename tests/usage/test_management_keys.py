"""What does the service know from a key that may see its whole account?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from app.keys import register
from app.simulator.faults import Fault
from app.simulator.world import Key
from tests.usage.watching import MODEL, TODAY, Watching, watching

DAY = timedelta(days=1)
YESTERDAY = TODAY - DAY


@pytest.fixture
async def watch(database_url: str, connection: asyncpg.Connection) -> AsyncGenerator[Watching]:
    async with watching(database_url, connection) as watching_:
        yield watching_


async def truth(watch: Watching, key: Key | None) -> dict[date, Decimal]:
    """What OpenRouter knows of the last 30 completed days, and of today where a key's counter tells."""
    first = watch.world.clock.now().date() - 30 * DAY
    today = watch.world.clock.now().date()
    return {
        day: cost
        for day, cost in watch.account.cost_by_day(key).items()
        if first <= day <= today and cost and (key is not None or day != today)
    }


async def assert_all_known(watch: Watching) -> None:
    """Each key's days, and those without a key, to the last digit."""
    for key in watch.account.keys:
        if not key.is_management:
            key_id = await watch.id_of(key)
            assert key_id is not None
            assert await watch.costs(key_id) == await truth(watch, key), key.name
    assert await watch.costs(0) == await truth(watch, None)
    await watch.assert_books_are_straight()


async def test_new_one_brings_the_whole_account_and_its_history(watch: Watching) -> None:
    for name in ("prod", "staging", "ci"):
        watch.account.add_key(name)
    watch.account.generate(45, per_day=12)
    manager = watch.account.add_management_key("admin")
    report = await watch.reads(await watch.adds(manager))
    assert report.status == "ok"
    await assert_all_known(watch)
    models = await watch.connection.fetch(
        "SELECT m.slug, p.name, f.* FROM usage_facts f JOIN models m ON m.id = f.model_id"
        " JOIN providers p ON p.id = f.provider_id WHERE source = 'activity' AND is_counted"
    )
    assert {(row["slug"] != "", row["name"] != "", row["requests"] is None) for row in models} == {(True, True, False)}


async def test_today_comes_from_the_counters_and_is_replaced_when_the_day_is_complete(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    watch.account.spend(key, Decimal("1.5"))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    assert await watch.costs(key_id) == {TODAY: Decimal("1.5")}
    watch.passes(days=1)
    await watch.reads(manager_id)
    assert await watch.costs(key_id) == {TODAY: Decimal("1.5")}
    counted = await watch.connection.fetch("SELECT source FROM usage_facts WHERE is_counted AND cost > 0")
    assert [row["source"] for row in counted] == ["activity"]


async def test_yesterday_is_not_taken_for_complete_right_after_midnight(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    watch.account.spend(key, Decimal(1))
    await watch.reads(manager_id)
    watch.world.options.activity_lag_seconds = 20 * 3600
    watch.passes(hours=12, minutes=5)
    await watch.reads(manager_id)
    assert await watch.total(await watch.id_of(key)) == 1


async def test_revised_days_are_read_again_and_replaced(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.generate(10, per_day=5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    watch.account.revise(YESTERDAY, key, Decimal("0.75"))
    watch.account.revise(YESTERDAY, None, Decimal("0.05"))
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    await assert_all_known(watch)


async def test_what_did_not_change_is_not_asked_for_key_by_key(watch: Watching) -> None:
    for number in range(5):
        watch.account.add_key(f"key {number}")
    watch.account.generate(10)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    before = watch.simulator.calls(path="/activity")
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    assert watch.simulator.calls(path="/activity") == before + 1


async def test_key_that_was_never_used_is_not_asked_for(watch: Watching) -> None:
    """Where its counters say so too."""
    used = watch.account.add_key("used")
    watch.account.add_key("unused")
    watch.account.spend(used, Decimal(1), at=watch.world.clock.now() - 2 * DAY)

    def never_used(answer: Any) -> Any:
        for row in answer["data"]:
            row["last_used_at"] = None
        return answer

    watch.world.faults.append(Fault("patch", path="/keys", change=never_used))
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    asked = [request.query.get("api_key_hash") for request in watch.simulator.requests if request.path == "/activity"]
    assert asked == [None, used.hash]
    await assert_all_known(watch)


async def test_every_page_and_workspace_is_listed_disabled_and_expired_ones_too(watch: Watching) -> None:
    keys = [watch.account.add_key(f"key {number}") for number in range(230)]
    other = watch.account.add_workspace("research")
    keys += [watch.account.add_key(f"other {number}", workspace=other) for number in range(3)]
    keys[7].disabled = True
    keys[8].expires_at = watch.world.clock.now() - DAY
    watch.account.spend(keys[-1], Decimal(1), at=watch.world.clock.now() - 2 * DAY)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    rows = await watch.connection.fetch("SELECT hash, secret, workspace FROM openrouter_keys WHERE kind = 'inference'")
    assert {row["hash"] for row in rows} == {key.hash for key in keys}
    assert {row["secret"] for row in rows} == {None}
    assert len({row["workspace"] for row in rows}) == 2
    await assert_all_known(watch)


async def test_account_without_workspaces_is_read_all_the_same(watch: Watching) -> None:
    watch.world.options.workspaces_available = False
    watch.world.options.older_schema = True
    watch.account.add_key("prod")
    watch.account.generate(5)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    await assert_all_known(watch)


async def test_account_that_gets_workspaces_later_is_not_counted_twice(watch: Watching) -> None:
    watch.world.options.workspaces_available = False
    watch.account.add_key("prod")
    watch.account.generate(5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    watch.world.options.workspaces_available = True
    for _ in range(2):
        watch.passes(days=1)
        await watch.reads(manager_id)
        await assert_all_known(watch)


async def test_two_accounts_without_workspaces_do_not_write_over_each_other(watch: Watching) -> None:
    watch.world.options.workspaces_available = False
    other = watch.world.add_account()
    for account, cost in ((watch.account, Decimal(1)), (other, Decimal(2))):
        account.spend(None, cost, at=watch.world.clock.now() - 2 * DAY)
        for name in ("admin", "second"):
            await watch.adds(account.add_management_key(name))
    await watch.reads_all()
    assert await watch.total(0) == 3


async def test_workspaces_that_are_refused_for_once_change_nothing(watch: Watching) -> None:
    watch.account.add_key("prod")
    watch.account.generate(5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    watch.world.faults.append(Fault("status", status=403, path="/workspaces", times=1))
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "error"
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "ok"
    await assert_all_known(watch)


async def test_key_that_was_deleted_at_openrouter_keeps_what_was_known_of_it(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.add_key("other")
    watch.account.spend(key, Decimal(3), at=watch.world.clock.now() - 2 * DAY)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    watch.account.delete_key(key)
    watch.account.revise(YESTERDAY, None, Decimal("0.5"))
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    assert await watch.total(key_id) == 3
    assert await watch.total(0) == Decimal("0.5")


async def test_key_that_was_deleted_before_is_usage_without_a_key(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(3), at=watch.world.clock.now() - 2 * DAY)
    watch.account.delete_key(key)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.total(0) == 3


async def test_balance_of_the_account_is_kept(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal("12.5"))
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    row = await watch.row(manager_id)
    assert (row["credits_bought"], row["credits_used"]) == (100, Decimal("12.5"))


async def test_balance_that_is_refused_stays_as_it_was_known(watch: Watching) -> None:
    watch.account.spend(watch.account.add_key("prod"), Decimal("12.5"))
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    before = await watch.row(manager_id)
    watch.world.faults.append(Fault("status", status=403, path="/credits"))
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "ok"
    row = await watch.row(manager_id)
    assert [row[name] for name in ("credits_bought", "credits_used")] == [100, Decimal("12.5")]
    assert row["credits_as_of"] == before["credits_as_of"]


async def test_watched_key_shows_what_its_account_lists(watch: Watching) -> None:
    key = watch.account.add_key("prod", limit=Decimal(5), limit_reset="daily")
    watch.account.spend(key, Decimal("1.5"))
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    assert key_id
    expires_at = watch.world.clock.now() + DAY
    shown = ("name", "label", "limit_usd", "limit_remaining", "limit_reset", "expires_at", "is_disabled")
    row = await watch.row(key_id)
    assert [row[name] for name in shown] == ["prod", key.label, 5, Decimal("3.5"), "daily", None, False]
    key.name, key.limit, key.limit_reset, key.expires_at, key.disabled = "site", Decimal(7), None, expires_at, True
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    row = await watch.row(key_id)
    assert [row[name] for name in shown] == ["site", key.label, 7, Decimal("5.5"), None, expires_at, True]
    assert row["sync_status"] == "ok"


async def test_zeros_of_an_account_that_has_spent_are_unknown(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(1))
    zeros = {"data": {"total_credits": 0, "total_usage": 0}}
    watch.world.faults.append(Fault("patch", path="/credits", change=lambda _: zeros))
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    assert (await watch.reads(manager_id)).status == "ok"
    assert (await watch.row(manager_id))["credits_bought"] is None


async def test_key_with_its_own_secret_is_the_same_key(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(2), at=watch.world.clock.now() - 2 * DAY)
    own_id = await watch.adds(key, "mine")
    await watch.reads(own_id)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    row = await watch.row(own_id)
    assert (row["managed_by"], row["name"], row["listed_name"]) == (manager_id, "mine", "prod")
    await assert_all_known(watch)
    watch.account.spend(key, Decimal("0.5"))
    watch.passes(minutes=1)
    await watch.reads_all()
    await assert_all_known(watch)


async def test_two_management_keys_of_an_account_count_it_once(watch: Watching) -> None:
    watch.account.add_key("prod")
    watch.account.generate(10)
    first, second = [await watch.adds(watch.account.add_management_key(name)) for name in ("admin", "second")]
    key = watch.account.keys[0]
    for _ in range(2):
        await watch.reads_all()
        await assert_all_known(watch)
        assert await managers(watch, key) == [first]
        watch.passes(minutes=1)
    await register.delete_key(watch.sync.db, watch.user_id, first, with_history=False)
    assert await managers(watch, key) == []
    await watch.reads(second)
    assert await managers(watch, key) == [second]
    await assert_all_known(watch)


async def managers(watch: Watching, key: Key) -> list[int]:
    """Through which management key it is watched, as long as it is."""
    query = "SELECT managed_by FROM openrouter_keys WHERE hash = $1 AND deleted_at IS NULL"
    return [row["managed_by"] for row in await watch.connection.fetch(query, key.hash)]


async def test_two_accounts_of_a_user_are_added(watch: Watching) -> None:
    other = watch.world.add_account()
    for account in (watch.account, other):
        account.add_key("prod")
        account.generate(10)
        account.spend(None, Decimal(1), at=watch.world.clock.now() - 2 * DAY)
        await watch.adds(account.add_management_key("admin"))
    await watch.reads_all()
    chat = sum(
        cost
        for account in (watch.account, other)
        for day, cost in account.cost_by_day(None).items()
        if TODAY - 30 * DAY <= day < TODAY
    )
    assert chat
    assert await watch.total(0) == chat


async def test_export_of_the_same_days_is_not_added_to_activity(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(2), at=watch.world.clock.now() - 2 * DAY)
    watch.account.spend(None, Decimal(1), at=watch.world.clock.now() - 2 * DAY, model=MODEL, provider="")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    day = TODAY - 2 * DAY
    await watch.imports([("g1", "prod", day, Decimal("0.5")), ("g2", "", day, Decimal("0.25"))])
    assert await watch.total(await watch.id_of(key)) == 2
    assert await watch.total(0) == 1
    await watch.imports([("g3", "prod", TODAY - 60 * DAY, Decimal("0.5"))])
    assert await watch.total(await watch.id_of(key)) == Decimal("2.5")
    await watch.assert_books_are_straight()


async def test_imported_keys_explain_what_no_listed_key_does(watch: Watching) -> None:
    gone = watch.account.add_key("gone")
    at = watch.world.clock.now() - 2 * DAY
    watch.account.spend(gone, Decimal(2), at=at, model=MODEL, provider="")
    watch.account.delete_key(gone)
    await watch.imports([("g", "gone", at.date(), Decimal("1.5"))])
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.total() == 2
    assert await watch.total(0) == Decimal("0.5")


async def test_imported_key_of_the_same_name_becomes_the_listed_one(watch: Watching) -> None:
    await watch.imports([("g3", "prod", TODAY - 60 * DAY, Decimal("0.5"))])
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(2), at=watch.world.clock.now() - 2 * DAY)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.total(await watch.id_of(key)) == Decimal("2.5")
    assert await watch.connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE kind = 'imported'") == 0


async def test_imported_key_becomes_the_listed_one_though_that_was_stored_and_deleted_before(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    await register.delete_key(watch.sync.db, watch.user_id, await watch.adds(key), with_history=True)
    await watch.imports([("g", "prod", TODAY - 60 * DAY, Decimal("0.5"))])
    watch.account.spend(key, Decimal(2), at=watch.world.clock.now() - 2 * DAY)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.total(await watch.id_of(key)) == Decimal("2.5")


async def test_deleted_management_key_takes_its_watched_keys_along_and_brings_them_back(watch: Watching) -> None:
    watch.account.add_key("prod")
    watch.account.generate(10)
    manager = watch.account.add_management_key("admin")
    manager_id = await watch.adds(manager)
    await watch.reads(manager_id)
    total = await watch.total()
    await register.delete_key(watch.sync.db, watch.user_id, manager_id, with_history=False)
    assert (
        await watch.connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE deleted_at IS NULL AND id > 0") == 0
    )
    assert await watch.connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE secret IS NOT NULL") == 0
    assert await watch.total() == total
    assert await watch.adds(manager) == manager_id
    watch.passes(minutes=1)
    await watch.reads(manager_id)
    assert await watch.total() == total
    await assert_all_known(watch)


async def test_deleted_history_of_an_account_leaves_nothing(watch: Watching) -> None:
    for name in ("prod", "staging"):
        watch.account.add_key(name)
    watch.account.generate(10)
    manager = watch.account.add_management_key("admin")
    manager_id = await watch.adds(manager)
    await watch.reads(manager_id)
    await register.delete_key(watch.sync.db, watch.user_id, manager_id, with_history=True)
    assert await watch.costs() == {}
    await watch.reads(await watch.adds(manager))
    await assert_all_known(watch)


async def test_watched_key_whose_history_was_deleted_stays_forgotten(watch: Watching) -> None:
    """Neither under its name nor as usage without a key, however often the account is read."""
    kept, dropped = watch.account.add_key("kept"), watch.account.add_key("dropped")
    watch.account.generate(10)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    dropped_id = await watch.id_of(dropped)
    await register.delete_key(watch.sync.db, watch.user_id, dropped_id, with_history=True)
    for _ in range(2):
        assert await watch.costs(await watch.id_of(kept)) == await truth(watch, kept)
        assert await watch.costs(0) == await truth(watch, None)
        assert await watch.total() == sum((await truth(watch, kept)).values()) + sum(
            (await truth(watch, None)).values()
        )
        watch.account.revise(YESTERDAY, dropped, Decimal(1))
        watch.account.revise(YESTERDAY, kept, Decimal("0.1"))
        watch.passes(minutes=15)
        await watch.reads(manager_id)
    assert await watch.id_of(dropped) is None


async def test_watched_key_that_was_deleted_keeps_its_history_and_is_not_taken_up_again(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(1), at=watch.world.clock.now() - 3 * DAY)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)
    watch.account.revise(YESTERDAY, key, Decimal("0.5"))
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    assert (await watch.row(key_id))["deleted_at"] is not None
    assert await watch.total(key_id) == 1
    assert await watch.total(0) == Decimal("0.5")
    assert await watch.adds(key) == key_id


async def test_key_that_was_deleted_by_itself_keeps_its_history_when_its_account_s_is_deleted(watch: Watching) -> None:
    kept, gone = watch.account.add_key("kept"), watch.account.add_key("gone")
    for key in (kept, gone):
        watch.account.spend(key, Decimal(1), at=watch.world.clock.now() - 3 * DAY)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    kept_id = await watch.id_of(kept)
    for key_id, with_history in ((kept_id, False), (manager_id, True)):
        await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=with_history)
    assert await watch.total() == await watch.total(kept_id) == 1


async def test_key_outlives_its_management_key_as_one_of_nobody_s_account(watch: Watching) -> None:
    """It can become another one, and what it is deleted from is no account that would list it again."""
    key, manager = watch.account.add_key("prod"), watch.account.add_management_key("admin")
    key_id, manager_id = await watch.adds(key), await watch.adds(manager)
    await watch.reads(manager_id)
    await register.delete_key(watch.sync.db, watch.user_id, manager_id, with_history=False)
    for secret in (watch.account.add_key("other").secret, key.secret):
        await register.change_key(watch.sync, watch.user_id, key_id, register.Change(None, None, secret), 10)
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)
    await watch.reads(await watch.adds(manager))
    assert (await watch.row(key_id))["deleted_at"] is None


# --- keys that the account does not list any more


@pytest.mark.parametrize("deleted_keys_activity", ["rows", "empty", "404"])
async def test_last_day_of_a_key_that_was_deleted_at_openrouter_is_counted_once(
    watch: Watching, deleted_keys_activity: Any
) -> None:
    """Its counter told of that day, and the account's activity does so again; whose it was is kept where OpenRouter says so."""
    watch.world.options.deleted_keys_activity = deleted_keys_activity
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal(5), at=watch.world.clock.now() - 2 * DAY)
    watch.account.spend(key, Decimal(3))
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    watch.account.spend(key, Decimal(1))
    watch.account.delete_key(key)
    for _ in range(3):
        watch.passes(days=1)
        await watch.reads(manager_id)
        is_told = deleted_keys_activity == "rows"
        assert await watch.costs(key_id) == {TODAY - 2 * DAY: 5} | ({TODAY: 4} if is_told else {})
        assert await watch.costs(0) == ({} if is_told else {TODAY: 4})
        await watch.assert_books_are_straight()


async def test_last_day_of_a_key_that_was_deleted_here_is_counted_once(watch: Watching) -> None:
    """It goes on being used: on that day under its name, from the next one on as usage without a key."""
    key = watch.account.add_key("prod")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    watch.account.spend(key, Decimal(3))
    await watch.reads(manager_id)
    key_id = await watch.id_of(key)
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)
    watch.account.spend(key, Decimal(1))
    watch.passes(days=1)
    watch.account.spend(key, Decimal("0.5"))
    for _ in range(2):
        await watch.reads(manager_id)
        assert await watch.costs() == {TODAY: 4}
        assert await watch.costs(key_id) == {TODAY: 4}
        watch.passes(minutes=15)
    watch.passes(days=3)
    await watch.reads(manager_id)
    assert await watch.costs(key_id) == {TODAY: 4}
    assert await watch.costs(0) == {TODAY + DAY: Decimal("0.5")}


@pytest.mark.parametrize("is_deleted_here", [False, True])
async def test_key_that_was_gone_before_its_account_is_known_is_counted_once(
    watch: Watching, *, is_deleted_here: bool
) -> None:
    """It was read with its own secret until then."""
    key, stranger = watch.account.add_key("prod"), watch.world.add_account().add_key("stranger")
    key_id, stranger_id = await watch.adds(key), await watch.adds(stranger)
    watch.account.spend(key, Decimal(3))
    watch.world.accounts[1].spend(stranger, Decimal(7))
    await watch.reads_all()
    watch.account.delete_key(key)
    watch.world.accounts[1].delete_key(stranger)
    watch.passes(days=1)
    assert [report.status for report in await watch.reads_all()] == ["unauthorized"] * 2
    if is_deleted_here:
        await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.costs() == {TODAY: 10}
    assert await watch.costs(key_id) == {TODAY: 3}
    assert await watch.costs(stranger_id) == {TODAY: 7}
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=True)
    watch.passes(days=1)
    await watch.reads_all()
    assert await watch.costs() == {TODAY: 7}


async def test_accounts_are_not_asked_about_keys_that_are_read_by_themselves(watch: Watching) -> None:
    stranger = watch.world.add_account().add_key("stranger")
    stranger_id = await watch.adds(stranger)
    watch.world.accounts[1].spend(stranger, Decimal(7))
    await watch.reads(stranger_id)
    watch.passes(days=1)
    await watch.reads(stranger_id)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert stranger.hash not in {request.query.get("api_key_hash") for request in watch.simulator.requests}
    assert await watch.costs() == {TODAY: 7}


async def test_watched_key_that_is_gone_says_so(watch: Watching) -> None:
    key, other = watch.account.add_key("prod"), watch.account.add_key("other")
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    key_id, other_id = await watch.id_of(key), await watch.adds(other)
    assert key_id
    await watch.reads(other_id)
    watch.account.delete_key(key)
    watch.account.keys.remove(other)
    before = (await watch.row(key_id))["last_synced_at"]
    await watch.reads(manager_id)
    row = await watch.row(key_id)
    assert row["sync_status"] == "unauthorized"
    assert row["sync_error"] == "OpenRouter does not list this key any more; it was deleted there."
    assert row["last_synced_at"] > before  # nothing of it is missing
    assert (await watch.row(other_id))["sync_status"] == "ok"  # as far as it says itself
    watch.account.keys.append(key)
    await watch.reads(manager_id)
    assert [(await watch.row(key_id))[name] for name in ("sync_status", "sync_error")] == ["ok", None]


async def test_key_s_usage_in_another_workspace_is_the_key_s(watch: Watching) -> None:
    """Where it was before it was moved, or in the default one, as all that is older than workspaces is."""
    other = watch.account.add_workspace("research")
    key = watch.account.add_key("prod", workspace=other)
    at = watch.world.clock.now() - 2 * DAY
    watch.account.spend(key, Decimal(2), at=at, workspace=watch.account.workspaces[0])
    watch.account.spend(key, Decimal(3), at=at)
    watch.account.spend(key, Decimal(1), at=at, model="maker/another")
    watch.account.spend(None, Decimal("0.5"), at=at)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    await assert_all_known(watch)
    key_id = await watch.id_of(key)
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=True)
    await watch.imports([("g", "", at.date(), Decimal("0.25"))])  # whereupon the day is summed anew
    assert await watch.total() == Decimal("0.5") + Decimal("0.25")
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    assert await watch.total() == Decimal("0.5") + Decimal("0.25")


# --- deleted histories


async def test_deleted_history_does_not_come_back_when_the_key_is_deleted_at_openrouter_too(watch: Watching) -> None:
    keys = [watch.account.add_key(name) for name in ("here first", "there first")]
    watch.account.generate(10, keys=keys)
    watch.account.spend(None, Decimal(1), at=watch.world.clock.now() - 2 * DAY)
    chat = await truth(watch, None)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    ids = [await watch.id_of(key) for key in keys]
    await register.delete_key(watch.sync.db, watch.user_id, ids[0], with_history=True)
    for key in keys:
        watch.account.delete_key(key)
    watch.passes(minutes=15)
    await watch.reads(manager_id)
    await register.delete_key(watch.sync.db, watch.user_id, ids[1], with_history=True)
    for _ in range(2):
        assert await watch.costs() == chat
        watch.passes(days=1)
        await watch.reads(manager_id)


@pytest.mark.parametrize(("path", "calls"), [("/workspaces", 1), ("/credits", 1), ("/activity", 1), ("/activity", 2)])
async def test_history_that_is_deleted_while_the_account_is_read_stays_deleted(
    watch: Watching, path: str, calls: int
) -> None:
    """Activity is asked for the whole workspace first, then key by key."""
    kept, dropped = watch.account.add_key("kept"), watch.account.add_key("dropped")
    watch.account.generate(10)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    dropped_id = await watch.id_of(dropped)
    for key in (kept, dropped):
        watch.account.revise(YESTERDAY, key, Decimal(1))
    watch.passes(minutes=15)
    watch.world.faults.append(Fault("slow", path=path, seconds=0.2, spared=calls - 1))
    asked = watch.simulator.calls(path)
    reading = asyncio.create_task(watch.reads(manager_id))
    async with asyncio.timeout(10):
        while watch.simulator.calls(path) < asked + calls:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.01)
    await register.delete_key(watch.sync.db, watch.user_id, dropped_id, with_history=True)
    watch.world.faults.clear()
    await reading
    assert [claim.key_id for claim in await watch.sync.claim_due(10)] == [manager_id]  # at once
    await watch.connection.execute("UPDATE openrouter_keys SET lease_until = NULL")
    await watch.reads(manager_id)
    assert await watch.costs(await watch.id_of(kept)) == await truth(watch, kept)
    assert await watch.costs(0) == await truth(watch, None)
    assert await watch.connection.fetchval("SELECT sum(cost) FROM usage_rollups WHERE key_id = $1", dropped_id) is None


# --- replaced keys


async def test_key_that_was_replaced_and_is_listed_has_a_row_of_its_own_and_is_counted_once(watch: Watching) -> None:
    before, now = watch.account.add_key("before"), watch.account.add_key("now")
    key_id = await watch.adds(before, "prod")
    watch.account.spend(before, Decimal(5))
    await watch.reads(key_id)
    change = register.Change(None, None, now.secret)
    await register.change_key(watch.sync, watch.user_id, key_id, change, 10)
    watch.passes(days=1)
    before.disabled = True
    watch.account.spend(now, Decimal("0.25"))
    await watch.reads(key_id)
    await watch.reads(await watch.adds(watch.account.add_management_key("admin")))
    assert await watch.costs() == {TODAY: 5, TODAY + DAY: Decimal("0.25")}
    assert await watch.costs(await watch.id_of(before)) == {TODAY: 5}
    assert await watch.costs(await watch.id_of(now)) == {TODAY + DAY: Decimal("0.25")}


@pytest.mark.parametrize("is_of_account", [True, False])
@pytest.mark.parametrize("is_deleted", [True, False])
async def test_row_that_was_another_key_a_while_ago_keeps_what_it_counted(
    watch: Watching, *, is_of_account: bool, is_deleted: bool
) -> None:
    """The account's activity tells of the key that is there now, and of the one before it only if that was one of its own."""
    other = watch.account if is_of_account else watch.world.add_account()
    before, now = other.add_key("before"), watch.account.add_key("now")
    key_id = await watch.adds(before, "prod")
    other.spend(before, Decimal(5))
    await watch.reads(key_id)
    watch.passes(days=1)
    other.spend(before, Decimal("0.5"))
    await watch.reads(key_id)
    change = register.Change(None, None, now.secret)
    await register.change_key(watch.sync, watch.user_id, key_id, change, 10)
    other.delete_key(before)
    watch.account.spend(now, Decimal("0.25"))
    watch.passes(minutes=1)
    await watch.reads(key_id)
    watch.account.spend(None, Decimal(2))
    if is_deleted:
        await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=False)
        watch.account.delete_key(now)
    watch.passes(days=1)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    for _ in range(2):
        await watch.reads(manager_id)
        assert await watch.costs(key_id) == {TODAY: 5, TODAY + DAY: Decimal("0.75")}
        assert await watch.costs(0) == {TODAY + DAY: 2}
        watch.passes(days=1)
    if not is_deleted:
        watch.account.spend(now, Decimal(3))
        await watch.reads(manager_id)
        for _ in range(3):
            watch.passes(days=11)
            await watch.reads(manager_id)
        watch.account.revise(watch.world.clock.now().date() - DAY, now, Decimal(4))
        watch.passes(minutes=15)
        await watch.reads(manager_id)
        assert await watch.total(key_id) == Decimal("12.75")
        assert await watch.connection.fetchval(
            "SELECT count(*) FROM usage_facts WHERE key_id = $1 AND source = 'activity' AND is_counted", key_id
        )  # by model again
    await watch.assert_books_are_straight()
