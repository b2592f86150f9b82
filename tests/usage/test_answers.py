"""What if OpenRouter answers nonsense, slowly or not at all? Old figures stay, and the key says what happened."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from app.scheduler import keep_watch
from app.simulator.faults import Fault
from app.simulator.server import serving
from app.simulator.world import World
from app.usage import openrouter
from app.usage.openrouter import Nonsense, OpenRouter, Unreachable
from tests.usage.watching import TODAY, Watching, watching


@pytest.fixture
async def watch(database_url: str, connection: asyncpg.Connection) -> AsyncGenerator[Watching]:
    async with watching(database_url, connection) as watching_:
        yield watching_


def data(**fields: Any) -> Callable[[Any], Any]:
    """The answer with other fields; ... takes one out."""

    def change(answer: Any) -> Any:
        for row in answer["data"] if isinstance(answer["data"], list) else [answer["data"]]:
            for name, value in fields.items():
                if value is ...:
                    row.pop(name, None)
                else:
                    row[name] = value
        return answer

    return change


NOT_AN_ANSWER = [
    Fault("html"),
    Fault("html", status=200),
    Fault("zod"),
    Fault("truncated_json"),
    Fault("reset"),
    Fault("cut"),
    Fault("garbage"),
    Fault("gzip"),
    Fault("endless"),
    Fault("redirect", location="/elsewhere"),
    Fault("slow", seconds=5),
    Fault("slow_body", seconds=0.2),
    Fault("status", status=403),
    Fault("status", status=404),
    Fault("status", status=408),
    Fault("status", status=500),
    Fault("status", status=503),
    Fault("status", status=529, body="upstream connect error"),
    Fault("patch", body=""),
    Fault("patch", body="null"),
    Fault("patch", body="[]"),
    Fault("patch", body='{"data": null}'),
    Fault("patch", body='{"data": "x"}'),
    Fault("patch", body='{"data": ' + "[" * 100_000),
    Fault("patch", body='{"data": {"label": "\\ud800"}}'),
]


def name_of(fault: Fault) -> str:
    return f"{fault.kind}-{fault.status}-{(fault.body or '')[:20]}"


BAD_KEYS = [
    data(usage=...),
    data(usage_daily=...),
    data(is_management_key=..., is_provisioning_key=...),
    data(usage=None),
    data(usage="a lot"),
    data(usage="NaN"),
    data(usage="Infinity"),
    data(usage="1e-400"),
    data(usage=True),
    data(usage=[1]),
    data(usage=-1),
    data(usage=1e9),
    data(usage=1e300),
    data(usage_daily=-0.01),
    data(byok_usage=-1),
    data(limit=-5),
    data(limit_remaining="NaN"),
    data(label=None),
    data(expires_at="tomorrow"),
    data(expires_at="9999-99-99T00:00:00Z"),
    data(is_management_key="yes"),
]


@pytest.mark.parametrize("fault", NOT_AN_ANSWER, ids=name_of)
async def test_what_is_no_answer_leaves_everything_as_it_was(
    watch: Watching, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openrouter, "CALL_TIMEOUT_SECONDS", 0.5)
    await assert_survived(watch, msgspec.structs.replace(fault))


@pytest.mark.parametrize("change", BAD_KEYS, ids=range(len(BAD_KEYS)))
async def test_absurd_counters_leave_everything_as_it_was(watch: Watching, change: Callable[[Any], Any]) -> None:
    await assert_survived(watch, Fault("patch", change=change))


@pytest.mark.parametrize("token", ["NaN", "Infinity", "1e999999999", "1" * 400, "0x10", ".5", "-0.0001"])
async def test_odd_number_leaves_everything_as_it_was(watch: Watching, token: str) -> None:
    body = (
        '{"data": {"label": "x", "usage": TOKEN, "usage_daily": 0, "byok_usage": 0, "byok_usage_daily": 0,'
        '"is_management_key": false}}'
    )
    await assert_survived(watch, Fault("patch", body=body.replace("TOKEN", token)))


async def assert_survived(watch: Watching, fault: Fault) -> None:
    key = watch.account.add_key("prod")
    watch.account.spend(key, Decimal("0.5"))
    key_id = await watch.adds(key)
    await watch.reads(key_id)
    before = await watch.row(key_id)
    watch.world.faults.append(fault)
    watch.account.spend(key, Decimal("0.25"))
    watch.passes(minutes=15)
    report = await watch.reads(key_id)
    assert (report.status, report.rows) == ("error", 0)
    row = await watch.row(key_id)
    assert (row["last_synced_at"], row["label"]) == (before["last_synced_at"], before["label"])
    assert await watch.costs(key_id) == {TODAY: Decimal("0.5")}
    assert row["sync_error"].startswith("OpenRouter")
    assert row["sync_error"].isprintable()
    assert len(row["sync_error"]) < 500
    assert key.secret not in row["sync_error"]
    assert row["failures"] == 1
    assert row["lease_until"] is None
    assert row["next_sync_at"] is not None
    watch.world.faults.clear()
    watch.passes(minutes=1)
    assert (await watch.reads(key_id)).status == "ok"
    row = await watch.row(key_id)
    assert (row["sync_error"], row["failures"], row["sync_status"]) == (None, 0, "ok")
    assert await watch.costs(key_id) == {TODAY: Decimal("0.75")}


BAD_ACTIVITY = [
    data(date=f"{TODAY - timedelta(days=60)}"),
    data(date=f"{TODAY + timedelta(days=1)}"),
    data(date="yesterday"),
    data(date="2026-02-30"),
    data(date=20261101),
    data(date=...),
    data(usage=...),
    data(usage=-0.5),
    data(usage="NaN"),
    data(usage=1e12),
    data(model_permaslug=...),
    data(model_permaslug="gpt\u0000"),
    data(model_permaslug=""),
    data(model_permaslug="x" * 1000),
    data(model_permaslug=None),
    data(provider_name="Open\u0000AI"),
    data(requests=-1),
    data(requests=1.5),
    data(requests=1e300),
    data(prompt_tokens="many"),
    data(byok_usage_inference=-1),
]


@pytest.mark.parametrize("change", BAD_ACTIVITY, ids=range(len(BAD_ACTIVITY)))
async def test_absurd_activity_leaves_the_history_as_it_was(watch: Watching, change: Callable[[Any], Any]) -> None:
    key = watch.account.add_key("prod")
    watch.account.generate(5, per_day=5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    before = await watch.costs()
    watch.account.revise(TODAY - timedelta(days=1), key, Decimal("0.5"))
    watch.world.faults.append(Fault("patch", path="/activity", change=change))
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "error"
    assert await watch.costs() == before
    watch.world.faults.clear()
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "ok"
    assert await watch.total() == sum(before.values()) + Decimal("0.5")


BAD_ACCOUNT = [
    ("/keys", data(hash="f" * 63)),
    ("/keys", data(hash="F" * 64)),
    ("/keys", data(hash=...)),
    ("/keys", data(hash=None)),
    ("/keys", data(name=...)),
    ("/keys", data(name=5)),
    ("/keys", data(disabled="no")),
    ("/keys", data(usage=-1)),
    ("/keys", data(usage=1e9)),
    ("/keys", data(usage_daily="NaN")),
    ("/keys", data(byok_usage=...)),
    ("/keys", data(limit=-1)),
    ("/keys", data(expires_at="soon")),
    ("/keys", lambda _: {"data": {}}),
    ("/keys", lambda _: {"keys": []}),
    ("/credits", data(total_credits=...)),
    ("/credits", data(total_credits=-1)),
    ("/credits", data(total_usage=-0.01)),
    ("/credits", data(total_usage="NaN")),
    ("/credits", data(total_usage=None)),
    ("/credits", data(total_credits=1e9)),
    ("/credits", lambda _: {"data": []}),
    ("/workspaces", data(id=...)),
    ("/workspaces", data(id=None)),
    ("/workspaces", data(id="")),
    ("/workspaces", data(id="a\u0000b")),
    ("/workspaces", data(id="x" * 1000)),
    ("/workspaces", lambda _: {"data": None}),
]


@pytest.mark.parametrize(("path", "change"), BAD_ACCOUNT, ids=range(len(BAD_ACCOUNT)))
async def test_absurd_account_leaves_everything_as_it_was(
    watch: Watching, path: str, change: Callable[[Any], Any]
) -> None:
    key = watch.account.add_key("prod")
    watch.account.generate(5, per_day=5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    await watch.reads(manager_id)
    before, costs = (
        await watch.connection.fetch("SELECT * FROM openrouter_keys WHERE id <> $1", manager_id),
        await watch.costs(),
    )
    watch.account.spend(key, Decimal("0.5"))
    watch.account.add_key("new")
    watch.world.faults.append(Fault("patch", path=path, change=change))
    watch.passes(minutes=15)
    assert (await watch.reads(manager_id)).status == "error"
    assert await watch.connection.fetch("SELECT * FROM openrouter_keys WHERE id <> $1", manager_id) == before
    assert await watch.costs() == costs
    row = await watch.row(manager_id)
    assert row["sync_error"].startswith("OpenRouter")
    assert row["sync_error"].isprintable()
    watch.world.faults.clear()
    assert (await watch.reads(manager_id)).status == "ok"
    assert await watch.total() == sum(costs.values()) + Decimal("0.5")


@pytest.mark.parametrize("path", ["/keys", "/workspaces"])
async def test_list_that_begins_again_comes_to_an_end(watch: Watching, path: str) -> None:
    key = watch.account.add_key("prod")
    manager = watch.account.add_management_key("admin")
    manager_id = await watch.adds(manager)
    pages: list[Any] = []

    def first_page(answer: Any) -> Any:
        pages.append(answer)
        return pages[0]

    watch.world.faults.append(Fault("patch", path=path, change=first_page))
    assert (await watch.reads(manager_id)).status == "ok"
    assert watch.simulator.calls(path) == 2
    assert await watch.id_of(key)


async def test_odd_names_are_shown_without_what_is_no_text(watch: Watching) -> None:
    """They are for people to look at, and no reason to know nothing of an account."""
    key = watch.account.add_key("prod")
    odd = data(name="a\u0000b\nc\u2028d" + "x" * 200, label="l\u0000" + "y" * 200)
    watch.world.faults.append(Fault("patch", path="/keys", change=odd))
    assert (await watch.reads(await watch.adds(watch.account.add_management_key("admin")))).status == "ok"
    key_id = await watch.id_of(key)
    assert key_id
    row = await watch.row(key_id)
    assert row["name"] == "a b c d" + "x" * 93
    assert row["label"] == "l " + "y" * 98


@pytest.mark.parametrize("path", ["/key", "/keys", "/credits", "/activity", "/workspaces"])
@pytest.mark.parametrize("kind", ["html", "truncated_json", "reset"])
async def test_account_is_read_whole_or_not_at_all(watch: Watching, path: str, kind: Any) -> None:
    watch.account.add_key("prod")
    watch.account.generate(5, per_day=5)
    manager_id = await watch.adds(watch.account.add_management_key("admin"))
    watch.world.faults.append(Fault(kind, path=path, times=3))
    for _ in range(3):
        assert (await watch.reads(manager_id)).status == "error"
    watch.passes(minutes=1)
    while (await watch.reads(manager_id)).status != "ok":
        watch.passes(minutes=1)
    await watch.assert_books_are_straight()
    assert await watch.total() == sum(
        (
            cost
            for key in (*watch.account.keys, None)
            for day, cost in watch.account.cost_by_day(key).items()
            if known(key, day)
        ),
        Decimal(0),
    )


def known(key: object, day: Any) -> bool:
    """The web chat's today is not."""
    return key is not None or day != TODAY


