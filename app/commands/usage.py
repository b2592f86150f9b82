"""The commands through which usage comes in and goes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import BinaryIO

import click

from app.commands.answers import Command, answer, in_json
from app.commands.database import with_database
from app.commands.progress import progress, size_of
from app.commands.whose import find_user
from app.database import Database
from app.events import repository as events
from app.events.structs import OPERATOR
from app.settings import Settings
from app.stats.export import usage_pages
from app.stats.lines import CSV_HEADER, csv_lines, json_lines
from app.stats.repository import find_selection
from app.stats.selection import DAYS_MAX, select
from app.usage.imports import import_activity as import_export
from app.usage.structs import ImportReport

READ_BYTES = 256 * 1024
STANDARD_OUTPUT = 1

of_user = click.option("--user", "address", required=True, metavar="ADDRESS", help="whose usage it is")
ID = click.IntRange(1, 2**63 - 1)
DAY = click.DateTime(["%Y-%m-%d"])


@click.command("import-activity", cls=Command)
@click.argument("file", type=click.File("rb"))
@of_user
@click.option("--api-key-id", "key_id", type=ID, help="book all of it on this key")
def import_activity(file: BinaryIO, address: str, key_id: int | None) -> None:
    """Import what OpenRouter's web page exported.

    Each generation counts once, however often it is imported. FILE may be - for standard input.
    """

    async def import_pieces(_: Settings, db: Database) -> ImportReport:
        user = await find_user(db, address)
        with progress("importing", size_of(file), in_bytes=True) as advance:
            return await import_export(db, user.id, _pieces(file), key_id, advance)

    report = with_database(import_pieces)
    if not in_json():
        _tell_rejected(report)
    answer(report, *_told(report))


@click.command(cls=Command)
@of_user
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="csv, or jsonl with --json")
@click.option("--days", type=click.IntRange(1, DAYS_MAX), help="UTC days up to and with today; 30 by default")
@click.option("--start-date", type=DAY, help="first UTC day, with --end-date")
@click.option("--end-date", type=DAY, help="last UTC day, with --start-date")
@click.option("--api-key-id", "key_id", type=ID, help="only this key")
@click.option("--model", help="only this model, by OpenRouter's permaslug")
@click.option("--output", type=click.File("wb"), default="-", help="a file instead of standard output")
def export(
    address: str,
    form: str | None,
    days: int | None,
    start_date: datetime | None,
    end_date: datetime | None,
    key_id: int | None,
    model: str | None,
    output: BinaryIO,
) -> None:
    """Write usage as CSV or JSON lines.

    The same as /api/usage gives, of any size.
    """
    selection = select(days, start_date and start_date.date(), end_date and end_date.date(), key_id, model)
    as_csv = form == "csv" or (form is None and not in_json())

    async def write(_: Settings, db: Database) -> int:
        user = await find_user(db, address)
        selected = await find_selection(db, user.id, selection)
        await events.note(db, user.id, "usage_exported", OPERATOR, key_id)
        if as_csv:
            output.write(CSV_HEADER)
        count = 0
        with progress("exporting") as advance:
            async for rows in usage_pages(db, user.id, selected):
                output.write(csv_lines(rows) if as_csv else json_lines(rows))
                count += len(rows)
                advance(len(rows))
        output.flush()
        return count

    rows = with_database(write)
    if output.fileno() != STANDARD_OUTPUT:
        answer({"rows": rows, "file": output.name}, f"{rows} rows written to {output.name}")


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes]:
    while piece := file.read(READ_BYTES):
        yield piece


def _tell_rejected(report: ImportReport) -> None:
    for rejected in report.rejected:
        click.echo(f"line {rejected.line}: {rejected.reason}", err=True)
    if report.rejected_rows > len(report.rejected):
        click.echo(f"and {report.rejected_rows - len(report.rejected)} more lines that cannot be read", err=True)


def _told(report: ImportReport) -> list[str]:
    lines = [
        f"{report.rows} rows: {report.imported} imported, {report.duplicates} known already, {report.rejected_rows} rejected"
    ]
    if report.first_day:
        lines.append(f"{report.total_cost} dollars from {report.first_day} to {report.last_day} (UTC days)")
    return lines
