"""Do the totals stay right whatever happens, in whatever order? A plain dict keeps the books beside the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import asyncpg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from app.keys import register
from app.simulator.world import Key
from app.usage.sync import sync_claimed
from tests.usage.watching import MODEL, Watching, watching

T = TypeVar("T")
Days = dict[date, Decimal]

DAY = timedelta(days=1)
WATCHED = ("web", "bot")  # keys of the account that a management key may see
OWN = ("laptop", "server")  # keys of another account, each with its own secret
CHAT = ""
COST = st.decimals(min_value=Decimal("0.000000001"), max_value=9, places=9)
ANY_KEY = st.sampled_from((*WATCHED, *OWN))


def days() -> Days:
    return defaultdict(Decimal)


class Books(RuleBasedStateMachine):
    """Every amount has one model and provider, so that a day is one cell. It is always noon; each day something is read."""

    database_url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.watch: Watching = self.run(self.begin())
        other = self.watch.world.add_account()
        self.keys: dict[str, Key] = {name: self.watch.account.add_key(name) for name in WATCHED}
        self.keys |= {name: other.add_key(name) for name in OWN}
        self.accounts = {
            name: self.watch.account if name in (*WATCHED, CHAT) else other for name in (*WATCHED, *OWN, CHAT)
        }
        self.manager = self.watch.account.add_management_key("admin")

        # what was used, and what of it the service can know by now
        self.used: dict[str, Days] = defaultdict(days)
        self.exported: dict[str, Days] = defaultdict(days)
        self.counted: dict[str, Days] = defaultdict(days)
        self.told: dict[str, Days] = defaultdict(days)  # by activity
        self.covered: dict[str, set[date]] = defaultdict(set)
        self.workspace: Days = days()
        self.unread: dict[str, Days] = defaultdict(days)
        self.was_read: set[str] = set()  # has a baseline
        self.stored: set[str] = set()  # own keys with a secret
        self.listed: set[str] = set()  # watched keys that have a row of their own
        self.ignored: set[str] = set()  # watched keys that were deleted by themselves
        self.forgotten: set[str] = set()  # with their history
        self.gone: set[str] = set()  # watched keys that were deleted at OpenRouter
        self.is_managed = False
        self.rows = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def begin(self) -> Watching:
        connection = await asyncpg.connect(self.database_url)
        self.stack.push_async_callback(connection.close)
        return await self.stack.enter_async_context(watching(self.database_url, connection))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    @property
    def today(self) -> date:
        return self.watch.world.clock.now().date()

    # --- what happens at OpenRouter

    @rule(name=ANY_KEY | st.just(CHAT), cost=COST)
    def spend(self, name: str, cost: Decimal) -> None:
        if self.is_unused(name):
            return
        self.accounts[name].spend(self.keys.get(name), cost, provider="", model=MODEL)
        self.used[name][self.today] += cost
        self.unread[name][self.today] += cost

    @rule(name=ANY_KEY | st.just(CHAT), cost=COST)
    def revise(self, name: str, cost: Decimal) -> None:
        if self.is_unused(name):
            return
        yesterday = self.today - DAY
        at = self.watch.world.clock.now() - DAY + timedelta(hours=11)
        self.accounts[name].spend(self.keys.get(name), cost, at=at, provider="", model=MODEL)
        self.used[name][yesterday] += cost
        self.unread[name][yesterday] += cost

    def is_unused(self, name: str) -> bool:
        """A deleted key is not used: with a secret of its own, its days would be an estimate."""
        return name in self.gone or (name in self.was_read and name in OWN and name not in self.stored)

    @precondition(lambda self: self.is_managed)
    @rule(name=st.sampled_from(WATCHED), cost=COST)
    def delete_there(self, name: str, cost: Decimal) -> None:
        """In the middle of a day on which it was used, as its counters have told."""
        if name not in self.gone:
            self.spend(name, cost)
            self.read_account()
            self.watch.account.delete_key(self.keys[name])
            self.gone.add(name)

    @rule()
    def next_day(self) -> None:
        for name in sorted(self.stored):
            self.read_own(name)
        if self.is_managed:
            self.read_account()
        self.watch.passes(days=1)

    # --- what the user does

    @precondition(lambda self: not self.is_managed)
    @rule()
    def add_manager(self) -> None:
        self.manager_id = self.run(self.watch.adds(self.manager))
        self.is_managed = True

    @rule(name=st.sampled_from(OWN))
    def add_own(self, name: str) -> None:
        if name not in self.stored:
            self.run(self.watch.adds(self.keys[name], name))
            self.stored.add(name)
            self.forget_unread_but_today(name)

    @rule(name=st.sampled_from(OWN))
    def replace(self, name: str) -> None:
        if name in self.stored:
            self.keys[name] = self.accounts[name].add_key(name)
            change = register.Change(None, None, self.keys[name].secret)
            key_id = self.run(self.id_of(name))
            assert key_id
            self.run(register.change_key(self.watch.sync, self.watch.user_id, key_id, change, 10))
            self.used[name], self.unread[name] = days(), days()
            self.was_read.discard(name)

    @rule(name=ANY_KEY | st.just(CHAT), back=st.integers(0, 40), cost=COST, times=st.integers(1, 2))
    def import_(self, name: str, back: int, cost: Decimal, times: int) -> None:
        day = self.today - back * DAY
        if name in self.forgotten or (name in self.ignored | self.gone and day not in self.covered[name]):
            return  # what is new of a key that is not read any more is compared with activity only when that changes
        self.rows += 1
        for _ in range(times):
            self.run(self.watch.imports([(f"g{self.rows}", name, day, cost)]))
        self.exported[name][day] += cost

    @rule(name=ANY_KEY, with_history=st.booleans())
    def delete(self, name: str, *, with_history: bool) -> None:
        key_id = self.run(self.id_of(name))
        if key_id is None or not (name in self.stored or (name in self.listed and self.run(self.is_live(key_id)))):
            return
        self.read_own(name)
        self.run(register.delete_key(self.watch.sync.db, self.watch.user_id, key_id, with_history=with_history))
        self.stored.discard(name)
        if name in WATCHED:
            self.ignored.add(name)
        if with_history:
            if name in WATCHED:
                self.forgotten.add(name)
                for day, cost in self.told[name].items():
                    self.workspace[day] -= cost
            self.clear(name)

    @precondition(lambda self: self.is_managed)
    @rule(with_history=st.booleans())
    def delete_manager(self, *, with_history: bool) -> None:
        delete = register.delete_key(self.watch.sync.db, self.watch.user_id, self.manager_id, with_history=with_history)
        self.run(delete)
        self.is_managed = False
        if with_history:
            for name in self.listed - self.ignored:
                self.clear(name)
            self.listed &= self.ignored
            self.workspace = days()

    def clear(self, name: str) -> None:
        for book in (self.exported, self.counted, self.told, self.covered):
            book.pop(name, None)
        self.was_read.discard(name)
        # met again, it begins with a new baseline, to which today does not belong
        self.unread[name] = days() | {self.today: self.used[name][self.today]}

    # --- what the service does

    @rule(name=st.sampled_from(OWN))
    def read_own(self, name: str) -> None:
        if name in self.stored:
            self.run(self.reads(name))
            self.note_own(name)

    @rule(name=st.sampled_from(OWN), moment=st.floats(0, 0.01))
    def crash_own(self, name: str, moment: float) -> None:
        if name in self.stored:
            self.run(self.crashes(name, moment))
            self.read_own(name)

    @precondition(lambda self: self.is_managed)
    @rule()
    def read_account(self) -> None:
        self.run(self.reads("admin"))
        self.note_account()

    @precondition(lambda self: self.is_managed)
    @rule(moment=st.floats(0, 0.04))
    def crash_account(self, moment: float) -> None:
        self.run(self.crashes("admin", moment))
        self.read_account()

    async def reads(self, name: str) -> None:
        self.watch.passes(seconds=2)
        key_id = await self.id_of(name)
        assert key_id
        assert (await self.watch.reads(key_id)).status == "ok"

    async def crashes(self, name: str, moment: float) -> None:
        """As if the process had died: nothing is given back."""
        self.watch.passes(seconds=2)
        key_id = await self.id_of(name)
        assert key_id
        claim = await self.watch.sync.claim(key_id)
        assert claim
        work = asyncio.create_task(sync_claimed(self.watch.sync, claim))
        await asyncio.sleep(moment)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await self.watch.connection.execute("UPDATE openrouter_keys SET lease_until = NULL")

    def note_own(self, name: str) -> None:
        if name not in self.was_read:
            self.forget_unread_but_today(name)
            self.was_read.add(name)
        for day, cost in self.unread.pop(name, days()).items():
            self.counted[name][day] += cost

    def forget_unread_but_today(self, name: str) -> None:
        """The baseline: what was used before."""
        if name not in self.was_read:
            self.unread[name] = days() | {day: cost for day, cost in self.unread[name].items() if day == self.today}

    def note_account(self) -> None:
        window = {self.today - n * DAY for n in range(1, 31)}
        self.listed |= set(WATCHED) - self.forgotten - self.gone
        for name in self.listed & (self.ignored | self.gone):
            self.note_untold(name, window)
        for name in set(WATCHED) - self.ignored - self.gone:
            self.covered[name] |= window
            for day in window:
                self.told[name][day] = self.used[name][day]
            self.note_own(name)
        for day in window:
            self.workspace[day] = sum(
                (self.used[name][day] for name in (*WATCHED, CHAT) if name not in self.forgotten), Decimal(0)
            )

    def note_untold(self, name: str, window: set[date]) -> None:
        """The days of a key that is not read any more on which only its counters or exports have told of it."""
        untold = {
            day
            for day in window - self.covered[name]
            if name not in self.forgotten and (self.counted[name][day] or self.exported[name][day])
        }
        for day in window:
            if untold and min(untold) <= day <= max(untold):
                self.covered[name].add(day)
                self.told[name][day] = self.used[name][day]

    # --- what must be so

    def expected(self, name: str, day: date) -> Decimal:
        if day in self.covered[name]:
            return self.told[name][day]
        return max(self.exported[name][day], self.counted[name][day])

    def expected_without_key(self, day: date) -> Decimal:
        explained = sum((self.told[name][day] for name in WATCHED), Decimal(0)) + self.exported[CHAT][day]
        unlisted = set(WATCHED) - self.listed - self.forgotten
        # own keys that are known from imports only
        unlisted |= {name for name in OWN if name not in self.stored and name not in self.known_own}
        explained += sum((self.exported[name][day] for name in unlisted), Decimal(0))
        return self.exported[CHAT][day] + max(Decimal(0), self.workspace[day] - explained)

    @property
    def known_own(self) -> set[str]:
        """Own keys that have had a row of their own, and still have: a deleted one keeps it with its history."""
        rows = self.watch.connection.fetch(
            "SELECT name FROM openrouter_keys WHERE user_id = $1 AND kind = 'inference' AND history_deleted_at IS NULL",
            self.watch.user_id,
        )
        return {row["name"] for row in self.run(rows)}

    @invariant()
    def books_agree(self) -> None:
        for name in (*WATCHED, *OWN):
            key_id = self.run(self.id_of(name))
            costs = self.run(self.watch.costs(key_id)) if key_id else {}
            touched = {*self.exported[name], *self.counted[name], *self.told[name]}
            assert costs == {day: cost for day in touched if (cost := self.expected(name, day))}, name
        touched = {*self.exported[CHAT], *self.workspace}
        expected = {day: cost for day in touched if (cost := self.expected_without_key(day))}
        assert self.run(self.watch.costs(0)) == expected
        self.run(self.watch.assert_books_are_straight())

    async def is_live(self, key_id: int) -> bool:
        return (await self.watch.row(key_id))["deleted_at"] is None

    async def id_of(self, name: str) -> int | None:
        return await self.watch.connection.fetchval(
            "SELECT id FROM openrouter_keys WHERE user_id = $1 AND name = $2 AND history_deleted_at IS NULL AND kind <> 'none'",
            self.watch.user_id,
            name,
        )


def test_books_agree_whatever_happens(database_url: str) -> None:
    machine = type("BooksHere", (Books,), {"database_url": database_url})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=checks)
    )
