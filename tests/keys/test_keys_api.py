"""What may a person do with their OpenRouter keys over HTTP, and what must never come back?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from app.simulator.faults import Fault
from app.simulator.server import Simulator
from app.simulator.world import Account, Key
from tests.accounts import bodies
from tests.cast import PASSWORD, Person
from tests.conftest import SECRET, running_app
from tests.usage.exports import export, imports

FIELDS = {
    "id", "name", "label", "kind", "managed_by", "has_secret", "is_active", "limit", "limit_remaining", "limit_reset",
    "expires_at", "usage_total", "usage_today", "counted_cost", "counted_since", "difference", "created_at",
    "last_synced_at", "next_sync_at", "sync_status", "sync_error", "account", "timezone",
}  # fmt: skip


CODES = {400: "key_limit_reached", 403: "not_yours", 404: "not_found", 409: "key_exists", 422: "invalid"}
CODES |= {503: "openrouter_unavailable"}


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    bodies.assert_problem(answer, status, CODES[status])
    return answer.json()


@pytest.fixture
async def client(settings: Settings, simulator: Simulator) -> AsyncGenerator[httpx.AsyncClient]:
    """Without a scheduler: nothing is read but what the tests ask for."""
    async with running_app(msgspec.structs.replace(settings, openrouter_base_url=simulator.base_url)) as client:
        yield client


async def adds(person: Person, key: Key, name: str = "prod") -> dict[str, Any]:
    answer = await person.post("/api/keys", {"name": name, "key": key.secret})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/keys/{answer.json()['id']}"
    return answer.json()


async def reads(person: Person, key_id: int) -> dict[str, Any]:
    answer = await person.post(f"/api/keys/{key_id}/sync")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def shown(person: Person, key_id: int) -> dict[str, Any]:
    answer = await person.get(f"/api/keys/{key_id}")
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == FIELDS
    return answer.json()


# --- adding


async def test_added_key_is_what_openrouter_says(alice: Person, account: Account) -> None:
    key = account.add_key("prod", limit=Decimal(5), limit_reset="monthly")
    entry = await adds(alice, key, " website ")
    assert entry.keys() == FIELDS
    expected = {"name": "website", "label": key.label, "kind": "inference", "has_secret": True, "is_active": True}
    expected |= {"limit": 5, "limit_remaining": 5, "limit_reset": "monthly", "sync_status": "pending", "account": None}
    assert {name: entry[name] for name in expected} == expected
    assert (await adds(alice, account.add_management_key("admin")))["kind"] == "management"


async def test_secret_never_comes_back_and_is_nowhere_in_the_clear(
    alice: Person, account: Account, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    key = account.add_key("prod")
    entry = await adds(alice, key)
    texts = [(await alice.get(path)).text for path in ("/api/keys", f"/api/keys/{entry['id']}")]
    texts.append((await alice.post(f"/api/keys/{entry['id']}/sync")).text)
    texts.append((await alice.post("/api/keys", {"name": "again", "key": key.secret})).text)
    texts.append((await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"key": key.secret[:-1]})).text)
    row = await connection.fetchrow(
        "SELECT k.*, k::text AS everything FROM openrouter_keys AS k WHERE id = $1", entry["id"]
    )
    texts += [row["everything"], bytes(row["secret"]).decode("latin-1"), *capsys.readouterr()]
    assert not [text for text in texts if key.secret[9:20] in text.replace(key.label, "")]


async def test_refused_key_is_invalid_with_openrouter_s_words(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    key.disabled = True
    problem = assert_problem(await alice.post("/api/keys", {"name": "prod", "key": key.secret}), 422)
    assert problem["errors"][0]["pointer"] == "#/key"
    assert "User not found" in problem["errors"][0]["detail"]
    assert (await alice.get("/api/keys")).json() == []


@pytest.mark.parametrize(
    "text", ["", " ", "short", "sk-or-v1-ü" + "0" * 60, "sk-or-v1-a b" + "0" * 60, "x\ny" * 20, "x" * 301]
)
async def test_what_cannot_be_a_key_is_refused_without_asking(alice: Person, simulator: Simulator, text: str) -> None:
    problem = assert_problem(await alice.post("/api/keys", {"name": "prod", "key": text}), 422)
    assert problem["errors"][0]["pointer"] == "#/key"
    assert simulator.calls() == 0


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\u0000b", "a\nb", "a\u202eb"])
async def test_bad_name_is_refused_without_asking(
    alice: Person, simulator: Simulator, account: Account, name: str
) -> None:
    key = account.add_key("prod")
    problem = assert_problem(await alice.post("/api/keys", {"name": name, "key": key.secret}), 422)
    assert problem["errors"][0]["pointer"] == "#/name"
    assert simulator.calls() == 0


FAULTS = [
    Fault("status", status=500),
    Fault("html"),
    Fault("html", status=200),
    Fault("status", status=429, headers={"Retry-After": "7"}),
    Fault("status", status=503),
    Fault("reset"),
    Fault("cut"),
    Fault("garbage"),
    Fault("truncated_json"),
    Fault("redirect"),
    Fault("patch", body='{"data": {}}'),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind} {fault.status}")
async def test_unreachable_openrouter_is_503_and_nothing_is_stored(
    alice: Person, simulator: Simulator, account: Account, fault: Fault
) -> None:
    key = account.add_key("prod")
    simulator.world.faults = [msgspec.structs.replace(fault)]
    answer = await alice.post("/api/keys", {"name": "prod", "key": key.secret})
    assert assert_problem(answer, 503)["code"] == "openrouter_unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert key.secret not in answer.text
    assert (await alice.get("/api/keys")).json() == []


async def test_key_that_is_stored_already_is_a_conflict(alice: Person, bob: Person, account: Account) -> None:
    key = account.add_key("prod")
    await adds(alice, key)
    answer = await alice.post("/api/keys", {"name": "again", "key": f" {key.secret}\n"})
    assert assert_problem(answer, 409)["code"] == "key_exists"
    await adds(bob, key)  # who has it too


async def test_limit_is_exact_however_many_come_at_once(alice: Person, bob: Person, account: Account) -> None:
    keys = [account.add_key(f"key {number}") for number in range(25)]
    answers = await asyncio.gather(*(alice.post("/api/keys", {"name": "x", "key": key.secret}) for key in keys))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == 15
    for answer in refused:
        problem = assert_problem(answer, 400)
        assert (problem["code"], problem["detail"]) == ("key_limit_reached", "Maximum 10 OpenRouter keys allowed")
    await adds(bob, keys[0])  # each has their own


async def test_watched_key_gets_its_secret_attached(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    manager = await adds(alice, account.add_management_key("admin"), "company")
    await reads(alice, manager["id"])
    (watched,) = [entry for entry in (await alice.get("/api/keys")).json() if entry["kind"] == "inference"]
    assert (watched["name"], watched["managed_by"], watched["has_secret"]) == ("prod", manager["id"], False)
    attached = await adds(alice, key, "my own")
    assert (attached["id"], attached["managed_by"], attached["has_secret"]) == (watched["id"], manager["id"], True)
    await reads(alice, manager["id"])
    assert (await shown(alice, attached["id"]))["name"] == "my own"
    assert (await alice.delete(f"/api/keys/{manager['id']}")).status_code == 204
    assert (await shown(alice, attached["id"]))["managed_by"] is None


async def test_deleted_key_comes_back_with_its_history(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    entry = await adds(alice, key)
    account.spend(key, Decimal("0.25"))
    await reads(alice, entry["id"])
    assert (await alice.delete(f"/api/keys/{entry['id']}")).status_code == 204
    assert (await alice.get("/api/keys")).json() == []
    assert_problem(await alice.get(f"/api/keys/{entry['id']}"), 404)
    again = await adds(alice, key, "back")
    assert (again["id"], again["name"], again["counted_cost"]) == (entry["id"], "back", 0.25)


async def test_new_key_takes_over_what_imports_called_by_its_name(alice: Person, account: Account) -> None:
    """Even where a key of that name was deleted with its history."""
    former = await adds(alice, account.add_key("former"))
    assert (await alice.delete(f"/api/keys/{former['id']}?history=delete")).status_code == 204
    await imports(alice, export({"generation_id": "g", "api_key_name": "prod", "cost_total": "1"}))
    assert (await adds(alice, account.add_key("new")))["counted_cost"] == 1
    assert len((await alice.get("/api/keys")).json()) == 1


# --- looking


async def test_list_is_newest_first_in_pages(alice: Person, account: Account) -> None:
    ids = [(await adds(alice, account.add_key(f"key {n}"), f"key {n}"))["id"] for n in range(5)]
    answer = await alice.get("/api/keys?limit=2")
    found = answer.json()
    while "next" in answer.links:
        answer = await alice.get(answer.links["next"]["url"])
        assert len(answer.json()) <= 2
        found += answer.json()
    assert [entry["id"] for entry in found] == ids[::-1]


async def test_key_shows_both_counts_and_their_difference(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    account.spend(key, Decimal("10.5"), at=datetime.now(UTC) - timedelta(days=3))
    account.spend(key, Decimal("0.25"))
    entry = await adds(alice, key)
    await reads(alice, entry["id"])
    entry = await shown(alice, entry["id"])
    figures = {
        name: entry[name] for name in ("usage_total", "usage_today", "counted_cost", "difference", "counted_since")
    }
    today = datetime.now(UTC).date().isoformat()
    assert figures == {
        "usage_total": 10.75,
        "usage_today": 0.25,
        "counted_cost": 0.25,
        "difference": 10.5,
        "counted_since": today,
    }
    assert (entry["sync_status"], entry["sync_error"]) == ("ok", None)
    assert entry["last_synced_at"] < entry["next_sync_at"]


async def test_usage_of_today_is_unknown_until_it_was_read_today(
    alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    key = account.add_key("prod")
    account.spend(key, Decimal("0.25"))
    entry = await adds(alice, key)
    await reads(alice, entry["id"])
    await connection.execute("UPDATE usage_readings SET day = day - 1")
    entry = await shown(alice, entry["id"])
    assert (entry["usage_total"], entry["usage_today"]) == (0.25, None)


async def test_management_key_shows_its_account_and_no_usage_of_its_own(alice: Person, account: Account) -> None:
    account.spend(account.add_key("prod"), Decimal("1.5"))
    entry = await adds(alice, account.add_management_key("admin"))
    await reads(alice, entry["id"])
    entry = await shown(alice, entry["id"])
    assert [entry[name] for name in ("usage_total", "usage_today", "counted_cost", "difference")] == [None] * 4
    balance = entry["account"]
    assert (balance["credits"], balance["used"], balance["left"]) == (100, 1.5, 98.5)
    assert balance["as_of"]


async def test_others_keys_are_forbidden_and_unknown_ones_not_found(
    alice: Person, bob: Person, account: Account
) -> None:
    entry = await adds(alice, account.add_key("prod"))
    for key_id, status in ((entry["id"], 403), (999_999, 404)):
        assert_problem(await bob.get(f"/api/keys/{key_id}"), status)
        assert_problem(await bob.call("PATCH", f"/api/keys/{key_id}", json={"name": "mine"}), status)
        assert_problem(await bob.call("PATCH", f"/api/keys/{key_id}", json={"key": "sk-or-v1-" + "0" * 64}), status)
        assert_problem(await bob.delete(f"/api/keys/{key_id}"), status)
        assert_problem(await bob.delete(f"/api/keys/{key_id}?history=delete"), status)
        assert_problem(await bob.post(f"/api/keys/{key_id}/sync"), status)
    assert (await bob.get("/api/keys")).json() == []
    assert (await shown(alice, entry["id"]))["name"] == "prod"


async def test_others_keys_that_are_gone_are_not_found(alice: Person, bob: Person, account: Account) -> None:
    """Whether there ever was one is nobody's business."""
    forgotten, left = [await adds(alice, account.add_key(name), name) for name in ("forgotten", "left")]
    assert (await alice.delete(f"/api/keys/{forgotten['id']}?history=delete")).status_code == 204
    assert_problem(await bob.get(f"/api/keys/{forgotten['id']}"), 404)
    assert_problem(await bob.get(f"/api/keys/{left['id']}"), 403)
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert_problem(await bob.get(f"/api/keys/{left['id']}"), 404)


