"""Somebody with a browser, as far as HTTP goes: a cookie, forms with their tokens, and the headers that browsers send."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import msgspec

from tests.cast import PASSWORD

# of a browser that reaches the service over https or on the same machine
PRIVATE = {"Sec-Fetch-Site": "same-origin", "Origin": "http://watcher.test"}
PLAIN = {"Origin": "http://watcher.test"}


class Visitor(msgspec.Struct):
    """Signed in on the pages."""

    client: httpx.AsyncClient
    email: str
    cookie: str
    headers: dict[str, str]

    @classmethod
    async def signs_in(
        cls, client: httpx.AsyncClient, email: str, password: str = PASSWORD, headers: dict[str, str] | None = None
    ) -> Visitor:
        """With the form."""
        headers = PRIVATE if headers is None else headers
        answer = await client.post("/sign-in", data={"email": email, "password": password}, headers=headers)
        assert answer.status_code == 303, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        client.cookies.clear()  # each request says itself which cookie it sends
        return cls(client, email, cookie, headers)

    async def get(self, path: str, **arguments: Any) -> httpx.Response:
        """A page."""
        return await self.call("GET", path, **arguments)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form of theirs."""
        return await self.call("POST", path, data={"form_token": await self.form_token(), **fields})

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Any request."""
        headers = self.headers | {"Cookie": self.cookie} | arguments.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **arguments)
        self.client.cookies.clear()
        return answer

    async def form_token(self) -> str:
        """What their forms carry."""
        return field(await self.get("/account"), "form_token")


def field(page: httpx.Response, name: str) -> str:
    """The value of a field of a form on a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found, page.text
    return html.unescape(found[1])


def words(page: httpx.Response) -> str:
    """What a person reads on a page."""
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    body = page.text.partition("<body>")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())
