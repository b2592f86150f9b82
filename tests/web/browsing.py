"""A real Chromium for the tests, and a person in front of it who notes whatever should not happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    async_playwright,
)

from tests.cast import PASSWORD
from tests.web.chromium import AXE, CHROMIUM

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
TIMEOUT_MS = 10_000


@asynccontextmanager
async def running_browser(*arguments: str, **options: Any) -> AsyncGenerator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments], **options)
        try:
            yield browser
        finally:
            await browser.close()


class Person(msgspec.Struct, dict=True):  # Playwright notes something on it
    """Somebody in front of a browser. `incidents`: what the browser complains of, and what leaves the service's host."""

    context: BrowserContext
    page: Page
    base_url: str
    incidents: list[str]

    @classmethod
    async def sits_down(cls, browser: Browser, base_url: str, **options: Any) -> Person:
        """With a browser that remembers nothing."""
        context = await browser.new_context(base_url=base_url, **options)
        context.set_default_timeout(TIMEOUT_MS)
        page = await context.new_page()
        person = cls(context, page, base_url, [])
        person.watch(page)
        return person

    def watch(self, page: Page) -> None:
        """Notes what goes wrong on a page."""
        page.on("console", self._note_console)
        page.on("pageerror", self._note_error)
        page.on("request", self._note_request)
        page.on("response", self._note_response)
        page.on("dialog", lambda dialog: self.incidents.append(f"dialog: {dialog.message}"))

    def _note_console(self, message: ConsoleMessage) -> None:
        # Chromium reports 4xx answers there, which are asked for on purpose
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.incidents.append(f"console: {message.text}")

    def _note_error(self, error: Error) -> None:
        self.incidents.append(f"script: {error}")

    def _note_request(self, request: Request) -> None:
        here, there = urlsplit(self.base_url), urlsplit(request.url)
        if there.scheme not in {"data", "blob"} and (there.scheme, there.netloc) != (here.scheme, here.netloc):
            self.incidents.append(f"left the host: {request.url}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 500:
            self.incidents.append(f"{response.status}: {response.url}")

    async def opens(self, path: str) -> None:
        """An address of the service."""
        await self.page.goto(f"{self.base_url}{path}")

    async def signs_up(self, email: str) -> None:
        """With the form."""
        await self.opens("/sign-up")
        await self._fills_in(email, "Make the account")

    async def signs_in(self, email: str, password: str = PASSWORD) -> None:
        """With the form."""
        await self.opens("/sign-in")
        await self._fills_in(email, "Sign in", password)

    async def _fills_in(self, email: str, button: str, password: str = PASSWORD) -> None:
        await self.page.get_by_label("Email address").fill(email)
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name=button).click()
        await self.page.get_by_role("navigation", name="Pages").wait_for()

    async def presses(self, name: str) -> None:
        """A button."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def reads(self, selector: str = "main") -> str:
        """What stands there."""
        return " ".join((await self.page.locator(selector).inner_text()).split())

    async def leaves(self) -> None:
        """And nothing has happened that should not."""
        incidents = list(self.incidents)
        await self.context.close()
        assert incidents == []


async def figure(page: Page, selector: str) -> Decimal:
    """The exact value of a figure."""
    value = await page.locator(f"{selector} data").first.get_attribute("value")
    assert value is not None
    return Decimal(value)


async def until_figure(page: Page, selector: str, expected: Decimal) -> None:
    """Waits until a figure has been exchanged for another: the address changes a moment earlier."""
    async with asyncio.timeout(TIMEOUT_MS / 1000):
        while await figure(page, selector) != expected:  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.05)


async def findings_of_axe(page: Page, *rules: str) -> list[str]:
    """What axe-core calls serious or critical on a page, each with where it is; by all rules if none is named."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    result = await page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{page.url} {violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in result["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
