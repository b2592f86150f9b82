"""What can a person or a script do from the command line?"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from app import __version__, embedded, server
from app import migrate as migrations
from app import scheduler as scheduling
from app import settings as settings_module
from app.accounts import repository as accounts
from app.accounts.addresses import parse_address
from app.accounts.passwords import Passwords
from app.accounts.register import create_user
from app.accounts.structs import Credentials
from app.database import Database
from app.errors import AppError, Invalid, NotFound, OperatorError, Unavailable
from app.keys import encryption
from app.keys.vault import Vault
from app.logs import configure_logs
from app.main import create_database, create_sync
from app.settings import Settings
from app.stats.export import usage_pages
from app.stats.lines import CSV_HEADER, csv_lines, json_lines
from app.stats.repository import find_selection
from app.stats.selection import DAYS_MAX, select
from app.usage.imports import import_activity as import_export
from app.usage.structs import ImportReport

T = TypeVar("T")

DATABASE_PATIENCE_SECONDS = 60
READ_BYTES = 256 * 1024


@click.group()
@click.version_option(__version__)
def cli() -> None:
    """OpenRouter Watcher: what your OpenRouter keys spend, kept for ever."""


def main() -> None:
    """The console script. What a person can mend is told in a sentence, with exit code 1."""
    # Python's own answer to these would leave the embedded database behind. granian replaces them when it serves.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    try:
        cli(standalone_mode=True, prog_name="python -m app" if sys.argv[0].endswith("__main__.py") else None)
    except OperatorError as error:
        _fail(str(error))
    except Invalid as error:
        _fail("\n".join(f"{field.pointer.removeprefix('#/')} {field.detail}" for field in error.errors))
    except AppError as error:
        _fail(error.detail)


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _fail(sentence: str) -> None:
    click.echo(sentence, err=True)
    raise SystemExit(1)


@cli.command()
def run() -> None:
    """Serve; first start the embedded database (without DATABASE_URL) and bring the schema up to date."""
    settings = _settings()
    with _embedded_server(settings):
        asyncio.run(_prepare(settings))
        server.serve(settings)


@cli.command()
def scheduler() -> None:
    """Read the keys that are due and keep the house, without serving; any number of these share the work."""
    with _database() as (settings, _):
        asyncio.run(_prepare(settings))
        click.echo(f"OpenRouter keys are read every {settings.sync_interval_minutes} minutes", err=True)
        asyncio.run(scheduling.run(create_sync(settings, create_database(settings))))


@cli.command("rotate-keys")
def rotate_keys() -> None:
    """Put every stored OpenRouter key under the first of ENCRYPTION_KEYS; while the service runs, if you like."""

    async def rotate(settings: Settings, db: Database) -> None:
        vault = Vault(settings.encryption_keys)
        done = await encryption.rotate(db, vault)
        click.echo(f"{done} OpenRouter keys re-encrypted; all are under the encryption key {vault.key_id.hex()} now")

    _with_database(rotate)


@cli.command()
def migrate() -> None:
    """Bring the schema up to date."""
    with _database() as (_, url):
        for name in asyncio.run(migrations.migrate(url)):
            click.echo(f"applied {name}")


@cli.command()
def schema() -> None:
    """Print the schema of the database as it is now."""
    with _database() as (_, url):
        click.echo(asyncio.run(migrations.describe(url)))


@cli.command()
def demo() -> None:
    """Serve on a simulated OpenRouter, with a user and a year of usage; nothing of it is kept."""
    from app import demo as demonstration  # noqa: PLC0415 -- nobody else needs the simulator

    demonstration.run()


@cli.command("simulate-openrouter")
@click.option("--port", type=click.IntRange(0, 65535), default=9009, show_default=True, help="0 takes a free one")
@click.option("--seed", default=1, show_default=True, help="the same seed makes the same keys and usage")
@click.option("--keys", type=click.IntRange(0, 10_000), default=5, show_default=True, help="inference keys")
@click.option("--days", type=click.IntRange(0, 3660), default=45, show_default=True, help="days of usage")
@click.option("--now", type=click.DateTime(), help="what time it is there (UTC); the real time if not given")
def simulate_openrouter(port: int, seed: int, keys: int, days: int, now: datetime | None) -> None:
    """Serve a simulated OpenRouter on loopback, for trying out and for tests; its keys are printed."""
    from app.simulator import run as simulator  # noqa: PLC0415 -- nobody else needs it

    simulator.run(port, seed, keys, days, now and now.replace(tzinfo=UTC))


@cli.group()
def user() -> None:
    """Accounts. Passwords are read from standard input, never from the command line."""


@user.command("create")
@click.argument("address")
def user_create(address: str) -> None:
    """Make an account, whatever REGISTRATION says."""
    password = _password()

    async def create(settings: Settings, db: Database) -> None:
        passwords = Passwords(min_length=settings.password_min_length)
        account = await create_user(db, passwords, Credentials(address, password))
        click.echo(f"created {account.email} with id {account.id}")

    _with_database(create)


@user.command("set-password")
@click.argument("address")
def user_set_password(address: str) -> None:
    """Give an account another password and end its sessions."""
    password = _password()

    async def set_password(settings: Settings, db: Database) -> None:
        passwords = Passwords(min_length=settings.password_min_length)
        found = await _find_user(db, address)
        await passwords.require_strong(password, parse_address(address), "password")
        await accounts.set_password(db, found, await passwords.hash(password))
        click.echo(f"changed the password of {address}; its sessions have ended")

    _with_database(set_password)


@user.command("disable")
@click.argument("address")
def user_disable(address: str) -> None:
    """Shut an account out: its sessions end, its API tokens are refused until it is enabled again."""

    async def disable(_: Settings, db: Database) -> None:
        await accounts.set_disabled(db, parse_address(address), is_disabled=True)
        click.echo(f"disabled {address}")

    _with_database(disable)


@user.command("enable")
@click.argument("address")
def user_enable(address: str) -> None:
    """Let an account in again."""

    async def enable(_: Settings, db: Database) -> None:
        await accounts.set_disabled(db, parse_address(address), is_disabled=False)
        click.echo(f"enabled {address}")

    _with_database(enable)


@cli.command("import-activity")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", "address", required=True, metavar="ADDRESS", help="whose usage it is")
@click.option("--api-key-id", "key_id", type=click.IntRange(1, 2**63 - 1), help="book all of it on this key")
def import_activity(file: Path, address: str, key_id: int | None) -> None:
    """Import an activity export of OpenRouter's web page. Each generation counts once, however often it is imported."""

    async def import_pieces(export: BinaryIO, size: int, db: Database) -> None:
        user_id = await _find_user(db, address)
        with _progress() as progress:
            task = progress.add_task(file.name, total=size)
            pieces = _pieces(export)
            report = await import_export(db, user_id, pieces, key_id, lambda count: progress.advance(task, count))
        _print_report(report)

    with file.open("rb") as export:
        _with_database(lambda _, db: import_pieces(export, file.stat().st_size, db))


