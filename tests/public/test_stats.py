"""Does `GET /api/v1/stats` sum exactly what was asked for, and only what is the caller's?"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from app.usage import repository as usage
from tests.cast import Person
from tests.readers import AUGUST, Reader, today
from tests.usage.exports import ACTIVITY, export, imports
from tests.usage.facts import MEASURES, Fact, book, key_ids

NOTHING: dict[str, Any] = {f"total_{name}": 0 for name in MEASURES} | {"incomplete": []}
WHOLE = {
    "total_requests": 159,
    "total_cost": Decimal("1.071850"),
    "total_byok_cost": 0,
    "total_tokens_input": 17_386_716,
    "total_tokens_output": 51_209,
    "total_tokens_reasoning": 14_884,
    "total_tokens_cached": 14_216_867,
    "incomplete": [],
}


@pytest.fixture
async def rich(reader: Reader) -> Reader:
    """Reads for Alice, who has imported the real export."""
    await imports(reader.owner, ACTIVITY)
    return reader


# --- the real export


async def test_real_export_comes_to_exactly_its_figures(rich: Reader) -> None:
    stats = await rich.stats(AUGUST)
    assert stats.keys() == {"period", "summary", "data_as_of"}
    assert stats["period"] == {"start_date": "2026-08-01", "end_date": "2026-08-31", "days": 31, "timezone": "UTC"}
    assert stats["summary"] == WHOLE


async def test_single_day_comes_to_exactly_its_figures(rich: Reader) -> None:
    stats = await rich.stats("start_date=2026-08-20&end_date=2026-08-20")
    assert stats["period"] == {"start_date": "2026-08-20", "end_date": "2026-08-20", "days": 1, "timezone": "UTC"}
    assert (stats["summary"]["total_requests"], stats["summary"]["total_cost"]) == (43, Decimal("0.415439"))


async def test_days_add_up_to_the_whole(rich: Reader) -> None:
    days = [f"2026-08-{day}" for day in range(18, 25)]
    parts = [await rich.summary(f"start_date={day}&end_date={day}") for day in days]
    for name in MEASURES:
        assert sum(part[f"total_{name}"] for part in parts) == WHOLE[f"total_{name}"], name
    assert await rich.summary("start_date=2026-08-18&end_date=2026-08-24") == WHOLE
    assert await rich.summary("start_date=2026-08-25&end_date=2026-12-31") == NOTHING
    assert await rich.summary("start_date=2026-01-01&end_date=2026-08-17") == NOTHING


async def test_money_is_a_json_number_with_exact_digits(rich: Reader) -> None:
    answer = await rich.get("stats", AUGUST)
    assert b'"total_cost":1.071850,' in answer.content
    await imports(rich.owner, export({"generation_id": "x", "cost_total": "123456789.00000000000000000001"}))
    answer = await rich.get("stats", AUGUST)
    assert b'"total_cost":123456790.07185000000000000001,' in answer.content


async def test_a_million_times_a_millionth_is_one(reader: Reader, connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await usage.begin_change(connection, reader.owner.id)
        await connection.execute(
            """
            INSERT INTO usage_facts (user_id, key_id, day, model_id, provider_id, source, cost)
            SELECT $1, 0, '2026-08-01'::date + n % 31, 0, n, 'export', 0.000001 FROM generate_series(1, 1000000) AS n
            """,
            reader.owner.id,
        )
        await usage.refresh_days(connection, reader.owner.id, [date(2026, 8, day) for day in range(1, 32)])
    assert b'"total_cost":1.000000,' in (await reader.get("stats", AUGUST)).content


async def test_importing_again_changes_no_figure(rich: Reader) -> None:
    await imports(rich.owner, ACTIVITY)
    assert await rich.summary() == WHOLE


async def test_data_as_of_is_when_it_was_imported(reader: Reader) -> None:
    assert (await reader.stats())["data_as_of"] is None
    await imports(reader.owner, ACTIVITY)
    moment = (await reader.stats())["data_as_of"]
    assert moment.endswith("Z")
    assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(seconds=20)


async def test_data_as_of_is_the_oldest_among_the_selected_keys(reader: Reader, connection: asyncpg.Connection) -> None:
    moments = {"old": datetime(2026, 1, 1, tzinfo=UTC), "new": datetime(2026, 2, 2, tzinfo=UTC), "never": None}
    keys = {
        name: await connection.fetchval(
            """
            INSERT INTO openrouter_keys (user_id, name, kind, last_synced_at) VALUES ($1, $2, 'inference', $3)
            RETURNING id
            """,
            reader.owner.id,
            name,
            moment,
        )
        for name, moment in moments.items()
    }
    assert (await reader.stats())["data_as_of"] == "2026-01-01T00:00:00Z"
    assert (await reader.stats(f"api_key_id={keys['new']}"))["data_as_of"] == "2026-02-02T00:00:00Z"
    assert (await reader.stats(f"api_key_id={keys['never']}"))["data_as_of"] is None
    assert (await reader.owner.delete(f"/api/keys/{keys['old']}")).status_code == 204  # nobody reads it any more
    assert (await reader.stats())["data_as_of"] == "2026-02-02T00:00:00Z"


# --- the selection


async def test_thirty_days_with_today_are_the_default(reader: Reader, connection: asyncpg.Connection) -> None:
    last = today()
    for back, requests in ((-1, 1000), (0, 1), (29, 20), (30, 300)):
        await book(connection, reader.owner.id, Fact(last - timedelta(days=back), requests=requests))
    stats = await reader.stats()
    if today() != last:
        pytest.skip("midnight passed")
    first = last - timedelta(days=29)
    assert stats["period"] == {
        "start_date": first.isoformat(), "end_date": last.isoformat(), "days": 30, "timezone": "UTC",
    }  # fmt: skip
    assert stats["summary"]["total_requests"] == 21
    assert await reader.stats("days=30") == stats


@pytest.mark.parametrize("days", [1, 2, 7, 365, 3660])
async def test_days_end_with_today(reader: Reader, connection: asyncpg.Connection, days: int) -> None:
    last = today()
    for back in {0, days - 1}:
        await book(connection, reader.owner.id, Fact(last - timedelta(days=back), requests=1))
    await book(connection, reader.owner.id, Fact(last - timedelta(days=days), requests=1000))
    await book(connection, reader.owner.id, Fact(last + timedelta(days=1), requests=1000))
    stats = await reader.stats(f"days={days}")
    if today() != last:
        pytest.skip("midnight passed")
    assert stats["period"]["start_date"] == (last - timedelta(days=days - 1)).isoformat()
    assert (stats["period"]["end_date"], stats["period"]["days"]) == (last.isoformat(), days)
    assert stats["summary"]["total_requests"] == len({0, days - 1})


async def test_longest_period_may_lie_anywhere(rich: Reader) -> None:
    start = date(2026, 8, 24) - timedelta(days=3659)
    stats = await rich.stats(f"start_date={start}&end_date=2026-08-24")
    assert (stats["period"]["days"], stats["summary"]) == (3660, WHOLE)
    for first, last in (("1900-01-01", "1900-12-31"), ("2999-01-01", "2999-12-31"), ("2024-02-29", "2024-02-29")):
        assert await rich.summary(f"start_date={first}&end_date={last}") == NOTHING


async def test_key_selects_its_own_usage(reader: Reader, connection: asyncpg.Connection) -> None:
    rows = [("gen-1", "a", "0.1"), ("gen-2", "b", "0.02"), ("gen-3", "b", "0.003"), ("gen-4", "", "0.0004")]
    await imports(
        reader.owner,
        export(*({"generation_id": one, "api_key_name": name, "cost_total": cost} for one, name, cost in rows)),
    )
    keys = await key_ids(connection, reader.owner.id)
    assert (await reader.summary(f"{AUGUST}&api_key_id={keys['a']}"))["total_cost"] == Decimal("0.1")
    b = await reader.summary(f"{AUGUST}&api_key_id={keys['b']}")
    assert (b["total_cost"], b["total_requests"]) == (Decimal("0.023"), 2)
    assert (await reader.summary())["total_cost"] == Decimal("0.1234")
    assert await reader.summary(f"api_key_id={keys['b']}&start_date=2020-01-01&end_date=2020-01-31") == NOTHING


async def test_model_selects_its_own_usage(reader: Reader) -> None:
    rows = [
        ("1", "a/x", "k", "0.1"),
        ("2", "a/y", "k", "0.02"),
        ("3", "a/y", "l", "0.003"),
        ("4", "b & c/é:free", "l", "0.0004"),
    ]
    await imports(
        reader.owner,
        export(
            *(
                {"generation_id": one, "model_permaslug": model, "api_key_name": key, "cost_total": cost}
                for one, model, key, cost in rows
            )
        ),
    )
    for model, cost in (("a/x", "0.1"), ("a/y", "0.023"), ("b%20%26%20c/%C3%A9%3Afree", "0.0004")):
        assert (await reader.summary(f"{AUGUST}&model={model}"))["total_cost"] == Decimal(cost), model


async def test_key_and_model_select_what_belongs_to_both(reader: Reader, connection: asyncpg.Connection) -> None:
    rows = [("1", "x", "k", "0.1"), ("2", "y", "k", "0.02"), ("3", "y", "l", "0.003")]
    await imports(
        reader.owner,
        export(
            *(
                {"generation_id": one, "model_permaslug": model, "api_key_name": key, "cost_total": cost}
                for one, model, key, cost in rows
            )
        ),
    )
    keys = await key_ids(connection, reader.owner.id)
    for model, key, cost in (("x", "k", "0.1"), ("y", "k", "0.02"), ("y", "l", "0.003"), ("x", "l", "0")):
        summary = await reader.summary(f"{AUGUST}&model={model}&api_key_id={keys[key]}")
        assert summary["total_cost"] == Decimal(cost), (model, key)


async def test_unknown_model_selects_nothing(rich: Reader) -> None:
    for model in ("nobody/nothing", "OPENAI", "%25", "openai%", "x" * 2000, "'", "%F0%9F%98%80", "%E2%80%AE"):
        assert await rich.summary(f"{AUGUST}&model={model}") == NOTHING, model


# --- what is not known


async def test_selection_with_nothing_in_it_is_zero(reader: Reader) -> None:
    assert await reader.summary() == NOTHING
    assert await reader.summary("") == NOTHING


async def test_sum_over_nothing_but_nulls_is_null(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(date(2026, 8, 1)))
    await book(connection, reader.owner.id, Fact(date(2026, 8, 2)))
    assert await reader.summary() == {f"total_{name}": None for name in MEASURES} | {"incomplete": [*MEASURES]}


async def test_sum_skips_nulls_and_says_so(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(date(2026, 8, 1), requests=3, cost=Decimal("0.5"), tokens_input=10))
    await book(connection, reader.owner.id, Fact(date(2026, 8, 1), provider="p", requests=4, tokens_input=0))
    await book(connection, reader.owner.id, Fact(date(2026, 8, 2), requests=5, cost=Decimal("0.25"), tokens_cached=1))
    assert await reader.summary() == {
        "total_requests": 12,
        "total_cost": Decimal("0.75"),
        "total_byok_cost": None,
        "total_tokens_input": 10,
        "total_tokens_output": None,
        "total_tokens_reasoning": None,
        "total_tokens_cached": 1,
        "incomplete": ["cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached"],
    }
    # nothing is missing on a day that knows it
    second = await reader.summary("start_date=2026-08-02&end_date=2026-08-02")
    assert (second["total_cost"], "cost" in second["incomplete"]) == (Decimal("0.25"), False)


async def test_known_zero_is_zero_and_not_null(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(date(2026, 8, 1), **dict.fromkeys(MEASURES, 0)))
    assert await reader.summary() == NOTHING


# --- whose


async def test_model_that_others_use_too_counts_for_each_alone(reader: Reader, bob: Person) -> None:
    for person, cost in ((reader.owner, "0.1"), (bob, "7")):
        await imports(person, export({"generation_id": "1", "model_permaslug": "a/model", "cost_total": cost}))
    theirs = await Reader.of(bob, "/api/v1")
    assert (await theirs.summary(f"{AUGUST}&model=a/model"))["total_cost"] == 7
    assert (await reader.summary(f"{AUGUST}&model=a/model"))["total_cost"] == Decimal("0.1")


async def test_usage_without_a_key_cannot_be_asked_for_by_the_row_that_stands_for_it(rich: Reader) -> None:
    for key in ("0", "-1"):
        await rich.refused("stats", f"{AUGUST}&api_key_id={key}", 422, "invalid", "#/api_key_id")
    assert await rich.summary(f"{AUGUST}&model=") == NOTHING


async def test_readers_see_an_import_whole_or_not_at_all(reader: Reader) -> None:
    seen = []

    async def watch() -> None:
        while True:
            seen.append((await reader.summary())["total_requests"])

    watcher = asyncio.create_task(watch())
    await imports(reader.owner, ACTIVITY)
    seen.append((await reader.summary())["total_requests"])
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    assert set(seen) <= {0, 159}
    assert seen[-1] == 159
