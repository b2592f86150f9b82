"""Who reads figures: people with an access token under /api, programs with an API token under /api/v1."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

import httpx
import msgspec

from tests.accounts.bodies import assert_problem
from tests.cast import Person, bearer
from tests.usage.exports import exact

AUGUST = "start_date=2026-08-01&end_date=2026-08-31"
BOTH: tuple[Literal["/api", "/api/v1"], ...] = ("/api", "/api/v1")


class Reader(msgspec.Struct):
    """Somebody who reads the figures of `owner`."""

    owner: Person
    root: str
    headers: dict[str, str]

    @classmethod
    async def of(cls, owner: Person, root: str) -> Reader:
        """The owner, or a program of theirs."""
        is_program = root == "/api/v1"
        return cls(owner, root, bearer((await owner.creates_token())["token"]) if is_program else owner.headers)

    async def ask(
        self, path: str, query: str = "", headers: dict[str, str] | None = None, method: str = "GET"
    ) -> httpx.Response:
        """Whatever the answer."""
        address = f"{self.root}/{path}" + (f"?{query}" if query else "")
        return await self.owner.client.request(method, address, headers=self.headers | (headers or {}))

    async def get(self, path: str, query: str = "", headers: dict[str, str] | None = None) -> httpx.Response:
        """An answer that is one."""
        answer = await self.ask(path, query, headers)
        assert answer.status_code == 200, (query, answer.text)
        return answer

    async def stats(self, query: str = "") -> dict[str, Any]:
        """With exact numbers."""
        return exact(await self.get("stats", query))

    async def summary(self, query: str = AUGUST) -> dict[str, Any]:
        """What it comes to."""
        return (await self.stats(query))["summary"]

    async def usage(self, query: str = AUGUST) -> list[dict[str, Any]]:
        """All pages one after the other, with exact numbers."""
        items, cursor = [], ""
        while True:
            page = exact(await self.get("usage", f"{query}{cursor}"))
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = f"&cursor={page['next_cursor']}"

    async def csv(self, query: str = AUGUST) -> str:
        """The whole selection."""
        return (await self.get("usage", f"format=csv&{query}")).content.decode()

    async def refused(self, path: str, query: str, status: int, code: str, pointer: str | None = None) -> None:
        """As API.md has it, and the field is named."""
        answer = await self.ask(path, query)
        assert answer.status_code == status, (query, answer.text)
        assert_problem(answer, status, code, pointer)


def today() -> date:
    """The UTC day."""
    return datetime.now(UTC).date()
