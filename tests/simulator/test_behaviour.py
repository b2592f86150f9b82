"""Does the simulated OpenRouter have the habits of the real one, the odd ones too? They are what people have observed."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulator import api
from app.simulator.clock import Clock
from app.simulator.server import Simulator
from app.simulator.world import Account, Key, World
from tests.simulator.conftest import NOON, bearer

TODAY = NOON.date()
DAY = timedelta(days=1)


async def data_of(http: httpx.AsyncClient, key: Key, path: str) -> Any:
    answer = await http.get(path, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)["data"]


# --- who asks


async def test_credential_is_needed_and_looked_at(http: httpx.AsyncClient, account: Account) -> None:
    key = account.add_key("prod")
    texts = {}
    for name, headers in {
        "none": {},
        "basic": {"Authorization": f"Basic {key.secret}"},
        "unknown": {"Authorization": "Bearer sk-or-v1-nobody"},
    }.items():
        answer = await http.get("/key", headers=headers)
        assert answer.status_code == 401
        texts[name] = answer.json()["error"]
    assert texts["none"] == texts["basic"] == {"message": "No auth credentials found", "code": 401}
    assert texts["unknown"] == {"message": "User not found.", "code": 401}


async def test_disabled_expired_and_deleted_keys_are_unknown(http: httpx.AsyncClient, account: Account) -> None:
    disabled, expired, deleted = [account.add_key(name) for name in ("disabled", "expired", "deleted")]
    for key in (disabled, expired, deleted):
        assert (await http.get("/key", headers=bearer(key))).status_code == 200
    disabled.disabled = True
    expired.expires_at = NOON
    account.delete_key(deleted)
    for key in (disabled, expired, deleted):
        assert (await http.get("/key", headers=bearer(key))).status_code == 401


async def test_unknown_route_is_json(http: httpx.AsyncClient, manager: Key) -> None:
    answer = await http.get("/nothing", headers=bearer(manager))
    assert (answer.status_code, answer.json()) == (404, {"error": {"message": "Not Found", "code": 404}})


async def test_old_name_of_the_own_key_works(http: httpx.AsyncClient, account: Account) -> None:
    key = account.add_key("prod")
    assert await data_of(http, key, "/auth/key") == await data_of(http, key, "/key")


# --- keys


async def test_key_hash_and_label_are_openrouter_s(http: httpx.AsyncClient, account: Account, manager: Key) -> None:
    from hashlib import sha256  # noqa: PLC0415 -- only here

    key = account.add_key("prod")
    (row,) = await data_of(http, manager, "/keys")
    assert len(key.secret) == 73
    assert row["hash"] == sha256(key.secret.encode()).hexdigest()
    assert row["label"] == f"{key.secret[:12]}...{key.secret[-3:]}"
    assert key.secret not in json.dumps(row, default=str)


async def test_windows_roll_at_midnight_on_mondays_and_on_the_first(
    simulator: Simulator, http: httpx.AsyncClient, account: Account
) -> None:
    key = account.add_key("prod", limit=Decimal(10), limit_reset="weekly")
    account.spend(key, Decimal("0.5"))
    seen = {}
    for day in (date(2026, 11, 11), date(2026, 11, 12), date(2026, 11, 16), date(2026, 12, 1)):
        simulator.world.clock.set(datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=13))
        data = await data_of(http, key, "/key")
        windows = [data[f"usage{window}"] for window in ("", "_daily", "_weekly", "_monthly")]
        seen[day.isoformat()] = [float(amount) for amount in (*windows, data["limit_remaining"])]
    assert seen == {
        "2026-11-11": [0.5, 0.5, 0.5, 0.5, 9.5],
        "2026-11-12": [0.5, 0, 0.5, 0.5, 9.5],
        "2026-11-16": [0.5, 0, 0, 0.5, 10],
        "2026-12-01": [0.5, 0, 0, 0, 10],
    }


async def test_remaining_may_be_negative_and_is_null_without_a_limit(http: httpx.AsyncClient, account: Account) -> None:
    key, free = account.add_key("prod", limit=Decimal(1), include_byok_in_limit=True), account.add_key("free")
    account.spend(key, Decimal("0.75"), byok_cost=Decimal("0.5"))
    assert (await data_of(http, key, "/key"))["limit_remaining"] == Decimal("-0.25")
    assert (await data_of(http, free, "/key"))["limit_remaining"] is None


async def test_counters_lag(simulator: Simulator, http: httpx.AsyncClient, account: Account) -> None:
    simulator.world.options.counter_lag_seconds = 40
    key = account.add_key("prod")
    account.spend(key, Decimal(1))
    for seconds, usage in ((39, 0), (2, 1)):
        simulator.world.clock.advance(timedelta(seconds=seconds))
        assert (await data_of(http, key, "/key"))["usage"] == usage


async def test_free_requests_of_the_account_are_counted_by_the_day_and_lag(
    simulator: Simulator, http: httpx.AsyncClient, account: Account
) -> None:
    key, other = account.add_key("prod"), account.add_key("other")
    account.spend(other, Decimal(0), model="maker/model:free", requests=3)
    account.spend(other, Decimal(1), requests=5)
    simulator.world.options.free_quota_lag_seconds = 60
    seen = []
    for passed in (timedelta(seconds=59), timedelta(seconds=2), DAY):
        simulator.world.clock.advance(passed)
        seen.append((await data_of(http, key, "/key"))["free_model_daily_requests"])
    assert [(quota["used"], quota["remaining"]) for quota in seen] == [(0, 1000), (3, 997), (0, 1000)]


async def test_list_hides_disabled_expired_and_other_workspaces_unless_asked(
    http: httpx.AsyncClient, account: Account, manager: Key
) -> None:
    other = account.add_workspace("Research")
    account.add_key("plain")
    account.add_key("disabled").disabled = True
    account.add_key("expired", expires_at=NOON - DAY)
    account.add_key("research", workspace=other)

    async def names(query: str) -> list[str]:
        return [row["name"] for row in await data_of(http, manager, f"/keys?{query}")]

    assert await names("") == ["plain"]
    assert await names("include_disabled=true") == ["disabled", "plain"]
    assert await names("include_disabled=true&include_expired=true") == ["expired", "disabled", "plain"]
    assert await names(f"workspace_id={other.id}") == ["research"]
    assert await names("offset=5") == []


# --- credits


@pytest.mark.parametrize(("mode", "expected"), [("403", None), ("real", (100, 1)), ("zeros", (0, 0))])
async def test_credits_of_an_inference_key_are_one_of_three(
    simulator: Simulator, http: httpx.AsyncClient, account: Account, mode: Any, expected: tuple[int, int] | None
) -> None:
    simulator.world.options.credits_for_inference = mode
    key = account.add_key("prod")
    account.spend(key, Decimal(1))
    answer = await http.get("/credits", headers=bearer(key))
    if expected is None:
        assert answer.status_code == 403
    else:
        assert tuple(answer.json()["data"].values()) == expected


async def test_credits_lag(simulator: Simulator, http: httpx.AsyncClient, account: Account, manager: Key) -> None:
    simulator.world.options.credits_lag_seconds = 60
    account.spend(None, Decimal(1))
    for seconds, used in ((59, 0), (2, 1)):
        simulator.world.clock.advance(timedelta(seconds=seconds))
        assert (await data_of(http, manager, "/credits"))["total_usage"] == used


# --- activity


@pytest.mark.parametrize("day", [TODAY, TODAY + DAY, TODAY - 31 * DAY, "yesterday", "2026-02-30", ""])
async def test_activity_of_days_that_are_not_complete_or_gone_is_refused(
    http: httpx.AsyncClient, manager: Key, day: date | str
) -> None:
    answer = await http.get(f"/activity?date={day}", headers=bearer(manager))
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Date must be within the last 30 (completed) UTC days"


async def test_activity_has_thirty_completed_days_by_endpoint(
    simulator: Simulator, http: httpx.AsyncClient, account: Account, manager: Key
) -> None:
    key = account.add_key("prod")
    for back in (0, 1, 30, 31):
        account.spend(key, Decimal(1), at=NOON - back * DAY)
    account.spend(key, Decimal(2), at=NOON - DAY, provider="Azure")
    account.spend(None, Decimal(4), at=NOON - DAY)
    rows = await data_of(http, manager, "/activity")
    assert sorted((row["date"], row["provider_name"], float(row["usage"])) for row in rows) == [
        ("2026-10-12 00:00:00", "OpenAI", 1),
        ("2026-11-10 00:00:00", "Azure", 2),
        ("2026-11-10 00:00:00", "OpenAI", 5),
    ]
    assert len({row["endpoint_id"] for row in rows}) == 2
    simulator.world.options.activity_date_format = "plain"
    assert {row["date"] for row in await data_of(http, manager, "/activity")} == {"2026-10-12", "2026-11-10"}
    assert await data_of(http, manager, f"/activity?api_key_hash={'0' * 64}") == []


# --- analytics


async def query(http: httpx.AsyncClient, key: Key, **body: Any) -> httpx.Response:
    return await http.post("/analytics/query", headers=bearer(key), json={"metrics": ["request_count"], **body})


@pytest.mark.parametrize("column", ["date", "created_at"])
async def test_analytics_rows_have_their_quirks(
    simulator: Simulator, http: httpx.AsyncClient, account: Account, manager: Key, column: Any
) -> None:
    """Two levels of data, counts as strings, names instead of ids, newest first, no rows for idle days, today included."""
    simulator.world.options.analytics_time_column = column
    account.spend(account.add_key("prod"), Decimal("0.5"))
    account.spend(None, Decimal("0.25"), at=NOON - 3 * DAY)
    answer = await query(
        http, manager, metrics=["request_count", "credits_usage"], dimensions=["api_key_id"], granularity="day"
    )
    content = answer.json()["data"]
    assert content["data"] == [
        {f"{column}__day": "2026-11-11", "api_key_id": "prod", "request_count": "1", "credits_usage": 0.5},
        {f"{column}__day": "2026-11-08", "api_key_id": "Chatroom", "request_count": "1", "credits_usage": 0.25},
    ]
    assert content["metadata"]["row_count"] == 2
    assert content["cachedAt"] == NOON.timestamp() * 1000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"limit": 10_001}, "limit: Too big"),
        ({"dimensions": ["model", "provider", "workspace"]}, "dimensions: Too big"),
        ({"time_range": {"start": "2025-01-01T00:00:00Z", "end": "2026-11-11T00:00:00Z"}}, "maximum of 367 days"),
        (
            {"granularity": "hour", "time_range": {"start": "2026-09-01T00:00:00Z", "end": "2026-11-11T00:00:00Z"}},
            "maximum of 31 days",
        ),
        ({"metrics": ["nonsense"]}, "Invalid request parameters"),
        ({"granularity": "eon"}, "Invalid request parameters"),
        ({"filters": [{"field": "model", "operator": "like", "value": "x"}]}, "Invalid request parameters"),
    ],
)
async def test_analytics_has_its_caps(http: httpx.AsyncClient, manager: Key, body: dict[str, Any], text: str) -> None:
    answer = await query(http, manager, **body)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["message"]


async def test_analytics_says_when_it_is_cut_and_counts_calls(
    http: httpx.AsyncClient, account: Account, manager: Key
) -> None:
    for back in range(3):
        account.spend(None, Decimal(1), at=NOON - back * DAY)
    metadata = (await query(http, manager, granularity="day", limit=2)).json()["data"]["metadata"]
    assert (metadata["row_count"], metadata["truncated"]) == (2, True)
    statuses = [(await query(http, manager)).status_code for _ in range(64)]
    assert statuses == [200] * 63 + [429]


async def test_analytics_filters_by_the_raw_id(http: httpx.AsyncClient, account: Account, manager: Key) -> None:
    key = account.add_key("prod")
    account.spend(key, Decimal("0.5"))
    account.spend(None, Decimal("0.25"))
    by_hash = [{"field": "api_key_id", "operator": "eq", "value": key.hash}]
    rows = (await query(http, manager, metrics=["total_usage"], filters=by_hash)).json()["data"]["data"]
    assert rows == [{"total_usage": 0.5}]


# --- what holds for every world


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_figures_of_every_world_agree(seed: int) -> None:
    clock = Clock(NOON)
    clock.freeze()
    world = World(clock, seed)
    account = world.add_account()
    keys = [account.add_key(f"key {number}") for number in range(3)]
    account.generate(35, per_day=4)
    manager = account.add_management_key("admin")

    def ask(path: str, **query: str) -> Any:
        return api.answer(world, "GET", path, query, manager.secret, b"").value["data"]

    by_day: dict[str, Decimal] = defaultdict(Decimal)
    for row in ask("/activity"):
        by_day[row["date"]] += row["usage"]
    parts: dict[str, Decimal] = defaultdict(Decimal)
    for key in keys:
        for row in ask("/activity", api_key_hash=key.hash):
            parts[row["date"]] += row["usage"]
    for day, cost in account.cost_by_day(None).items():
        if TODAY - 30 * DAY <= day < TODAY:
            parts[f"{day} 00:00:00"] += cost
    assert by_day == parts
    listed = ask("/keys")
    assert all(row["usage"] >= row["usage_monthly"] >= row["usage_daily"] >= 0 for row in listed)
    assert sum(row["usage"] for row in listed) <= ask("/credits")["total_usage"]


def test_same_seed_makes_the_same_world() -> None:
    def made(seed: int) -> Any:
        clock = Clock(NOON)
        clock.freeze()
        account = World(clock, seed).add_account()
        account.add_key("prod")
        account.generate(20)
        return [key.secret for key in account.keys], account.cost_by_cell()

    assert made(5) == made(5)
    assert made(5) != made(6)
