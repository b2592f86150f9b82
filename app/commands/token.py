"""The commands about API tokens."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import BinaryIO

import click
import msgspec

from app.commands.answers import Commands, answer, answer_rows, note
from app.commands.database import with_database
from app.commands.progress import progress, size_of
from app.commands.whose import find_user
from app.database import Database
from app.errors import OperatorError
from app.names import clean_name
from app.settings import Settings
from app.tokens import repository as tokens
from app.tokens import secret
from app.tokens.leaks import find_tokens
from app.tokens.structs import LeakedToken

ALL = 2**62  # as a limit
ID = click.IntRange(1, 2**63 - 1)
READ_BYTES = 1024 * 1024
REVOKED_AT_ONCE = 1000
LISTED = ("id", "name", "hint", "created_at", "expires_at", "last_used_at", "request_count", "is_active", "revoked_at")

of_user = click.option("--user", "address", required=True, metavar="ADDRESS", help="whose")


class LeakReport(msgspec.Struct):
    """What was found. `found`: well-formed tokens, each once; `unknown`: those that this database never made."""

    found: int
    unknown: int
    tokens: list[LeakedToken]


@click.group(cls=Commands)
def token() -> None:
    """API tokens, leaked ones too.

    Revoking works from that moment on, on every process and host.
    """


@token.command("create")
@click.argument("name")
@of_user
@click.option("--expires-in-days", type=click.IntRange(1, 365), help="for ever if not given")
def create(name: str, address: str, expires_in_days: int | None) -> None:
    """Make an API token. Standard output is the token and nothing else: this is the only time it is shown."""

    async def make(settings: Settings, db: Database) -> None:
        user = await find_user(db, address)
        if not user.is_enabled:
            raise OperatorError(f"The account {address} is disabled.")
        created = await tokens.create_token(
            db, user.id, clean_name(name), expires_in_days, settings.max_api_tokens_per_user
        )
        note(f"created the API token {created.id} of {user.email}; store it now, nobody can show it again")
        answer(created, created.token)

    with_database(make)


@token.command("list")
@of_user
@click.option("--active", is_flag=True, help="without those that are revoked or expired")
def list_tokens(address: str, active: bool) -> None:  # noqa: FBT001 -- click calls it
    """An account's API tokens, newest first."""

    async def show(_: Settings, db: Database) -> None:
        user = await find_user(db, address)
        answer_rows(LISTED, await tokens.list_tokens(db, user.id, "active" if active else "all", None, ALL))

    with_database(show)


@token.command("revoke")
@click.argument("ids", nargs=-1, type=ID, metavar="[ID]...")
@click.option("--user", "address", metavar="ADDRESS", help="whose tokens the ids are")
@click.option(
    "--file", "leak", type=click.File("rb"), help="revoke every token in this text, whoever's; - is standard input"
)
def revoke(ids: tuple[int, ...], address: str | None, leak: BinaryIO | None) -> None:
    """Revoke API tokens, for good: some of an account's by their ids, or all that leaked in a file.

    In a file of any kind and size they are found by or_api_[0-9A-Za-z]{38} and their checksum. Only SHA-256 digests are sent to
    the database. A token that is revoked already is no error.
    """
    if leak is not None and not ids and address is None:
        _revoke_leaked(leak)
    elif leak is None and ids and address is not None:
        _revoke_by_id(ids, address)
    else:
        raise click.UsageError("Give either --file, or --user and ids.")


def _revoke_by_id(ids: tuple[int, ...], address: str) -> None:
    async def end(_: Settings, db: Database) -> None:
        user = await find_user(db, address)
        for token_id in ids:
            await tokens.revoke_token(db, token_id, user.id)
        answer({"revoked": ids}, *(f"revoked {token_id}" for token_id in ids))

    with_database(end)


def _revoke_leaked(leak: BinaryIO) -> None:
    async def end(_: Settings, db: Database) -> None:
        digests: set[bytes] = set()
        known: list[LeakedToken] = []
        with progress("searching", size_of(leak), in_bytes=True) as advance:
            batch: list[bytes] = []
            for found in find_tokens(_pieces(leak, advance)):
                digest = secret.digest(found)
                if digest in digests:
                    continue
                digests.add(digest)
                batch.append(digest)
                if len(batch) == REVOKED_AT_ONCE:
                    known += await tokens.revoke_leaked(db, batch)
                    batch = []
            known += await tokens.revoke_leaked(db, batch)
        report = LeakReport(len(digests), len(digests) - len(known), known)
        answer(report, *_told(report))

    with_database(end)


def _told(report: LeakReport) -> Generator[str]:
    for leaked in report.tokens:
        how = "revoked" if leaked.is_revoked_now else "was revoked before:"
        yield f"{how} {leaked.id} {leaked.hint} of {leaked.email} ({leaked.name})"
    revoked = sum(leaked.is_revoked_now for leaked in report.tokens)
    before = len(report.tokens) - revoked
    yield f"{report.found} tokens found: {revoked} revoked, {before} revoked before, {report.unknown} not known here"


def _pieces(file: BinaryIO, advance: Callable[[int], None]) -> Generator[bytes]:
    while piece := file.read(READ_BYTES):
        yield piece
        advance(len(piece))
