"""Are figures that were told before told again only while they are still right?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import date, timedelta
from decimal import Decimal

import asyncpg
import httpx
import msgspec
import pytest

from app.batching import Batcher
from app.errors import NotYours, Unavailable
from app.public.figures import Figures
from app.public.sums import Asked
from app.settings import Settings
from app.stats.selection import Selection, select
from app.stats.structs import Totals
from app.tokens.structs import Bearer
from tests.cast import Person, bearer
from tests.conftest import running_app
from tests.public.test_sharing import own_key
from tests.readers import Reader
from tests.usage.exports import export, imports

STATS = "/api/v1/stats"
MONTH = select(30, None, None, None, None)
TODAY = date(2026, 8, 24)


class Store:
    """Adds up what it holds, and counts how often it is asked."""

    def __init__(self) -> None:
        """Of two users, both without usage."""
        self.version, self.today, self.requests = 5, TODAY, 0
        self.asked: list[Asked] = []
        self.is_own_key: bool | None = True
        self.failure: Exception | None = None

    async def sum_usages(self, asked: Mapping[Asked, int]) -> dict[Asked, Totals]:
        """As the service's own."""
        self.asked += asked
        if self.failure:
            raise self.failure
        return {one: self._totals(*one) for one in asked}

    def caller(self, user_id: int = 1) -> Bearer:
        """Whose verdict is of this moment."""
        return Bearer(7, user_id, self.version, self.today)

    def _totals(self, user_id: int, selection: Selection) -> Totals:
        return Totals(
            today=self.today, start_date=self.today, end_date=self.today, usage_version=self.version,
            is_own_key=self.is_own_key, key_id=-1, model_id=-1, days=selection.days or 0,
            total_requests=self.requests + user_id, total_cost=Decimal("0.10"), total_byok_cost=None, total_tokens_input=1,
            total_tokens_output=1, total_tokens_reasoning=1, total_tokens_cached=1, incomplete=[], data_as_of=None,
        )  # fmt: skip


@pytest.fixture
def store() -> Store:
    """Nobody has asked."""
    return Store()


@pytest.fixture
def figures(store: Store) -> Figures:
    """Of that store; three answers are remembered."""
    return Figures(Batcher(store.sum_usages), 3)


async def requests_told(figures: Figures, caller: Bearer, selection: Selection = MONTH) -> int:
    """What the answer says."""
    return msgspec.json.decode((await figures.find_stats(caller, selection)).body)["summary"]["total_requests"]


# --- what is told again


async def test_same_state_is_added_up_once(figures: Figures, store: Store) -> None:
    answers = [await figures.find_stats(store.caller(), MONTH) for _ in range(5)]
    assert len(store.asked) == 1
    assert all(answer == answers[0] for answer in answers)


async def test_changed_figures_are_told_at_once(figures: Figures, store: Store) -> None:
    for version in (6, 4, 5):  # back, too: the database itself may have gone back
        store.version, store.requests = version, 100 * version
        assert await requests_told(figures, store.caller()) == 100 * version + 1


async def test_new_day_is_another_state(figures: Figures, store: Store) -> None:
    await figures.find_stats(store.caller(), MONTH)
    store.today, store.requests = TODAY + timedelta(days=1), 50
    assert await requests_told(figures, store.caller()) == 51


async def test_verdict_from_before_a_change_does_not_get_what_was_known_before_it_was_asked(
    figures: Figures, store: Store
) -> None:
    early = store.caller()
    store.version, store.requests = 6, 10
    assert await requests_told(figures, early) == 11  # newer than the verdict, which is right
    assert await requests_told(figures, store.caller()) == 11
    assert len(store.asked) == 1
    assert await requests_told(figures, early) == 11  # it knows of one state only
    assert len(store.asked) == 2


async def test_everybody_is_told_their_own(figures: Figures, store: Store) -> None:
    week = select(7, None, None, None, None)
    told = [await requests_told(figures, store.caller(user_id)) for user_id in (1, 2, 1, 2)]
    assert told == [1, 2, 1, 2]
    await figures.find_stats(store.caller(), week)
    assert store.asked == [(1, MONTH), (2, MONTH), (1, week)]


