"""What does a management key tell of its account, and what of that is written?

All keys of the account with their counters, its balance, and its activity: of each workspace as a whole, and key by key where
something has changed. What no key explains is usage without a key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar

import msgspec

from app.database import Connection
from app.keys import repository as keys
from app.keys.structs import Claim, Credits, Former, KeyState, Untold, Watched
from app.usage import repository
from app.usage.measures import both_of, rest_of, within
from app.usage.openrouter import Refused
from app.usage.reading import Sync
from app.usage.structs import Activity, NameIds

T = TypeVar("T")

KEYS_AT_ONCE = 50  # in one transaction; each may bring some thousand facts
CALLS_AT_ONCE = 8  # for one account
GONE = "OpenRouter does not list this key any more; it was deleted there."


class Account:
    """One reading of everything that a management key may see."""

    def __init__(self, sync: Sync, claim: Claim, secret: str) -> None:
        """`secret`: of the claimed key."""
        self._sync, self._claim, self._secret = sync, claim, secret
        self._openrouter = sync.openrouter
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)
        self._ids: dict[str, str | None] = {}
        self._listed: dict[str, KeyState] = {}
        self._former: dict[int, list[Former]] = defaultdict(list)
        self._counted: set[tuple[str, date]] = set()

    async def read(self, own: KeyState) -> int:
        """`own`: what the key says about itself. How many facts were written. Raises OpenRouterError, LeaseLost, Unavailable."""
        # by our name for it: OpenRouter's id, None for the default one of an account that has no workspaces
        workspaces: dict[str, str | None] = {name: name for name in await self._openrouter.workspaces(self._secret)}
        self._ids = workspaces or {own.workspace: None}
        self._listed = {key.hash: key for name in self._ids for key in await self._list(name)}
        balance = await self._balance(self._listed.values())
        # Before the keys' own: what is used in between is then missing from the rest, rather than there twice.
        totals = {name: await self._openrouter.activity(self._secret, self._ids[name]) for name in self._ids}
        digest = await asyncio.to_thread(_digest, totals)

        async with self._sync.writing(self._claim) as connection:
            watched, rows = await self._book_counters(connection, list(self._listed.values()))
            await keys.set_account(connection, self._claim.key_id, list(totals), balance)
            await keys.set_state(connection, self._claim.key_id, own)
            booked = await keys.find_activity_digest(connection, self._claim.key_id)
            unread = [key for key in watched if not key.is_forgotten and key.activity_digest != digest]
            if booked == digest and not unread:
                await keys.set_synced(connection, self._claim.key_id, self._sync.next_seconds)
                return rows

        window = _window(totals.values())
        for former in await keys.list_former(self._sync.db, self._claim.user_id, window[0]):
            self._former[former.key_id].append(former)
        for start in range(0, len(unread), KEYS_AT_ONCE):
            rows += await self._read_watched(unread[start : start + KEYS_AT_ONCE], window, digest)
        for key in await keys.list_untold(self._sync.db, self._claim.user_id, list(totals), *window):
            rows += await self._read_untold(key)
        elsewhere = {(key.hash, *window) for key in watched if key.is_forgotten}
        for key_hash, first_day, last_day in elsewhere | {(key_hash, day, day) for key_hash, day in self._counted}:
            await self._take_out(totals, key_hash, first_day, last_day)
        await self._book_totals(totals, own.workspace, digest)
        return rows

    async def _list(self, name: str) -> list[KeyState]:
        pages = self._openrouter.listed_keys(self._secret, self._ids[name])
        return [msgspec.structs.replace(key, workspace=name) async for page in pages for key in page]

    async def _balance(self, listed: Iterable[KeyState]) -> Credits | None:
        balance = await self._openrouter.credits(self._secret)
        if balance and not balance.bought and not balance.used and any(key.cost.total for key in listed):
            return None  # zeros are what OpenRouter tells those who may not know
        return balance

    async def _book_counters(self, connection: Connection, listed: Sequence[KeyState]) -> tuple[list[Watched], int]:
        """Takes the keys up and books what their counters tell.

        Which of them are read through this one, or were, and forgotten; and how many facts that made.
        """
        user_id = self._claim.user_id
        await keys.merge_listed(connection, user_id, self._claim.key_id, listed)
        states = {key.hash: key for key in listed}
        await keys.set_gone(connection, user_id, self._claim.key_id, list(states), GONE)
        watched = await keys.list_watched(connection, user_id, self._claim.key_id, list(states), list(self._ids))
        readings = {key.key_id: states[key.hash] for key in watched if not key.is_forgotten}
        grown = await repository.book_readings(connection, user_id, readings, with_idle_days=False)
        await repository.refresh_days(connection, user_id, {day for _, day in grown})
        return watched, len(grown)

    async def _ask(self, key_hash: str, workspace: str | None = None) -> Activity | None:
        """What a key has used, in all workspaces if none is given; None where OpenRouter knows no such key (any more)."""
        async with self._places:
            try:
                return await self._openrouter.activity(self._secret, workspace, key_hash)
            except Refused:
                return None

    async def _tell(self, key: Watched | Untold) -> Activity | None:
        """What was used in a row: with its key, and with those that it was before.

        Where they were no keys of this account, only after it has become this one: of the days before, and of that of the change,
        the counters tell.
        """
        activity = await self._ask(key.hash)
        for former in self._former[key.key_id]:
            if activity is None or former.hash in self._listed:  # which has a row of its own
                continue
            part = await self._ask(former.hash)
            if part is not None and part.cells:
                activity = both_of(activity, part)
            else:
                activity = within(activity, former.last_day + timedelta(days=1), activity.last_day)
                self._counted.add((key.hash, former.last_day))
        return activity

    async def _read_watched(self, watched: Sequence[Watched], window: tuple[date, date], digest: bytes) -> int:
        """Without those that OpenRouter says nothing of, because they have just been deleted there."""

        async def ask(key: Watched) -> Activity | None:
            return Activity(*window, {}) if self._listed[key.hash].is_unused else await self._tell(key)

        answers = await _all_or_none([asyncio.create_task(ask(key)) for key in watched])
        told = {key.key_id: answer for key, answer in zip(watched, answers, strict=True) if answer is not None}
        if not told:
            return 0
        ids = await repository.name_ids(self._sync.db, told.values())
        async with self._sync.writing(self._claim) as connection:
            rows = await self._book_activities(connection, told, ids)
            await keys.set_activity_digest(connection, self._claim.user_id, list(told), digest)
        return rows

    async def _read_untold(self, key: Untold) -> int:
        """Days of which a key's counters or exports have told, and its account's activity is about to do so once more.

        Where OpenRouter does not say which part of it is the key's, the days become usage without a key.
        """
        told = await self._tell(key)
        if not key.is_of_account and (told is None or not told.cells):
            return 0  # of another account
        activity = within(told or Activity(key.first_day, key.last_day, {}), key.first_day, key.last_day)
        ids = await repository.name_ids(self._sync.db, [activity])
        async with self._sync.writing(self._claim) as connection:
            await keys.set_managed(connection, key.key_id, self._claim.key_id)
            return await self._book_activities(connection, {key.key_id: activity}, ids)

    async def _book_activities(self, connection: Connection, activities: Mapping[int, Activity], ids: NameIds) -> int:
        windows: dict[tuple[date, date], dict[int, Activity]] = defaultdict(dict)
        for key_id, activity in activities.items():
            if activity.first_day <= activity.last_day:
                windows[activity.first_day, activity.last_day][key_id] = activity
        rows, user_id = 0, self._claim.user_id
        for (first_day, last_day), told in windows.items():
            rows += await repository.book_activity(connection, user_id, told, ids, first_day, last_day)
            await keys.set_activity_days(connection, user_id, list(told), first_day, last_day)
        await repository.refresh_days(connection, user_id, {day for window in windows for day in _days(*window)})
        return rows

    async def _take_out(self, totals: dict[str, Activity], key_hash: str, first_day: date, last_day: date) -> None:
        """Takes a key out of what its workspaces have used: it is known from elsewhere, or not to be known any more."""
        for name, workspace in self._ids.items():
            activity = await self._ask(key_hash, workspace)
            if activity is not None:
                totals[name] = rest_of(totals[name], within(activity, first_day, last_day))

    async def _book_totals(self, totals: Mapping[str, Activity], default: str, digest: bytes) -> None:
        """`default`: the name under which these days were booked, if the account had no workspaces then."""
        ids = await repository.name_ids(self._sync.db, totals.values())
        user_id, key_id = self._claim.user_id, self._claim.key_id
        async with self._sync.writing(self._claim) as connection:
            first_day, last_day = _window(totals.values())
            await repository.clear_workspace(connection, user_id, default, first_day, last_day)
            for workspace, activity in totals.items():
                await repository.book_workspace(connection, user_id, workspace, activity, ids)
            days = {day for activity in totals.values() for day in _days(activity.first_day, activity.last_day)}
            await repository.refresh_days(connection, user_id, days)
            await keys.set_activity_digest(connection, user_id, [key_id], digest)
            await keys.set_synced(connection, key_id, self._sync.next_seconds)


async def _all_or_none(tasks: Sequence[asyncio.Task[T]]) -> list[T]:
    """The results of all; the first failure ends the others."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _window(activities: Collection[Activity]) -> tuple[date, date]:
    """The days that all of them speak of: midnight may have passed between two answers."""
    return max(activity.first_day for activity in activities), min(activity.last_day for activity in activities)


def _days(first_day: date, last_day: date) -> list[date]:
    return [first_day + timedelta(days=n) for n in range((last_day - first_day).days + 1)]


def _digest(totals: Mapping[str, Activity]) -> bytes:
    """Changes when anything in the account's activity does, and with the window."""
    content = [
        [workspace, activity.first_day, activity.last_day, sorted(map(repr, activity.cells.items()))]
        for workspace, activity in sorted(totals.items())
    ]
    return hashlib.sha256(msgspec.json.encode(content)).digest()
