"""Does a user see anything of another's: on any endpoint, with any filter, cursor or form, in any export?"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from tests.access.table import ROUTES
from tests.accounts.bodies import assert_problem
from tests.cast import Person, log_in
from tests.commands.running import environment_of, run
from tests.conftest import new_database, quiet_settings, running_app
from tests.readers import BOTH, Reader, today
from tests.test_routes import HANDLERS
from tests.usage.facts import Fact, book, key_ids
from tests.web.visiting import Visitor

# what only Bob has: names, and amounts in whose digits, sums and shares he would be known
CANARIES = [
    "canarykey",
    "canarymodel",
    "canaryprovider",
    "canarytoken",
    "canaryagent",
    "bob@example.com",
    "77177",
    "0.0881",
]
FORMS = [{}, {"Accept": "text/csv"}]
SELECTING = ("stats", "usage")
LISTS = ("/api/auth/sessions", "/api/events", "/api/keys", "/api/tokens")
PAGES = sorted(path for method, path in ROUTES if ROUTES[method, path].door == "browser" and method == "GET")
GETS = sorted(path for method, path in HANDLERS if method == "GET" and path.startswith("/api"))


class Two(msgspec.Struct):
    """Alice, who looks around, and Bob, whose things are his; with what she saw before he came."""

    alice: Person
    bob: Person
    readers: dict[str, Reader]
    bobs: dict[str, Reader]
    connection: asyncpg.Connection
    url: str
    visitor: Visitor
    before: dict[str, bytes]
    pages_before: dict[str, str]
    bobs_keys: list[int]
    bobs_cursors: list[str]
    bobs_links: dict[str, str]


@pytest.fixture(scope="module")
async def two(server_url: str, template: str) -> AsyncGenerator[Two]:
    """One story for all: nobody changes anything any more."""
    async with new_database(server_url, template) as url, running_app(quiet_settings(url)) as client:
        connection = await asyncpg.connect(url)
        alice = await Person.arrives(client, "alice@example.com")
        days = [today() - timedelta(days=back) for back in range(3)]
        mine = [
            Fact(day, key, model, cost=Decimal("0.5"), requests=2)
            for day in days
            for key, model in (("mine", "shared"), ("mine", "mine"), (None, "mine"))
        ]
        await book(connection, alice.id, *mine)
        readers = {root: await Reader.of(alice, root) for root in BOTH}
        visitor = await Visitor.signs_in(client, alice.email)
        before, pages_before = await everything(readers, ""), await pages_of_figures(visitor)

        bob = await Person.arrives(client, "bob@example.com")
        await bob.creates_token("canarytoken")
        figures = {"cost": Decimal("0.0881"), "requests": 77177, "tokens_input": 77177, "byok_cost": Decimal("0.0881")}
        names = [("canarykey", "canarymodel"), ("canarykey 2", "shared"), (None, "mine")]
        longer = [today() - timedelta(days=back) for back in range(10)]  # earlier than she, too
        theirs = [Fact(day, key, model, "canaryprovider", **figures) for day in longer for key, model in names]
        await book(connection, bob.id, *theirs)
        stale = "UPDATE openrouter_keys SET last_synced_at = now() - interval '1 day' WHERE user_id = $1"
        await connection.execute(stale, bob.id)
        bobs = {root: await Reader.of(bob, root) for root in BOTH}
        cursors = [(await bobs["/api"].get("usage", "limit=1")).json()["next_cursor"]]
        cursors.append((await bobs["/api/v1"].get("keys", "limit=1")).json()["next_cursor"])
        await log_in(client, bob.email, headers={"User-Agent": "canaryagent"})
        links = {path: (await bob.get(f"{path}?limit=1")).links["next"]["url"] for path in LISTS}
        keys = list((await key_ids(connection, bob.id)).values())
        yield Two(alice, bob, readers, bobs, connection, url, visitor, before, pages_before, keys, cursors, links)
        await connection.close()


async def everything(readers: dict[str, Reader], query: str) -> dict[str, bytes]:
    """What the routes of figures answer in each form; with a filter if given."""
    found = {}
    for root, reader in readers.items():
        for path in ("stats", "usage", *(["keys", "metrics"] if root == "/api/v1" else [])):
            asked = [query] if path in SELECTING else [""]
            if path == "usage":
                asked += [f"{query}&format=csv".removeprefix("&"), f"{query}&limit=1".removeprefix("&")]
            for one in asked:
                answer = await reader.get(path, one)
                found[f"{root}/{path}?{one}"] = answer.content
    return found


async def pages_of_figures(visitor: Visitor) -> dict[str, str]:
    """As they are shown, by their paths."""
    return {path: (await visitor.get(path)).text for path in ("/", "/?model=shared", "/usage", "/usage?sort=cost")}


def assert_nothing_of_bob(text: str) -> None:
    assert [canary for canary in CANARIES if canary in text] == []


async def test_canaries_sing_for_their_owner(two: Two) -> None:
    answers = [
        (await two.bobs["/api"].get(path, query)).text
        for path, query in (("stats", ""), ("usage", ""), ("usage", "format=csv"))
    ]
    answers += [(await two.bob.get(path)).text for path in ("/api/tokens", "/api/auth/me", "/api/auth/sessions")]
    answers += [(await two.bobs["/api/v1"].get(path)).text for path in ("metrics", "keys")]
    assert [canary for canary in CANARIES if not any(canary in text for text in answers)] == []


async def test_nothing_is_other_than_it_was_before_he_came(two: Two) -> None:
    after = await everything(two.readers, "")
    assert after == two.before
    for text in after.values():
        assert_nothing_of_bob(text.decode())


async def of_bob(two: Two) -> dict[str, list[int]]:
    """The ids of what is his, by the parameters of paths."""
    ids = {"key_id": two.bobs_keys}
    for name, table in (("token_id", "api_tokens"), ("session_id", "sessions")):
        rows = await two.connection.fetch(f"SELECT id FROM {table} WHERE user_id = $1", two.bob.id)  # noqa: S608 -- ours
        ids[name] = [row["id"] for row in rows]
    return ids


async def test_no_endpoint_tells_of_him(two: Two) -> None:
    """All that there are, with his ids in the path."""
    ids = await of_bob(two)
    assert len(GETS) >= 10
    for path in GETS:
        reader = two.readers["/api/v1" if path.startswith("/api/v1/") else "/api"]
        name = path.partition("{")[2].partition("}")[0].partition(":")[0]
        for number in ids[name] if name else [None]:
            address = path.replace(f"{{{name}}}", str(number)) if name else path
            answer = await two.alice.client.get(address, headers=reader.headers)
            assert answer.status_code == (403 if name else 200), address
            assert_nothing_of_bob(answer.text + str(answer.headers))


@pytest.mark.parametrize("root", BOTH)
async def test_no_filter_reaches_him(two: Two, root: str) -> None:
    reader = two.readers[root]
    for path in SELECTING:
        for headers in FORMS:
            for key in two.bobs_keys:
                for also in ("", "&days=3660", "&model=canarymodel", "&model=shared"):
                    answer = await reader.ask(path, f"api_key_id={key}{also}", headers)
                    assert_problem(answer, 403, "not_yours")
                    assert_nothing_of_bob(answer.text)
            for model in ("canarymodel", "canary%25", "%25", "canaryprovider"):
                answer = await reader.ask(path, f"model={model}", headers)
                assert answer.status_code == 200
                assert_nothing_of_bob(answer.text)


@pytest.mark.parametrize("root", BOTH)
async def test_model_that_both_use_is_each_one_s_own(two: Two, root: str) -> None:
    summary = await two.readers[root].summary("model=shared")
    assert (summary["total_cost"], summary["total_requests"]) == (Decimal("1.5"), 6)
    summary = await two.bobs[root].summary("model=shared")
    assert (summary["total_cost"], summary["total_requests"]) == (10 * Decimal("0.0881"), 10 * 77177)


@pytest.mark.parametrize("root", BOTH)
async def test_no_cursor_of_his_leads_anywhere(two: Two, root: str) -> None:
    reader = two.readers[root]
    for cursor in two.bobs_cursors:
        for path in ("usage", *(["keys"] if root == "/api/v1" else [])):
            answer = await reader.ask(path, f"limit=1000&cursor={cursor}")
            assert_problem(answer, 422, "invalid", "#/cursor")
            assert_nothing_of_bob(answer.text)


async def test_no_link_of_his_to_the_next_page_leads_anywhere_but_to_her_own(two: Two) -> None:
    for path, link in two.bobs_links.items():
        assert (await two.bob.get(link)).status_code == 200
        answer = await two.alice.get(link)
        assert answer.status_code == (200 if path == "/api/auth/sessions" else 422), (
            path
        )  # there it is an id, and no secret
        assert_nothing_of_bob(answer.text)


async def test_no_page_shows_him(two: Two) -> None:
    """In a browser, with his ids in the path and in the filters, and with his cursor."""
    assert await pages_of_figures(two.visitor) == two.pages_before
    ids, visitor = await of_bob(two), two.visitor
    assert len(PAGES) >= 10
    for path in PAGES:
        name = path.partition("{")[2].partition("}")[0]
        for number in ids[name] if name else [0]:
            page = await visitor.get(path.replace(f"{{{name}}}", str(number)))
            assert page.status_code == (403 if name else 200), path
            assert_nothing_of_bob(page.text + str(page.headers))
    for path in ("/", "/usage", "/usage/file"):
        filters = [f"api_key_id={key}" for key in two.bobs_keys] + ["model=canarymodel", "days=365&model=shared"]
        for query in [*filters, f"cursor={two.bobs_cursors[0]}"] if path == "/usage" else filters:
            page = await visitor.get(f"{path}?{query}")
            assert page.status_code in {200, 403, 422}, (path, query)
            assert_nothing_of_bob(page.text.replace("canarymodel", "") if "canarymodel" in query else page.text)


@pytest.mark.parametrize("root", BOTH)
async def test_no_tag_of_his_tells_anything(two: Two, root: str) -> None:
    for path in ("stats", "usage", *(["keys"] if root == "/api/v1" else [])):
        etag = (await two.bobs["/api/v1"].get(path)).headers["etag"]
        assert (await two.readers[root].ask(path, headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_no_export_tells_of_him(two: Two, form: str) -> None:
    environment = environment_of(two.url)
    done = run(environment, "export", "--user", two.alice.email, "--format", form, "--days", "3660")
    assert (done.returncode, done.stdout.count("mine") > 0) == (0, True), done.stderr
    assert_nothing_of_bob(done.stdout + done.stderr)
    for key in two.bobs_keys:
        refused = run(environment, "export", "--user", two.alice.email, "--format", form, "--api-key-id", str(key))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert_nothing_of_bob(refused.stderr)


async def test_routes_of_figures_are_all_looked_at(two: Two) -> None:
    """A new one is to be added to `everything`."""
    looked_at = {address.partition("?")[0] for address in await everything(two.readers, "")} | {"/api/v1/token"}
    figures: set[Any] = {
        path for path in GETS if path.startswith("/api/v1/") or path.removeprefix("/api/") in SELECTING
    }
    assert figures == looked_at
