"""Is a token made with one form, shown once, listed, and revoked when that is meant?"""

from __future__ import annotations

import asyncio
import re
import subprocess

from tests.web.browsing import Person, running_browser
from tests.web.conftest import Arrive, Service, newcomer


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
