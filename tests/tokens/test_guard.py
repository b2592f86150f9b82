"""Whom does the guard of `/api/v1` let in, and does it count them?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec

from app.settings import Settings
from app.tokens import secret
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import running_app

ROUTES = ("/api/v1/token", "/api/v1/stats")


async def use(client: httpx.AsyncClient, token: str, path: str = "/api/v1/token") -> httpx.Response:
    """A request with an API token."""
    return await client.get(path, headers=bearer(token))


async def meter(connection: asyncpg.Connection, token_id: int) -> tuple[datetime | None, int]:
    """The last use and the number of uses."""
    row = await connection.fetchrow(
        "SELECT last_used_at, request_count FROM api_token_meters WHERE token_id = $1", token_id
    )
    return row["last_used_at"], row["request_count"]


async def assert_refused_and_not_counted(
    client: httpx.AsyncClient, connection: asyncpg.Connection, created: dict[str, Any]
) -> None:
    """On every route, and the meter stays where it was."""
    before = await meter(connection, created["id"])
    for path in ROUTES:
        assert_unauthenticated(await use(client, created["token"], path), credential_sent=True)
    assert await meter(connection, created["id"]) == before


async def test_live_token_is_let_in(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token(expires_in_days=1))["token"]
    for path in ROUTES:
        answer = await use(client, token, path)
        assert answer.status_code == 200, answer.text
        # figures may be kept by whom they are for, if it asks each time whether they still hold
        assert answer.headers["cache-control"] == ("private, no-cache" if "etag" in answer.headers else "no-store")


async def test_requests_without_a_token_are_asked_for_one(client: httpx.AsyncClient) -> None:
    for path in ROUTES:
        assert_unauthenticated(await client.get(path), credential_sent=False)


async def test_unknown_token_is_refused(alice: Person, client: httpx.AsyncClient) -> None:
    await alice.creates_token()
    for path in ROUTES:
        assert_unauthenticated(await use(client, secret.make(), path), credential_sent=True)


async def test_malformed_tokens_are_refused(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    wrong_checksum = token[:-1] + ("a" if token[-1] != "a" else "b")
    for credential in (
        "x", "or_api_", wrong_checksum, token[:-1], token + "0", token[7:], token.upper(), "'OR'1'='1", "x';DROP--",
        "%27", "null", "[" * 2000, "A" * 5000, "a.b.c", "*", f"{token},{token}",
    ):  # fmt: skip
        assert_unauthenticated(await use(client, credential), credential_sent=True)


async def test_malformed_tokens_do_not_reach_the_database(settings: Settings) -> None:
    unreachable = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    token = secret.make()
    async with running_app(unreachable) as client:
        assert_problem(await use(client, token), 503, "unavailable")  # this one has to be looked up
        for place in range(len(token)):
            wrong = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
            assert_unauthenticated(await use(client, wrong), credential_sent=True)


async def test_revoked_token_is_refused(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created, other = await alice.creates_token(), await alice.creates_token()
    assert (await use(client, created["token"])).status_code == 200
    assert (await alice.delete(f"/api/tokens/{created['id']}")).status_code == 204
    await assert_refused_and_not_counted(client, connection, created)
    assert (await use(client, other["token"])).status_code == 200


async def test_revocation_holds_in_another_app_at_once(settings: Settings, alice: Person) -> None:
    created = await alice.creates_token()
    async with running_app(settings) as elsewhere:
        assert (await use(elsewhere, created["token"])).status_code == 200
        await alice.delete(f"/api/tokens/{created['id']}")
        assert_unauthenticated(await use(elsewhere, created["token"]), credential_sent=True)


async def test_expired_token_is_refused(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token(expires_in_days=1)
    assert (await use(client, created["token"])).status_code == 200
    await connection.execute("UPDATE api_tokens SET expires_at = now()")
    await assert_refused_and_not_counted(client, connection, created)


async def test_token_expires_by_itself_at_its_time(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token(expires_in_days=1)
    await connection.execute("UPDATE api_tokens SET expires_at = clock_timestamp() + interval '1 second'")
    assert (await use(client, created["token"])).status_code == 200
    await connection.execute("SELECT pg_sleep(extract(epoch FROM expires_at - clock_timestamp())) FROM api_tokens")
    assert_unauthenticated(await use(client, created["token"]), credential_sent=True)


async def test_disabled_owners_tokens_are_refused(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    assert (await use(client, created["token"])).status_code == 200
    await connection.execute("UPDATE users SET disabled_at = now() WHERE id = $1", alice.id)
    await assert_refused_and_not_counted(client, connection, created)


async def test_deleted_owners_tokens_are_refused(
    alice: Person, bob: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created, bobs = await alice.creates_token(), await bob.creates_token()
    assert (await use(client, created["token"])).status_code == 200
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    await assert_refused_and_not_counted(client, connection, created)
    assert (await use(client, bobs["token"])).status_code == 200


async def test_ending_sessions_does_not_end_tokens(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    assert (await alice.post("/api/auth/logout")).status_code == 204
    assert (await use(client, token)).status_code == 200


async def test_people_cannot_use_the_public_api_with_their_login(alice: Person, client: httpx.AsyncClient) -> None:
    for credential in (alice.tokens["access_token"], alice.tokens["refresh_token"]):
        for path in ROUTES:
            assert_unauthenticated(await use(client, credential, path), credential_sent=True)


async def test_tokens_do_not_open_what_is_for_people(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    for method, path in (
        ("GET", "/api/tokens"),
        ("POST", "/api/tokens"),
        ("GET", f"/api/tokens/{created['id']}"),
        ("DELETE", f"/api/tokens/{created['id']}"),
        ("GET", "/api/auth/me"),
        ("DELETE", "/api/auth/me"),
        ("GET", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions/1"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/password"),
        ("POST", "/api/imports/activity"),
    ):
        answer = await client.request(method, path, headers=bearer(created["token"]))
        assert_unauthenticated(answer, credential_sent=True)
    [entry] = (await alice.get("/api/tokens")).json()
    assert (entry["is_active"], entry["request_count"]) == (True, 0)


async def test_only_the_bearer_header_carries_a_token(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    for headers in ({"X-API-Key": token}, {"Cookie": f"token={token}; access_token={token}"}, {"X-Api-Token": token}):
        assert_unauthenticated(await client.get("/api/v1/token", headers=headers), credential_sent=False)
    for query in ("access_token", "token", "api_key"):
        assert_unauthenticated(await client.get(f"/api/v1/token?{query}={token}"), credential_sent=False)
        answer = await client.get(f"/api/v1/token?{query}={token}", headers=bearer(token))
        assert_problem(answer, 422, "invalid", f"#/{query}")
        assert token not in answer.text


async def test_other_schemes_are_not_understood(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    basic = httpx.BasicAuth("x", token)
    assert_unauthenticated(await client.get("/api/v1/token", auth=basic), credential_sent=False)
    for header in ("", token, f"Basic {token}", f"Token {token}", f"token={token}"):
        answer = await client.get("/api/v1/token", headers={"Authorization": header})
        assert_unauthenticated(answer, credential_sent=False)


async def test_case_of_the_scheme_does_not_matter(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        answer = await client.get("/api/v1/token", headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200, scheme


async def test_oddly_written_headers_are_refused(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"].encode()
    for header in (
        b"Bearer", b"Bearer ", b"Bearer  " + token, b"Bearer\t" + token, b"Bearer " + token + b" ", b"Bearer" + token,
        b"Bearer " + token + b"," + token, b"Bearer " + token + b" x", b'Bearer "' + token + b'"', b"Bearer \xff\xfe",
        b"Bearer " + token + b"\xff", b"Bearer " + token + b"\x00", "Bearer ﬁ".encode(),
    ):  # fmt: skip
        answer = await client.get("/api/v1/token", headers=[(b"Authorization", header)])
        assert_unauthenticated(answer, credential_sent=True)


async def test_two_headers_are_refused_whatever_they_hold(alice: Person, client: httpx.AsyncClient) -> None:
    token = (await alice.creates_token())["token"]
    for other in (f"Bearer {token}", "Bearer x", "Basic eDp4", f"Bearer {alice.tokens['access_token']}"):
        for pair in ((f"Bearer {token}", other), (other, f"Bearer {token}")):
            answer = await client.get("/api/v1/token", headers=[("Authorization", value) for value in pair])
            assert_unauthenticated(answer, credential_sent=True)


async def test_use_moves_the_time_and_the_count(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    used, other = await alice.creates_token(), await alice.creates_token()
    assert await meter(connection, used["id"]) == (None, 0)
    last = datetime.now(UTC) - timedelta(seconds=10)
    for count in range(1, 4):
        assert (await use(client, used["token"], "/api/v1/stats")).status_code == 200
        moment, counted = await meter(connection, used["id"])
        assert moment is not None
        assert (moment > last, counted) == (True, count)
        last = moment
    shown = (await alice.get(f"/api/tokens/{used['id']}")).json()
    assert (datetime.fromisoformat(shown["last_used_at"]), shown["request_count"]) == (last, 3)
    assert await meter(connection, other["id"]) == (None, 0)


async def test_requests_count_whatever_their_answer(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    for count, (path, status) in enumerate(
        (("stats?days=0", 422), ("stats?unknown=1", 422), ("stats?api_key_id=999", 404), ("token", 200)), start=1
    ):
        assert (await use(client, created["token"], f"/api/v1/{path}")).status_code == status
        assert (await meter(connection, created["id"]))[1] == count


async def test_requests_that_the_guard_never_saw_are_not_counted(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    headers = bearer(created["token"])
    assert (await client.get("/api/v1/nothing", headers=headers)).status_code == 404
    assert (await client.post("/api/v1/token", headers=headers)).status_code == 405
    assert (await client.get("/api/tokens", headers=headers)).status_code == 401
    assert await meter(connection, created["id"]) == (None, 0)


async def test_request_that_cannot_be_counted_does_not_pass(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    headers = bearer((await alice.creates_token())["token"])
    await connection.execute("DELETE FROM api_token_meters")
    assert_problem(await client.get("/api/v1/token", headers=headers), 503, "unavailable")


async def test_head_is_guarded_and_counted_like_get(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    assert (await client.head("/api/v1/token")).status_code == 401
    assert (await client.head("/api/v1/token", headers=bearer(created["token"]))).status_code == 200
    assert (await meter(connection, created["id"]))[1] == 1


async def test_fifty_requests_at_once_are_counted_exactly(
    settings: Settings, alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    first, second = await alice.creates_token(), await alice.creates_token()
    async with running_app(settings) as elsewhere:
        answers = await asyncio.gather(
            *(use(client, first["token"], "/api/v1/stats") for _ in range(25)),
            *(use(elsewhere, first["token"]) for _ in range(25)),
            *(use(client, second["token"]) for _ in range(10)),
        )
    assert [answer.status_code for answer in answers] == [200] * 60
    assert (await meter(connection, first["id"]))[1] == 50
    assert (await meter(connection, second["id"]))[1] == 10


async def test_last_use_never_goes_back(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    created = await alice.creates_token()
    await use(client, created["token"])
    # as after a request that came later and was quicker, or after the clock was put back
    later = await connection.fetchval(
        "UPDATE api_token_meters SET last_used_at = now() + interval '1 hour' RETURNING last_used_at"
    )
    assert (await use(client, created["token"])).status_code == 200
    assert await meter(connection, created["id"]) == (later, 2)
