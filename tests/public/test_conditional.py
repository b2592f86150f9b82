"""Does a program that has the answer already hear so, and nobody who has not?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal

import asyncpg
import httpx
import msgspec
import pytest

from app.simulator.faults import Fault
from app.simulator.server import Simulator
from app.simulator.world import Account, Key
from app.stats.answers import tag_of
from app.stats.selection import select
from app.stats.structs import Selected
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person
from tests.readers import AUGUST, Reader, today
from tests.usage.exports import export, imports
from tests.usage.facts import Fact, book, key_ids

ANSWERS = {
    "stats": ("stats", AUGUST),
    "usage": ("usage", AUGUST),
    "CSV": ("usage", f"{AUGUST}&format=csv"),
    "keys": ("keys", ""),
}
every_answer = pytest.mark.parametrize(("path", "query"), ANSWERS.values(), ids=ANSWERS)
CACHING = {"cache-control": "private, no-cache", "vary": "Authorization, Accept"}


@pytest.fixture
async def rich(reader: Reader, connection: asyncpg.Connection) -> Reader:
    """Reads for Alice, who has some usage."""
    await book(connection, reader.owner.id, *(Fact(date(2026, 8, day), f"key {day}", "m") for day in range(1, 4)))
    return reader


async def tag(reader: Reader, path: str, query: str = "", headers: dict[str, str] | None = None) -> str:
    """Of an answer."""
    return (await reader.get(path, query, headers)).headers["etag"]


async def tags(reader: Reader) -> dict[str, str]:
    """Of all answers that have one."""
    return {name: await tag(reader, path, query) for name, (path, query) in ANSWERS.items()}


# --- 304


@every_answer
async def test_answer_carries_a_tag_and_says_who_may_keep_it(rich: Reader, path: str, query: str) -> None:
    answer = await rich.get(path, query)
    assert answer.headers["etag"][0] == answer.headers["etag"][-1] == '"'
    assert {name: answer.headers[name] for name in CACHING} == CACHING


@every_answer
async def test_known_answer_is_not_sent_again(rich: Reader, path: str, query: str) -> None:
    etag = await tag(rich, path, query)
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        for method in ("GET", "HEAD"):
            answer = await rich.ask(path, query, {"If-None-Match": known}, method)
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == etag
            assert {name: answer.headers[name] for name in CACHING} == CACHING
            assert "content-type" not in answer.headers
            assert "content-disposition" not in answer.headers


@every_answer
async def test_other_tags_are_answered_in_full(rich: Reader, path: str, query: str) -> None:
    etag = await tag(rich, path, query)
    for known in ('"x"', "", etag.strip('"'), etag.upper(), f"{etag[:-2]}{etag[-1]}", f"'{etag}'"):
        answer = await rich.ask(path, query, {"If-None-Match": known})
        assert answer.status_code == 200, known
        assert answer.content
        assert answer.headers["etag"] == etag


async def test_tags_on_several_lines_are_one_list(rich: Reader) -> None:
    etag = await tag(rich, "stats", AUGUST)
    headers = [*rich.headers.items(), ("If-None-Match", '"x"'), ("If-None-Match", etag)]
    assert (await rich.owner.client.get(f"/api/v1/stats?{AUGUST}", headers=headers)).status_code == 304


@every_answer
async def test_known_answer_is_not_made_again(
    rich: Reader, connection: asyncpg.Connection, path: str, query: str
) -> None:
    etag = await tag(rich, path, query)
    for table in ("usage_facts", "usage_rollups", "usage_totals", "usage_readings"):
        await connection.execute(f"ALTER TABLE {table} RENAME TO gone_{table}")
    assert (await rich.ask(path, query, {"If-None-Match": etag})).status_code == 304


@every_answer
async def test_request_for_a_known_answer_is_counted(rich: Reader, path: str, query: str) -> None:
    etag = await tag(rich, path, query)
    before = (await rich.get("token")).json()["request_count"]
    for _ in range(3):
        assert (await rich.ask(path, query, {"If-None-Match": etag})).status_code == 304
    assert (await rich.get("token")).json()["request_count"] == before + 4


@every_answer
async def test_revoked_token_is_refused_whatever_the_client_knows(rich: Reader, path: str, query: str) -> None:
    etag = await tag(rich, path, query)
    token = (await rich.get("token")).json()["id"]
    assert (await rich.owner.delete(f"/api/tokens/{token}")).status_code == 204
    assert_unauthenticated(await rich.ask(path, query, {"If-None-Match": etag}), credential_sent=True)
    assert_unauthenticated(await rich.ask(path, query, {"If-None-Match": "*"}), credential_sent=True)


async def test_what_is_refused_is_refused_whatever_the_client_knows(rich: Reader, bob: Person) -> None:
    await imports(bob, export({"generation_id": "1", "api_key_name": "bob's"}))
    (theirs,) = [entry["id"] for entry in (await bob.get("/api/keys")).json()]
    for path in ("stats", "usage"):
        for query, status, code in (
            (f"api_key_id={theirs}", 403, "not_yours"),
            ("api_key_id=999999", 404, "not_found"),
            ("days=0", 422, "invalid"),
        ):
            assert_problem(await rich.ask(path, query, {"If-None-Match": "*"}), status, code)
    assert_problem(await rich.ask("keys", "limit=0", {"If-None-Match": "*"}), 422, "invalid")


@pytest.mark.parametrize("path", ["token", "metrics"])
async def test_what_changes_with_every_request_has_no_tag(rich: Reader, path: str) -> None:
    answer = await rich.ask(path, headers={"If-None-Match": "*"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert "etag" not in answer.headers


async def test_people_s_answers_are_not_to_be_stored(alice: Person) -> None:
    for path in ("stats", "usage", "usage?format=csv"):
        answer = await alice.get(f"/api/{path}", headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert "etag" not in answer.headers


# --- whose, and of what


async def test_spellings_of_one_query_have_one_tag(rich: Reader, connection: asyncpg.Connection) -> None:
    key = (await key_ids(connection, rich.owner.id))["key 1"]
    swapped = "end_date=2026-08-31&start_date=2026-08-01"
    for path in ("stats", "usage"):
        for one, another in (
            ("", "days=30"),
            (AUGUST, swapped),
            (f"{AUGUST}&model=a/b%20c", f"model=a%2Fb+c&{swapped}"),
            (f"{AUGUST}&api_key_id={key}", f"api_key_id={key}&{AUGUST}"),
        ):
            assert await tag(rich, path, one) == await tag(rich, path, another), (one, another)
    assert await tag(rich, "usage") == await tag(rich, "usage", "limit=100&format=json")
    assert await tag(rich, "usage", "format=csv") == await tag(rich, "usage", "", {"Accept": "text/csv"})
    assert await tag(rich, "keys") == await tag(rich, "keys", "limit=100")


async def test_different_answers_have_different_tags(rich: Reader, connection: asyncpg.Connection) -> None:
    keys = await key_ids(connection, rich.owner.id)
    selections = [
        "",
        "days=29",
        AUGUST,
        "start_date=2026-08-01&end_date=2026-08-30",
        f"{AUGUST}&model=m",
        f"{AUGUST}&model=",
    ]
    selections += [f"{AUGUST}&api_key_id={key}" for key in keys.values()]
    found = [await tag(rich, path, query) for path in ("stats", "usage") for query in selections]
    found += [await tag(rich, "usage", f"format=csv&{query}") for query in selections]
    cursors = [
        (await rich.get(path, f"limit=1&{query}")).json()["next_cursor"]
        for path, query in (("usage", AUGUST), ("keys", ""))
    ]
    pages = ["limit=1", "limit=2", f"cursor={cursors[0]}", f"limit=1&cursor={cursors[0]}"]
    found += [await tag(rich, "usage", f"{AUGUST}&{page}") for page in pages]
    found += [await tag(rich, "keys", page) for page in ("", "limit=1", "limit=2", f"cursor={cursors[1]}")]
    assert len(set(found)) == len(found)


async def test_same_answer_has_another_tag_for_somebody_else(reader: Reader, bob: Person) -> None:
    mine, theirs = await tags(reader), await tags(await Reader.of(bob, "/api/v1"))
    assert not set(mine.values()) & set(theirs.values())
    # and one for all programs of one person
    assert await tags(await Reader.of(reader.owner, "/api/v1")) == mine


def test_tag_changes_with_the_day_and_with_the_version() -> None:
    state = Selected(
        today=date(2026, 8, 1), start_date=date(2026, 7, 1), end_date=date(2026, 8, 1), usage_version=1, is_own_key=True,
        key_id=-1, model_id=-1,
    )  # fmt: skip
    asked = select(None, state.start_date, state.end_date, None, None)
    states = [
        state,
        msgspec.structs.replace(state, today=date(2026, 8, 2)),
        msgspec.structs.replace(state, usage_version=2),
    ]
    assert len({tag_of(user, one, "stats", asked) for user in (1, 2) for one in states}) == 6


# --- what has changed

Act = Callable[["Changing"], Awaitable[object]]


class Changing(msgspec.Struct):
    """Alice, her keys, and who else may change something."""

    alice: Person
    client: httpx.AsyncClient
    account: Account
    simulator: Simulator
    connection: asyncpg.Connection
    key: Key
    key_id: int
    manager_id: int

    async def reads(self, key_id: int, status: str = "ok") -> None:
        """At OpenRouter."""
        answer = await self.alice.post(f"/api/keys/{key_id}/sync")
        assert answer.json()["status"] == status, answer.text

    async def patches(self, **change: object) -> None:
        """The key."""
        assert (await self.alice.call("PATCH", f"/api/keys/{self.key_id}", json=change)).status_code == 200

    async def deletes(self, key_id: int, history: str) -> None:
        """A key."""
        assert (await self.alice.delete(f"/api/keys/{key_id}?history={history}")).status_code == 204

    async def adds(self, key: Key) -> int:
        """To what is watched."""
        answer = await self.alice.post("/api/keys", {"name": key.name, "key": key.secret})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def spends(self) -> None:
        """And it is read."""
        self.account.spend(self.key, Decimal("0.5"))
        await self.reads(self.key_id)

    async def loses_its_limit(self) -> None:
        """At OpenRouter."""
        self.key.limit = None
        await self.reads(self.key_id)

    async def buys(self) -> None:
        """More credits."""
        self.account.credits += 5
        await self.reads(self.manager_id)

    async def fails(self) -> None:
        """OpenRouter does."""
        self.simulator.world.faults = [Fault("status", status=500)]
        await self.reads(self.key_id, "error")

    async def is_refused(self) -> None:
        """OpenRouter does not know the key any more."""
        self.key.disabled = True
        await self.reads(self.key_id, "unauthorized")

    async def grows_old(self) -> None:
        """Nobody has read the key for a day."""
        await self.connection.execute(
            "UPDATE openrouter_keys SET last_synced_at = last_synced_at - interval '1 day' WHERE id = $1", self.key_id
        )


@pytest.fixture
async def changing(
    alice: Person, client: httpx.AsyncClient, account: Account, simulator: Simulator, connection: asyncpg.Connection
) -> Changing:
    """A key with usage, and a management key, both read."""
    key, manager = account.add_key("prod", limit=Decimal(10)), account.add_management_key("admin")
    account.spend(key, Decimal("0.25"), at=simulator.world.clock.now() - timedelta(days=2))
    story = Changing(alice, client, account, simulator, connection, key, 0, 0)
    story.key_id, story.manager_id = await story.adds(key), await story.adds(manager)
    await story.reads(story.key_id)
    await story.reads(story.manager_id)
    return story


EVERYWHERE: dict[str, Act] = {
    "an import": lambda story: imports(story.alice, export({"generation_id": "new"})),
    "a name": lambda story: story.patches(name="new"),
    "a pause": lambda story: story.patches(is_active=False),
    "a new key": lambda story: story.adds(story.account.add_key("another")),
    "a deleted key": lambda story: story.deletes(story.key_id, "keep"),
    "a deleted history": lambda story: story.deletes(story.key_id, "delete"),
    "spending": Changing.spends,
    "a limit": Changing.loses_its_limit,
    "credits": Changing.buys,
    "a reading without news": lambda story: story.reads(story.key_id),  # data_as_of is news
}
# what no figure tells of
IN_KEYS_ALONE: dict[str, Act] = {
    "a failure": Changing.fails,
    "an unknown key": Changing.is_refused,
    "age": Changing.grows_old,
}


@pytest.mark.parametrize("what", EVERYWHERE)
async def test_every_change_of_facts_and_keys_changes_every_tag(changing: Changing, reader: Reader, what: str) -> None:
    before = await tags(reader)
    assert await tags(reader) == before
    await EVERYWHERE[what](changing)
    after = await tags(reader)
    assert [name for name in before if before[name] == after[name]] == []


@pytest.mark.parametrize("what", IN_KEYS_ALONE)
async def test_every_change_of_a_key_s_state_changes_the_tag_of_the_keys(
    changing: Changing, reader: Reader, what: str
) -> None:
    before, told = await tag(reader, "keys"), (await reader.get("keys")).json()
    await IN_KEYS_ALONE[what](changing)
    assert (await reader.get("keys")).json() != told
    assert await tag(reader, "keys") != before


async def test_what_others_do_changes_nothing(changing: Changing, reader: Reader, bob: Person) -> None:
    before = await tags(reader)
    await imports(bob, export({"generation_id": "1", "created_at": f"{today()} 00:00:00.000"}))
    assert (await bob.post("/api/keys", {"name": "theirs", "key": changing.key.secret})).status_code == 201
    assert await tags(reader) == before