async def test_unknown_fields_and_values_are_no_error(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    watch.account.generate(3, per_day=3)
    new = data(limit_reset="fortnightly", something={"new": [1]}, budgets=[{"scope": "galaxy"}])
    watch.world.faults.append(Fault("patch", change=new))
    manager_id, key_id = await watch.adds(watch.account.add_management_key("admin")), await watch.adds(key)
    assert [report.status for report in await watch.reads_all()] == ["ok", "ok"]
    assert (await watch.row(key_id))["limit_reset"] == "fortnightly"
    assert manager_id != key_id


async def test_older_answers_are_understood(watch: Watching) -> None:
    watch.world.options.older_schema = True
    watch.world.options.activity_date_format = "plain"
    key = watch.account.add_key("prod")
    watch.account.generate(5, per_day=5)
    await watch.adds(watch.account.add_management_key("admin"))
    await watch.adds(key)
    assert [report.status for report in await watch.reads_all()] == ["ok", "ok"]
    await watch.assert_books_are_straight()


# --- being turned away


async def test_unknown_key_rests_until_it_is_replaced(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    key.disabled = True
    assert (await watch.reads(key_id)).status == "unauthorized"
    row = await watch.row(key_id)
    assert (row["sync_status"], row["next_sync_at"]) == ("unauthorized", None)
    assert await watch.sync.claim_due(10) == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured_in_both_forms(watch: Watching, status: int, form: str) -> None:
    key_id = await watch.adds(watch.account.add_key("prod"))
    wait = timedelta(minutes=40)
    text = "2400" if form == "seconds" else format_datetime(watch.world.clock.now() + wait, usegmt=True)
    watch.world.faults.append(Fault("status", status=status, headers={"Retry-After": text}))
    await watch.reads(key_id)
    assert timedelta(0) <= await until_next(watch, key_id) - wait < timedelta(minutes=5)


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "Thu, 99 Foo 2026 00:00:00 GMT", ""])
async def test_retry_after_that_means_nothing_is_no_reason_to_come_back_at_once_or_never(
    watch: Watching, text: str
) -> None:
    key_id = await watch.adds(watch.account.add_key("prod"))
    watch.world.faults.append(Fault("status", status=429, headers={"Retry-After": text}))
    await watch.reads(key_id)
    assert timedelta(seconds=-1) <= await until_next(watch, key_id) <= timedelta(days=1, hours=3)


