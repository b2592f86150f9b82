"""Do `GET /api/tokens` and `GET /api/tokens/{id}` show people their own tokens, and never a secret?"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.cursors import ByTime, Cursors
from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person, bearer
from tests.conftest import SECRET, running_app

CURSORS = Cursors([SECRET])  # of the same server
FIELDS = {
    "id", "name", "hint", "created_at", "expires_at", "last_used_at", "request_count", "is_active", "revoked_at",
}  # fmt: skip
NO_IDS = (
    "0", "01", "-1", "+1", "1_0", "1.0", "1e3", "0x1", "abc", "%201", "1%20", "%D9%A1", "%EF%BC%91", "1%00", "%00",
    "%ff", "%0A1", "1%0A", str(2**63), str(2**64 + 1), "9" * 30, "9" * 5000,
)  # fmt: skip


async def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    """What the list shows."""
    answer = await person.get(f"/api/tokens{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def set_token(connection: asyncpg.Connection, token_id: int, change: str) -> None:
    """Changes a token behind the service's back."""
    await connection.execute(f"UPDATE api_tokens SET {change} WHERE id = $1", token_id)  # noqa: S608 -- from the tests


async def test_nobody_begins_with_tokens(alice: Person) -> None:
    assert await listed(alice) == []


async def test_entry_has_all_but_the_secret(alice: Person) -> None:
    created = await alice.creates_token("grafana", expires_in_days=30)
    [entry] = await listed(alice)
    assert entry.keys() == FIELDS
    for field in ("id", "name", "hint", "created_at", "expires_at"):
        assert entry[field] == created[field], field
    assert (entry["last_used_at"], entry["request_count"]) == (None, 0)
    assert (entry["is_active"], entry["revoked_at"]) == (True, None)
    assert (await alice.get(f"/api/tokens/{created['id']}")).json() == entry


async def test_neither_the_token_nor_its_hash_is_ever_shown(alice: Person) -> None:
    created = await alice.creates_token()
    for path in ("/api/tokens", "/api/tokens?state=active", f"/api/tokens/{created['id']}"):
        answer = await alice.get(path)
        assert answer.status_code == 200
        shown = answer.text + str(answer.headers)
        assert created["hint"] in shown
        assert created["token"] not in shown
        assert created["token"][7:39] not in shown
        assert hashlib.sha256(created["token"].encode()).hexdigest() not in shown


async def test_answers_are_not_to_be_stored(alice: Person) -> None:
    created = await alice.creates_token()
    for path in ("/api/tokens", f"/api/tokens/{created['id']}"):
        assert (await alice.get(path)).headers["cache-control"] == "no-store"


async def test_newest_come_first_and_ids_decide_between_equal_times(
    alice: Person, connection: asyncpg.Connection
) -> None:
    ids = [(await alice.creates_token(str(number)))["id"] for number in range(5)]
    assert [entry["id"] for entry in await listed(alice)] == ids[::-1]
    await set_token(connection, ids[0], "created_at = created_at + interval '1 hour'")
    await connection.execute(
        "UPDATE api_tokens SET created_at = '2026-01-01T00:00:00Z' WHERE id = ANY($1::bigint[])", ids[2:]
    )
    assert [entry["id"] for entry in await listed(alice)] == [ids[0], ids[1], ids[4], ids[3], ids[2]]


async def test_state_tells_active_ones_from_all(alice: Person, connection: asyncpg.Connection) -> None:
    ids = [(await alice.creates_token(str(number), expires_in_days=1))["id"] for number in range(4)]
    await set_token(connection, ids[0], "revoked_at = now()")
    await set_token(connection, ids[1], "expires_at = now()")
    await set_token(connection, ids[2], "expires_at = now() + interval '1 minute'")
    assert [entry["id"] for entry in await listed(alice, "?state=active")] == [ids[3], ids[2]]
    for query in ("", "?state=all"):
        shown = {entry["id"]: entry["is_active"] for entry in await listed(alice, query)}
        assert shown == {ids[3]: True, ids[2]: True, ids[1]: False, ids[0]: False}
    for token_id in ids:
        entry = (await alice.get(f"/api/tokens/{token_id}")).json()
        assert entry["is_active"] == (token_id in ids[2:])
        assert (entry["revoked_at"] is not None) == (token_id == ids[0])


