"""Is the table of usage right in any order, on any page, and as a file?"""

from __future__ import annotations

import asyncio
import csv
import io
import re
from decimal import Decimal
from typing import Any

from playwright.async_api import Page

from tests.web.conftest import Arrive, Owner


async def column(page: Page, number: int) -> list[str]:
    """The exact values of a column of the table."""
    cells = await page.locator(f"table.usage tbody tr > :nth-child({number})").all()
    values = [
        await cell.evaluate("cell => (cell.querySelector('data') ?? {}).value ?? cell.innerText") for cell in cells
    ]
    return [str(value).strip() for value in values]


async def test_usage_is_sorted_over_the_whole_selection_and_paged(arrive: Arrive, owner: Owner) -> None:
    items: list[dict[str, Any]] = []
    page_of = await owner.api.get("/api/usage", params={"limit": 1000, "days": 40})
    items = page_of.json()["items"]
    costs = sorted((Decimal(str(item["cost"])) for item in items if item["cost"] is not None), reverse=True)
    assert len(items) > 60

    person = await arrive()
    page = person.page
    await person.signs_in(owner.email)
    await person.opens("/usage?days=40")
    assert f"{len(items)} lines" in await person.reads()
    dates = await column(page, 1)
    await page.get_by_role("link", name="Cost", exact=True).click()
    await page.wait_for_url("**sort=cost&direction=desc*")
    assert await page.get_by_role("columnheader", name="Cost", exact=True).get_attribute("aria-sort") == "descending"
    shown = [Decimal(value) for value in await column(page, 10)]
    await page.get_by_role("link", name="More").click()
    await page.wait_for_url("**page=2*")
    shown += [Decimal(value) for value in await column(page, 10)]
    assert shown == costs[: len(shown)]
    assert f"51 to {len(shown)} of {len(items)}" in await person.reads()
    await page.get_by_role("link", name="Back").click()
    await page.wait_for_url("**page=1*")
    await page.get_by_role("link", name="Cost", exact=True).click()
    await page.wait_for_url("**direction=asc*")
    assert [Decimal(value) for value in await column(page, 10)] == costs[::-1][:50]
    await page.get_by_role("link", name="Model").click()
    await page.wait_for_url("**sort=model&direction=asc*")
    known = [name for name in await column(page, 3) if not name.startswith("–")]
    assert known == sorted(known)
    await page.get_by_role("link", name="Day", exact=True).click()
    await page.wait_for_url("**sort=date&direction=desc*")
    assert await column(page, 1) == dates


async def test_csv_is_what_the_api_gives(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    await person.signs_in(owner.email)
    await person.opens("/usage?days=40")
    async with person.page.expect_download() as started:
        await person.page.get_by_role("link", name="Download all as CSV").click()
    download = await started.value
    assert re.fullmatch(r"usage_\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d\.csv", download.suggested_filename)
    got = await asyncio.to_thread((await download.path()).read_text, encoding="utf-8")
    told = await owner.api.get("/api/usage", params={"days": 40, "format": "csv"})
    assert list(csv.DictReader(io.StringIO(got))) == list(csv.DictReader(io.StringIO(told.text)))
