"""Does `GET /api/v1/token` describe the token that calls?"""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx

from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person, bearer

TOKEN = "/api/v1/token"


async def test_answer_is_the_entry_of_the_list_and_the_rate_limit(alice: Person, client: httpx.AsyncClient) -> None:
    await alice.creates_token("another")
    created = await alice.creates_token("grafana", expires_in_days=30)
    answer = await client.get(TOKEN, headers=bearer(created["token"]))
    assert answer.status_code == 200, answer.text
    entry = (await alice.get(f"/api/tokens/{created['id']}")).json()
    assert answer.json() == entry | {"rate_limit": None}
    assert entry["name"] == "grafana"
    assert created["token"][7:39] not in answer.text


async def test_request_itself_is_counted_in_the_answer(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    shown = [(await client.get(TOKEN, headers=bearer(created["token"]))).json() for _ in range(3)]
    assert [entry["request_count"] for entry in shown] == [1, 2, 3]
    times = [datetime.fromisoformat(entry["last_used_at"]) for entry in shown]
    assert times == sorted(times)
    assert all(entry["last_used_at"].endswith("Z") for entry in shown)
    assert shown[0]["is_active"] is True
    assert shown[0]["revoked_at"] is None


async def test_each_token_sees_itself(alice: Person, bob: Person, client: httpx.AsyncClient) -> None:
    created = [await person.creates_token(name) for person, name in ((alice, "a"), (alice, "b"), (bob, "c"))]
    answers = await asyncio.gather(*(client.get(TOKEN, headers=bearer(entry["token"])) for entry in created))
    assert [answer.json()["id"] for answer in answers] == [entry["id"] for entry in created]
    assert [answer.json()["name"] for answer in answers] == ["a", "b", "c"]


async def test_revoked_token_is_refused(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    assert (await client.get(TOKEN, headers=bearer(created["token"]))).status_code == 200
    assert (await alice.delete(f"/api/tokens/{created['id']}")).status_code == 204
    assert_unauthenticated(await client.get(TOKEN, headers=bearer(created["token"])), credential_sent=True)


async def test_logins_and_strangers_are_refused(alice: Person, client: httpx.AsyncClient) -> None:
    assert_unauthenticated(await client.get(TOKEN), credential_sent=False)
    assert_unauthenticated(await alice.get(TOKEN), credential_sent=True)


async def test_answer_is_not_to_be_stored(alice: Person, client: httpx.AsyncClient) -> None:
    answer = await client.get(TOKEN, headers=bearer((await alice.creates_token())["token"]))
    assert answer.headers["cache-control"] == "no-store"


async def test_unknown_query_parameters_are_refused(alice: Person, client: httpx.AsyncClient) -> None:
    headers = bearer((await alice.creates_token())["token"])
    for query, pointer in (("days=1", "#/days"), ("token_id=1", "#/token_id"), ("user_id=1", "#/user_id")):
        assert_problem(await client.get(f"{TOKEN}?{query}", headers=headers), 422, "invalid", pointer)


async def test_head_is_get_without_a_body(alice: Person, client: httpx.AsyncClient) -> None:
    answer = await client.head(TOKEN, headers=bearer((await alice.creates_token())["token"]))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/json"