async def test_refusals_and_failures_are_not_remembered(figures: Figures, store: Store) -> None:
    of_key = select(30, None, None, 3, None)
    store.is_own_key = False
    for _ in range(2):
        with pytest.raises(NotYours):
            await figures.find_stats(store.caller(), of_key)
    store.is_own_key, store.failure = True, Unavailable()
    with pytest.raises(Unavailable):
        await figures.find_stats(store.caller(), of_key)
    store.failure = None
    assert await requests_told(figures, store.caller(), of_key) == 1
    assert len(store.asked) == 4


async def test_oldest_of_too_many_is_forgotten(figures: Figures, store: Store) -> None:
    for user_id in (1, 2, 3, 1, 4, 2, 3, 4):
        await figures.find_stats(store.caller(user_id), MONTH)
    assert [user_id for user_id, _ in store.asked] == [1, 2, 3, 4]
    await figures.find_stats(store.caller(1), MONTH)
    assert [user_id for user_id, _ in store.asked] == [1, 2, 3, 4, 1]


async def test_nothing_need_be_remembered(store: Store) -> None:
    figures = Figures(Batcher(store.sum_usages), 0)
    for _ in range(3):
        await figures.find_stats(store.caller(), MONTH)
    assert len(store.asked) == 3


# --- over HTTP


@pytest.fixture
async def others(settings: Settings) -> AsyncGenerator[list[httpx.AsyncClient]]:
    """Two more processes on the same database."""
    async with running_app(settings) as one, running_app(settings) as another:
        yield [one, another]


async def test_every_process_tells_of_an_import_once_it_is_done(
    alice: Person, client: httpx.AsyncClient, others: list[httpx.AsyncClient]
) -> None:
    headers = bearer((await alice.creates_token())["token"])
    done = 0

    async def read(program: httpx.AsyncClient) -> None:
        while done < 30:
            before = done
            answer = await program.get(f"{STATS}?days=3660", headers=headers)
            told = answer.json()["summary"]["total_requests"]
            assert before <= told <= done + 1  # one more may have been committed, and not answered

    async def write() -> None:
        nonlocal done
        for number in range(1, 31):
            await imports(alice, export({"generation_id": f"gen-{number}"}))
            done = number

    await asyncio.gather(write(), *(read(program) for program in [client, *others] for _ in range(2)))
    for program in [client, *others]:
        answer = await program.get(f"{STATS}?days=3660", headers=headers)
        assert answer.json()["summary"]["total_requests"] == 30


async def test_key_whose_history_is_gone_is_not_found_at_once(alice: Person, reader: Reader) -> None:
    await imports(alice, export({"generation_id": "gen-1", "api_key_name": "gone"}))
    key_id = await own_key(alice)
    query = f"days=3660&api_key_id={key_id}"
    assert [(await reader.get("stats", query)).status_code for _ in range(2)] == [200, 200]
    assert (await alice.delete(f"/api/keys/{key_id}?history=delete")).status_code == 204
    await reader.refused("stats", query, 404, "not_found")
    assert (await reader.stats("days=3660"))["summary"]["total_requests"] == 0


async def test_state_of_the_figures_never_comes_back(
    alice: Person, reader: Reader, connection: asyncpg.Connection
) -> None:
    await imports(alice, export({"generation_id": "gen-1"}))
    kept = await connection.fetchval("SELECT version FROM usage_versions")
    await imports(alice, export({"generation_id": "gen-2"}))
    assert (await reader.stats("days=3660"))["summary"]["total_requests"] == 2
    # as a backup would that was made between the two
    await connection.execute("UPDATE usage_versions SET version = $1", kept)
    await connection.execute("DELETE FROM usage_facts")
    await connection.execute("DELETE FROM usage_rollups")
    await imports(alice, export({"generation_id": "gen-3"}))
    assert (await reader.stats("days=3660"))["summary"]["total_requests"] == 1