@cli.command("export")
@click.option("--user", "address", required=True, metavar="ADDRESS", help="whose usage it is")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), help="UTC days up to and with today; 30 by default")
@click.option("--start-date", type=click.DateTime(["%Y-%m-%d"]), help="first UTC day, with --end-date")
@click.option("--end-date", type=click.DateTime(["%Y-%m-%d"]), help="last UTC day, with --start-date")
@click.option("--api-key-id", "key_id", type=click.IntRange(1, 2**63 - 1), help="only this key")
@click.option("--model", help="only this model, by OpenRouter's permaslug")
@click.option("--output", type=click.File("wb"), default="-", help="a file instead of standard output")
def export(
    address: str,
    form: str,
    days: int | None,
    start_date: datetime | None,
    end_date: datetime | None,
    key_id: int | None,
    model: str | None,
    output: BinaryIO,
) -> None:
    """Write usage as CSV or JSON lines: the same as /api/usage gives, of any size."""
    selection = select(days, start_date and start_date.date(), end_date and end_date.date(), key_id, model)

    async def write(_: Settings, db: Database) -> None:
        user_id = await _find_user(db, address)
        selected = await find_selection(db, user_id, selection)
        if form == "csv":
            output.write(CSV_HEADER)
        async for rows in usage_pages(db, user_id, selected):
            output.write(csv_lines(rows) if form == "csv" else json_lines(rows))
        output.flush()

    _with_database(write)


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes]:
    while piece := file.read(READ_BYTES):
        yield piece


