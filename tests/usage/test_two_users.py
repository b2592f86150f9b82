"""Two people watch the same account at OpenRouter: does either of them change, or learn, anything of the other's?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import msgspec

from app import scheduler
from app.accounts.repository import delete_user
from app.keys import register
from app.simulator.world import Account, Key
from tests.conftest import admin, new_database
from tests.usage.watching import MODEL, TODAY, Watching, watching

DAY = timedelta(days=1)
TABLES = (
    "openrouter_keys", "usage_facts", "usage_rollups", "usage_totals", "usage_readings", "usage_versions", "workspace_usage",
    "generations",
)  # fmt: skip
# what there is to see of a user's keys and usage, without ids and times, which differ from run to run
SHOWN = (
    """SELECT k.name, k.kind, k.hash, k.workspaces, k.activity_days, k.is_ignored, k.deleted_at IS NULL,
        k.history_deleted_at IS NULL, m.name
    FROM openrouter_keys AS k LEFT JOIN openrouter_keys AS m ON m.id = k.managed_by WHERE k.user_id = $1""",
    """SELECT k.name, f.day, m.slug, f.source, f.is_counted, f.is_estimated, f.requests, f.cost
    FROM usage_facts AS f LEFT JOIN openrouter_keys AS k ON k.id = f.key_id LEFT JOIN models AS m ON m.id = f.model_id
    WHERE f.user_id = $1""",
    """SELECT k.name, r.day, m.slug, r.facts, r.requests, r.cost
    FROM usage_rollups AS r LEFT JOIN openrouter_keys AS k ON k.id = r.key_id LEFT JOIN models AS m ON m.id = r.model_id
    WHERE r.user_id = $1""",
    """SELECT w.workspace, w.day, m.slug, w.requests, w.cost
    FROM workspace_usage AS w LEFT JOIN models AS m ON m.id = w.model_id WHERE w.user_id = $1""",
)


class Keys(msgspec.Struct, frozen=True):
    """Of an account at OpenRouter."""

    kept: Key
    dropped: Key
    forgotten: Key
    own: Key
    other: Key
    manager: Key

    @classmethod
    def of(cls, account: Account) -> Keys:
        """New ones."""
        names = (name for name in cls.__struct_fields__ if name != "manager")
        return cls(*map(account.add_key, names), account.add_management_key("manager"))


def spend(watch: Watching, keys: Keys, days_ago: int = 0) -> None:
    """Everybody something else, and the chat."""
    for number, key in enumerate((keys.kept, keys.dropped, keys.forgotten, keys.own, keys.other, None), 1):
        watch.account.spend(key, Decimal(number), at=watch.world.clock.now() - days_ago * DAY, model=MODEL, provider="")


async def reads(watch: Watching) -> None:
    """All of one person's keys that can be read."""
    rows = await watch.connection.fetch(
        "SELECT id FROM openrouter_keys WHERE user_id = $1 AND secret IS NOT NULL ORDER BY id", watch.user_id
    )
    for row in rows:
        await watch.reads(row["id"])


async def deletes(watch: Watching, key: Key, *, with_history: bool) -> None:
    key_id = await watch.id_of(key)
    assert key_id is not None
    await register.delete_key(watch.sync.db, watch.user_id, key_id, with_history=with_history)


async def begins(watch: Watching, keys: Keys) -> None:
    """Imports, under names of which some are keys and some are not yet; adds keys, and reads them."""
    names = ("kept", "late", "elsewhere", "")
    await watch.imports([(f"of {name}", name, TODAY - 2 * DAY, Decimal("0.25")) for name in names])
    await watch.imports([("long ago", "kept", TODAY - 60 * DAY, Decimal("0.5"))])
    await watch.adds(keys.own, "mine")
    await watch.adds(keys.manager)
    await reads(watch)


async def goes_on(watch: Watching, keys: Keys) -> None:
    """Deletes one key, and one with its history, has one replaced, and reads again."""
    await deletes(watch, keys.dropped, with_history=False)
    await deletes(watch, keys.forgotten, with_history=True)
    await reads(watch)


async def ends(watch: Watching, keys: Keys) -> None:
    """Lets go of the account with all that it told."""
    await deletes(watch, keys.manager, with_history=True)


