"""Does a browser let nothing happen that should not, and keep nothing that it should not?"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from urllib.parse import urlsplit

from tests.web.browsing import Person, running_browser
from tests.web.conftest import Arrive, Owner, Service, newcomer

PAGES = ("/", "/usage", "/keys", "/tokens", "/import", "/account", "/account/delete", "/reference")
MARKUP = '<script>window.ran = 1</script><img src=x onerror="window.ran = 1">'


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


async def test_plain_connection_works_and_is_told(service: Service, owner: Owner) -> None:
    """Under a name that is not the machine's own, without TLS: browsers drop Secure cookies there."""
    port = urlsplit(service.url).port
    async with running_browser("--host-resolver-rules=MAP nas.lan 127.0.0.1") as browser:
        person = await Person.sits_down(browser, f"http://nas.lan:{port}")
        await person.opens("/sign-in")
        assert "This connection is not private" in await person.reads("body")
        await person.signs_in(owner.email)
        await person.opens("/account")
        assert "This connection is not private" in await person.reads("body")
        (cookie,) = await person.context.cookies()
        assert (cookie["name"], cookie["secure"], cookie["httpOnly"]) == ("watcher_session", False, True)
        await person.presses("Sign out")
        assert "You are signed out" in await person.reads()
        await person.leaves()
