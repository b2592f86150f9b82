"""Is a refresh token good for exactly one successor, and does a stolen one end the session?"""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from tests.accounts.bodies import assert_refuses_bad_bodies, assert_unauthenticated
from tests.accounts.test_login import disable
from tests.cast import PASSWORD, Person, bearer, log_in


async def refresh(client: httpx.AsyncClient, tokens: dict[str, Any]) -> httpx.Response:
    return await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})


async def refreshed(client: httpx.AsyncClient, tokens: dict[str, Any]) -> dict[str, Any]:
    """The tokens after a refresh that must work."""
    answer = await refresh(client, tokens)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def is_alive(client: httpx.AsyncClient, tokens: dict[str, Any]) -> bool:
    """Whether the access token is let through."""
    return (await client.get("/api/auth/me", headers=bearer(tokens["access_token"]))).status_code == 200


@pytest.fixture
async def session_id(alice: Person, connection: asyncpg.Connection) -> int:
    """Of Alice's session."""
    return await connection.fetchval("SELECT id FROM sessions WHERE user_id = $1", alice.id)


async def age(connection: asyncpg.Connection, session_id: int, past: timedelta) -> None:
    """As if the last use of the session were so much longer ago."""
    await connection.execute(
        "UPDATE sessions SET last_used_at = last_used_at - $2::interval WHERE id = $1", session_id, past
    )


async def is_revoked(connection: asyncpg.Connection, session_id: int) -> bool:
    return await connection.fetchval("SELECT revoked_at IS NOT NULL FROM sessions WHERE id = $1", session_id)


