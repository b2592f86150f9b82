"""How does a command answer? Lines for people or one JSON document on standard output; what went wrong on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import click
import msgspec

from app.encoding import encode
from app.errors import AppError, Invalid, OperatorError, Unavailable

DONE, FAILED, MISUSED, AWAY = range(4)  # exit codes


class Failure(msgspec.Struct, frozen=True):
    """What went wrong: `code` for programs, `detail` for people."""

    code: str
    detail: str
    exit_code: int = FAILED


class Command(click.Command):
    """A command that can answer in JSON."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As click's own, and `--json`."""
        super().__init__(*arguments, **options)
        spoken = click.Option(["--json"], is_flag=True, expose_value=False, help="answer in JSON, errors too")
        self.params.append(spoken)


class Commands(click.Group):
    """A group of such commands."""

    command_class = Command


def in_json() -> bool:
    """Whether `--json` is among the arguments. Not asked of click, which does not tell where it could not read them."""
    return "--json" in sys.argv[1:]


def answer(value: Any, *lines: str) -> None:
    """What a command has to say: `value` for programs, `lines` for people."""
    if in_json():
        click.echo(encode(value))
    else:
        for line in lines:
            click.echo(line)


def answer_rows(columns: Sequence[str], rows: Sequence[msgspec.Struct]) -> None:
    """A list: a JSON array with all fields; a table of these fields on a terminal; lines with tabs where a program reads."""
    if in_json():
        click.echo(encode(rows))
        return
    cells = [[_cell(getattr(row, column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *cells):
            click.echo("\t".join(line))
        return
    from rich.console import Console  # noqa: PLC0415 -- takes longer than most commands, and only terminals need it
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # folded where the terminal is narrow, never cut off
    table = Table(*(Column(column, overflow="fold") for column in columns), box=None, pad_edge=False)
    for line in cells:
        table.add_row(*map(Text, line))  # as it is: names may look like markup
    Console().print(table)


def _cell(value: Any) -> str:
    """Without what would break a line: names may hold anything that prints."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(msgspec.to_builtins(value, builtin_types=()) if not isinstance(value, str) else value)


def note(sentence: str) -> None:
    """For a person who watches: on standard error, and not where the answer is JSON."""
    if not in_json():
        click.echo(sentence, err=True)


def failure_of(error: Exception) -> Failure | None:
    """What can be told in a sentence; None for what nobody has thought of."""
    match error:
        case click.ClickException():
            usage = error.ctx.get_usage() + "\n" if isinstance(error, click.UsageError) and error.ctx else ""
            told = error.format_message()
            return Failure("usage", told if in_json() else f"{usage}Error: {told}", error.exit_code)
        case Unavailable():
            return Failure(error.code, error.detail, AWAY)
        case Invalid():
            lines = [f"{field.pointer.removeprefix('#/')} {field.detail}" for field in error.errors]
            return Failure(error.code, "\n".join(lines))
        case AppError():
            return Failure(error.code, error.detail)
        case OperatorError():
            return Failure("refused", str(error))
        case _:
            return None


def fail(failure: Failure) -> NoReturn:
    """Ends the process."""
    click.echo(encode(failure) if in_json() else failure.detail, err=True)
    raise SystemExit(failure.exit_code)
