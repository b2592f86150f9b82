"""Does `GET /api/hygiene` name exactly the keys and tokens that somebody should look at, and say what to do?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from tests.cast import Person

Found = dict[tuple[str, str], dict[str, Any]]


async def findings(person: Person, **query: Any) -> Found:
    """By subject and code."""
    answer = await person.get("/api/hygiene", params=query)
    assert answer.status_code == 200, answer.text
    return {(finding["about"], finding["code"]): finding for finding in answer.json()["findings"]}


def names(found: Found, about: str, code: str) -> list[str]:
    """Of those it applies to."""
    return [item["name"] for item in found.get((about, code), {"items": []})["items"]]


async def add_key(connection: asyncpg.Connection, person: Person, name: str, **columns: Any) -> int:
    """A key as a reading leaves it, with a limit and an expiry: nothing is wrong with it."""
    today = datetime.now(UTC)
    row: dict[str, Any] = {
        "user_id": person.id,
        "name": name,
        "kind": "inference",
        "hash": name,
        "sync_status": "ok",
        "last_synced_at": today,
        "limit_usd": Decimal(10),
        "limit_remaining": Decimal(9),
        "expires_at": today + timedelta(days=100),
    } | columns
    return await connection.fetchval(
        f"INSERT INTO openrouter_keys ({', '.join(row)}) "  # noqa: S608 -- our own names
        f"VALUES ({', '.join(f'${number}' for number in range(1, len(row) + 1))}) RETURNING id",
        *row.values(),
    )


async def use(connection: asyncpg.Connection, person: Person, key_id: int, days_ago: int, cost: str) -> None:
    """A roll-up of a day."""
    await connection.execute(
        """INSERT INTO usage_rollups (user_id, key_id, model_id, day, facts, cost, cost_known, requests_known, byok_cost_known,
        tokens_input_known, tokens_output_known, tokens_reasoning_known, tokens_cached_known)
        VALUES ($1, $2, -1, (now() AT TIME ZONE 'UTC')::date - $3::integer, 1, $4, 1, 0, 0, 0, 0, 0, 0)""",
        person.id,
        key_id,
        days_ago,
        Decimal(cost),
    )


async def test_empty_account_has_no_findings(alice: Person) -> None:
    answer = await alice.get("/api/hygiene")
    assert answer.json() == {"findings": [], "timezone": "UTC"}


async def test_key_with_nothing_wrong_is_not_named(alice: Person, connection: asyncpg.Connection) -> None:
    await add_key(connection, alice, "good")
    assert await findings(alice) == {}


@pytest.mark.parametrize(
    ("columns", "codes"),
    [
        ({"sync_status": "unauthorized"}, {"refused"}),
        ({"limit_usd": None, "limit_remaining": None}, {"no_limit"}),
        ({"expires_at": None}, {"no_expiry"}),
        ({"limit_remaining": Decimal("1.99")}, {"over_limit"}),
        ({"limit_remaining": Decimal(2)}, set()),  # 80 % is not over 80 %
        ({"limit_remaining": Decimal(-1)}, {"over_limit"}),
        ({"limit_usd": Decimal(0), "limit_remaining": Decimal(0)}, set()),  # blocked on purpose
        # spends nothing itself
        ({"kind": "management", "limit_usd": None, "limit_remaining": None}, set()),
        ({"kind": "management", "expires_at": None}, {"no_expiry"}),
        # cannot spend any more
        ({"limit_usd": None, "is_disabled": True}, set()),
        ({"limit_usd": None, "expires_at": datetime(2026, 1, 1, tzinfo=UTC)}, set()),
        # not read yet: nothing is known of it
        ({"limit_usd": None, "expires_at": None, "last_synced_at": None, "sync_status": "pending"}, set()),
        # no key at all, but a name in an export
        ({"kind": "imported", "limit_usd": None, "expires_at": None}, set()),
        ({"limit_usd": None, "deleted_at": datetime(2026, 1, 1, tzinfo=UTC)}, set()),
    ],
)
async def test_key_is_found_by_what_is_so_with_it(
    columns: dict[str, Any], codes: set[str], alice: Person, connection: asyncpg.Connection
) -> None:
    await add_key(connection, alice, "production", **columns)
    found = await findings(alice)
    assert {code for about, code in found if about == "key"} == codes
    for code in codes:
        assert names(found, "key", code) == ["production"]


@pytest.mark.parametrize(("days_ago", "is_idle"), [(90, False), (91, True), (0, False)])
async def test_key_is_idle_after_ninety_days_without_usage(
    days_ago: int, is_idle: bool, alice: Person, connection: asyncpg.Connection
) -> None:
    key_id = await add_key(connection, alice, "production", created_at=datetime(2025, 1, 1, tzinfo=UTC))
    await use(connection, alice, key_id, days_ago, "0.5")
    await use(connection, alice, key_id, days_ago - 1, "0")  # a day that is known to be empty is no use
    assert names(await findings(alice), "key", "idle") == (["production"] if is_idle else [])


async def test_key_that_was_never_used_is_idle_once_it_was_watched_for_ninety_days(
    alice: Person, connection: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    await add_key(connection, alice, "old", created_at=now - timedelta(days=92))
    await add_key(connection, alice, "new", created_at=now - timedelta(days=88))
    found = await findings(alice)
    assert names(found, "key", "idle") == ["old"]
    assert found["key", "idle"]["items"][0]["detail"] == "never used"


@pytest.mark.parametrize(
    ("columns", "codes"),
    [
        ("expires_at = now() + interval '15 days'", set()),
        ("expires_at = now() + interval '13 days'", {"expiring"}),
        ("expires_at = NULL", {"no_expiry"}),
        ("expires_at = now() - interval '1 day'", set()),
        ("expires_at = NULL, revoked_at = now()", set()),
    ],
)
async def test_token_is_found_by_its_expiry(
    columns: str, codes: set[str], alice: Person, connection: asyncpg.Connection
) -> None:
    token = await alice.creates_token("grafana")
    await connection.execute(f"UPDATE api_tokens SET {columns} WHERE id = $1", token["id"])  # noqa: S608 -- our own
    await connection.execute("UPDATE api_token_meters SET last_used_at = now()")
    assert {code for about, code in await findings(alice) if about == "token"} == codes


@pytest.mark.parametrize(
    ("last_used_at", "codes"),
    [("NULL", {"never_used"}), ("now() - interval '91 days'", {"idle"}), ("now() - interval '89 days'", set())],
)
async def test_token_is_found_by_its_last_use(
    last_used_at: str, codes: set[str], alice: Person, connection: asyncpg.Connection
) -> None:
    await alice.creates_token("grafana", expires_in_days=365)
    await connection.execute(f"UPDATE api_token_meters SET last_used_at = {last_used_at}")  # noqa: S608 -- our own
    assert {code for _, code in await findings(alice)} == codes


async def test_every_finding_says_what_to_do_and_the_most_urgent_comes_first(
    alice: Person, connection: asyncpg.Connection
) -> None:
    await add_key(connection, alice, "careless", limit_usd=None, expires_at=None)
    await add_key(connection, alice, "gone", sync_status="unauthorized")
    await alice.creates_token("grafana")
    found = (await alice.get("/api/hygiene")).json()["findings"]
    assert found[0]["code"] == "refused"
    urgencies = ["high", "medium", "low"]
    assert [finding["urgency"] for finding in found] == sorted(
        (finding["urgency"] for finding in found), key=urgencies.index
    )
    assert all(finding["title"] and finding["advice"].endswith(".") for finding in found)


async def test_limit_bounds_what_is_named_but_not_what_is_counted(
    alice: Person, connection: asyncpg.Connection
) -> None:
    for number in range(5):
        await add_key(connection, alice, f"key {number}", limit_usd=None)
    found = await findings(alice, limit=2)
    assert names(found, "key", "no_limit") == ["key 0", "key 1"]
    assert found["key", "no_limit"]["total"] == 5


async def test_nobody_else_is_told(alice: Person, bob: Person, connection: asyncpg.Connection) -> None:
    await add_key(connection, alice, "careless", limit_usd=None)
    await alice.creates_token("grafana")
    assert await findings(bob) == {}


async def test_hygiene_is_for_people_and_not_for_tokens(client: httpx.AsyncClient, alice: Person) -> None:
    token = (await alice.creates_token())["token"]
    answer = await client.get("/api/hygiene", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
