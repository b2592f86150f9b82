"""Does every page keep the manners of all of them, and do the forms what they say? Without a browser."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.main import create_app
from app.settings import Settings
from app.web import assets, usage
from tests.cast import PASSWORD, Person
from tests.conftest import lifespan, running_app
from tests.usage.watching import Watching, watching
from tests.web.visiting import PRIVATE, Visitor, field, words

PAGES = (
    "/",
    "/usage",
    "/keys",
    "/tokens",
    "/import",
    "/account",
    "/account/delete",
    "/reference",
    "/sign-in",
    "/sign-up",
)
EXPORT = Path(__file__).parents[1] / "data" / "activity-export-2026-08-24.csv"
CSP = {
    "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "font-src": "'self'",
    "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
}  # fmt: skip


@pytest.fixture
async def visitor(client: httpx.AsyncClient, alice: Person) -> Visitor:
    """Alice in her browser."""
    return await Visitor.signs_in(client, alice.email)


async def imported(alice: Person) -> None:
    """She has a history."""
    answer = await alice.post(
        "/api/imports/activity", content=EXPORT.read_bytes(), headers={"Content-Type": "text/csv"}
    )
    assert answer.status_code == 200, answer.text


# --- manners


async def test_every_page_is_strict_private_and_light(visitor: Visitor, alice: Person) -> None:
    await imported(alice)
    for path in (*PAGES, "/?days=365", "/usage?days=365", "/nothing"):
        page = await visitor.get(path, headers={"Accept-Encoding": "identity", "Accept": "text/html"})
        if page.status_code == 303:
            continue  # from sign-in to the overview
        assert page.headers["cache-control"] == "no-store"
        policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
        assert policy == CSP
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:", page.text), path
        for address in re.findall(r"<(?:script|link|img|form)[^>]*\s(?:src|href|action)=\"([^\"]*)\"", page.text):
            assert address.startswith("/"), address
        zipped = await visitor.get(path, headers={"Accept-Encoding": "gzip", "Accept": "text/html"})
        assert zipped.headers["content-encoding"] == "gzip"


async def test_files_are_kept_for_ever_under_an_address_that_changes_with_them(visitor: Visitor) -> None:
    page = await visitor.get("/account")
    addresses = re.findall(r'"(/static/[^"]+)"', page.text)
    assert len(set(addresses)) >= 5
    for address in set(addresses):
        for coding in ("gzip", "identity"):
            answer = await visitor.client.get(address, headers={"Accept-Encoding": coding})
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-type"].split(";")[0] in {"text/css", "text/javascript", "image/svg+xml"}
            assert answer.headers.get("content-encoding") == ("gzip" if coding == "gzip" else None)
    other = await visitor.client.get("/static/watcher.css?v=old")
    assert other.headers["cache-control"] == "no-cache"
    assert (await visitor.client.get("/static/pages.py")).status_code == 404


@pytest.mark.parametrize("public_url", ["https://example.com/below", "https://example.com/below/it"])
async def test_all_links_stay_below_the_path_of_the_public_url(
    public_url: str, settings: Settings, alice: Person
) -> None:
    base = public_url.removeprefix("https://example.com")
    async with running_app(msgspec.structs.replace(settings, public_url=public_url)) as client:
        alice.client = client
        await imported(alice)
        headers = {"Sec-Fetch-Site": "same-origin"}
        visitor = await Visitor.signs_in(client, alice.email, headers=headers)
        for path in PAGES[:8]:
            page = await visitor.get(path)
            assert page.status_code == 200
            links = re.findall(r"(?:href|src|action|hx-get|hx-post)=\"(/[^\"]*)\"", page.text)
            assert len(links) > 10
            assert [link for link in links if not link.startswith(f"{base}/")] == []
        answer = await visitor.post(
            "/tokens", name="x", expires_in_days="", form_id="11111111-1111-4111-8111-111111111111"
        )
        assert f"{public_url}/api/v1/stats" in answer.text
        assert (await visitor.post("/sign-out")).headers["location"] == f"{base}/sign-in?why=out"
        assert (await visitor.get("/usage")).headers["location"] == f"{base}/sign-in?next=%2Fusage"
        assert "strict-transport-security" in (await client.get("/sign-in")).headers


async def test_missing_files_are_told_at_the_start_and_on_the_pages(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    assert not assets.Assets().are_complete
    app = create_app(settings)
    async with (
        lifespan(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://watcher.test") as client,
    ):
        page = await client.get("/sign-up", headers=PRIVATE)
        assert "Run make assets on the server" in words(page)


# --- what goes wrong


async def test_unknown_address_is_a_page_for_people_and_a_problem_for_programs(client: httpx.AsyncClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await client.get("/nothing", headers=browser)
    assert page.status_code == 404
    assert "There is nothing here" in words(page)
    assert "To the overview" in words(page)
    for path, headers in (("/nothing", {}), ("/nothing", {"Accept": "*/*"}), ("/api/nothing", browser)):
        answer = await client.get(path, headers=headers)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_database_that_is_away_is_told_in_words(settings: Settings, visitor: Visitor) -> None:
    away = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    async with running_app(away) as client:
        visitor.client = client
        page = await visitor.get("/usage")
        assert (page.status_code, page.headers["retry-after"]) == (503, "1")
        assert "Wait a few seconds and try again" in words(page)
        assert 'href="/usage"' in page.text


async def test_mistake_of_ours_is_a_bare_page(
    visitor: Visitor, connection: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await connection.execute("ALTER TABLE api_tokens RENAME COLUMN hint TO hinted")
    page = await visitor.get("/tokens", headers={"X-Request-ID": "the-request"})
    assert page.status_code == 500
    assert "the-request" in words(page)
    assert "hint" not in words(page)
    assert "the-request" in "".join(capsys.readouterr())


async def test_error_of_a_part_of_a_page_is_shown_in_its_messages(visitor: Visitor) -> None:
    answer = await visitor.get("/keys/999", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert answer.headers["hx-retarget"] == "#messages"
    assert answer.headers["hx-reselect"] == "#problem"
    visitor.cookie = ""
    answer = await visitor.get("/keys", headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == "/sign-in?why=ended"


async def test_too_many_attempts_are_told_until_when(settings: Settings, alice: Person) -> None:
    from app.limits import Limit  # noqa: PLC0415 -- only here

    async with running_app(msgspec.structs.replace(settings, login_limit=Limit(1, 600))) as client:
        for _ in range(2):
            page = await client.post("/sign-in", data={"email": alice.email, "password": "wrong"}, headers=PRIVATE)
        assert page.status_code == 429
        assert "Too many attempts" in words(page)
        assert "Try again in 10 minutes" in words(page)


# --- accounts


async def test_first_visitor_is_led_to_making_the_first_account(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers=PRIVATE)).headers["location"] == "/sign-in?next=%2F"
    answer = await client.get("/sign-in", headers=PRIVATE)
    assert answer.headers["location"].startswith("/sign-up")
    page = await client.get("/sign-up", headers=PRIVATE)
    assert "You are the first" in words(page)


@pytest.mark.parametrize(
    ("email", "password", "told"),
    [
        ("nonsense", PASSWORD, "The address is not right"),
        ("new@example.com", "short", "The password must have at least 15 characters"),
        ("new@example.com", "passwordpassword", "The password is too easy to guess"),
        ("alice@example.com", PASSWORD, "There is an account with this email address already"),
    ],
)
@pytest.mark.usefixtures("alice")
async def test_account_that_cannot_be_made_is_explained(
    email: str, password: str, told: str, client: httpx.AsyncClient
) -> None:
    page = await client.post("/sign-up", data={"email": email, "password": password}, headers=PRIVATE)
    assert page.status_code in {409, 422}
    assert told in words(page)
    assert field(page, "email") == email


async def test_closed_server_says_so(settings: Settings) -> None:
    async with running_app(msgspec.structs.replace(settings, registration="closed")) as client:
        assert "takes no new accounts" in words(await client.get("/sign-in", headers=PRIVATE))
        assert "takes no new accounts" in words(await client.get("/sign-up", headers=PRIVATE))
        page = await client.post("/sign-up", data={"email": "a@b.de", "password": PASSWORD}, headers=PRIVATE)
        assert page.status_code == 403


async def test_visitor_signs_up_and_is_signed_in(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-up", data={"email": "new@example.com", "password": PASSWORD}, headers=PRIVATE)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = await client.get("/", headers=PRIVATE | {"Cookie": cookie})
    assert "Welcome" in words(page)


async def test_account_pages_do_what_they_say(visitor: Visitor, alice: Person) -> None:
    other = await Visitor.signs_in(visitor.client, alice.email)
    page = words(await visitor.get("/account?done=ended"))
    assert "That session has ended" in page
    assert page.count("127.0.0.1") >= 3
    assert (await visitor.post("/account/sessions/end-others")).headers["location"] == "/account?done=others-ended"
    assert (await other.get("/account")).status_code == 303
    page = await visitor.post("/account/password", current_password="wrong", new_password=PASSWORD)
    assert (page.status_code, "The password is wrong" in words(page)) == (403, True)
    page = await visitor.post("/account/delete", password="wrong")
    assert (page.status_code, "The password is wrong" in words(page)) == (403, True)
    answer = await visitor.post("/account/delete", password=PASSWORD)
    assert answer.headers["location"] == "/sign-in?why=deleted"
    assert answer.headers["clear-site-data"] == '"cache"'
    assert "Your account is deleted" in words(await visitor.get("/sign-in?why=deleted"))


# --- tokens


async def test_token_form_makes_one_token_however_often_it_is_sent(settings: Settings, alice: Person) -> None:
    """On two processes, which know nothing of each other but the database."""
    async with running_app(settings) as first, running_app(settings) as second:
        visitor = await Visitor.signs_in(first, alice.email)
        page = await visitor.get("/tokens")
        form = {"name": "grafana", "expires_in_days": "30", "form_id": field(page, "form_id")}
        created = await visitor.post("/tokens", **form)
        token = re.search("or_api_[0-9A-Za-z]{38}", created.text)
        assert token
        visitor.client = second
        for _ in range(2):
            again = await visitor.post("/tokens", **form)
            assert again.headers["location"] == "/tokens?done=sent-twice"
            assert token[0] not in again.text
        assert "A token is shown only once" in words(await visitor.get("/tokens?done=sent-twice"))
        assert len((await alice.get("/api/tokens")).json()) == 1
        # also when there is no room for another one
        for number in range(4):
            await alice.creates_token(f"token {number}")
        assert (await visitor.post("/tokens", **form)).headers["location"] == "/tokens?done=sent-twice"


async def test_token_forms_of_two_people_are_two(visitor: Visitor, bob: Person) -> None:
    other = await Visitor.signs_in(visitor.client, bob.email)
    form = {"name": "x", "expires_in_days": "", "form_id": "11111111-1111-4111-8111-111111111111"}
    assert (await visitor.post("/tokens", **form)).status_code == 200
    assert (await other.post("/tokens", **form)).status_code == 200
    form["form_id"] = "22222222-2222-4222-8222-222222222222"  # and a second one of one person is a second
    assert (await visitor.post("/tokens", **form)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": " "}, "must have 1 to 100 characters"),
        ({"expires_in_days": "7000"}, "must be one of the choices"),
        ({"form_id": "x"}, "The form is incomplete"),
    ],
)
async def test_token_that_cannot_be_made_is_explained(
    fields: dict[str, str], told: str, visitor: Visitor, alice: Person
) -> None:
    form = {"name": "x", "expires_in_days": "", "form_id": "11111111-1111-4111-8111-111111111111"} | fields
    page = await visitor.post("/tokens", **form)
    assert page.status_code == 422
    assert told in words(page) or told in page.text
    assert (await alice.get("/api/tokens")).json() == []


async def test_token_is_revoked_after_a_question(visitor: Visitor, alice: Person, bob: Person) -> None:
    token, of_bob = await alice.creates_token("mine"), await bob.creates_token("his")
    assert "Revoke “mine”?" in words(await visitor.get(f"/tokens/{token['id']}/revoke"))
    answer = await visitor.post(f"/tokens/{token['id']}/revoke")
    assert answer.headers["location"] == "/tokens?done=revoked"
    assert "1 token revoked or expired" in words(await visitor.get("/tokens?done=revoked"))
    for method in ("GET", "POST"):
        call = visitor.get if method == "GET" else visitor.post
        assert (await call(f"/tokens/{of_bob['id']}/revoke")).status_code == 403
        assert (await call("/tokens/999999/revoke")).status_code == 404


# --- usage


async def test_usage_is_listed_by_every_column(visitor: Visitor, alice: Person) -> None:
    await imported(alice)
    period = "start_date=2026-08-18&end_date=2026-08-24"
    told = (await alice.get(f"/api/usage?{period}&limit=1000")).json()["items"]
    for column in ("date", "key", "model", "provider", "requests", "tokens_input", "tokens_output", "tokens_reasoning",
                   "tokens_cached", "cost", "byok_cost"):  # fmt: skip
        for direction in ("asc", "desc"):
            page = await visitor.get(f"/usage?{period}&sort={column}&direction={direction}")
            assert page.status_code == 200
            assert page.text.count('<th scope="row">') == len(told)
            if column == "cost":
                cells = re.findall(r"<tr>(.*?)</tr>", page.text.partition("<tbody>")[2], re.DOTALL)
                costs = [Decimal(re.findall(r'<data value="([^"]*)"', cell)[-2]) for cell in cells]
                assert costs == sorted(costs, reverse=direction == "desc")
    beyond = await visitor.get(f"/usage?{period}&page=99")
    assert "behind the last one" in words(beyond)
    for query in ("sort=secret", "page=0", "page=x", "direction=up", "nonsense=1"):
        assert (await visitor.get(f"/usage?{query}")).status_code == 422


async def test_selection_that_is_too_large_to_sort_is_paged_newest_first(
    visitor: Visitor, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SORTED_FACTS_MAX", 3)
    monkeypatch.setattr(usage, "PAGE_ROWS", 5)
    await imported(bob)  # which makes nothing of hers large
    assert "newest first" not in words(await visitor.get("/usage?start_date=2026-08-18&end_date=2026-08-24"))
    await imported(alice)
    told = (await alice.get("/api/usage?start_date=2026-08-18&end_date=2026-08-24&limit=1000")).json()["items"]
    address, days = "/usage?start_date=2026-08-18&end_date=2026-08-24&sort=cost", []
    while address:
        page = await visitor.get(address)
        assert "shown with the newest first" in words(page)
        days += re.findall(r'<th scope="row"><time datetime="([^"]*)"', page.text)
        following = re.search(r'rel="next" href="([^"]*)"', page.text)
        address = following[1].replace("&amp;", "&") if following else ""
    assert days == [item["date"] for item in told]


async def test_deleted_key_can_still_be_chosen_and_is_called_so(visitor: Visitor, alice: Person) -> None:
    await imported(alice)
    key = (await alice.get("/api/keys")).json()[0]
    for told in (key["name"], f"{key['name']} (deleted)"):
        options = re.findall(f'<option value="{key["id"]}"[^>]*>([^<]*)</option>', (await visitor.get("/usage")).text)
        assert options == [told]
        assert (await alice.delete(f"/api/keys/{key['id']}")).is_success == (told == key["name"])


async def test_file_is_the_api_s(visitor: Visitor, alice: Person) -> None:
    await imported(alice)
    period = "start_date=2026-08-18&end_date=2026-08-24"
    file = await visitor.get(f"/usage/file?{period}")
    assert file.headers["content-type"].startswith("text/csv")
    assert file.text == (await alice.get(f"/api/usage?{period}&format=csv")).text


@pytest.mark.parametrize("path", ["/", "/usage"])
@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("start_date=2026-02-02&end_date=2026-01-01", 422, "is before start_date"),
        ("start_date=2026-02-02", 422, "go together"),
        ("start_date=nonsense&end_date=2026-01-01", 422, "must be a day"),
        ("days=0", 422, "must be a whole number"),
        ("days=99999", 422, "must be a whole number"),
        ("api_key_id=x", 422, "must be an id"),
        ("api_key_id=999999", 404, "There is no key 999999"),
    ],
)
async def test_filter_that_means_nothing_is_explained_on_the_page(
    path: str, query: str, status: int, told: str, visitor: Visitor, alice: Person
) -> None:
    await imported(alice)
    page = await visitor.get(f"{path}?{query}")
    assert page.status_code == status
    assert told in words(page)
    assert "All models" in words(page)  # the page is there all the same


async def test_other_people_s_keys_are_refused_as_filters(visitor: Visitor, alice: Person, bob: Person) -> None:
    await imported(bob)
    (key,) = (await bob.get("/api/keys")).json()
    for path in ("/", "/usage"):
        assert (await visitor.get(f"{path}?api_key_id={key['id']}")).status_code == 403
    assert (await visitor.get(f"/keys/{key['id']}")).status_code == 403
    assert await alice.get("/api/keys")


# --- import


async def upload(visitor: Visitor, content: bytes, **fields: str) -> httpx.Response:
    """With the form on the page."""
    parts: list[Any] = [
        ("form_token", (None, await visitor.form_token())),
        *((name, (None, value)) for name, value in fields.items()),
    ]
    return await visitor.call("POST", "/import", files=[*parts, ("file", ("export.csv", content, "text/csv"))])


async def test_export_is_imported_and_reported(visitor: Visitor, alice: Person) -> None:
    page = await upload(visitor, EXPORT.read_bytes(), api_key_id="")
    assert "Imported 159" in words(page)
    assert "Known already 0" in words(page)
    page = await upload(visitor, EXPORT.read_bytes())
    assert "Nothing new" in words(page)
    (key,) = (await alice.get("/api/keys")).json()
    assert "Nothing new" in words(await upload(visitor, EXPORT.read_bytes(), api_key_id=str(key["id"])))
    text = EXPORT.read_text().splitlines()
    broken = "\n".join([text[0], "only,two"]).encode()
    page = await upload(visitor, broken)
    assert "Could not be read 1" in words(page)
    assert "Line 2:" in words(page)


async def test_what_is_no_export_is_explained(visitor: Visitor) -> None:
    page = await upload(visitor, b"a,b\n1,2\n")
    assert page.status_code == 422
    assert "generation_id" in words(page)
    page = await upload(visitor, EXPORT.read_bytes(), api_key_id="999999")
    assert page.status_code == 404
    token = await visitor.form_token()
    page = await visitor.call("POST", "/import", files=[("form_token", (None, token))])
    assert "is missing from the form" in words(page)
    page = await visitor.call("POST", "/import", files=[("form_token", (None, token * 100)), ("file", ("a", b"x"))])
    assert page.status_code == 413
    page = await visitor.call("POST", "/import", data={"form_token": token})
    assert page.status_code == 415


# --- keys


@pytest.fixture
async def world(database_url: str, connection: asyncpg.Connection) -> Any:
    """OpenRouter, simulated."""
    async with watching(database_url, connection, datetime.now(UTC)) as it:
        yield it


async def test_key_that_is_being_read_need_not_be_read_again(
    world: Watching, settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    key = world.account.add_key("only")
    async with running_app(msgspec.structs.replace(settings, openrouter_base_url=world.simulator.base_url)) as client:
        visitor = await Visitor.signs_in(client, alice.email)
        await visitor.post("/keys", name="only", key=key.secret)
        key_id = await connection.fetchval("SELECT id FROM openrouter_keys WHERE hash = $1", key.hash)
        assert await world.sync.claim(key_id) is not None
        answer = await visitor.post(f"/keys/{key_id}/sync")
        assert "being read at this moment" in words(await visitor.get(answer.headers["location"]))


async def test_keys_are_added_read_changed_and_deleted(
    world: Watching, settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    first, second = world.account.add_key("first", limit=Decimal(10)), world.account.add_key("second")
    third = world.account.add_key("third")
    world.account.spend(first, Decimal("9.5"))
    at_simulator = msgspec.structs.replace(
        settings, openrouter_base_url=world.simulator.base_url, max_api_keys_per_user=2
    )
    async with running_app(at_simulator) as client:
        visitor = await Visitor.signs_in(client, alice.email)
        page = await visitor.post("/keys", name="production", key="no key")
        assert "is not an OpenRouter key" in words(page)
        page = await visitor.post("/keys", name="production", key="sk-or-v1-" + "0" * 64)
        assert "was refused" in words(page)
        assert (await visitor.post("/keys", name="production", key=first.secret)).headers[
            "location"
        ] == "/keys?done=added"
        page = await visitor.post("/keys", name="again", key=first.secret)
        assert (page.status_code, "You have this OpenRouter key already" in words(page)) == (409, True)
        key_id = await connection.fetchval("SELECT id FROM openrouter_keys WHERE hash = $1", first.hash)
        page = await visitor.get("/keys")
        assert "being read" in words(page)
        assert 'hx-trigger="every 2s"' in page.text
        answer = await visitor.post(f"/keys/{key_id}/sync")
        assert answer.headers["location"] == f"/keys/{key_id}?done=read"
        answer = await visitor.post(f"/keys/{key_id}/sync", **{"from": "list"})
        assert answer.headers["location"] == "/keys?done=read"
        page = await visitor.get("/keys")
        assert "every 2s" not in page.text
        assert first.secret not in page.text
        assert "$0.5000 left" in words(page)

        assert (await visitor.post(f"/keys/{key_id}/rename", name=" ")).status_code == 422
        assert (
            (await visitor.post(f"/keys/{key_id}/rename", name="website")).headers["location"].endswith("done=changed")
        )
        assert (await visitor.post(f"/keys/{key_id}/pause")).headers["location"].endswith("done=paused")
        assert "paused" in words(await visitor.get(f"/keys/{key_id}?done=paused"))
        assert (await visitor.post(f"/keys/{key_id}/resume")).headers["location"].endswith("done=resumed")
        assert (await visitor.post("/keys", name="second", key=second.secret)).status_code == 303
        page = await visitor.post("/keys", name="third", key=third.secret)
        assert "Maximum 2 OpenRouter keys allowed" in words(page)
        page = await visitor.post(f"/keys/{key_id}/replace", key=second.secret)
        assert page.status_code == 409
        assert (
            (await visitor.post(f"/keys/{key_id}/replace", key=third.secret))
            .headers["location"]
            .endswith("done=replaced")
        )

        third.disabled = True
        answer = await visitor.post(f"/keys/{key_id}/sync")
        assert answer.headers["location"].endswith("done=failed")
        assert "refused" in words(await visitor.get(f"/keys/{key_id}?done=failed"))
        assert "The key rests until it is replaced" in words(await visitor.get(f"/keys/{key_id}"))

        assert "Delete “website”?" in words(await visitor.get(f"/keys/{key_id}/delete"))
        assert (await visitor.post(f"/keys/{key_id}/delete")).status_code == 422
        assert (await visitor.post(f"/keys/{key_id}/delete", history="keep")).headers[
            "location"
        ] == "/keys?done=deleted"
        assert (await visitor.get(f"/keys/{key_id}")).status_code == 404
        assert (await visitor.post(f"/keys/{key_id}/delete", history="delete")).headers[
            "location"
        ] == "/keys?done=erased"
        assert "its history with it" in words(await visitor.get("/keys?done=erased"))
        for path in ("rename", "replace", "pause", "resume", "sync"):
            assert (await visitor.post(f"/keys/{key_id}/{path}", name="x", key=second.secret)).status_code == 404


async def test_many_keys_come_in_pages(visitor: Visitor, alice: Person, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO openrouter_keys (user_id, name, kind, hash, created_at) "
        "SELECT $1, 'key ' || n, 'inference', n::text, now() - n * interval '1 hour' FROM generate_series(1, 120) AS n",
        alice.id,
    )
    names, address = [], "/keys"
    while address:
        page = await visitor.get(address)
        names += re.findall(r"<h2[^>]*><a[^>]*>(key \d+)</a>", page.text)
        following = re.search(r'rel="next" href="([^"]*)"', page.text)
        address = following[1] if following else ""
    assert names == [f"key {number}" for number in range(1, 121)]


# --- overview


async def test_account_is_led_step_by_step(visitor: Visitor, alice: Person, connection: asyncpg.Connection) -> None:
    page = words(await visitor.get("/"))
    assert "Welcome" in page
    assert "Add an OpenRouter key" in page
    await connection.execute(
        "INSERT INTO openrouter_keys (user_id, name, kind, hash) VALUES ($1, 'k', 'inference', 'h')", alice.id
    )
    page = words(await visitor.get("/"))
    assert "A key is watched" in page
    assert "Nothing has been spent yet" in page
    await imported(alice)
    assert "One thing is left" in words(await visitor.get("/"))
    await alice.creates_token()
    page = words(await visitor.get("/"))
    assert "One thing is left" not in page
    assert "Never used · 1 API token: grafana" in page


async def test_page_is_compressed_only_for_those_who_take_it(visitor: Visitor) -> None:
    plain = await visitor.get("/account", headers={"Accept-Encoding": "br"})
    assert "content-encoding" not in plain.headers
    async with visitor.client.stream(
        "GET", "/account", headers=visitor.headers | {"Cookie": visitor.cookie, "Accept-Encoding": "br, gzip"}
    ) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join([piece async for piece in answer.aiter_raw()])).startswith(b"<!doctype html>")
