"""What may somebody hold that lets them in, or did once, and how do they show it?"""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

import asyncpg
import msgspec

from app.accounts import repository
from app.accounts.jwt import Signer, digest_refresh_token, make_refresh_token
from app.accounts.structs import StoredUser
from app.tokens import secret
from app.web import sessions
from tests.access.table import Row
from tests.cast import POLICY, Person, bearer
from tests.conftest import SECRET

Kind = Literal["access token", "refresh token", "API token", "session"]
Way = Literal["Bearer", "Basic", "cookie", "query", "header", "elsewhere"]
# "elsewhere" is Basic, query and header together: so is shown what opens nothing in any way
WAYS: dict[str, tuple[Way, ...]] = {
    "live": ("Bearer", "Basic", "cookie", "query", "header"),
    "ended": ("Bearer", "cookie", "elsewhere"),
}

OPENS: dict[str, tuple[Kind, Way]] = {
    "person": ("access token", "Bearer"),
    "program": ("API token", "Bearer"),
    "browser": ("session", "cookie"),
}


class Credential(msgspec.Struct, frozen=True):
    """`state`: live, or why it is not."""

    kind: Kind
    state: str
    text: str

    @property
    def ways(self) -> tuple[Way, ...]:
        """In which it is shown."""
        return WAYS["live" if self.state == "live" else "ended"]

    def opens(self, row: Row, way: Way) -> bool:
        """Whether it lets its holder in, shown that way."""
        return self.state == "live" and OPENS.get(row.door) == (self.kind, way)

    def shown(self, way: Way) -> tuple[dict[str, str], str]:
        """Headers and query."""
        match way:
            case "Bearer":
                return bearer(self.text), ""
            case "Basic":
                return {"Authorization": f"Basic {base64.b64encode(f'{self.text}:{self.text}'.encode()).decode()}"}, ""
            case "cookie":
                names = (sessions.PRIVATE_COOKIE, sessions.COOKIE, "session", "token", "access_token", "Authorization")
                return {"Cookie": "; ".join(f"{name}={self.text}" for name in names)}, ""
            case "query":
                return {}, f"?access_token={self.text}"
            case "elsewhere":
                return self.shown("Basic")[0] | self.shown("header")[0], self.shown("query")[1]
            case "header":
                return dict.fromkeys(
                    ("X-API-Key", "X-Auth-Token", "X-Access-Token", "Proxy-Authorization"), self.text
                ), ""


class Holder(msgspec.Struct):
    """Somebody with an account, and the service's database, in which credentials are made and brought to their ends."""

    person: Person
    connection: asyncpg.Connection

    async def user(self) -> StoredUser:
        """As login finds them."""
        found = await repository.find_credentials(self.connection, self.person.id)
        assert found
        return found

    async def access_token(self, state: str = "live", **ended: timedelta) -> Credential:
        """Of a session of its own; `ended`: columns of the session and how long ago they were."""
        session = await repository.create_session(
            self.connection, await self.user(), POLICY, digest_refresh_token(make_refresh_token()), "127.0.0.1", "test"
        )
        assert session
        await self._set("sessions", session.id, ended)
        return Credential("access token", state, Signer([SECRET]).sign(self.person.id, session.id))

    async def refresh_token(self, state: str = "live") -> Credential:
        """Not used yet."""
        token = make_refresh_token()
        assert await repository.create_session(
            self.connection, await self.user(), POLICY, digest_refresh_token(token), "127.0.0.1", "test"
        )
        return Credential("refresh token", state, token)

    async def session(self, state: str = "live", **ended: timedelta) -> Credential:
        """Of a browser."""
        text = sessions.make_secret()
        session_id = await repository.create_browser_session(
            self.connection, await self.user(), POLICY, sessions.digest(text), "127.0.0.1", "test"
        )
        assert session_id
        await self._set("sessions", session_id, ended)
        return Credential("session", state, text)

    async def api_token(self, state: str = "live", **ended: timedelta) -> Credential:
        """Of no particular name."""
        text = secret.make()
        token_id = await self.connection.fetchval(
            "INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at)"
            " VALUES ($1, $2, 'x', 'x', now() - interval '1 year') RETURNING id",
            self.person.id, secret.digest(text),
        )  # fmt: skip
        await self.connection.execute("INSERT INTO api_token_meters (token_id) VALUES ($1)", token_id)
        await self._set("api_tokens", token_id, ended)
        return Credential("API token", state, text)

    async def one_of_each(self, state: str = "live") -> list[Credential]:
        """Of all kinds."""
        return [
            await self.access_token(state),
            await self.refresh_token(state),
            await self.api_token(state),
            await self.session(state),
        ]

    async def ended(self) -> list[Credential]:
        """Those that let their holder in once, and those that never did."""
        session_id = await self.connection.fetchval("SELECT max(id) FROM sessions WHERE user_id <> $1", self.person.id)
        earlier = datetime.now(UTC) - timedelta(minutes=16)
        own_session = await self.connection.fetchval("SELECT max(id) FROM sessions WHERE user_id = $1", self.person.id)
        ago, long_ago = timedelta(seconds=1), timedelta(days=8)
        signer, stranger = Signer([SECRET]), Signer([secrets.token_bytes(32)])
        return [
            Credential("access token", "expired", signer.sign(self.person.id, own_session, earlier)),
            Credential("access token", "for the session of another", signer.sign(self.person.id, session_id)),
            Credential("access token", "signed by a stranger", stranger.sign(self.person.id, own_session)),
            await self.access_token("of an ended session", revoked_at=ago),
            await self.access_token("of a session that ran out", expires_at=ago),
            await self.session("ended", revoked_at=ago),
            await self.session("ran out", expires_at=ago),
            await self.session("unused for eight days", last_used_at=long_ago),
            await self.api_token("revoked", revoked_at=ago),
            await self.api_token("expired", expires_at=ago),
        ]

    async def _set(self, table: str, row_id: int, moments: dict[str, timedelta]) -> None:
        for column, ago in moments.items():
            await self.connection.execute(
                f"UPDATE {table} SET created_at = now() - interval '1 year', {column} = now() - $2::interval WHERE id = $1", # noqa: S608 -- ours
                row_id, ago,
            )  # fmt: skip
