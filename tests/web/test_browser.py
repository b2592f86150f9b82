"""Does every page do in a real Chromium what it promises, and nothing that it should not?"""

from __future__ import annotations

import asyncio
import csv
import io
import re
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.cast import PASSWORD
from tests.cast import Person as ApiPerson
from tests.conftest import SECRET
from tests.processes import PROJECT
from tests.web.browsing import Person, findings_of_axe, running_browser
from tests.web.conftest import Arrive, Owner, Service, make_owner

EXPORT = PROJECT / "tests" / "data" / "activity-export-2026-08-24.csv"
PAGES = ("/", "/usage", "/keys", "/tokens", "/import", "/account", "/account/delete", "/reference")
MARKUP = '<script>window.ran = 1</script><img src=x onerror="window.ran = 1">'


async def figure(page: Page, selector: str) -> Decimal:
    """The exact value of a figure."""
    value = await page.locator(f"{selector} data").first.get_attribute("value")
    assert value is not None
    return Decimal(value)


async def newcomer(service: Service, name: str, password_hash: str) -> ApiPerson:
    """An account without anything."""
    return await ApiPerson.is_there(service.client, service.connection, f"{name}@example.com", password_hash, SECRET)


# --- the first visit


async def test_newcomer_is_led_from_a_key_to_a_chart_and_a_token(arrive: Arrive, service: Service) -> None:
    account = service.world.add_account()
    account.add_key("website")
    account.generate(20)
    manager = account.add_management_key("admin")
    person = await arrive()
    page = person.page

    await person.signs_up("newcomer@example.com")
    assert "Add an OpenRouter key" in await person.reads()
    await page.get_by_role("link", name="Add an OpenRouter key").click()
    await page.get_by_label("Name").fill("company")
    await page.get_by_label("Key", exact=True).fill("sk-or-v1-" + "0" * 64)
    await person.presses("Add the key")
    assert "The key was refused" in await person.reads("#wrong-key")  # with what OpenRouter said
    assert await page.get_by_label("Name").input_value() == "company"
    await page.get_by_label("Key", exact=True).fill(manager.secret)
    await person.presses("Add the key")
    assert "The key is added" in await person.reads()
    # the list looks again by itself until the key has been read
    await page.locator(".key", has_text="company").get_by_text("up to date").wait_for()
    await page.locator(".key", has_text="website").wait_for()

    await person.opens("/")
    assert "One thing is left" in await person.reads()
    assert await page.locator("canvas").is_visible()
    await page.get_by_role("link", name="API token", exact=True).click()
    await page.get_by_label("Name").fill("grafana")
    await person.presses("Make the token")
    token = await page.locator("#token").inner_text()
    await page.get_by_role("link", name="I have stored it").click()
    await person.opens("/")
    assert "One thing is left" not in await person.reads()

    answer = await service.client.get("/api/v1/stats", headers={"Authorization": f"Bearer {token}"})
    assert Decimal(str(answer.json()["summary"]["total_cost"])) > 0


# --- the overview


async def stats(owner: Owner, **query: Any) -> dict[str, Any]:
    """What the API says, with money as it is."""
    import json  # noqa: PLC0415 -- only here

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
    assert await figure(page, "#card-period + .figure") == (await stats(owner, days=7))["summary"]["total_cost"]

    key = next(key for key in (await owner.api.get("/api/keys")).json() if key["name"] == "website")
    await page.get_by_label("Key", exact=True).focus()
    await page.get_by_label("Key", exact=True).select_option("website")
    await page.wait_for_url(f"**/?days=7&api_key_id={key['id']}*")
    of_key = (await stats(owner, days=7, api_key_id=key["id"]))["summary"]["total_cost"]
    assert await figure(page, "#card-period + .figure") == of_key
    assert await page.get_by_label("Key", exact=True).evaluate(
        "field => field === document.activeElement"
    )  # it was not torn away

    await page.reload()
    assert await figure(page, "#card-period + .figure") == of_key
    assert await page.get_by_label("Key", exact=True).locator("option:checked").inner_text() == "website"
    await page.go_back()
    await page.wait_for_url("**/?days=7")
    assert await figure(page, "#card-period + .figure") == (await stats(owner, days=7))["summary"]["total_cost"]

    model = (await stats(owner))["by_model"][0]["model"]
    await page.get_by_label("Model", exact=True).select_option(model)
    await page.wait_for_url("**model=*")
    of_model = await stats(owner, days=7, model=model)
    assert await figure(page, "#card-period + .figure") == of_model["summary"]["total_cost"]

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


