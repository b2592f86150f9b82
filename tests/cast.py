"""The people of the tests."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import msgspec

from app.accounts import repository
from app.accounts.addresses import parse_address
from app.accounts.jwt import Signer, digest_refresh_token, make_refresh_token
from app.accounts.structs import Policy, StoredUser

PASSWORD = "correct horse battery staple"
POLICY = Policy(
    registration="open", password_min_length=15, login_limit=None, login_client_limit=None, registration_limit=None
)


class Person(msgspec.Struct):
    """Somebody with an account who is logged in."""

    client: httpx.AsyncClient
    email: str
    id: int
    tokens: dict[str, Any]

    @classmethod
    async def arrives(cls, client: httpx.AsyncClient, email: str) -> Person:
        """Registers and logs in."""
        registered = await client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
        assert registered.status_code == 201, registered.text
        tokens = await log_in(client, email)
        return cls(client, email, registered.json()["id"], tokens)

    @classmethod
    async def is_there(
        cls, client: httpx.AsyncClient, connection: asyncpg.Connection, email: str, password_hash: str, secret: bytes
    ) -> Person:
        """Has registered and logged in before the story begins: as `arrives` would leave it, without its hashing."""
        account = await repository.create_user(connection, parse_address(email), password_hash)
        user = StoredUser(account.id, email, password_hash, is_enabled=True)
        refresh_token = make_refresh_token()
        digest = digest_refresh_token(refresh_token)
        session = await repository.create_session(connection, user, POLICY, digest, "127.0.0.1", "python-httpx")
        assert session
        access_token = Signer([secret]).sign(account.id, session.id)
        tokens = {
            "access_token": access_token,
            "refresh_token": refresh_token,
            "expires_in": 900,
            "token_type": "bearer",
        }
        return cls(client, email, account.id, tokens | {"refresh_expires_in": session.refresh_expires_in})

    @property
    def headers(self) -> dict[str, str]:
        """With the access token."""
        return bearer(self.tokens["access_token"])

    async def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A request with the access token."""
        return await self.client.request(method, path, headers=self.headers | arguments.pop("headers", {}), **arguments)

    async def get(self, path: str, **arguments: Any) -> httpx.Response:
        """GET with the access token."""
        return await self.call("GET", path, **arguments)

    async def post(self, path: str, json: Any = None, **arguments: Any) -> httpx.Response:
        """POST with the access token."""
        return await self.call("POST", path, **({"json": json} if json is not None else {}), **arguments)

    async def delete(self, path: str, **arguments: Any) -> httpx.Response:
        """DELETE with the access token."""
        return await self.call("DELETE", path, **arguments)

    async def creates_token(self, name: str = "grafana", **fields: Any) -> dict[str, Any]:
        """An API token of theirs."""
        answer = await self.post("/api/tokens", {"name": name, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **arguments: Any) -> dict[str, Any]:
    """The tokens of a new session."""
    answer = await client.post("/api/auth/login", json={"email": email, "password": password}, **arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bearer(credential: str) -> dict[str, str]:
    """The header that carries a credential."""
    return {"Authorization": f"Bearer {credential}"}