async def test_retry_after_of_years_is_a_day(watch: Watching) -> None:
    key_id = await watch.adds(watch.account.add_key("prod"))
    watch.world.faults.append(Fault("status", status=429, headers={"Retry-After": "999999999"}))
    await watch.reads(key_id)
    assert await until_next(watch, key_id) < timedelta(days=1, hours=3)


async def test_failures_back_off_up_to_an_hour(watch: Watching) -> None:
    key_id = await watch.adds(watch.account.add_key("prod"))
    watch.world.faults.append(Fault("status", status=500))
    waits = []
    for _ in range(14):
        await watch.reads(key_id)
        waits.append(await until_next(watch, key_id))
    assert max(waits[:1]) <= timedelta(seconds=30)
    assert timedelta(minutes=5) < max(waits) <= timedelta(hours=1)
    assert len(set(waits)) == len(waits)  # jitter


async def test_interval_is_kept_with_jitter(watch: Watching) -> None:
    waits = []
    for number in range(10):
        key_id = await watch.adds(watch.account.add_key(f"key {number}"))
        await watch.reads(key_id)
        waits.append(await until_next(watch, key_id))
    assert all(timedelta(minutes=13) < wait < timedelta(minutes=17) for wait in waits)
    assert len(set(waits)) == len(waits)