# --- usage


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


# --- keys


async def test_key_is_read_paused_renamed_replaced_and_deleted(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "keeper", password_hash)
    account = service.world.add_account()
    first, second = account.add_key("first", limit=Decimal(10), limit_reset="monthly"), account.add_key("second")
    account.spend(first, Decimal("1.25"))
    person = await arrive()
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/keys")
    assert "No key is watched yet" in await person.reads()
    await page.get_by_label("Name").fill("production")
    await page.get_by_label("Key", exact=True).fill(first.secret)
    await person.presses("Add the key")
    card = page.locator(".key", has_text="production")
    await card.get_by_text("up to date").wait_for()
    assert "$10.00 monthly, $8.75 left" in " ".join((await card.inner_text()).split())
    assert first.secret not in await page.content()

    # in place, without leaving the list
    account.spend(first, Decimal("0.50"))
    await card.get_by_role("button", name="Read now").click()
    await card.get_by_text("$8.25 left").wait_for()
    assert "The key has been read" not in await person.reads()  # it says so by itself

    await card.get_by_role("link", name="Manage").click()
    facts = await person.reads("dl.facts")
    assert "Counted by OpenRouter $1.75" in facts
    assert "Difference" in facts
    await person.presses("Pause")
    assert "The key is paused" in await person.reads()
    assert "not while it is paused" in await person.reads("dl.facts")
    await person.presses("Resume")
    assert "The key is read again" in await person.reads()
    await page.get_by_label("Name here").fill("website")
    await person.presses("Rename")
    assert "website" in await person.reads("h1")
    await page.get_by_label("New key").fill("no key")
    await person.presses("Replace")
    assert "is not an OpenRouter key" in await person.reads("#wrong-key")
    await page.get_by_label("New key").fill(second.secret)
    await person.presses("Replace")
    assert "The key is replaced" in await person.reads()
    assert second.label in await person.reads("dl.facts")

    # deletion asks in place, and lets one think again
    await page.get_by_role("link", name="Delete …").click()
    dialog = page.get_by_role("dialog")
    assert "Delete “website”?" in await dialog.inner_text()
    await dialog.get_by_role("link", name="Cancel").click()
    assert not await dialog.is_visible()
    await page.get_by_role("link", name="Delete …").click()
    assert await dialog.get_by_label("Keep the history").is_checked()
    await dialog.get_by_role("button", name="Delete the key").click()
    assert "Its history stays under its name" in await person.reads()
    told = await api.get("/api/stats")
    assert {row["api_key_name"] for row in told.json()["by_key"]} == {"website"}


async def test_history_goes_with_the_key_if_that_is_chosen(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "eraser", password_hash)
    account = service.world.add_account()
    key = account.add_key("only")
    added = await api.post("/api/keys", {"name": "only", "key": key.secret})
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    account.spend(key, Decimal(3))
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    person = await arrive()
    await person.signs_in(api.email)
    await person.opens(f"/keys/{added.json()['id']}/delete")
    await person.page.get_by_label("Delete the history too").check()
    await person.presses("Delete the key")
    assert "and its history with it" in await person.reads()
    assert (await api.get("/api/stats")).json()["by_key"] == []


# --- tokens