def _progress() -> Progress:
    """A bar on a terminal; nothing where the output is read by a program."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _print_report(report: ImportReport) -> None:
    for rejected in report.rejected:
        click.echo(f"line {rejected.line}: {rejected.reason}", err=True)
    if report.rejected_rows > len(report.rejected):
        click.echo(f"and {report.rejected_rows - len(report.rejected)} more lines that cannot be read", err=True)
    click.echo(
        f"{report.rows} rows: {report.imported} imported, {report.duplicates} known already, {report.rejected_rows} rejected"
    )
    if report.first_day:
        click.echo(f"{report.total_cost} dollars from {report.first_day} to {report.last_day} (UTC days)")


async def _find_user(db: Database, address: str) -> int:
    found = await accounts.find_user(db, parse_address(address))
    if found is None:
        raise NotFound(f"There is no account {address}.")
    return found.id


def _password() -> str:
    """Asked for on a terminal; else the first line of standard input, as it is."""
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        return sys.stdin.buffer.readline().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise OperatorError("The password on standard input is not UTF-8.") from None


def _settings() -> Settings:
    settings = settings_module.load()
    configure_logs(settings.log_level)
    return settings


def _database_url(settings: Settings) -> str:
    return settings.database_url or embedded.database_url(settings.data_dir)


def _embedded_server(settings: Settings) -> AbstractContextManager[object]:
    return nullcontext() if settings.database_url else embedded.running(settings.data_dir)


@contextmanager
def _database() -> Generator[tuple[Settings, str]]:
    """The settings and the database's address, for a command that may run beside the service."""
    settings = _settings()
    with nullcontext() if settings.database_url else embedded.running_or_joined(settings.data_dir):
        yield settings, _database_url(settings)


def _with_database(act: Callable[[Settings, Database], Awaitable[T]]) -> T:
    """Runs a command on an open pool, with the schema up to date."""

    async def run_act(settings: Settings, url: str) -> T:
        await migrations.migrate(url)
        db = Database(url, pool_size=2, transaction_pooler=settings.database_pooler == "transaction")
        await db.open()
        try:
            return await act(settings, db)
        finally:
            await db.close()

    with _database() as (settings, url):
        return asyncio.run(run_act(settings, url))


async def _prepare(settings: Settings) -> None:
    """A wrong encryption key is noticed before anything is written, the schema included."""
    url = _database_url(settings)
    vault = Vault(settings.encryption_keys)

    async def prepare() -> None:
        async with migrations.connect(url) as connection:
            await encryption.check_keys(connection, vault)
        await migrations.migrate(url)
        async with migrations.connect(url) as connection:
            await encryption.require_right_keys(connection, vault)

    await _patiently(prepare)


async def _patiently(act: Callable[[], Awaitable[object]]) -> None:
    """In a compose stack the database may need longer to start than the service."""
    deadline = asyncio.get_running_loop().time() + DATABASE_PATIENCE_SECONDS
    pause = 0.2
    while True:
        try:
            await act()
        except Unavailable as error:
            if asyncio.get_running_loop().time() + pause > deadline:
                raise OperatorError(f"The database cannot be reached: {type(error.__cause__).__name__}.") from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        else:
            return
