"""Is `GET /api/stats` one picture of one moment: by day, model and key, before and to come?"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from tests.cast import Person
from tests.readers import AUGUST, Reader, today
from tests.usage.exports import ACTIVITY, imports
from tests.usage.facts import MEASURES, Fact, book, key_ids

FIGURES = {"cost", "byok_cost", "requests", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached"}
NOTHING: dict[str, Any] = {f"total_{name}": 0 for name in MEASURES} | {"incomplete": []}
IDLE = dict.fromkeys(FIGURES, 0)
UNKNOWN = dict.fromkeys(FIGURES)


def total(parts: Iterable[dict[str, Any]], name: str) -> Any:
    """A sum skips nulls; over nothing but nulls it is null."""
    known = [part[name] for part in parts if part[name] is not None]
    return sum(known) if known else None


# --- taken apart


async def test_person_sees_what_a_program_sees_and_more(person: Reader, alice: Person) -> None:
    await imports(alice, ACTIVITY)
    seen, told = await person.stats(AUGUST), await (await Reader.of(alice, "/api/v1")).stats(AUGUST)
    assert {name: seen[name] for name in told} == told
    assert seen.keys() - told.keys() == {"by_day", "by_model", "by_key", "previous", "forecast"}


@pytest.mark.parametrize(
    ("part", "name", "column"),
    [
        ("by_day", "date", "created_at"),
        ("by_model", "model", "model_permaslug"),
        ("by_key", "api_key_name", "api_key_name"),
    ],
)
async def test_real_export_taken_apart_is_the_export_s_own_sums(
    person: Reader, alice: Person, part: str, name: str, column: str
) -> None:
    await imports(alice, ACTIVITY)
    expected: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for line in csv.DictReader(io.StringIO(ACTIVITY.decode())):
        sums = expected[line[column][:10] if part == "by_day" else line[column]]
        sums[:] = sums[0] + 1, sums[1] + Decimal(line["cost_total"])
    rows = (await person.stats(AUGUST))[part]
    assert {row[name] or "": [row["requests"], row["cost"]] for row in rows if row["requests"]} == expected


async def test_no_day_is_left_out(person: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, person.owner.id, Fact(date(2026, 8, 2), requests=3), Fact(date(2026, 8, 5), cost=Decimal(1)))
    by_day = (await person.stats("start_date=2026-08-01&end_date=2026-08-06"))["by_day"]
    assert by_day == [
        {"date": "2026-08-01"} | IDLE,
        {"date": "2026-08-02"} | UNKNOWN | {"requests": 3},
        {"date": "2026-08-03"} | IDLE,
        {"date": "2026-08-04"} | IDLE,
        {"date": "2026-08-05"} | UNKNOWN | {"cost": 1},
        {"date": "2026-08-06"} | IDLE,
    ]


@pytest.mark.parametrize("days", [1, 30, 366, 3660])
async def test_there_are_as_many_days_as_asked_for_and_today_is_the_last(person: Reader, days: int) -> None:
    last = today()
    stats = await person.stats(f"days={days}")
    expected = [(last - timedelta(days=back)).isoformat() for back in reversed(range(days))]
    if today() != last:
        pytest.skip("midnight passed")
    assert [row["date"] for row in stats["by_day"]] == expected
    assert (stats["period"]["days"], stats["period"]["timezone"]) == (days, "UTC")


async def test_parts_come_to_the_whole_whatever_is_selected(person: Reader, connection: asyncpg.Connection) -> None:
    facts = [
        Fact(date(2026, 8, day), key, model, cost=Decimal(day * 7 + number).scaleb(-6), requests=number or None)
        for day in range(1, 20, 3)
        for number, (key, model) in enumerate((key, model) for key in ("a", "b", None) for model in ("x", "y", None))
    ]
    await book(connection, person.owner.id, *facts)
    ids = await key_ids(connection, person.owner.id)
    for query in (
        "",
        f"&api_key_id={ids['a']}",
        "&model=x",
        f"&api_key_id={ids['b']}&model=y",
        "&model=none",
        "&model=",
    ):
        stats = await person.stats(AUGUST + query)
        for part in ("by_day", "by_model", "by_key"):
            for name in ("cost", "requests"):
                assert (total(stats[part], name) or 0) == stats["summary"][f"total_{name}"], (query, part)
    assert len((await person.stats(f"{AUGUST}&model=x"))["by_model"]) == 1
    assert len((await person.stats(f"{AUGUST}&model=x"))["by_key"]) == 3
    assert len((await person.stats(f"{AUGUST}&api_key_id={ids['a']}"))["by_key"]) == 1


async def test_dearest_come_first_and_what_is_not_known_last(person: Reader, connection: asyncpg.Connection) -> None:
    costs = {"cheap": Decimal("0.01"), "dear": Decimal(10), "unknown": None, "free": Decimal(0), "middle": Decimal(9)}
    await book(
        connection, person.owner.id, *(Fact(date(2026, 8, 1), name, name, cost=cost) for name, cost in costs.items())
    )
    stats = await person.stats(AUGUST)
    expected = ["dear", "middle", "cheap", "free", "unknown"]
    assert [row["model"] for row in stats["by_model"]] == expected
    assert [row["api_key_name"] for row in stats["by_key"]] == expected
    assert [row["cost"] for row in stats["by_model"]] == [10, 9, Decimal("0.01"), 0, None]


async def test_usage_without_a_key_or_model_is_null_and_not_left_out(
    person: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, person.owner.id, Fact(date(2026, 8, 1), requests=1))
    stats = await person.stats(AUGUST)
    assert stats["by_model"] == [{"model": None} | UNKNOWN | {"requests": 1}]
    assert stats["by_key"] == [{"api_key_id": None, "api_key_name": None} | UNKNOWN | {"requests": 1}]


async def test_models_and_keys_that_were_not_used_in_the_period_are_not_told(
    person: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, person.owner.id, Fact(date(2026, 7, 31), "a", "x"), Fact(date(2026, 8, 1), "b", "y"))
    stats = await person.stats(AUGUST)
    assert [row["model"] for row in stats["by_model"]] == ["y"]
    assert [row["api_key_name"] for row in stats["by_key"]] == ["b"]


async def test_deleted_key_keeps_its_name_and_a_deleted_history_is_gone(
    person: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, person.owner.id, *(Fact(date(2026, 8, 1), key, key, cost=Decimal(1)) for key in ("a", "b")))
    ids = await key_ids(connection, person.owner.id)
    assert (await person.owner.delete(f"/api/keys/{ids['a']}")).status_code == 204
    assert (await person.owner.delete(f"/api/keys/{ids['b']}?history=delete")).status_code == 204
    stats = await person.stats(AUGUST)
    assert [(row["api_key_id"], row["api_key_name"]) for row in stats["by_key"]] == [(ids["a"], "a")]
    assert [row["model"] for row in stats["by_model"]] == ["a"]
    assert (await person.summary(f"{AUGUST}&api_key_id={ids['a']}"))["total_cost"] == 1


# --- before, and to come


async def test_previous_is_as_many_days_just_before(person: Reader, connection: asyncpg.Connection) -> None:
    days = [date(2026, 8, 10) - timedelta(days=back) for back in range(8)]
    await book(connection, person.owner.id, *(Fact(day, "a", "x", cost=Decimal(2) ** n) for n, day in enumerate(days)))
    stats = await person.stats("start_date=2026-08-08&end_date=2026-08-10")
    assert (stats["summary"]["total_cost"], stats["previous"]["total_cost"]) == (1 + 2 + 4, 8 + 16 + 32)
    assert stats["previous"].keys() == stats["summary"].keys()
    stats = await person.stats("start_date=2026-08-08&end_date=2026-08-10&model=other")
    assert stats["previous"] == NOTHING


async def test_previous_of_the_longest_and_earliest_period_is_there(person: Reader) -> None:
    for query in (
        "days=3660",
        "start_date=1900-01-01&end_date=1910-01-07",
        "start_date=2999-12-31&end_date=2999-12-31",
    ):
        assert (await person.stats(query))["previous"] == NOTHING


async def test_forecast_is_of_this_month_and_the_selection_whatever_the_period(
    person: Reader, connection: asyncpg.Connection
) -> None:
    last = today()
    days = [last - timedelta(days=back) for back in range(60)]
    await book(connection, person.owner.id, *(Fact(day, "a", "x", cost=Decimal("0.1")) for day in days))
    await book(connection, person.owner.id, *(Fact(day, "a", "y", cost=Decimal("0.02")) for day in days))
    all_of_it, part = (
        await person.stats("days=1"),
        await person.stats("start_date=2020-01-01&end_date=2020-01-02&model=y"),
    )
    if today() != last:
        pytest.skip("midnight passed")
    month = (last.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)  # its last day
    for stats, cost in ((all_of_it, Decimal("0.12")), (part, Decimal("0.02"))):
        assert stats["forecast"] == {
            "month": f"{last:%Y-%m}", "cost": cost * month.day, "low": cost * month.day, "high": cost * month.day,
            "method": "weekday_mean", "data_days": 28,
        }  # fmt: skip


async def test_forecast_goes_by_nothing_from_before_anything_was_known(
    person: Reader, connection: asyncpg.Connection
) -> None:
    last = today()
    # two days ago was the first that is known; yesterday nothing was used
    await book(connection, person.owner.id, Fact(last - timedelta(days=2), cost=Decimal(3)))
    forecast = (await person.stats())["forecast"]
    if today() != last:
        pytest.skip("midnight passed")
    assert (forecast["method"], forecast["data_days"]) == ("daily_mean", 2)


async def test_without_usage_there_is_no_forecast(person: Reader, connection: asyncpg.Connection) -> None:
    nothing = {"month": f"{today():%Y-%m}", "cost": None, "low": None, "high": None, "method": "none", "data_days": 0}
    assert (await person.stats())["forecast"] == nothing
    await book(connection, person.owner.id, Fact(today() + timedelta(days=1), cost=Decimal(1)))
    assert (await person.stats())["forecast"] == nothing


# --- of one moment


async def test_picture_is_of_one_moment(person: Reader, connection: asyncpg.Connection) -> None:
    async def changes() -> None:
        for number in range(40):
            await book(
                connection,
                person.owner.id,
                Fact(date(2026, 8, 1 + number % 9), f"{number}", f"{number}", cost=Decimal(1)),
            )

    work, pictures = asyncio.create_task(changes()), []
    while not work.done():
        pictures.append(await person.stats(AUGUST))
    await work
    for stats in [*pictures, await person.stats(AUGUST)]:
        whole = stats["summary"]["total_cost"]
        assert [total(stats[part], "cost") or 0 for part in ("by_day", "by_model", "by_key")] == [whole] * 3
    assert len({stats["summary"]["total_cost"] for stats in pictures}) > 1
