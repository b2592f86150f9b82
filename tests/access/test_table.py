"""Does every route answer every credential, however it is shown, as the table says, and change nothing for who may not?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.accounts import repository
from app.simulator.server import serving
from app.simulator.world import World
from app.web.sessions import Browsers, digest
from tests.access.credentials import OPENS, Credential, Holder, Way
from tests.access.table import ROUTES, Row
from tests.cast import Person
from tests.conftest import SECRET, quiet_settings, running_app
from tests.test_routes import HANDLERS
from tests.tokens.test_secrecy import everything_stored
from tests.web.visiting import PRIVATE

# where nobody is asked for anything, a dead credential is shown only as most would show it
DEAD_WAYS = dict.fromkeys(OPENS, ("Bearer", "cookie", "elsewhere")) | dict.fromkeys(
    ("anybody", "nobody_yet"), ("Bearer",)
)
PROBLEM = "application/problem+json"
NEWEST_KEY = "SELECT max(id) FROM openrouter_keys WHERE user_id = $1 AND deleted_at IS NULL"
CSV = "{}\n{}\n"


class Scene(msgspec.Struct):
    """Alice and what is hers, and others who want it."""

    client: httpx.AsyncClient
    connection: asyncpg.Connection
    alice: Holder
    bob: Holder
    ids: dict[str, int]
    secrets: dict[str, str]

    def address(self, path: str) -> str:
        """With Alice's ids in it."""
        for name, number in self.ids.items():
            path = path.replace(f"{{{name}}}", str(number))
        return path.replace("{name}", "nothing.css").replace("{path}", "nothing")

    async def ask(
        self, method: str, path: str, row: Row, credential: Credential | None = None, way: Way = "Bearer"
    ) -> httpx.Response:
        """With a body that does something."""
        headers, query = credential.shown(way) if credential else ({}, "")
        sent: dict[str, Any] = {}
        if path in {"/import", "/api/imports/activity"} and row.body:
            file = CSV.format(",".join(row.body), ",".join(row.body.values()))
            if path.startswith("/api"):
                sent, headers = {"content": file}, headers | {"Content-Type": "text/csv"}
            else:
                token = await self.form_token(credential)
                sent = {"files": [("form_token", (None, token)), ("file", ("export.csv", file.encode()))]}
        elif row.body is not None:
            body = {name: self.secrets.get(value, value) for name, value in row.body.items()}
            sent = (
                {"json": body}
                if path.startswith("/api")
                else {"data": body | {"form_token": await self.form_token(credential)}}
            )
        if not path.startswith("/api"):
            headers |= PRIVATE
        self.client.cookies.clear()
        return await self.client.request(method, self.address(path) + query, headers=headers, **sent)

    async def form_token(self, credential: Credential | None) -> str:
        """Of whoever's session this is, as if it had been stolen from a page."""
        if credential is None or credential.kind != "session":
            return "0" * 64
        session_id = await self.connection.fetchval(
            "SELECT id FROM sessions WHERE cookie_hash = $1", digest(credential.text)
        )
        return Browsers("", [SECRET]).form_token(session_id)


@pytest.fixture
async def scene(database_url: str, password_hash: str) -> AsyncGenerator[Scene]:
    """Made for each test: they end what they use."""
    async with serving(World(seed=7)) as openrouter:
        settings = msgspec.structs.replace(
            quiet_settings(database_url), openrouter_base_url=openrouter.base_url, max_api_tokens_per_user=99
        )
        account = openrouter.world.add_account()
        secrets = {name: account.add_key(name).secret for name in ("first", "second", "third", "replacing")}
        connection = await asyncpg.connect(database_url)
        async with running_app(settings) as client:
            alice, bob = [
                await Person.is_there(client, connection, f"{name}@example.com", password_hash, SECRET)
                for name in ("alice", "bob")
            ]
            key = await alice.post("/api/keys", {"name": "first", "key": secrets["first"]})
            assert key.status_code == 201, key.text
            token = await alice.creates_token("first")
            session = (await alice.get("/api/auth/sessions")).json()[0]
            ids = {"key_id": key.json()["id"], "token_id": token["id"], "session_id": session["id"]}
            holders = [Holder(person, connection) for person in (alice, bob)]
            yield Scene(client, connection, *holders, ids, secrets)
        await connection.close()