async def rows(watch: Watching) -> list[str]:
    """All that is stored of one person, as it is stored."""
    found = []
    for table in TABLES:
        query = f"SELECT t::text AS row FROM {table} AS t WHERE user_id = $1 ORDER BY row"  # noqa: S608 -- ours
        found += [f"{table} {row['row']}" for row in await watch.connection.fetch(query, watch.user_id)]
    return found


async def shown(watch: Watching) -> list[str]:
    """All that one person can see."""
    return [row for query in SHOWN for row in sorted(map(repr, await watch.connection.fetch(query, watch.user_id)))]


@asynccontextmanager
async def somewhere(server_url: str, template: str) -> AsyncGenerator[Watching]:
    """A service of its own, and an OpenRouter that is the same each time."""
    async with (
        new_database(server_url, template) as url,
        admin(url) as connection,
        watching(url, connection) as watch,
    ):
        yield watch


async def another(watch: Watching) -> int:
    """The id of a second person."""
    return await watch.connection.fetchval(
        "INSERT INTO users (email, email_key, password_hash) VALUES ('a@b.c', 'a@b.c', 'x') RETURNING id"
    )


async def story(bob: Watching, alice: Watching | None) -> list[list[str]]:
    """What Bob sees after each thing that he does; Alice, if she is there, did the same before him and holds on to it."""
    keys, seen = Keys.of(bob.account), []
    for days_ago in range(1, 6):
        spend(bob, keys, days_ago)
    if alice:
        await alice.imports([("of later", "later", TODAY - 2 * DAY, Decimal("0.25"))])
        await begins(alice, keys)
        await goes_on(alice, keys)
    hers = alice and await rows(alice)
    for act in (begins, goes_on, ends):
        await act(bob, keys)
        assert (alice and await rows(alice)) == hers, act.__name__
        seen.append(await shown(bob))
        spend(bob, keys)
        if act is begins:
            for name in ("late", "later"):
                bob.account.add_key(name)
        bob.passes(days=1)
    return seen


async def test_neither_of_two_who_watch_one_account_changes_or_learns_anything_of_the_other_s(
    server_url: str, template: str
) -> None:
    async with somewhere(server_url, template) as bob:
        alone = await story(bob, None)
    async with somewhere(server_url, template) as bob:
        beside = await story(bob, msgspec.structs.replace(bob, user_id=await another(bob)))
    assert beside == alone


async def test_history_is_taken_out_of_one_s_own_workspaces(server_url: str, template: str) -> None:
    """And not of one of which only the other has heard, who has read the account since."""
    async with somewhere(server_url, template) as bob:
        alice = msgspec.structs.replace(bob, user_id=await another(bob))
        elsewhere, day = bob.account.add_workspace("research"), TODAY - 2 * DAY
        key, manager = bob.account.add_key("prod"), bob.account.add_management_key("admin")
        at = bob.world.clock.now() - 2 * DAY
        bob.account.spend(key, Decimal(1), at=at, model=MODEL, provider="")
        await bob.reads(await bob.adds(manager))
        bob.account.spend(None, Decimal(5), at=at, model=MODEL, provider="", workspace=elsewhere)
        await alice.reads(await alice.adds(manager))
        await deletes(bob, key, with_history=True)
        await bob.imports([("g", "", day, Decimal("0.25"))])  # whereupon the day is summed anew
        assert await bob.total() == Decimal("0.25")


async def test_purge_removes_all_of_who_is_gone_and_nothing_of_who_stays(server_url: str, template: str) -> None:
    async with somewhere(server_url, template) as bob:
        alice = msgspec.structs.replace(bob, user_id=await another(bob))
        keys = Keys.of(bob.account)
        for days_ago in range(1, 6):
            spend(bob, keys, days_ago)
        for watch in (alice, bob):
            await begins(watch, keys)
        hers = await rows(alice)
        await goes_on(bob, keys)
        await scheduler.purge(bob.sync.db)
        assert await rows(alice) == hers
        await delete_user(bob.sync.db, bob.user_id)
        await scheduler.purge(bob.sync.db)
        assert await rows(alice) == hers
        assert await rows(bob) == []
