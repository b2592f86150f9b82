"""Does `DELETE /api/tokens/{id}` revoke a token, for good, and nobody else's?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx

from app.tokens import repository
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import PASSWORD, Person, bearer
from tests.tokens.test_list import NO_IDS, listed, set_token


async def entry_of(person: Person, token_id: int) -> dict[str, Any]:
    """The token as the list shows it."""
    return next(entry for entry in await listed(person) if entry["id"] == token_id)


async def test_revoking_is_answered_without_a_body(alice: Person) -> None:
    created = await alice.creates_token()
    answer = await alice.delete(f"/api/tokens/{created['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"


async def test_revoked_token_stays_in_the_list_and_is_inactive(alice: Person) -> None:
    revoked, other = await alice.creates_token("old"), await alice.creates_token("new")
    before = await entry_of(alice, revoked["id"])
    await alice.delete(f"/api/tokens/{revoked['id']}")
    after = await entry_of(alice, revoked["id"])
    assert after.pop("revoked_at").endswith("Z")
    assert after == {name: value for name, value in before.items() if name != "revoked_at"} | {"is_active": False}
    assert (await alice.get(f"/api/tokens/{revoked['id']}")).json()["is_active"] is False
    assert (await entry_of(alice, other["id"]))["is_active"] is True
    assert [entry["id"] for entry in await listed(alice, "?state=active")] == [other["id"]]


async def test_revoked_at_is_the_time_of_the_first_revocation(alice: Person) -> None:
    created = await alice.creates_token()
    start = datetime.now(UTC)
    await alice.delete(f"/api/tokens/{created['id']}")
    first = (await entry_of(alice, created["id"]))["revoked_at"]
    assert abs(datetime.fromisoformat(first) - start) < timedelta(seconds=10)
    for _ in range(2):
        answer = await alice.delete(f"/api/tokens/{created['id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await entry_of(alice, created["id"]))["revoked_at"] == first


async def test_revocations_at_once_are_all_answered_204(alice: Person) -> None:
    created = await alice.creates_token()
    answers = await asyncio.gather(*(alice.delete(f"/api/tokens/{created['id']}") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {204}
    assert (await entry_of(alice, created["id"]))["is_active"] is False


async def test_expired_token_can_be_revoked(alice: Person, connection: asyncpg.Connection) -> None:
    created = await alice.creates_token(expires_in_days=1)
    await set_token(connection, created["id"], "expires_at = now()")
    assert (await alice.delete(f"/api/tokens/{created['id']}")).status_code == 204
    assert (await entry_of(alice, created["id"]))["revoked_at"] is not None


async def test_revoking_makes_room_for_another(alice: Person) -> None:
    ids = [(await alice.creates_token())["id"] for _ in range(5)]
    assert_problem(await alice.post("/api/tokens", {"name": "x"}), 400, "token_limit_reached")
    for _ in range(2):  # again makes no more room
        await alice.delete(f"/api/tokens/{ids[0]}")
    await alice.creates_token()
    assert_problem(await alice.post("/api/tokens", {"name": "x"}), 400, "token_limit_reached")


async def test_token_of_somebody_else_is_forbidden_and_stays(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    alices = await alice.creates_token()
    assert_problem(await bob.delete(f"/api/tokens/{alices['id']}"), 403, "not_yours")
    await repository._revoke_token.find(connection, alices["id"], bob.id)  # where no refusal undoes it
    assert (await entry_of(alice, alices["id"]))["is_active"] is True
    assert await connection.fetchval("SELECT revoked_at FROM api_tokens") is None
    await alice.delete(f"/api/tokens/{alices['id']}")
    assert_problem(await bob.delete(f"/api/tokens/{alices['id']}"), 403, "not_yours")


async def test_token_of_a_deleted_account_does_not_exist(alice: Person, bob: Person) -> None:
    alices = await alice.creates_token()
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert_problem(await bob.delete(f"/api/tokens/{alices['id']}"), 404, "not_found")


async def test_token_that_does_not_exist_is_not_found(alice: Person) -> None:
    created = await alice.creates_token()
    for token_id in ("999999", str(2**63 - 1), *NO_IDS):
        answer = await alice.delete(f"/api/tokens/{token_id}")
        assert answer.status_code == 404, token_id
        assert_problem(answer, 404, "not_found")
    assert (await entry_of(alice, created["id"]))["is_active"] is True


async def test_revoking_needs_a_login(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    for path in (f"/api/tokens/{created['id']}", "/api/tokens/999999"):
        assert_unauthenticated(await client.delete(path), credential_sent=False)
        for credential in ("x", created["token"], alice.tokens["refresh_token"]):
            assert_unauthenticated(await client.delete(path, headers=bearer(credential)), credential_sent=True)
    assert (await entry_of(alice, created["id"]))["is_active"] is True


async def test_there_is_no_way_back(alice: Person) -> None:
    created = await alice.creates_token()
    path = f"/api/tokens/{created['id']}"
    await alice.delete(path)
    for method in ("PATCH", "PUT", "POST"):
        answer = await alice.call(method, path, json={"revoked_at": None, "is_active": True})
        assert_problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["allow"].split(", ")) >= {"DELETE", "GET", "HEAD"}
    assert (await entry_of(alice, created["id"]))["is_active"] is False


async def test_the_whole_list_cannot_be_deleted(alice: Person) -> None:
    created = await alice.creates_token()
    for path in ("/api/tokens", "/api/tokens/"):
        assert (await alice.delete(path)).status_code in {404, 405}
    assert (await entry_of(alice, created["id"]))["is_active"] is True
