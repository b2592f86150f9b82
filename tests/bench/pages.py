"""How heavy is a page, and how soon is something painted? In a Chromium on the same machine, with a year of usage stored."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from playwright.async_api import Browser, Page

from tests.web.browsing import running_browser
from tests.web.chromium import lacking
from tests.web.demonstration import Demonstration, running_demonstration

ROUNDS = 7
PATHS = ("/", "/?days=365", "/usage", "/keys", "/tokens")
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
DONE = "performance.getEntriesByType('navigation')[0].loadEventEnd"


async def measure() -> None:
    """Prints medians."""
    async with running_demonstration() as demonstration, running_browser() as browser:
        print(f"{'page':<14}{'first paint':>14}{'loaded':>12}{'over the wire':>16}{'the page itself':>18}")
        for path in PATHS:
            rounds = [await _visit(demonstration, browser, path) for _ in range(ROUNDS)]
            paint, done, weight, itself = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{path:<14}{paint:>11.0f} ms{done:>9.0f} ms{weight / 1000:>13.1f} kB{itself / 1000:>15.1f} kB")


async def _visit(demonstration: Demonstration, browser: Browser, path: str) -> tuple[float, float, float, float]:
    """With a browser that has nothing yet but the session."""
    person = await demonstration.visitor(browser)
    page: Page = person.page
    session = await person.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: dict[str, float] = {}
    first: list[str] = []

    def note(event: dict[str, Any]) -> None:
        sizes[event["requestId"]] = event["encodedDataLength"]

    session.on("Network.requestWillBeSent", lambda event: first.append(event["requestId"]))
    session.on("Network.loadingFinished", note)
    await page.goto(path, wait_until="networkidle")
    paint, done = await page.evaluate(PAINT), await page.evaluate(DONE)
    await person.leaves()
    return paint, done, sum(sizes.values()), sizes[first[0]]


if __name__ == "__main__":
    if reason := lacking():
        print(f"Left out: the pages, because {reason}.")
    else:
        asyncio.run(measure())