async def test_token_is_shown_once(arrive: Arrive, service: Service, password_hash: str) -> None:
    api = await newcomer(service, "once", password_hash)
    person = await arrive(permissions=["clipboard-read", "clipboard-write"])
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/tokens")
    await page.get_by_label("Name").fill("grafana")
    await page.get_by_label("It ends by itself").select_option("after 30 days")
    await person.presses("Make the token")
    assert "This is the only time it is shown" in await person.reads()
    token = await page.locator("#token").inner_text()
    assert re.fullmatch("or_api_[0-9A-Za-z]{38}", token)
    await page.get_by_role("button", name="Copy").first.click()
    assert await page.evaluate("navigator.clipboard.readText()") == token

    # the line works as it stands
    curl = await page.locator("#curl").inner_text()
    done = await asyncio.to_thread(subprocess.run, ["bash", "-c", curl], capture_output=True, check=True)
    assert b'"summary"' in done.stdout

    await page.reload()
    assert "A token is shown only once" in await person.reads()
    assert token not in await page.content()
    (listed,) = (await api.get("/api/tokens")).json()  # and no second one
    assert listed["name"] == "grafana"
    assert listed["expires_at"]
    await person.opens("/usage")
    await page.go_back()
    assert token not in await page.content()
    assert len((await api.get("/api/tokens")).json()) == 1

    await person.opens("/tokens")
    row = page.locator("tbody tr", has_text="grafana")
    assert listed["hint"] in await row.inner_text()
    moments = row.locator("time")
    assert await moments.nth(0).inner_text() == "just now"
    assert re.fullmatch(r"\d+ \w+ \d{4}, \d\d:\d\d:\d\d UTC", await moments.nth(0).get_attribute("title") or "")
    assert await row.locator("td.number").inner_text() == "1"  # curl's request


async def test_token_is_gone_when_the_browser_keeps_whole_pages(service: Service, password_hash: str) -> None:
    """Chromium may keep a page in memory for its Back button, against all that its headers say."""
    api = await newcomer(service, "keeps-pages", password_hash)
    async with running_browser(ignore_default_args=["--disable-back-forward-cache"]) as browser:
        person = await Person.sits_down(browser, service.url)
        await person.signs_in(api.email)
        await person.opens("/tokens")
        await person.page.get_by_label("Name").fill("grafana")
        await person.presses("Make the token")
        token = await person.page.locator("#token").inner_text()
        await person.page.get_by_role("link", name="I have stored it").click()
        await person.page.go_back()
        assert token not in await person.page.content()
        await person.leaves()