async def until_next(watch: Watching, key_id: int) -> timedelta:
    wait = await watch.connection.fetchval("SELECT next_sync_at - now() FROM openrouter_keys WHERE id = $1", key_id)
    assert wait is not None
    return wait


# --- on the way


async def test_redirect_is_not_followed_with_the_key(watch: Watching) -> None:
    async with serving(World(watch.world.clock)) as elsewhere:
        key_id = await watch.adds(watch.account.add_key("prod"))
        watch.world.faults.append(Fault("redirect", location=f"{elsewhere.base_url}/key"))
        assert (await watch.reads(key_id)).status == "error"
        assert elsewhere.calls() == 0


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """With a certificate that nobody has signed."""
    certificate, private_key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run([*command, "-keyout", private_key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)
    return context


async def test_certificate_of_nobody_is_not_trusted(tls: ssl.SSLContext) -> None:
    async with serving(World(), tls=tls) as simulator:
        client = OpenRouter(simulator.base_url)
        with pytest.raises(Unreachable) as refusal:
            await client.own_key("sk-or-v1-secret")
        await client.close()
        assert "secret" not in str(refusal.value)
        assert simulator.calls() == 0


async def test_key_that_openrouter_repeats_in_an_error_is_not_kept(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    key_id = await watch.adds(key)
    watch.world.faults.append(Fault("status", status=400, body=f'{{"error": {{"message": "What is {key.secret}?"}}}}'))
    await watch.reads(key_id)
    assert (await watch.row(key_id))["sync_error"] == "OpenRouter answered 400: What is …?."


async def test_cookie_of_one_key_s_answer_is_not_sent_with_another_key() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(
            b"HTTP/1.1 500 No\r\nSet-Cookie: session=first; Path=/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = OpenRouter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1")
        for secret in ("sk-or-v1-first", "sk-or-v1-second"):
            with pytest.raises(Unreachable):
                await client.own_key(secret)
        await client.close()
    assert b"sk-or-v1-second" in asked[1]
    assert b"cookie" not in asked[1].lower()


async def test_nobody_there_is_unreachable() -> None:
    client = OpenRouter("http://127.0.0.1:9/api/v1")
    with pytest.raises(Unreachable, match="could not be reached"):
        await client.own_key("sk-or-v1-secret")
    await client.close()


async def test_clock_that_is_days_off_is_nonsense(watch: Watching) -> None:
    key = watch.account.add_key("prod")
    client = OpenRouter(watch.simulator.base_url, now=lambda: watch.world.clock.now() + timedelta(days=3))
    with pytest.raises(Nonsense, match="clock"):
        await client.own_key(key.secret)
    await client.close()


async def test_one_bad_key_does_not_delay_the_others(watch: Watching) -> None:
    bad = watch.account.add_key("bad")
    good = [watch.account.add_key(f"good {number}") for number in range(20)]
    for key in (bad, *good):
        await watch.adds(key)
    watch.world.faults.append(Fault("slow", secret=bad.secret, seconds=30))
    work = asyncio.create_task(keep_watch(watch.sync))
    async with asyncio.timeout(10):
        read = "SELECT count(*) FROM openrouter_keys WHERE sync_status = 'ok'"
        while await watch.connection.fetchval(read) < len(good):  # noqa: ASYNC110 -- nobody signals it
            await asyncio.sleep(0.05)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    # given back, so that the next process need not wait for the lease
    assert await watch.connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE lease_until > now()") == 0
