"""The commands about accounts."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

import click

from app.accounts import repository as accounts
from app.accounts.addresses import parse_address
from app.accounts.structs import Credentials, ListedUser
from app.commands.answers import Commands, answer, answer_rows
from app.commands.database import with_database
from app.commands.whose import find_user
from app.database import Database
from app.errors import OperatorError
from app.settings import Settings

PAGE_ROWS = 1000


@click.group(cls=Commands)
def user() -> None:
    """Accounts.

    Passwords are read from standard input, never from the command line.
    """


@user.command("create")
@click.argument("address")
def create(address: str) -> None:
    """Make an account, whatever REGISTRATION says."""
    from app.accounts.passwords import Passwords  # noqa: PLC0415 -- judging them takes long to load
    from app.accounts.register import create_user  # noqa: PLC0415

    password = _password()

    async def make(settings: Settings, db: Database) -> None:
        passwords = Passwords(min_length=settings.password_min_length)
        account = await create_user(db, passwords, Credentials(address, password))
        answer(account, f"created {account.email} with id {account.id}")

    with_database(make)


@user.command("list")
def list_users() -> None:
    """All accounts, with what they hold."""

    async def show(_: Settings, db: Database) -> None:
        found = [row async for row in _users(db)]
        answer_rows(ListedUser.__struct_fields__, found)

    with_database(show)


@user.command("set-password")
@click.argument("address")
def set_password(address: str) -> None:
    """Give an account another password and end its sessions."""
    from app.accounts.passwords import Passwords  # noqa: PLC0415 -- as above

    password = _password()

    async def change(settings: Settings, db: Database) -> None:
        passwords = Passwords(min_length=settings.password_min_length)
        found = await find_user(db, address)
        await passwords.require_strong(password, parse_address(address), "password")
        await accounts.set_password(db, found.id, await passwords.hash(password))
        answer({"id": found.id}, f"changed the password of {address}; its sessions have ended")

    with_database(change)


@user.command("disable")
@click.argument("address")
def disable(address: str) -> None:
    """Shut an account out: its sessions end, its API tokens are refused until it is enabled again."""
    _set_disabled(address, is_disabled=True)


@user.command("enable")
@click.argument("address")
def enable(address: str) -> None:
    """Let an account in again."""
    _set_disabled(address, is_disabled=False)


@user.command("delete")
@click.argument("address")
@click.option("--yes", is_flag=True, help="do not ask")
def delete(address: str, yes: bool) -> None:  # noqa: FBT001 -- click calls it
    """Delete an account: refused and invisible at once, its rows follow. Nothing brings it back."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Deleting cannot be taken back; say --yes.")
        click.confirm(f"Delete {address} with its tokens, keys and usage?", abort=True, err=True)

    async def remove(_: Settings, db: Database) -> None:
        found = await find_user(db, address)
        await accounts.delete_user(db, found.id)
        answer({"id": found.id}, f"deleted {address}")

    with_database(remove)


def _set_disabled(address: str, *, is_disabled: bool) -> None:
    async def change(_: Settings, db: Database) -> None:
        await accounts.set_disabled(db, parse_address(address), is_disabled=is_disabled)
        answer(
            {"email": address, "is_enabled": not is_disabled}, f"{'disabled' if is_disabled else 'enabled'} {address}"
        )

    with_database(change)


async def _users(db: Database) -> AsyncGenerator[ListedUser]:
    after_id = 0
    while page := await accounts.list_users(db, after_id, PAGE_ROWS):
        for row in page:
            yield row
        after_id = page[-1].id


def _password() -> str:
    """Asked for on a terminal; else the first line of standard input, as it is."""
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    try:
        return sys.stdin.buffer.readline().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise OperatorError("The password on standard input is not UTF-8.") from None
