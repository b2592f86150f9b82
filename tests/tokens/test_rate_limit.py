"""Is a token told where it stands, stopped at its limit, and let in again when it was told?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import http_sf
import httpx
import pytest

from app.limits import Limit
from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person, bearer
from tests.conftest import running_app, with_limits

HOURLY = Limit(10, 3600)
TOKEN = "/api/v1/token"
OURS = ("ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    async with running_app(with_limits(settings, public_rate_limit=HOURLY)) as client:
        yield client


def standing(answer: httpx.Response) -> tuple[int, int]:
    """How many requests are left, and how many seconds until there are more, as both kinds of header say."""
    [(policy_name, policy)] = parse(answer, "ratelimit-policy")
    [(name, values)] = parse(answer, "ratelimit")
    assert policy_name == name == "default"
    assert policy.keys() == {"q", "w"}
    assert values.keys() == {"r", "t"}
    for number in (*policy.values(), *values.values()):
        assert isinstance(number, int)
        assert number >= 0
    assert answer.headers["x-ratelimit-limit"] == str(policy["q"])
    assert answer.headers["x-ratelimit-remaining"] == str(values["r"])
    assert abs(int(answer.headers["x-ratelimit-reset"]) - time.time() - values["t"]) < 10
    return values["r"], values["t"]


def parse(answer: httpx.Response, name: str) -> list[tuple[Any, dict[str, Any]]]:
    """A list of RFC 9651, strictly."""
    return http_sf.parse(answer.headers[name].encode(), tltype="list")


async def use_up(client: httpx.AsyncClient, token: str, count: int = HOURLY.count) -> None:
    answers = await asyncio.gather(*(client.get(TOKEN, headers=bearer(token)) for _ in range(count)))
    assert [answer.status_code for answer in answers] == [200] * count


async def test_each_answer_tells_what_is_left(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    for expected in range(9, -1, -1):
        answer = await client.get(TOKEN, headers=bearer(token))
        assert answer.status_code == 200
        assert parse(answer, "ratelimit-policy") == [("default", {"q": 10, "w": 3600})]
        remaining, seconds = standing(answer)
        assert remaining == expected
        assert 3600 <= seconds <= 3600 + 60


async def test_requests_at_once_are_told_different_numbers(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    answers = await asyncio.gather(*(client.get(TOKEN, headers=bearer(token)) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 2
    assert sorted(standing(answer)[0] for answer in answers) == [0, 0, *range(10)]


async def test_past_the_limit_is_429_and_says_when_to_come_back(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    await use_up(client, created["token"])
    meter = await connection.fetchrow("SELECT *, xmin FROM api_token_meters")
    for path in (TOKEN, "/api/v1/stats", "/api/v1/usage", "/api/v1/keys", "/api/v1/metrics", "/api/v1/stats?days=0"):
        answer = await client.get(path, headers=bearer(created["token"]))
        assert_problem(answer, 429, "rate_limit_reached")
        remaining, seconds = standing(answer)
        assert remaining == 0
        assert int(answer.headers["retry-after"]) == seconds
    assert await connection.fetchrow("SELECT *, xmin FROM api_token_meters") == meter  # a refusal writes nothing


async def test_every_answer_to_a_live_token_carries_the_headers(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    etag = (await client.get("/api/v1/stats", headers=bearer(token))).headers["etag"]
    for method, path, headers, status in (
        ("GET", "/api/v1/stats", {"If-None-Match": etag}, 304),
        ("GET", "/api/v1/stats?days=0", {}, 422),
        ("GET", "/api/v1/stats?unknown=1", {}, 422),
        ("GET", "/api/v1/stats?api_key_id=999", {}, 404),
        ("GET", "/api/v1/usage?format=csv", {}, 200),
        ("HEAD", TOKEN, {}, 200),
    ):
        answer = await client.request(method, path, headers=bearer(token) | headers)
        assert answer.status_code == status, (path, answer.text)
        standing(answer)
        for name in OURS:
            assert len(answer.headers.get_list(name)) == 1


async def test_head_uses_up_as_much_as_get(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    assert [standing(await client.head(TOKEN, headers=bearer(token)))[0] for _ in range(3)] == [9, 8, 7]


async def test_those_who_are_not_let_in_are_told_nothing_of_it(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    await use_up(client, created["token"])
    assert (await alice.delete(f"/api/tokens/{created['id']}")).status_code == 204
    for headers in (bearer(created["token"]), bearer("or_api_x"), {}):
        answer = await client.get(TOKEN, headers=headers)
        assert_unauthenticated(answer, credential_sent=bool(headers))
        assert not set(OURS) & answer.headers.keys()


async def test_tokens_of_one_person_do_not_share_a_limit(alice: Person, client: httpx.AsyncClient) -> None:
    first, second = [(await alice.creates_token())["token"] for _ in range(2)]
    await use_up(client, first)
    await use_up(client, second)
    assert [(await client.get(TOKEN, headers=bearer(token))).status_code for token in (first, second)] == [429, 429]


async def test_limit_is_shared_by_all_processes(settings: Settings, alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    async with running_app(with_limits(settings, public_rate_limit=HOURLY)) as elsewhere:
        await use_up(client, token, 6)
        await use_up(elsewhere, token, 4)
        for other in (client, elsewhere):
            assert (await other.get(TOKEN, headers=bearer(token))).status_code == 429


async def test_nothing_but_the_public_api_is_limited(alice: Person) -> None:
    for path in ("/api/tokens", "/api/stats", "/api/auth/me", "/livez"):
        for _ in range(HOURLY.count + 1):
            answer = await alice.get(path)
            assert answer.status_code == 200
            assert not set(OURS) & answer.headers.keys()


async def test_without_a_limit_there_are_no_headers_and_no_end(settings: Settings, alice: Person) -> None:
    created = await alice.creates_token()
    async with running_app(with_limits(settings, public_rate_limit=None)) as client:
        for _ in range(HOURLY.count + 5):
            answer = await client.get(TOKEN, headers=bearer(created["token"]))
            assert answer.status_code == 200
            assert not set(OURS) & answer.headers.keys()
        assert answer.json()["rate_limit"] is None
        assert answer.json()["request_count"] == HOURLY.count + 5


async def test_token_shows_its_limit(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    answer = await client.get(TOKEN, headers=bearer(token))
    assert answer.json()["rate_limit"] == {"limit": 10, "window_seconds": 3600}


async def test_whoever_waits_as_long_as_told_is_let_in(settings: Settings, alice: Person) -> None:
    token = (await alice.creates_token())["token"]
    async with running_app(with_limits(settings, public_rate_limit=Limit(2, 1))) as client:
        for _ in range(3):
            while (answer := await client.get(TOKEN, headers=bearer(token))).status_code == 200:
                pass
            await asyncio.sleep(int(answer.headers["retry-after"]))
            assert (await client.get(TOKEN, headers=bearer(token))).status_code == 200


async def test_no_window_however_it_lies_sees_more_than_the_limit(settings: Settings, alice: Person) -> None:
    limit = Limit(5, 1)
    token = (await alice.creates_token())["token"]
    passes: list[tuple[float, float]] = []  # when the request began and ended; its pass lies in between
    async with running_app(with_limits(settings, public_rate_limit=limit)) as client:

        async def hammer() -> None:
            while time.monotonic() < end:
                began = time.monotonic()
                answer = await client.get(TOKEN, headers=bearer(token))
                if answer.status_code == 200:
                    passes.append((began, time.monotonic()))

        end = time.monotonic() + 4
        await asyncio.gather(*(hammer() for _ in range(4)))
    passes.sort()
    assert len(passes) > 2 * limit.count
    for start in range(len(passes) - limit.count):
        began, ended = zip(*passes[start : start + limit.count + 1], strict=True)  # one more than the limit
        assert max(ended) - min(began) >= limit.window_seconds