async def test_revoking_asks_first_and_folds_the_token_away(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "revoker", password_hash)
    token = (await api.creates_token("old script"))["token"]
    person = await arrive()
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/tokens")
    await page.get_by_role("link", name="Revoke … old script").click()
    dialog = page.get_by_role("dialog")
    assert "Revoke “old script”?" in await dialog.inner_text()
    await page.keyboard.press("Escape")
    assert (await api.get("/api/tokens?state=active")).json()
    await page.get_by_role("link", name="Revoke … old script").click()
    await dialog.get_by_role("button", name="Revoke the token").click()
    assert "Nobody is let in with it any more" in await person.reads()
    refused = await service.client.get("/api/v1/stats", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 401
    assert not await page.get_by_text("old script").is_visible()
    await page.get_by_text("1 token revoked or expired").click()
    assert await page.get_by_text("old script").is_visible()


async def test_too_many_tokens_are_refused_in_words(arrive: Arrive, service: Service, password_hash: str) -> None:
    api = await newcomer(service, "collector", password_hash)
    for number in range(5):
        await api.creates_token(f"token {number}")
    person = await arrive()
    await person.signs_in(api.email)
    await person.opens("/tokens")
    await person.page.get_by_label("Name").fill("one more")
    await person.presses("Make the token")
    assert "Maximum 5 API tokens allowed" in await person.reads()
    assert await person.page.get_by_label("Name").input_value() == "one more"


# --- import and account


async def test_export_is_dropped_and_reported(
    arrive: Arrive, service: Service, password_hash: str, tmp_path: Path
) -> None:
    api = await newcomer(service, "importer", password_hash)
    person = await arrive()
    page = person.page
    await person.signs_in(api.email)
    await person.opens("/import")
    wrong = tmp_path / "notes.csv"
    wrong.write_text("no,export\n1,2\n")
    await page.get_by_label("The file", exact=True).set_input_files(wrong)
    await person.presses("Import")
    await page.locator("#outcome .notice").wait_for()
    assert "generation_id" in await person.reads("#outcome")
    await page.get_by_label("The file", exact=True).set_input_files(EXPORT)
    seen = page.locator("progress").wait_for(state="visible")
    _, _ = await asyncio.gather(seen, person.presses("Import"))
    await page.get_by_role("heading", name="Imported").wait_for()
    assert "Imported 159" in await person.reads("#outcome")
    assert await figure(page, "#outcome .facts div:last-child") == Decimal("1.071850")
    await person.presses("Import")
    await page.get_by_role("heading", name="Nothing new").wait_for()
    assert "Known already 159" in await person.reads("#outcome")
    await person.opens("/?start_date=2026-08-18&end_date=2026-08-24")
    assert await figure(page, "#card-period + .figure") == Decimal("1.071850")


async def test_account_changes_its_password_ends_sessions_and_goes(
    arrive: Arrive, service: Service, password_hash: str
) -> None:
    api = await newcomer(service, "leaver", password_hash)
    elsewhere, third, person = await arrive(), await arrive(), await arrive()
    for somebody in (elsewhere, third, person):
        await somebody.signs_in(api.email)
    page = person.page
    await person.opens("/account")
    rows = page.locator("tbody tr")
    assert await rows.count() == 4  # three browsers and the API
    assert "Chrome on Linux" in await rows.nth(0).inner_text()
    assert await page.get_by_text("this one").count() == 1
    await rows.nth(1).get_by_role("button").click()
    assert "That session has ended" in await person.reads()
    await third.opens("/account")
    assert "Sign in" in await third.reads("h1")
    await person.presses("End all others")
    assert "All your other sessions have ended" in await person.reads()
    await elsewhere.opens("/usage")
    assert "Sign in" in await elsewhere.reads("h1")

    await page.get_by_label("As it is").fill("not it")
    await page.get_by_label("As it shall be").fill("another fine long sentence 42")
    await person.presses("Change it")
    assert "The password is wrong" in await person.reads()
    await page.get_by_label("As it is").fill(PASSWORD)
    await page.get_by_label("As it shall be").fill("passwordpassword")
    await person.presses("Change it")
    assert "too easy to guess" in await person.reads("#wrong-new_password")
    await page.get_by_label("As it is").fill(PASSWORD)
    await page.get_by_label("As it shall be").fill("another fine long sentence 42")
    await person.presses("Change it")
    assert "Your password is changed" in await person.reads()

    await page.get_by_role("link", name="Delete the account …").click()
    await page.get_by_label("Your password").fill("another fine long sentence 42")
    await person.presses("Delete the account")
    assert "Your account is deleted" in await person.reads()
    await elsewhere.page.get_by_label("Email address").fill(api.email)
    await elsewhere.page.get_by_label("Password").fill("another fine long sentence 42")
    await elsewhere.presses("Sign in")
    assert "The email address or the password is wrong" in await elsewhere.reads()


# --- care


async def test_every_page_is_fit_for_everybody(arrive: Arrive, owner: Owner) -> None:
    """axe-core finds nothing serious, light and dark; nothing is wider than a small phone."""
    findings: list[str] = []
    for scheme, width in (("light", 1280), ("dark", 360)):
        person = await arrive(color_scheme=scheme, viewport={"width": width, "height": 800})
        await person.opens("/sign-in")
        findings += await findings_of_axe(person.page)
        await person.signs_in(owner.email)
        (manager,) = [key for key in (await owner.api.get("/api/keys")).json() if key["kind"] == "management"]
        for path in (*PAGES, f"/keys/{manager['id']}", f"/keys/{manager['id']}/delete", "/nothing", "/keys/999999"):
            await person.opens(path)
            findings += await findings_of_axe(person.page)
            wider = await person.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, f"{path} is {wider} px too wide at {width}"
        background = await person.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
        assert (brightness > 600) == (scheme == "light")
    assert findings == []


async def test_keyboard_is_enough(arrive: Arrive, service: Service, password_hash: str) -> None:
    api = await newcomer(service, "typist", password_hash)
    person = await arrive()
    page = person.page
    press = page.keyboard.press
    await person.opens("/sign-in")
    await page.keyboard.type(api.email)  # the field has the focus
    await press("Tab")
    await page.keyboard.type(PASSWORD)
    await press("Enter")
    await page.get_by_role("navigation", name="Pages").wait_for()
    await press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await person.opens("/tokens")
    while await page.evaluate("document.activeElement.id") != "name":
        await press("Tab")
    await page.keyboard.type("by keys alone")
    await press("Enter")
    await page.locator("#token").wait_for()
    await person.opens("/tokens")
    while not (await page.evaluate("document.activeElement.textContent")).startswith("Revoke"):
        await press("Tab")
    await press("Enter")
    dialog = page.get_by_role("dialog")
    await dialog.wait_for()
    assert await dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    while await page.evaluate("document.activeElement.textContent") != "Revoke the token":
        await press("Tab")
    await press("Enter")
    await page.get_by_text("Nobody is let in with it any more").wait_for()
    assert not (await api.get("/api/tokens?state=active")).json()


async def test_without_scripts_everything_but_charts_works(arrive: Arrive, service: Service) -> None:
    account = service.world.add_account()
    key = account.add_key("plain")
    account.spend(key, Decimal(2))
    person = await arrive(java_script_enabled=False)
    page = person.page
    await person.signs_up("plain@example.com")
    await person.opens("/keys")
    await page.get_by_label("Name").fill("plain")
    await page.get_by_label("Key", exact=True).fill(key.secret)
    await person.presses("Add the key")
    await page.get_by_role("button", name="Read now").click()
    assert "up to date" in await person.reads(".key")

    await person.opens("/import")
    await page.get_by_label("The file", exact=True).set_input_files(EXPORT)
    await person.presses("Import")
    assert "Imported 159" in await person.reads("#outcome")
    await person.opens("/?start_date=2026-08-18&end_date=2026-08-24")
    assert await figure(page, "#card-period + .figure") == Decimal("1.071850")
    await page.get_by_text("The figures as a table").click()
    assert await page.locator("#costs").is_visible()
    await page.get_by_label("Model", exact=True).select_option(index=1)
    await person.presses("Apply")
    assert "model=" in page.url
    assert "start_date=2026-08-18" in page.url

    await person.opens("/tokens")
    await page.get_by_label("Name").fill("plain")
    await person.presses("Make the token")
    assert await page.locator("#token").is_visible()
    await person.opens("/tokens")
    await page.get_by_role("link", name="Revoke … plain").click()
    await person.presses("Revoke the token")
    assert "Nobody is let in with it any more" in await person.reads()
    await person.presses("Sign out")
    assert "You are signed out" in await person.reads()


async def test_failing_request_says_what_to_do(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    page = person.page
    await person.signs_in(owner.email)
    await page.route("**/?days=7*", lambda route: route.abort())
    await page.get_by_role("link", name="7 days").click()
    await page.get_by_text("The service could not be reached. Wait a moment and try again.").wait_for()
    person.incidents.clear()  # Chromium notes the refused connection
    # and a session that has ended somewhere else leads to the sign-in page, not into the middle of this one
    await person.context.clear_cookies()
    await page.get_by_role("link", name="90 days").click()
    await page.get_by_text("Your session has ended. Sign in to go on.").wait_for()


# --- safe


async def test_names_that_are_markup_are_shown_as_text(arrive: Arrive, service: Service, password_hash: str) -> None:
    api = await newcomer(service, "mischief", password_hash)
    account = service.world.add_account()
    key = account.add_key(MARKUP[:60])
    account.spend(key, Decimal(1), model=MARKUP, provider=MARKUP)
    manager = account.add_management_key("admin")
    added = await api.post("/api/keys", {"name": MARKUP[:100], "key": manager.secret})
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    lines = io.StringIO()
    csv.writer(lines).writerows(
        [
            ["generation_id", "created_at", "cost_total", "model_permaslug", "provider_name", "api_key_name"],
            ["g1", "2026-11-01 10:00:00.000", "1", MARKUP, "x", MARKUP[:90]],
        ]
    )
    export = lines.getvalue().encode()
    imported = await api.post("/api/imports/activity", content=export, headers={"Content-Type": "text/csv"})
    assert imported.json()["imported"] == 1, imported.text
    token = await api.creates_token(MARKUP)
    person = await arrive(user_agent=f"Mozilla/5.0 {MARKUP}")
    page = person.page
    await person.signs_in(api.email)
    for path in (
        *PAGES,
        f"/keys/{added.json()['id']}",
        f"/tokens/{token['id']}/revoke",
        "/?days=365",
        "/usage?days=365",
        f"/?model={MARKUP}",
    ):
        await person.opens(path)
        assert not await page.evaluate("window.ran")
        assert await page.locator("main script, main img, header script").count() == 0
    await person.opens("/tokens")
    assert MARKUP in await person.reads()


async def test_nothing_is_left_behind_the_back_button_after_signing_out(service: Service, owner: Owner) -> None:
    async with running_browser(ignore_default_args=["--disable-back-forward-cache"]) as browser:
        person = await Person.sits_down(browser, service.url)
        await person.signs_in(owner.email)
        await person.opens("/account")
        await person.opens("/usage")
        await person.presses("Sign out")
        assert "You are signed out" in await person.reads()
        for _ in range(2):
            await person.page.go_back()
            await person.page.get_by_role("heading", name="Sign in").wait_for()
            assert owner.email not in await person.page.content()
        assert await person.context.cookies() == []
        await person.leaves()


async def test_scripts_find_no_secret(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    await person.signs_in(owner.email)
    kept = await person.page.evaluate(
        "(async () => [document.cookie, localStorage.length, sessionStorage.length, (await indexedDB.databases()).length])()"
    )
    assert kept == ["", 0, 0, 0]
    (cookie,) = await person.context.cookies()
    assert (cookie["name"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        "__Host-watcher_session", True, True, "Strict", "/",
    )  # fmt: skip


async def test_link_from_another_site_leads_to_the_page(arrive: Arrive, owner: Owner, service: Service) -> None:
    person = await arrive()
    await person.signs_in(owner.email)
    elsewhere = "http://elsewhere.localhost/"
    await person.page.route(
        elsewhere, lambda route: route.fulfill(body=f"<a href='{service.url}/usage'>look</a>", content_type="text/html")
    )
    await person.page.goto(elsewhere)
    person.incidents.clear()  # that other site is one
    await person.page.get_by_role("link", name="look").click()
    await person.page.get_by_role("heading", name="Usage").wait_for()


async def test_first_page_is_light(arrive: Arrive, owner: Owner) -> None:
    person = await arrive()
    await person.signs_in(owner.email)
    session = await person.context.new_cdp_session(person.page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    await person.page.goto("/", wait_until="networkidle")
    assert len(sizes) >= 6
    assert sum(sizes) < 150_000


async def test_reference_is_read_and_tried(arrive: Arrive, service: Service, password_hash: str) -> None:
    api = await newcomer(service, "reader", password_hash)
    token = (await api.creates_token("try"))["token"]
    person = await arrive()
    page = person.page
    await person.opens("/reference")
    document = (await service.client.get("/schema/openapi.json")).json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert path in await page.locator(f"#{operation['operationId']}").inner_text()
    await page.get_by_label("A token for the requests").fill(token)
    operation = page.locator("#getPublicStats")
    await operation.locator("summary").click()
    await operation.get_by_label("days").fill("7")
    await operation.get_by_role("button").click()
    shown = await operation.locator("output pre").inner_text()
    assert shown.startswith("200")
    assert '"days": 7' in shown