async def test_refresh_gives_new_tokens_for_the_same_session(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    answer = await refresh(client, alice.tokens)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens.keys() == alice.tokens.keys()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    assert tokens["refresh_token"] != alice.tokens["refresh_token"]
    assert tokens["access_token"] != alice.tokens["access_token"]
    assert await is_alive(client, tokens)
    assert await connection.fetchval("SELECT count(*) FROM sessions") == 1


async def test_refresh_goes_on_and_on(alice: Person, client: httpx.AsyncClient) -> None:
    tokens, seen = alice.tokens, {alice.tokens["refresh_token"]}
    for _ in range(5):
        tokens = await refreshed(client, tokens)
        seen.add(tokens["refresh_token"])
    assert len(seen) == 6
    assert await is_alive(client, tokens)


async def test_bad_bodies_are_refused(alice: Person, client: httpx.AsyncClient) -> None:
    await assert_refuses_bad_bodies(
        client, "POST", "/api/auth/refresh", {"refresh_token": alice.tokens["refresh_token"]}
    )
    assert await is_alive(client, await refreshed(client, alice.tokens))


async def test_what_is_no_refresh_token_is_refused(alice: Person, client: httpx.AsyncClient) -> None:
    token = alice.tokens["refresh_token"]
    for other in (
        "", " ", alice.tokens["access_token"], "or_refresh_", "or_refresh_" + "A" * 43, token[:-1], token + "A",
        token + "\n", f" {token}", token.upper(), token.removeprefix("or_refresh_"), "or_api_" + "a" * 38,
        "' OR 1=1 --", "ü" * 54, "x" * 60_000,
    ):  # fmt: skip
        answer = await client.post("/api/auth/refresh", json={"refresh_token": other})
        assert_unauthenticated(answer, credential_sent=True)
    assert await is_alive(client, alice.tokens)


async def test_lost_answer_is_given_again(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    first = await refreshed(client, alice.tokens)
    again = await refreshed(client, alice.tokens)
    assert again["refresh_token"] == first["refresh_token"]
    assert first["refresh_expires_in"] - 10 <= again["refresh_expires_in"] <= first["refresh_expires_in"]
    assert await is_alive(client, again)
    assert await connection.fetchval("SELECT count(*) FROM refresh_tokens") == 2
    assert await refreshed(client, first)


async def test_old_token_ends_the_family_once_its_successor_was_used(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    other_family = await log_in(client, alice.email)
    second = await refreshed(client, alice.tokens)
    third = await refreshed(client, second)
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)
    assert await is_revoked(connection, session_id)  # it was not rolled back with the 401
    for tokens in (alice.tokens, second, third):
        assert_unauthenticated(await refresh(client, tokens), credential_sent=True)
        assert not await is_alive(client, tokens)
    assert await is_alive(client, other_family)
    assert await refreshed(client, other_family)


async def test_a_much_older_token_ends_the_family_too(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    tokens = alice.tokens
    for _ in range(4):
        tokens = await refreshed(client, tokens)
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)
    assert await is_revoked(connection, session_id)
    assert not await is_alive(client, tokens)


async def test_old_token_ends_the_family_after_ten_seconds(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    second = await refreshed(client, alice.tokens)
    await age(connection, session_id, timedelta(seconds=8))
    assert (await refreshed(client, alice.tokens))["refresh_token"] == second["refresh_token"]
    await age(connection, session_id, timedelta(seconds=3))
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)
    assert await is_revoked(connection, session_id)
    assert_unauthenticated(await refresh(client, second), credential_sent=True)
    assert not await is_alive(client, second)


async def test_giving_an_answer_again_does_not_prolong_the_ten_seconds(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    await refreshed(client, alice.tokens)
    for _ in range(2):
        await age(connection, session_id, timedelta(seconds=4))
        await refreshed(client, alice.tokens)
    await age(connection, session_id, timedelta(seconds=4))
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)


async def test_thief_and_owner_racing_leave_at_most_one_chain(alice: Person, client: httpx.AsyncClient) -> None:
    """Whoever of the two goes on first makes the other one's next step end the session for both."""
    thief = owner = alice.tokens
    owner, thief = await refreshed(client, owner), await refreshed(client, thief)
    thief = await refreshed(client, await refreshed(client, thief))
    assert_unauthenticated(await refresh(client, owner), credential_sent=True)
    assert not await is_alive(client, thief)
    assert_unauthenticated(await refresh(client, thief), credential_sent=True)


async def test_session_lives_thirty_days_however_often_it_is_used(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    lifetime = "SELECT expires_at - created_at FROM sessions WHERE id = $1"
    assert await connection.fetchval(lifetime, session_id) == timedelta(days=30)
    tokens = await refreshed(client, alice.tokens)
    assert await connection.fetchval(lifetime, session_id) == timedelta(days=30)
    await connection.execute("UPDATE sessions SET expires_at = now() - interval '1 second'")
    assert_unauthenticated(await refresh(client, tokens), credential_sent=True)
    assert not await is_alive(client, tokens)


async def test_session_that_is_not_used_for_seven_days_ends(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection, session_id: int
) -> None:
    await age(connection, session_id, timedelta(days=6, hours=23))
    tokens = await refreshed(client, alice.tokens)
    await age(connection, session_id, timedelta(days=6, hours=23))  # counted from the refresh, not from the login
    tokens = await refreshed(client, tokens)
    await age(connection, session_id, timedelta(days=7))
    assert_unauthenticated(await refresh(client, tokens), credential_sent=True)


async def test_end_that_is_told_is_the_nearer_one(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    tokens = await refreshed(client, alice.tokens)
    assert tokens["refresh_expires_in"] == 7 * 86400
    await connection.execute("UPDATE sessions SET expires_at = now() + interval '3 days'")
    tokens = await refreshed(client, tokens)
    assert 3 * 86400 - 60 <= tokens["refresh_expires_in"] <= 3 * 86400


async def test_logout_ends_refresh(alice: Person, client: httpx.AsyncClient) -> None:
    second = await refreshed(client, alice.tokens)
    assert (await alice.post("/api/auth/logout")).status_code == 204
    for tokens in (alice.tokens, second):
        assert_unauthenticated(await refresh(client, tokens), credential_sent=True)


async def test_disabled_or_deleted_account_cannot_refresh(
    alice: Person, bob: Person, client: httpx.AsyncClient, database_url: str
) -> None:
    await disable(database_url, alice.email)
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)
    assert (await bob.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert_unauthenticated(await refresh(client, bob.tokens), credential_sent=True)


async def test_refresh_asks_for_the_account_and_not_only_for_the_session(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE users SET disabled_at = now()")  # and no session has been ended
    assert_unauthenticated(await refresh(client, alice.tokens), credential_sent=True)


async def test_logout_racing_refreshes_wins(alice: Person, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        tokens = await log_in(client, alice.email)
        logout = client.post("/api/auth/logout", headers=bearer(tokens["access_token"]))
        answers = await asyncio.gather(*(refresh(client, tokens) for _ in range(5)), logout)
        assert answers[-1].status_code == 204
        assert not await is_alive(client, tokens)
        for answer in answers[:-1]:
            assert answer.status_code in {200, 401}
            if answer.status_code == 200:
                assert not await is_alive(client, answer.json())
                assert_unauthenticated(await refresh(client, answer.json()), credential_sent=True)


async def test_no_token_is_in_the_database(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    second = await refreshed(client, alice.tokens)
    assert await find_anywhere(connection, alice.email)  # the search does find what is there
    stored = await connection.fetchval("SELECT encode(refresh_hash, 'hex') FROM sessions")
    assert await find_anywhere(connection, stored)
    for tokens in (alice.tokens, second):
        bits = tokens["refresh_token"].removeprefix("or_refresh_")
        for secret in (bits, bits.encode().hex(), urlsafe_b64decode(bits + "=").hex(), tokens["access_token"]):
            assert await find_anywhere(connection, secret) == []


async def find_anywhere(connection: asyncpg.Connection, text: str) -> list[str]:
    """The tables that hold a text, or bytes given in hexadecimal digits, in any of their columns."""
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for (table,) in tables:
        rows = await connection.fetchval(
            f'SELECT count(*) FROM "{table}" AS r WHERE strpos(r::text, $1) > 0',  # noqa: S608 -- its own tables
            text,
        )
        found += [table] * bool(rows)
    return found
