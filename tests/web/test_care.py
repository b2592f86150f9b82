"""Are the pages for everybody: small screens, the dark, keyboards, no scripts, and when something fails?"""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.cast import PASSWORD
from tests.conftest import new_database
from tests.ports import free_port
from tests.processes import running_server
from tests.web.browsing import TIMEOUT_MS, Person, figure, findings_of_axe
from tests.web.conftest import EXPORT, Arrive, Owner, Service, newcomer
from tests.web.proxy import proxy_below

PAGES = ("/?days=7", "/usage?days=7", "/keys", "/tokens", "/import", "/account", "/account/delete", "/reference")


@pytest.mark.parametrize(
    ("scheme", "width", "rules"),
    [("light", 1280, ()), ("dark", 360, ("color-contrast",))],
    ids=["light", "dark and narrow"],
)
async def test_every_page_is_fit_for_everybody(
    scheme: str, width: int, rules: tuple[str, ...], arrive: Arrive, owner: Owner
) -> None:
    """axe-core finds nothing serious, and no page is wider than the screen."""
    person = await arrive(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = person.page
    await person.opens("/sign-in")
    findings = await findings_of_axe(page, *rules)
    await person.signs_in(owner.email)
    (manager,) = [key for key in (await owner.api.get("/api/keys")).json() if key["kind"] == "management"]
    for path in (*PAGES, f"/keys/{manager['id']}", f"/keys/{manager['id']}/delete", "/nothing", "/keys/999999"):
        await person.opens(path)
        findings += await findings_of_axe(page, *rules)
        wider = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{path} is {wider} px too wide at {width}"
    background = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
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
    async with asyncio.timeout(TIMEOUT_MS / 1000):
        while "up to date" not in await person.reads(".key"):  # the scheduler may be reading it
            await page.reload()

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


async def test_everything_works_below_a_path_behind_a_proxy(
    browser: Browser, server_url: str, template: str, tmp_path: Path
) -> None:
    port = free_port()
    base_url = f"http://127.0.0.1:{port}/below"
    async with (
        new_database(server_url, template) as database_url,
        running_server(database_url, tmp_path / "log", PUBLIC_URL=base_url) as client,
        proxy_below("/below", port, client.base_url.port or 0) as strays,
    ):
        person = await Person.sits_down(browser, base_url)
        page = person.page
        await person.signs_up("below@example.com")
        await page.get_by_role("link", name="import an export").click()
        await page.get_by_label("The file", exact=True).set_input_files(EXPORT)
        await person.presses("Import")
        await page.get_by_role("link", name="Look at it").click()
        await page.locator("canvas").wait_for()
        await page.get_by_role("link", name="1 year").click()
        await page.wait_for_url("**/below/?days=365")
        await page.get_by_role("link", name="Every line of it").click()
        await page.get_by_role("link", name="Cost", exact=True).click()
        await page.wait_for_url("**/below/usage?*sort=cost*")
        await page.get_by_role("link", name="Tokens").click()
        await page.get_by_label("Name").fill("below")
        await person.presses("Make the token")
        assert f"{base_url}/api/v1/stats" in await person.reads("#curl")
        await page.get_by_role("link", name="I have stored it").click()
        await page.get_by_role("link", name="Revoke … below").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke the token").click()
        assert "Nobody is let in with it any more" in await person.reads()
        await person.presses("Sign out")
        assert "You are signed out" in await person.reads()
        await person.leaves()
    assert strays == []
