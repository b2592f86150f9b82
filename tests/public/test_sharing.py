"""Requests share statements: does each get its own answer, whoever asks at the same moment?"""

from __future__ import annotations

import asyncio
import random

import asyncpg
import httpx

from tests.accounts.bodies import assert_problem
from tests.cast import Person, bearer
from tests.usage.exports import ACTIVITY, export, imports

QUERIES = (
    "", "?days=7", "?days=3660", "?start_date=2026-08-18&end_date=2026-08-24", "?start_date=2026-08-20&end_date=2026-08-20",
    "?days=3660&model=m", "?days=3660&model=nobody/knows", "?days=3660&api_key_id={own}", "?days=7&api_key_id={own}",
)  # fmt: skip


async def own_key(person: Person) -> int:
    """The id of a key that only this person has."""
    return (await person.get("/api/keys")).json()[0]["id"]


async def test_everybody_gets_the_totals_they_asked_for(
    alice: Person, bob: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    await imports(alice, ACTIVITY)
    await imports(bob, export({"generation_id": "b1", "cost_total": "0.5", "api_key_name": "bobs"}))
    asked: list[tuple[str, dict[str, str]]] = []
    for person in (alice, bob):
        token, key_id = (await person.creates_token())["token"], await own_key(person)
        asked += [(f"/api/v1/stats{query.format(own=key_id)}", bearer(token)) for query in QUERIES]
    alone = [await client.get(path, headers=headers) for path, headers in asked]
    assert {answer.status_code for answer in alone} == {200}
    assert len({answer.text for answer in alone}) > len(QUERIES)  # they differ, so that a mix-up would be seen
    order = list(range(len(asked))) * 5
    random.Random(3).shuffle(order)  # noqa: S311 -- no secret
    await connection.execute("UPDATE usage_versions SET version = version + 1")  # or else nobody would have to share
    together = await asyncio.gather(*(client.get(asked[number][0], headers=asked[number][1]) for number in order))
    for number, answer in zip(order, together, strict=True):
        assert answer.text == alone[number].text
    tags = {(number, answer.headers["etag"]) for number, answer in zip(order, together, strict=True)}
    assert len(tags) == len({tag for _, tag in tags}) == len(asked)


async def test_those_who_may_not_are_refused_among_those_who_may(
    alice: Person, bob: Person, client: httpx.AsyncClient
) -> None:
    await imports(alice, ACTIVITY)
    mine, foreign = bearer((await alice.creates_token())["token"]), bearer((await bob.creates_token())["token"])
    path = f"/api/v1/stats?days=3660&api_key_id={await own_key(alice)}"
    answers = await asyncio.gather(
        *(
            client.get(asked, headers=headers)
            for asked in (path, "/api/v1/stats?api_key_id=999")
            for headers in [mine, foreign] * 10
        )
    )
    for place, answer in enumerate(answers[:20]):
        if place % 2:
            assert_problem(answer, 403, "not_yours")
        else:
            assert answer.json()["summary"]["total_requests"] == 159
    for answer in answers[20:]:
        assert_problem(answer, 404, "not_found")


async def test_each_token_sees_itself_among_others(alice: Person, bob: Person, client: httpx.AsyncClient) -> None:
    created = [await person.creates_token() for person in [alice, bob] * 5]
    answers = await asyncio.gather(
        *(client.get("/api/v1/token", headers=bearer(entry["token"])) for entry in created * 6)
    )
    assert [answer.json()["id"] for answer in answers] == [entry["id"] for entry in created * 6]
