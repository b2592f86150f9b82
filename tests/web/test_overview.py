"""Does the first page show what the API says, of what is asked for, and say how good it is?"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

from tests.web.browsing import figure, until_figure
from tests.web.conftest import Arrive, Owner, Service, make_owner


async def stats(owner: Owner, **query: Any) -> dict[str, Any]:
    """What the API says, with money as it is."""
    answer = await owner.api.get("/api/stats", params=query)
    return json.loads(answer.text, parse_float=Decimal)


async def test_overview_shows_what_the_api_says(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    page = person.page
    await person.signs_in(owner.email)
    told = await stats(owner)
    today, month = date.fromisoformat(told["period"]["end_date"]), told["forecast"]["month"]
    of_today = await stats(owner, days=1)
    of_month = await stats(owner, start_date=f"{month}-01", end_date=today.isoformat())
    assert await figure(page, "#card-today + .figure") == of_today["summary"]["total_cost"]
    assert await figure(page, "#card-month + .figure") == of_month["summary"]["total_cost"]
    assert await figure(page, "#card-forecast + .figure") == told["forecast"]["cost"]
    assert await figure(page, "#card-period + .figure") == told["summary"]["total_cost"]
    before = told["previous"]["total_cost"]
    more = (told["summary"]["total_cost"] - before) * 100 / before
    assert f"{abs(more):.0f} %" in await person.reads("[aria-labelledby=card-period]")
    (manager,) = [key for key in (await owner.api.get("/api/keys")).json() if key["account"]]
    assert await figure(page, "[id^=card-credits] + .figure") == Decimal(str(manager["account"]["left"]))

    for what, name in (("model", "model"), ("key", "api_key_name")):
        rows = page.locator(f"[aria-labelledby=by-{what}] tbody tr")
        shown = {
            await row.locator("th").inner_text(): await row.locator("data").first.get_attribute("value")
            for row in await rows.all()
        }
        parts = {
            row[name] or {"model": "unknown model", "key": "no key"}[what]: row["cost"] for row in told[f"by_{what}"]
        }
        assert {key.strip(): Decimal(value or 0) for key, value in shown.items()} == parts

    # the chart is drawn from the table behind it, which holds every day
    await page.get_by_text("The figures as a table").click()
    days = page.locator("#costs tbody tr")
    totals = [
        Decimal(await row.locator("td").last.locator("data").get_attribute("value") or 0) for row in await days.all()
    ]
    assert totals == [day["cost"] or 0 for day in told["by_day"]]
    for row in await days.all():
        parts = [await cell.get_attribute("value") for cell in await row.locator("td:not(:last-child) data").all()]
        total = await row.locator("td").last.locator("data").get_attribute("value")
        assert sum(Decimal(part or 0) for part in parts) == Decimal(total or 0)
    drawn = await page.evaluate("Chart.getChart(document.querySelector('canvas')).data.datasets.map(d => d.data)")
    assert [round(sum(column), 9) for column in zip(*drawn, strict=True)] == [
        round(float(total), 9) for total in totals
    ]
    painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v !== 0)"
    assert await page.locator("canvas").evaluate(painted)


async def test_filters_live_in_the_address(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    page = person.page
    await person.signs_in(owner.email)
    await page.get_by_role("link", name="7 days").click()
    await page.wait_for_url("**/?days=7")
    await until_figure(page, "#card-period + .figure", (await stats(owner, days=7))["summary"]["total_cost"])

    key = next(key for key in (await owner.api.get("/api/keys")).json() if key["name"] == "website")
    await page.get_by_label("Key", exact=True).focus()
    await page.get_by_label("Key", exact=True).select_option("website")
    await page.wait_for_url(f"**/?days=7&api_key_id={key['id']}*")
    of_key = (await stats(owner, days=7, api_key_id=key["id"]))["summary"]["total_cost"]
    await until_figure(page, "#card-period + .figure", of_key)
    assert await page.get_by_label("Key", exact=True).evaluate(
        "field => field === document.activeElement"
    )  # it was not torn away

    await page.reload()
    await until_figure(page, "#card-period + .figure", of_key)
    assert await page.get_by_label("Key", exact=True).locator("option:checked").inner_text() == "website"
    await page.go_back()
    await page.wait_for_url("**/?days=7")
    await until_figure(page, "#card-period + .figure", (await stats(owner, days=7))["summary"]["total_cost"])

    model = (await stats(owner))["by_model"][0]["model"]
    await page.get_by_label("Model", exact=True).select_option(model)
    await page.wait_for_url("**model=*")
    of_model = await stats(owner, days=7, model=model)
    await until_figure(page, "#card-period + .figure", of_model["summary"]["total_cost"])

    await person.opens("/?start_date=2026-02-01&end_date=2026-01-01")
    assert "The last day is before start_date" in await person.reads(".filters")


async def test_overview_says_from_when_and_how_good_the_figures_are(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    owner = await make_owner(service, "careful@example.com", password_hash)
    lone = service.world.add_account().add_key("freelancer")
    added = await owner.api.post("/api/keys", {"name": "freelancer", "key": lone.secret})
    key_id = added.json()["id"]
    await owner.api.post(f"/api/keys/{key_id}/sync")
    await service.connection.execute(
        "UPDATE openrouter_keys SET last_synced_at = now() - interval '3 hours' WHERE id = $1", key_id
    )
    refused = service.world.add_account().add_key("lost")
    added = await owner.api.post("/api/keys", {"name": "lost", "key": refused.secret})
    refused.disabled = True
    await owner.api.post(f"/api/keys/{added.json()['id']}/sync")

    person = await arrive()
    await person.signs_in(owner.email)
    text = await person.reads("[aria-labelledby=quality-title]")
    assert "freelancer stale" in text
    assert "lost refused" in text
    assert "3 hours ago" in text
    assert "Incomplete: " in text
    hygiene = await person.reads("#hygiene")
    assert "Refused by OpenRouter · 1 key: lost" in hygiene
    assert "Replace the key with one that works" in hygiene
