"""Is everything in place for the service to run, and what is to be done where it is not? Nothing is changed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Literal

import click
import msgspec

from app import migrate
from app.commands.answers import FAILED, Command, answer
from app.commands.database import beside_the_service
from app.connections import database_url
from app.database import Connection, Query
from app.errors import OperatorError, Unavailable
from app.keys import encryption
from app.keys.vault import Vault
from app.settings import Settings
from app.usage.openrouter import OpenRouter, OpenRouterError
from app.web.assets import Assets

OLDEST_SERVER = 150000
CLOCK_TOLERANCE_SECONDS = 5.0
MIGRATE = "run `python -m app migrate`"
# as sql/migrate/set_role_timeouts sets them
BOUNDS = {"statement_timeout": "5s", "lock_timeout": "2s", "idle_timeout": "10s", "timezone": "UTC"}


class Server(msgspec.Struct, frozen=True):
    """What a PostgreSQL says of itself, to the role that asks."""

    version: str
    version_number: int
    clock: datetime
    is_replica: bool
    replayed_at: datetime | None
    statement_timeout: str
    lock_timeout: str
    idle_timeout: str
    timezone: str


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `remedy`: what to do, where something is to be done."""

    subject: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str | None = None


find_server = Query("health/find_server", Server)


@click.command(cls=Command)
def doctor() -> None:
    """Is everything in place? What is to be done?

    Looks at the settings, the database with its role and schema, the clocks, the encryption keys, OpenRouter and the dashboard's
    files; a line each. Changes nothing. Ends with 1 where something has failed; warnings let the service run.
    """
    findings: list[Finding] = []
    try:
        with beside_the_service() as settings:
            findings.append(Finding("settings", "ok", _described(settings)))
            findings += asyncio.run(_examine(settings))
    except OperatorError as error:  # the settings, or the embedded server
        findings.append(Finding("settings", "failed", str(error), "see docs/configure.md"))
    answer(findings, *map(_line, findings))
    if any(finding.state == "failed" for finding in findings):
        sys.exit(FAILED)


def _line(finding: Finding) -> str:
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    return f"{finding.state:<8}{finding.subject}: {finding.detail}{remedy}"


def _described(settings: Settings) -> str:
    where = "DATABASE_URL" if settings.database_url else f"the embedded PostgreSQL in {settings.data_dir}"
    return f"can be read; the database is {where}"


async def _examine(settings: Settings) -> list[Finding]:
    return [
        *[finding async for finding in _database(settings)],
        *[await _replica(url) for url in (settings.database_replica_url,) if url is not None],
        await _openrouter(settings),
        _dashboard(),
    ]


async def _database(settings: Settings) -> AsyncGenerator[Finding]:
    """Each of these presumes the ones before it."""
    try:
        async with migrate.connect(database_url(settings)) as connection:
            asked_at = datetime.now(UTC)
            server = await find_server.get(connection)
            answered_at = datetime.now(UTC)
            yield _server(server)
            yield _bounds(server)
            yield _clock("clock of the database", server.clock, asked_at, answered_at)
            yield await _schema(connection)
            yield await _encryption(connection, settings)
    except Unavailable as error:
        reason = type(error.__cause__).__name__
        yield Finding("database", "failed", f"cannot be reached ({reason})", "start it, or look at DATABASE_URL")
    except migrate.MigrationError as error:
        yield Finding("database", "failed", str(error))


async def _replica(url: str) -> Finding:
    """The service does without it, so nothing of it is a failure but a mix-up."""
    try:
        async with migrate.connect(url) as connection:
            server = await find_server.get(connection)
    except Unavailable as error:
        reason = type(error.__cause__).__name__
        remedy = "until it is back, figures are read on the primary"
        return Finding("replica", "warning", f"cannot be reached ({reason})", remedy)
    except migrate.MigrationError:
        return Finding("replica", "failed", "DATABASE_REPLICA_URL cannot be understood", "look at it")
    if not server.is_replica:
        return Finding("replica", "failed", "is no replica", "let DATABASE_REPLICA_URL name a streaming standby")
    # with nothing to replay this grows too
    age = (
        ""
        if server.replayed_at is None
        else f"; its last change is {(server.clock - server.replayed_at).total_seconds():.0f} s old"
    )
    return Finding("replica", "ok", f"PostgreSQL {server.version}{age}")


def _server(server: Server) -> Finding:
    said = f"PostgreSQL {server.version}"
    if server.version_number < OLDEST_SERVER:
        return Finding("database", "failed", f"{said} is too old", "install 15 or newer")
    if server.is_replica:
        return Finding("database", "failed", f"{said} is a replica", "let DATABASE_URL name the primary")
    return Finding("database", "ok", said)


def _bounds(server: Server) -> Finding:
    wrong = [f"{name} is {found}" for name, bound in BOUNDS.items() if (found := getattr(server, name)) != bound]
    if wrong:
        return Finding("role", "failed", ", ".join(wrong), f"{MIGRATE}, which sets them for the role in this database")
    return Finding("role", "ok", "has its timeouts")


def _clock(subject: str, clock: datetime, asked_at: datetime, answered_at: datetime) -> Finding:
    """As far as the time that the question took allows to tell."""
    ahead = (clock - answered_at).total_seconds()
    behind = (asked_at - clock).total_seconds()
    apart = max(ahead, behind, 0.0)
    if apart > CLOCK_TOLERANCE_SECONDS:
        side = "ahead of" if ahead > 0 else "behind"
        return Finding(subject, "warning", f"{apart:.0f} s {side} ours", "let both be set by NTP")
    return Finding(subject, "ok", "agrees with ours")


async def _schema(connection: Connection) -> Finding:
    try:
        missing = await migrate.missing(connection)
    except migrate.MigrationError as error:
        return Finding("schema", "failed", str(error))
    if missing:
        return Finding("schema", "failed", f"lacks {len(missing)} migrations, the first is {missing[0]}", MIGRATE)
    return Finding("schema", "ok", "is up to date")


async def _encryption(connection: Connection, settings: Settings) -> Finding:
    try:
        await encryption.check_keys(connection, Vault(settings.encryption_keys))
    except OperatorError as error:
        remedy = "bring back the keys that are missing (docs/operate.md, Encryption)"
        return Finding("encryption", "failed", str(error), remedy)
    return Finding("encryption", "ok", "ENCRYPTION_KEYS fit what is stored")


async def _openrouter(settings: Settings) -> Finding:
    client = OpenRouter(settings.openrouter_base_url)
    asked_at = datetime.now(UTC)
    try:
        clock = await client.clock()
    except OpenRouterError as error:
        remedy = f"look at OPENROUTER_BASE_URL ({settings.openrouter_base_url}), HTTPS_PROXY and the network"
        return Finding("OpenRouter", "failed", str(error).removesuffix("."), remedy)
    finally:
        await client.close()
    if clock is None:
        return Finding("OpenRouter", "ok", "answers")
    # its clock is written in whole seconds
    finding = _clock("OpenRouter", clock, asked_at.replace(microsecond=0), datetime.now(UTC))
    return msgspec.structs.replace(
        finding, detail=f"answers; its clock {'is ' if finding.remedy else ''}{finding.detail}"
    )


def _dashboard() -> Finding:
    if Assets().are_complete:
        return Finding("dashboard", "ok", "its files are there")
    return Finding(
        "dashboard", "warning", "its files are not there; everything else works without", "run `make assets`"
    )