# --- changing


async def test_name_and_pause_are_changed(alice: Person, account: Account) -> None:
    entry = await adds(alice, account.add_key("prod"))
    changed = await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"name": "site", "is_active": False})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["is_active"], changed.json()["next_sync_at"]) == (
        "site",
        False,
        None,
    )
    changed = await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"is_active": True})
    assert (changed.json()["name"], changed.json()["is_active"]) == ("site", True)
    assert changed.json()["next_sync_at"] is not None


async def test_paused_key_can_be_read_by_hand_and_stays_paused(alice: Person, account: Account) -> None:
    entry = await adds(alice, account.add_key("prod"))
    await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"is_active": False})
    assert (await reads(alice, entry["id"]))["status"] == "ok"
    assert (await shown(alice, entry["id"]))["next_sync_at"] is None


@pytest.mark.parametrize(
    "body", [{}, {"name": None}, {"is_active": None}, {"is_active": 1}, {"key": 5}, {"kind": "management"}]
)
async def test_bad_change_is_invalid(alice: Person, account: Account, body: dict[str, Any]) -> None:
    entry = await adds(alice, account.add_key("prod"))
    assert_problem(await alice.call("PATCH", f"/api/keys/{entry['id']}", json=body), 422)


async def test_replacement_is_checked_like_the_first(alice: Person, account: Account, simulator: Simulator) -> None:
    old, other, refused = (account.add_key(name) for name in ("old", "other", "refused"))
    entry, second = await adds(alice, old), await adds(alice, other)
    refused.disabled = True
    path = f"/api/keys/{entry['id']}"
    assert_problem(await alice.call("PATCH", path, json={"key": refused.secret}), 422)
    assert_problem(await alice.call("PATCH", path, json={"key": account.add_management_key("m").secret}), 422)
    assert_problem(await alice.call("PATCH", path, json={"key": other.secret}), 409)
    simulator.world.faults = [Fault("status", status=500, times=1)]
    assert_problem(await alice.call("PATCH", path, json={"key": account.add_key("x").secret}), 503)
    new = account.add_key("new")
    assert (await alice.call("PATCH", path, json={"key": new.secret})).json()["label"] == new.label
    assert (await reads(alice, entry["id"]))["status"] == "ok"
    assert simulator.calls("/key", new) == 2
    assert second["id"] != entry["id"]