@pytest.mark.parametrize("state", ["all", "active"])
async def test_pages_miss_and_repeat_nothing(alice: Person, connection: asyncpg.Connection, state: str) -> None:
    ids = [(await alice.creates_token(str(number)))["id"] for number in range(5)]
    await connection.execute(
        "UPDATE api_tokens SET created_at = '2026-01-01T00:00:00.123456Z' WHERE id = ANY($1::bigint[])", ids[:4]
    )
    found, address = [], f"/api/tokens?limit=2&state={state}"
    for page in range(3):
        answer = await alice.get(address)
        assert len(answer.json()) == (2 if page < 2 else 1)
        found += [entry["id"] for entry in answer.json()]
        link = re.fullmatch(r'<(/api/tokens\?[^>]+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (page == 2)
        address = link[1] if link else ""
    assert found == ids[::-1]


async def test_last_page_has_no_link(alice: Person) -> None:
    for _ in range(2):
        await alice.creates_token()
    for query in ("", "?limit=2", "?limit=1000"):
        assert "link" not in (await alice.get(f"/api/tokens{query}")).headers
    assert "link" in (await alice.get("/api/tokens?limit=1")).headers


async def test_link_begins_with_the_public_address(settings: Settings, alice: Person) -> None:
    for _ in range(2):
        await alice.creates_token()
    async with running_app(msgspec.structs.replace(settings, public_url="https://watcher.example.com")) as public:
        answer = await public.get("/api/tokens?limit=1", headers=alice.headers)
    assert answer.headers["link"].startswith("<https://watcher.example.com/api/tokens?limit=1&cursor=")


async def test_odd_queries_are_refused(alice: Person) -> None:
    for field, values in {
        "limit": ("0", "-1", "1001", "", "x", "1_0", "+1", "1.0", "1e2", "%D9%A1", 10**30, "1&limit=2"),
        "state": ("", "revoked", "ALL", "all&state=all", "all%00"),
        "cursor": ("", "x", "%00", "W10", "WzEsMF0", "WzEsMV0=", "%E2%82%AC", "W10&cursor=W10"),
        "unknown": ("1",),
        "user_id": ("1",),
    }.items():
        for value in values:
            answer = await alice.get(f"/api/tokens?{field}={value}")
            assert answer.status_code == 422, (field, value)
            assert_problem(answer, 422, "invalid", f"#/{field}")
    for query in ("limit[]=1", "cursor=%ff", "%ff=1", "&".join(f"a{number}=1" for number in range(1000))):
        assert_problem(await alice.get(f"/api/tokens?{query}"), 422, "invalid")


async def test_cursors_at_the_ends_of_time_are_harmless(alice: Person) -> None:
    await alice.creates_token()
    for moment, token_id, shown in (
        (datetime.min.replace(tzinfo=UTC), 1, 0),
        (datetime.max.replace(tzinfo=UTC), 2**63 - 1, 1),
        (datetime.now(UTC) + timedelta(days=1), 1, 1),
    ):
        assert (
            len(await listed(alice, f"?cursor={CURSORS.make(ByTime.of(moment, token_id), 'tokens', alice.id, 'all')}"))
            == shown
        )


async def test_people_see_their_own_tokens_only(alice: Person, bob: Person) -> None:
    await alice.creates_token("alice's canary")
    await bob.creates_token("bob's")
    assert [entry["name"] for entry in await listed(bob)] == ["bob's"]
    assert [entry["name"] for entry in await listed(alice)] == ["alice's canary"]


async def test_token_of_somebody_else_is_forbidden(alice: Person, bob: Person) -> None:
    alices = await alice.creates_token("alice's canary")
    answer = await bob.get(f"/api/tokens/{alices['id']}")
    assert_problem(answer, 403, "not_yours")
    assert "canary" not in answer.text


async def test_token_that_does_not_exist_is_not_found(alice: Person) -> None:
    await alice.creates_token()
    for token_id in ("999999", str(2**63 - 1), *NO_IDS):
        answer = await alice.get(f"/api/tokens/{token_id}")
        assert answer.status_code == 404, token_id
        assert_problem(answer, 404, "not_found")


async def test_token_of_a_deleted_account_does_not_exist(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    alices = await alice.creates_token()
    await connection.execute("UPDATE users SET deleted_at = now(), email_key = NULL WHERE id = $1", alice.id)
    assert_problem(await bob.get(f"/api/tokens/{alices['id']}"), 404, "not_found")


async def test_reading_needs_a_login(alice: Person, client: httpx.AsyncClient) -> None:
    created = await alice.creates_token()
    for path in ("/api/tokens", f"/api/tokens/{created['id']}", "/api/tokens/999999"):
        assert_unauthenticated(await client.get(path), credential_sent=False)
        for credential in ("x", created["token"], alice.tokens["refresh_token"]):
            assert_unauthenticated(await client.get(path, headers=bearer(credential)), credential_sent=True)


async def test_head_is_get_without_a_body(alice: Person) -> None:
    created = await alice.creates_token()
    for path in ("/api/tokens", f"/api/tokens/{created['id']}"):
        got, head = await alice.get(path), await alice.call("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(got.content))