def expected(row: Row, method: str, credential: Credential | None, way: Way) -> tuple[int, str]:
    """The status of an answer, and how its address or challenge begins if it refuses."""
    if row.door in {"anybody", "nobody_yet"}:
        is_in = (
            row.door == "nobody_yet"
            and credential
            and credential.state == "live"
            and (credential.kind, way) == ("session", "cookie")
        )
        return (303 if is_in else 422 if credential and way in {"query", "elsewhere"} else row.status), ""
    if row.door == "browser":
        return 303, "/sign-in?next=" if method == "GET" else "/sign-in?why=ended"
    return 401, 'Bearer realm="openrouter-watcher"' + (
        ', error="invalid_token"' if credential and way == "Bearer" else ""
    )


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("www-authenticate") or answer.headers.get("location", "")


def test_table_has_every_route() -> None:
    assert ROUTES.keys() == HANDLERS.keys()


async def test_who_may_not_is_refused_everywhere_and_leaves_nothing_behind(scene: Scene, password_hash: str) -> None:
    live = await scene.alice.one_of_each()
    dead = await scene.alice.ended()
    for state in ("disabled", "deleted"):
        person = await Person.is_there(scene.client, scene.connection, f"{state}@example.com", password_hash, SECRET)
        dead += await Holder(person, scene.connection).one_of_each(f"of a {state} account")
        if state == "deleted":
            await repository.delete_user(scene.connection, person.id)
        else:  # the service ends the sessions too; here nothing but the account itself says so
            await scene.connection.execute("UPDATE users SET disabled_at = now() WHERE id = $1", person.id)
    before = await everything_stored(scene.connection)
    shown: list[tuple[Credential | None, Way]] = [(None, "Bearer")]
    shown += [(credential, way) for credential in (*live, *dead) for way in credential.ways]
    wrong: list[str] = []
    for (method, path), row in ROUTES.items():
        for credential, way in shown:
            if credential and (credential.opens(row, way) or (credential in dead and way not in DEAD_WAYS[row.door])):
                continue
            answer = await scene.ask(method, path, row, credential, way)
            (status, start), (was, said) = expected(row, method, credential, way), told(answer)
            is_problem = status != 401 or answer.headers["content-type"] == PROBLEM or path == "/sign-in"
            if was != status or not said.startswith(start) or not is_problem:
                what = f"{credential.kind} {credential.state} as {way}" if credential else "nothing"
                wrong.append(f"{method} {path} with {what}: {was} {said}, not {status} {start}")
        assert wrong == []
    assert await everything_stored(scene.connection) == before


async def test_whoever_may_goes_through_and_nobody_through_the_door_of_another(scene: Scene) -> None:
    wrong = []
    makers = {"person": Holder.access_token, "program": Holder.api_token, "browser": Holder.session}
    for (method, path), row in ROUTES.items():
        if row.door not in makers:
            continue
        scene.ids["key_id"] = await scene.connection.fetchval(
            NEWEST_KEY, scene.alice.person.id
        )  # that is not deleted yet
        make, way = makers[row.door], OPENS[row.door][1]
        if any(f"{{{name}}}" in path for name in scene.ids):
            of_bob = await make(scene.bob)
            before = await everything_stored(scene.connection)
            answer = await scene.ask(method, path, row, of_bob, way)
            if answer.status_code != 403 or await everything_stored(scene.connection) != before:
                wrong.append(f"{method} {path} lets Bob at what is Alice's: {told(answer)}")
        actor = scene.bob if path == "/account/delete" and method == "POST" else scene.alice  # who is gone by then
        answer = await scene.ask(method, path, row, await make(actor), way)
        if answer.status_code != row.status or answer.headers.get("location", "").startswith("/sign-in?next"):
            wrong.append(f"{method} {path}: {told(answer)}, not {row.status}")
    assert wrong == []
