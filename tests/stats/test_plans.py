"""Do the hot queries read what they tell and nothing else, by indexes, whatever the database's planner makes of them?

On every PostgreSQL that the tests run on; nothing is forbidden to the planner.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from app.database import Query
from app.stats import repository
from app.stats.export import PAGE_ROWS
from tests.bench.store import Store, fill
from tests.conftest import admin, new_database
from tests.plans import BY_INDEX, plans, rows_read, scans
from tests.readers import today

STORE = Store(users=50, keys=4, models=8, days=50)
DAYS, LIMIT = 30, 101
LARGE = {"usage_facts", "usage_rollups", "usage_totals"}


class Filled(msgspec.Struct):
    """A store, and one of its users."""

    connection: asyncpg.Connection
    user_id: int
    key_id: int
    model_id: int


@pytest.fixture(scope="module")
async def filled(server_url: str, template: str) -> AsyncGenerator[Filled]:
    """In the middle of the users, keys and models."""
    async with new_database(server_url, template) as url, admin(url) as connection:
        await fill(connection, STORE)
        user_id, key_id = await connection.fetchrow(
            "SELECT user_id, id FROM openrouter_keys ORDER BY id OFFSET 103 LIMIT 1"
        )
        model_id = await connection.fetchval("SELECT id FROM models WHERE slug = 'maker/model-7'")
        yield Filled(connection, user_id, key_id, model_id)


def day(back: int) -> date:
    """So many days ago."""
    return today() - timedelta(days=back)


# what is selected, and how many keys and models that are
SELECTIONS = {
    "all": (STORE.keys, STORE.models),
    "a key": (1, STORE.models),
    "a model": (STORE.keys, 1),
    "a key's model": (1, 1),
}


def cells(filled: Filled, selection: str) -> tuple[Any, ...]:
    """As most of the queries want it."""
    key_id = filled.key_id if "key" in selection else -1
    model_id = filled.model_id if "model" in selection else -1
    return filled.user_id, key_id, model_id, day(DAYS - 1), day(0)


def asked(filled: Filled, selection: str) -> tuple[Any, ...]:
    """As it comes from outside."""
    key_id = filled.key_id if "key" in selection else None
    return filled.user_id, key_id, "maker/model-7" if "model" in selection else None, DAYS, None, None


async def assert_reads(
    filled: Filled, query: Query[Any], arguments: tuple[Any, ...], at_least: int, at_most: int
) -> None:
    """By an index, and so many rows."""
    for plan in await plans(filled.connection, query, arguments):
        found = scans(plan, LARGE)
        assert {scan["Node Type"] for scan in found} <= BY_INDEX
        assert at_least <= rows_read(found) <= at_most, [(scan["Node Type"], scan.get("Index Cond")) for scan in found]


@pytest.mark.parametrize("count", [1, 40], ids=["alone", "with others"])
@pytest.mark.parametrize("selection", SELECTIONS)
async def test_totals_read_a_row_a_day_for_each_who_asks(filled: Filled, selection: str, count: int) -> None:
    together = tuple([value] * count for value in asked(filled, selection))
    await assert_reads(filled, repository._sum_usage, together, DAYS * count, DAYS * count)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_state_of_a_selection_reads_no_figures(filled: Filled, selection: str) -> None:
    await assert_reads(filled, repository._find_selection, asked(filled, selection), 0, 0)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_days_read_a_row_a_day(filled: Filled, selection: str) -> None:
    await assert_reads(filled, repository._list_days, cells(filled, selection), DAYS, DAYS)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_costs_for_the_forecast_read_a_row_a_day(filled: Filled, selection: str) -> None:
    user_id, key_id, model_id, *_ = cells(filled, selection)
    # the first day that is known, and a month
    await assert_reads(filled, repository._list_costs, (user_id, key_id, model_id, day(0), 28), 29, 1 + 31)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_models_read_a_row_a_model_and_day(filled: Filled, selection: str) -> None:
    _, models = SELECTIONS[selection]
    await assert_reads(filled, repository._list_models, cells(filled, selection), models * DAYS, models * (DAYS + 1))


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_keys_read_a_row_a_key_and_day(filled: Filled, selection: str) -> None:
    keys, _ = SELECTIONS[selection]
    await assert_reads(filled, repository._list_keys, cells(filled, selection), keys * DAYS, keys * DAYS)


@pytest.mark.parametrize("limit", [LIMIT, PAGE_ROWS])
@pytest.mark.parametrize("is_first", [True, False], ids=["first page", "later page"])
@pytest.mark.parametrize("selection", SELECTIONS)
async def test_page_of_usage_reads_the_days_that_it_tells(
    filled: Filled, selection: str, limit: int, *, is_first: bool
) -> None:
    place = (None,) * 4 if is_first else (day(7), filled.key_id, filled.model_id, 0)
    keys, models = SELECTIONS[selection]
    a_day = keys * models
    rows = min(limit, (DAYS if is_first else DAYS - 8) * a_day)
    days = -(-rows // a_day) + 2  # the one on which the last page ended, and one to see that there is more
    await assert_reads(
        filled, repository._list_usage, (*cells(filled, selection), *place, limit), rows, days * (a_day + 1)
    )


@pytest.mark.parametrize("sort", ["cost", "model"])
@pytest.mark.parametrize("selection", SELECTIONS)
async def test_page_in_another_order_reads_the_selection_and_nothing_else(
    filled: Filled, selection: str, sort: str
) -> None:
    keys, models = SELECTIONS[selection]
    rows = keys * models * DAYS
    arguments = (*cells(filled, selection), sort, True, 0, LIMIT)
    await assert_reads(filled, repository._list_usage_sorted, arguments, rows, rows + DAYS)


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_size_of_a_selection_is_a_row_a_day(filled: Filled, selection: str) -> None:
    await assert_reads(filled, repository._count_facts, cells(filled, selection), DAYS, DAYS)


@pytest.mark.parametrize("selection", ["all", "a key"])
async def test_days_of_models_read_a_row_a_model_and_day(filled: Filled, selection: str) -> None:
    user_id, key_id, _, *period = cells(filled, selection)
    models = ["maker/model-1", "maker/model-7"]
    await assert_reads(filled, repository._list_model_days, (user_id, key_id, models, *period), 2 * DAYS, 2 * DAYS)


async def test_choice_of_keys_and_models_reads_no_days(filled: Filled) -> None:
    cells_of_user = (STORE.keys + 1) * (STORE.models + 1)
    await assert_reads(filled, repository._list_used_models, (filled.user_id, 9), STORE.models, cells_of_user)
    await assert_reads(filled, repository._list_used_keys, (filled.user_id, 9), STORE.keys, cells_of_user)


async def test_gauges_read_a_row_a_cell_and_day_of_the_month(filled: Filled) -> None:
    used = STORE.keys * STORE.models
    # all time, today, and each day of the month
    most = used * (1 + 1 + day(0).day)
    # older versions tell of each loop's rows only the rounded average
    await assert_reads(filled, repository._list_gauges, (filled.user_id,), used * day(0).day, most)


def test_every_query_for_figures_is_looked_at() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    queries = [name for name, value in vars(repository).items() if isinstance(value, Query)]
    assert len(queries) > 8
    assert [name for name in queries if f"repository.{name}," not in here] == []