@pytest.mark.parametrize("by", ["replacing", "adding again"])
async def test_key_that_was_refused_is_pending_when_openrouter_has_taken_it_again(
    alice: Person, account: Account, by: str
) -> None:
    """It rests until then, and is due at once."""
    key = account.add_key("prod")
    entry = await adds(alice, key)
    await reads(alice, entry["id"])
    key.disabled = True
    assert (await reads(alice, entry["id"]))["status"] == "unauthorized"
    assert (await shown(alice, entry["id"]))["next_sync_at"] is None
    if by == "replacing":
        new = account.add_key("new")
        entry = (await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"key": new.secret})).json()
    else:
        await alice.delete(f"/api/keys/{entry['id']}")
        key.disabled = False
        entry = await adds(alice, key)
    assert (entry["sync_status"], entry["sync_error"]) == ("pending", None)
    assert entry["next_sync_at"] is not None


async def test_change_that_is_refused_in_part_changes_nothing(alice: Person, account: Account) -> None:
    entry = await adds(alice, account.add_key("prod"))
    other = account.add_key("other")
    await adds(alice, other)
    answer = await alice.call("PATCH", f"/api/keys/{entry['id']}", json={"name": "changed", "key": other.secret})
    assert_problem(answer, 409)
    assert (await shown(alice, entry["id"]))["name"] == "prod"


