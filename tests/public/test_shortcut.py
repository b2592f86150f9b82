"""Is a plain request answered by the shortcut as it would be by the framework, and does it hand on everything else?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.limits import Limit
from app.main import create_litestar
from app.public.shortcut import QUERIES_MAX, QUERY_MAX_BYTES, Selections, Shortcut
from app.responses import Edge, WholeResponse
from app.settings import Settings
from app.stats.selection import select
from app.tokens import secret
from tests.cast import Person, bearer
from tests.conftest import lifespan
from tests.public.test_sharing import own_key
from tests.usage.exports import ACTIVITY, imports

STATS, TOKEN = "/api/v1/stats", "/api/v1/token"
LIMIT = Limit(200, 3600)
HANDED_ON = 418
UNUSUAL: list[tuple[str, str, dict[str, str]]] = [
    ("POST", TOKEN, {}),
    ("DELETE", STATS, {}),
    ("OPTIONS", TOKEN, {}),
    ("GET", f"{TOKEN}/", {}),
    ("GET", f"{TOKEN}?days=1", {}),
    ("GET", f"{STATS}?days=0", {}),
    ("GET", f"{STATS}?days=7&days=8", {}),
    ("GET", f"{STATS}?days=07", {}),
    ("GET", "/api/v1/usage", {}),
    ("GET", STATS, {"If-None-Match": "*"}),
    ("GET", TOKEN, {"Content-Length": "2"}),
    ("GET", TOKEN, {"Transfer-Encoding": "chunked"}),
    ("GET", TOKEN, {"Content-Type": "application/json"}),
    ("GET", TOKEN, {"Host": "a/b"}),
    ("GET", TOKEN, {"Host": ""}),
]


class Ways(msgspec.Struct):
    """The same application, once without the shortcut, and once with nothing behind it."""

    long: httpx.AsyncClient
    short: httpx.AsyncClient

    async def asked(self, path: str, headers: dict[str, str]) -> tuple[httpx.Response, httpx.Response]:
        """The answers to the same request, of the long way and then of the short one, which learns from it."""
        return await self.long.get(path, headers=headers), await self.short.get(path, headers=headers)


@pytest.fixture
async def ways(settings: Settings) -> AsyncGenerator[Ways]:
    """With a rate limit, so that its headers are compared too."""
    app = create_litestar(msgspec.structs.replace(settings, public_rate_limit=LIMIT))
    state = app.state

    async def hand_on(scope: Any, receive: Any, send: Any) -> None:
        await WholeResponse(HANDED_ON, {}, b"")(scope, receive, send)

    shortcut = Shortcut(hand_on, state.selections, state.authorization, state.figures, state.entries)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lifespan(app))
        clients = [
            await stack.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(Edge(way, state.traffic), raise_app_exceptions=False),
                    base_url="http://watcher.test",
                )
            )
            for way in (app, shortcut)
        ]
        yield Ways(*clients)


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Without what differs between any two requests: the request's id, the count, the time and what is left of the limit."""
    passing = {
        "retry-after",
        "x-request-id",
        "content-length",
        "ratelimit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    }
    headers = {name: value for name, value in answer.headers.items() if name not in passing}
    body = answer.json()
    body.pop("request_count", None)
    body.pop("last_used_at", None)
    return answer.status_code, headers | dict.fromkeys(passing & answer.headers.keys(), ""), body


async def test_answers_are_the_same_on_both_ways(
    ways: Ways, alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    await imports(alice, ACTIVITY)
    live, revoked, expired, stranger = [
        (await person.creates_token(name))["token"]
        for person, name in ((alice, "live"), (alice, "revoked"), (alice, "expired"), (bob, "stranger"))
    ]
    await connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE name = 'revoked'")
    await connection.execute(
        "UPDATE api_tokens SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'"
        " WHERE name = 'expired'"
    )
    credentials = {
        "none": {}, "live": bearer(live), "revoked": bearer(revoked), "expired": bearer(expired),
        "unknown": bearer(secret.make()), "stranger": bearer(stranger), "mistyped": bearer(f"{live[:-1]}!"),
        "login": alice.headers, "empty": bearer(""), "basic": {"Authorization": "Basic YTpi"},
        "small": {"Authorization": f"bearer {live}"}, "cookie": {"Cookie": f"token={live}"}, "key": {"X-Api-Key": live},
    }  # fmt: skip
    own = await own_key(alice)
    paths = [
        TOKEN, STATS, f"{STATS}?days=3660", f"{STATS}?start_date=2026-08-18&end_date=2026-08-24",
        f"{STATS}?days=3660&api_key_id={own}", f"{STATS}?api_key_id=999", f"{STATS}?days=3660&model=nobody%2Fknows",
    ]  # fmt: skip
    for path in paths[1:]:  # read once by the framework, or else they are handed on
        await ways.long.get(path, headers=credentials["live"])
    seen = set[int]()
    for path in paths:
        for kind, headers in credentials.items():
            if path.endswith("=999"):
                continue
            by_long, by_short = await ways.asked(path, headers)
            assert comparable(by_short) == comparable(by_long), (path, kind)
            seen.add(by_short.status_code)
    assert seen == {200, 401, 403}


async def test_use_of_the_shortcut_counts(ways: Ways, alice: Person) -> None:
    headers = bearer((await alice.creates_token())["token"])
    answers = [answer for _ in range(3) for answer in await ways.asked(TOKEN, headers)]
    assert [answer.json()["request_count"] for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert [int(answer.headers["x-ratelimit-remaining"]) for answer in answers] == [199, 198, 197, 196, 195, 194]


async def test_limit_is_one_for_both_ways(ways: Ways, alice: Person) -> None:
    headers = bearer((await alice.creates_token())["token"])
    answers = await asyncio.gather(*(ways.asked(TOKEN, headers) for _ in range(LIMIT.count // 2 + 10)))
    statuses = [answer.status_code for both in answers for answer in both]
    assert (statuses.count(200), statuses.count(429)) == (LIMIT.count, 20)
    refused = await ways.asked(TOKEN, headers)
    assert comparable(refused[1])[1:] == comparable(refused[0])[1:]
    assert "retry-after" in refused[1].headers


async def test_what_is_not_plain_goes_the_long_way(ways: Ways, alice: Person) -> None:
    token = bearer((await alice.creates_token())["token"])
    for learned in ("", "?days=7"):
        assert (await ways.long.get(f"{STATS}{learned}", headers=token)).status_code == 200
        assert (await ways.short.get(f"{STATS}{learned}", headers=token)).status_code == 200
    for method, path, headers in UNUSUAL:
        await ways.long.request(method, path, headers=token | headers)  # if it is refused, nothing is learned
        answer = await ways.short.request(method, path, headers=token | headers)
        assert answer.status_code == HANDED_ON, (method, path, headers)


async def test_only_the_framework_judges_a_new_query(ways: Ways, alice: Person) -> None:
    token = bearer((await alice.creates_token())["token"])
    statuses = [
        (await client.get(f"{STATS}?days=12", headers=token)).status_code
        for client in (ways.short, ways.long, ways.short)
    ]
    assert statuses == [HANDED_ON, 200, 200]


def test_what_is_remembered_of_queries_has_a_bound() -> None:
    selections = Selections()
    for number in range(QUERIES_MAX + 1):
        selections.learn(b"days=%d" % number, select(7, None, None, None, None))
    assert selections.get(b"days=0") is None
    assert selections.get(b"days=%d" % QUERIES_MAX) is not None
    long = b"model=" + b"m" * QUERY_MAX_BYTES
    selections.learn(long, select(7, None, None, None, "m"))
    assert selections.get(long) is None
