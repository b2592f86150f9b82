"""Does `GET /api/v1/keys` tell a program what it may know of the keys, and nothing else?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from app.simulator.world import Account, Key
from tests.cast import Person
from tests.readers import Reader
from tests.usage.exports import exact, export, imports

FIELDS = [
    "id", "name", "label", "kind", "is_active", "limit", "limit_remaining", "usage_total", "usage_today", "last_synced_at",
    "sync_status",
]  # fmt: skip


async def adds(person: Person, key: Key) -> int:
    """To what is watched; and reads it."""
    answer = await person.post("/api/keys", {"name": key.name, "key": key.secret})
    assert answer.status_code == 201, answer.text
    key_id = answer.json()["id"]
    assert (await person.post(f"/api/keys/{key_id}/sync")).status_code == 200
    return key_id


async def listed(reader: Reader, query: str = "") -> dict[str, Any]:
    """A page."""
    return exact(await reader.get("keys", query))


async def test_keys_are_as_their_owner_sees_them_without_the_rest(
    reader: Reader, alice: Person, account: Account
) -> None:
    key, manager = (
        account.add_key("prod", limit=Decimal("10.5"), limit_reset="monthly"),
        account.add_management_key("admin"),
    )
    account.spend(key, Decimal("0.250001"))
    for one in (key, manager):
        await adds(alice, one)
    await imports(alice, export({"generation_id": "1", "api_key_name": "imported"}))
    page = await listed(reader)
    assert page.keys() == {"items", "total", "next_cursor", "timezone"}
    assert (page["total"], page["next_cursor"], page["timezone"]) == (3, None, "UTC")
    assert [[*entry] for entry in page["items"]] == [FIELDS] * 3
    owner_sees = exact(await alice.get("/api/keys"))
    assert page["items"] == [{name: entry[name] for name in FIELDS} for entry in owner_sees]

    imported, admin, prod = page["items"]
    assert [entry["kind"] for entry in page["items"]] == ["imported", "management", "inference"]
    assert prod["label"] == key.label
    figures = {name: prod[name] for name in ("limit", "limit_remaining", "usage_total", "usage_today")}
    assert figures == {
        "limit": Decimal("10.5"), "limit_remaining": Decimal("10.249999"), "usage_total": Decimal("0.250001"),
        "usage_today": Decimal("0.250001"),
    }  # fmt: skip
    assert [entry["sync_status"] for entry in page["items"]] == ["ok"] * 3
    # null is not known, never 0
    for entry in (imported, admin):
        assert (entry["limit"], entry["usage_total"], entry["usage_today"]) == (None, None, None)


async def test_nothing_secret_is_told(reader: Reader, alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    await adds(alice, key)
    text = (await reader.get("keys")).text
    for secret in (key.secret, key.secret[12:20], key.hash, "sync_error", "account", "secret"):
        assert secret not in text.replace(key.label, "")


async def test_pages_hold_every_key_once_the_newest_first(reader: Reader, alice: Person) -> None:
    for number in range(5):
        await imports(alice, export({"generation_id": f"{number}", "api_key_name": f"key {number}"}))
    whole = (await listed(reader))["items"]
    assert [entry["name"] for entry in whole] == [f"key {number}" for number in reversed(range(5))]
    found, answer = [], await reader.get("keys", "limit=2")
    while True:
        page = exact(answer)
        assert page["total"] == 5
        found += page["items"]
        if page["next_cursor"] is None:
            assert "link" not in answer.headers
            break
        assert answer.links["next"]["url"] == f"/api/v1/keys?limit=2&cursor={page['next_cursor']}"
        # keys that come meanwhile are newer, and come first next time
        await imports(alice, export({"generation_id": "new", "api_key_name": "key 0"}))
        answer = await alice.client.get(answer.links["next"]["url"], headers=reader.headers)
    assert [entry["id"] for entry in found] == [entry["id"] for entry in whole]


async def test_pages_stay_right_while_keys_come_and_go(reader: Reader, alice: Person) -> None:
    for number in range(6):
        await imports(alice, export({"generation_id": f"{number}", "api_key_name": f"key {number}"}))
    first = await listed(reader, "limit=2")
    await imports(alice, export({"generation_id": "new", "api_key_name": "key 6"}))
    for gone in (first["items"][-1], (await listed(reader))["items"][4]):
        assert (await alice.delete(f"/api/keys/{gone['id']}")).status_code == 204
    rest = await listed(reader, f"limit=10&cursor={first['next_cursor']}")
    assert [entry["name"] for entry in first["items"]] == ["key 5", "key 4"]
    assert [entry["name"] for entry in rest["items"]] == ["key 3", "key 1", "key 0"]
    assert rest["total"] == 5


async def test_deleted_keys_are_not_listed(reader: Reader, alice: Person) -> None:
    await imports(
        alice, export({"generation_id": "1", "api_key_name": "a"}, {"generation_id": "2", "api_key_name": "b"})
    )
    ids = {entry["name"]: entry["id"] for entry in (await listed(reader))["items"]}
    assert (await alice.delete(f"/api/keys/{ids['a']}")).status_code == 204
    assert (await alice.delete(f"/api/keys/{ids['b']}?history=delete")).status_code == 204
    assert await listed(reader) == {"items": [], "total": 0, "next_cursor": None, "timezone": "UTC"}


async def test_day_s_usage_is_not_known_after_midnight_until_the_key_is_read(
    reader: Reader, alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    key = account.add_key("prod")
    account.spend(key, Decimal("0.5"))
    await adds(alice, key)
    await connection.execute("UPDATE usage_readings SET day = day - 1")
    (entry,) = (await listed(reader))["items"]
    assert (entry["usage_total"], entry["usage_today"]) == (Decimal("0.5"), None)


@pytest.mark.parametrize("limit", [1, 1000])
async def test_limit_may_be_as_small_and_as_large_as_promised(reader: Reader, limit: int) -> None:
    assert (await listed(reader, f"limit={limit}"))["items"] == []