async def test_watched_key_cannot_be_paused_or_become_another(alice: Person, account: Account) -> None:
    account.add_key("prod")
    manager = await adds(alice, account.add_management_key("admin"))
    await reads(alice, manager["id"])
    watched = (await alice.get("/api/keys")).json()[0]
    path = f"/api/keys/{watched['id']}"
    assert_problem(await alice.call("PATCH", path, json={"is_active": False}), 422)
    assert_problem(await alice.call("PATCH", path, json={"key": account.add_key("other").secret}), 422)
    assert (await alice.call("PATCH", path, json={"name": "renamed"})).json()["name"] == "renamed"


# --- deleting


async def test_deletion_erases_the_secret_and_keeps_the_usage_under_its_name(
    alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    key = account.add_key("prod")
    entry = await adds(alice, key)
    account.spend(key, Decimal("0.5"))
    await reads(alice, entry["id"])
    assert (await alice.delete(f"/api/keys/{entry['id']}")).status_code == 204
    row = await connection.fetchrow("SELECT * FROM openrouter_keys WHERE id = $1", entry["id"])
    assert (row["secret"], row["name"], row["next_sync_at"]) == (None, "prod", None)
    token = (await alice.creates_token())["token"]
    stats = await alice.client.get("/api/v1/stats", headers={"Authorization": f"Bearer {token}"})
    assert stats.json()["summary"]["total_cost"] == 0.5
    assert_problem(await alice.delete(f"/api/keys/{entry['id']}"), 404)


async def test_deleted_history_is_gone_from_every_total_at_once(
    alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    kept, dropped = account.add_key("kept"), account.add_key("dropped")
    entries = [await adds(alice, key, key.name) for key in (kept, dropped)]
    for key, entry in zip((kept, dropped), entries, strict=True):
        account.spend(key, Decimal("0.5"))
        await reads(alice, entry["id"])
    assert (await alice.delete(f"/api/keys/{entries[1]['id']}?history=delete")).status_code == 204
    token = {"Authorization": f"Bearer {(await alice.creates_token())['token']}"}
    stats = await alice.client.get("/api/v1/stats", headers=token)
    assert stats.json()["summary"]["total_cost"] == 0.5
    assert_problem(await alice.client.get(f"/api/v1/stats?api_key_id={entries[1]['id']}", headers=token), 404)
    assert_problem(await alice.delete(f"/api/keys/{entries[1]['id']}?history=delete"), 404)
    assert_problem(await alice.delete(f"/api/keys/{entries[0]['id']}?history=yes"), 422)
    rollups = await connection.fetch("SELECT key_id FROM usage_rollups")
    assert {row["key_id"] for row in rollups} == {-1, entries[0]["id"]}


async def test_deleted_history_is_removed_from_the_disk(
    alice: Person, account: Account, connection: asyncpg.Connection, settings: Settings
) -> None:
    from app.database import Database  # noqa: PLC0415 -- only here
    from app.scheduler import purge  # noqa: PLC0415 -- only here

    key = account.add_key("prod")
    entry = await adds(alice, key)
    account.spend(key, Decimal("0.5"))
    await reads(alice, entry["id"])
    await alice.delete(f"/api/keys/{entry['id']}?history=delete")
    assert settings.database_url
    db = Database(settings.database_url)
    await db.open()
    await purge(db)
    await db.close()
    for table in ("usage_facts", "usage_readings", "usage_rollups", "generations"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 -- our own names
    assert (await adds(alice, key))["counted_cost"] == 0


async def test_account_with_keys_can_be_deleted(
    alice: Person, account: Account, connection: asyncpg.Connection, settings: Settings
) -> None:
    from app.database import Database  # noqa: PLC0415 -- only here
    from app.scheduler import purge  # noqa: PLC0415 -- only here

    account.add_key("prod")
    account.generate(3)
    manager = await adds(alice, account.add_management_key("admin"))
    await reads(alice, manager["id"])
    assert (await alice.call("DELETE", "/api/auth/me", json={"password": PASSWORD})).status_code == 204
    assert settings.database_url
    db = Database(settings.database_url)
    await db.open()
    for _ in range(2):
        await purge(db)
    await db.close()
    for table in ("users", "usage_facts", "usage_readings", "workspace_usage", "usage_rollups"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608 -- our own names
    assert await connection.fetchval("SELECT count(*) FROM openrouter_keys") == 1


# --- reading by hand


async def test_reading_by_hand_tells_how_it_went(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    entry = await adds(alice, key)
    account.spend(key, Decimal("0.5"))
    report = await reads(alice, entry["id"])
    assert report.keys() == {"started_at", "finished_at", "rows", "status"}
    assert (report["rows"], report["status"]) == (1, "ok")
    assert report["started_at"] <= report["finished_at"]
    key.disabled = True
    assert (await reads(alice, entry["id"]))["status"] == "unauthorized"
    entry = await shown(alice, entry["id"])
    assert (entry["sync_status"], entry["next_sync_at"], entry["counted_cost"]) == ("unauthorized", None, 0.5)
    assert "User not found" in entry["sync_error"]


async def test_second_reading_at_the_same_time_is_a_conflict(
    alice: Person, account: Account, simulator: Simulator
) -> None:
    entry = await adds(alice, account.add_key("prod"))
    simulator.world.faults = [Fault("slow", seconds=0.5)]
    answers = await asyncio.gather(*(alice.post(f"/api/keys/{entry['id']}/sync") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"sync_under_way"}


async def test_watched_key_is_read_through_its_management_key(alice: Person, account: Account) -> None:
    key = account.add_key("prod")
    manager = await adds(alice, account.add_management_key("admin"))
    await reads(alice, manager["id"])
    account.spend(key, Decimal("0.5"))
    watched = (await alice.get("/api/keys")).json()[0]
    assert (await reads(alice, watched["id"]))["status"] == "ok"
    assert (await shown(alice, watched["id"]))["usage_total"] == 0.5


async def test_imported_key_has_nothing_to_be_read_with(alice: Person) -> None:
    export = b"generation_id,created_at,cost_total,model_permaslug,api_key_name\ng,2026-08-01 00:00:00.000,1,m,old\n"
    await alice.post("/api/imports/activity", content=export, headers={"Content-Type": "text/csv"})
    (entry,) = (await alice.get("/api/keys")).json()
    assert (entry["kind"], entry["usage_total"], entry["counted_cost"], entry["difference"]) == (
        "imported",
        None,
        1,
        None,
    )
    assert entry["sync_status"] == "ok"
    assert_problem(await alice.post(f"/api/keys/{entry['id']}/sync"), 422)


async def test_figures_that_were_not_read_for_long_are_called_stale(
    alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    entry = await adds(alice, account.add_key("prod"))
    await reads(alice, entry["id"])
    await connection.execute("UPDATE openrouter_keys SET last_synced_at = now() - interval '46 minutes'")
    assert (await shown(alice, entry["id"]))["sync_status"] == "stale"


async def test_key_that_cannot_be_decrypted_says_so(
    settings: Settings, simulator: Simulator, alice: Person, account: Account, connection: asyncpg.Connection
) -> None:
    """A secret that was moved to another row does not decrypt there."""
    first, second = [await adds(alice, account.add_key(name), name) for name in ("first", "second")]
    await connection.execute(
        "UPDATE openrouter_keys SET secret = (SELECT secret FROM openrouter_keys WHERE id = $1) WHERE id = $2",
        first["id"],
        second["id"],
    )
    asked = simulator.calls()
    assert (await reads(alice, second["id"]))["status"] == "error"
    assert simulator.calls() == asked
    assert "decrypted" in (await shown(alice, second["id"]))["sync_error"]
    assert settings.encryption_keys[0] == SECRET


async def test_what_happens_to_a_key_is_among_the_events_and_its_secret_is_not(alice: Person, account: Account) -> None:
    old, new = account.add_key("old"), account.add_key("new")
    entry = await adds(alice, old, "first name")
    path = f"/api/keys/{entry['id']}"
    assert (await alice.call("PATCH", path, json={"name": "second name"})).is_success
    assert (await alice.call("PATCH", path, json={"key": new.secret})).is_success
    assert_problem(await alice.post("/api/keys", {"name": "x", "key": new.secret}), 409)
    assert (await alice.delete(path)).status_code == 204
    answer = await alice.get("/api/events")
    told = [(event["kind"], event["object_id"], event["object_name"]) for event in answer.json()]
    assert told == [
        ("key_removed", entry["id"], "second name"),
        ("key_replaced", entry["id"], "second name"),
        ("key_added", entry["id"], "first name"),
    ]
    assert not any(secret[8:] in answer.text for secret in (old.secret, new.secret))
