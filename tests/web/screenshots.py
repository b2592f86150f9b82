"""What does it look like? Writes the README's pictures anew, from the demonstration's data: `make screenshots`."""

from __future__ import annotations

import asyncio

from tests.processes import PROJECT
from tests.web.browsing import Person, running_browser
from tests.web.chromium import lacking
from tests.web.demonstration import running_demonstration

FOLDER = PROJECT / "docs" / "images"
MAX_BYTES = 200_000
PICTURES = (("overview", "/?days=90", "light", 1180), ("usage", "/usage?sort=cost&direction=desc", "dark", 760))
WIDTH = 1280


async def _take() -> None:
    async with running_demonstration() as demonstration, running_browser() as browser:
        await _make_token(await demonstration.visitor(browser))
        for name, path, scheme, height in PICTURES:
            viewport = {"width": WIDTH, "height": height}
            person = await demonstration.visitor(browser, color_scheme=scheme, viewport=viewport)
            await person.page.goto(path, wait_until="networkidle")
            await person.page.wait_for_timeout(1000)  # until the chart has risen
            file = FOLDER / f"{name}.png"
            await person.page.screenshot(path=file)
            await person.leaves()
            print(f"{file.relative_to(PROJECT)}: {file.stat().st_size} bytes")
            assert file.stat().st_size < MAX_BYTES


async def _make_token(person: Person) -> None:
    """So that the first page need not ask for one."""
    await person.opens("/tokens")
    await person.page.get_by_label("Name").fill("grafana")
    await person.presses("Make the token")
    await person.leaves()


if __name__ == "__main__":
    if reason := lacking():
        raise SystemExit(f"There is nothing to take pictures with: {reason}.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take())
