"""What can a person or a script ask for on the command line, and with which code does it end?

The work itself is in `app/commands`, whose modules are loaded when they are asked for: each command pays only for its own.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

from app import __version__
from app.commands.answers import Failure, fail, failure_of

# name: the module below app.commands that has it, and what the list of commands says of it
COMMANDS = {
    "run": ("serving", "Serve, with database, schema and scheduler."),
    "serve": ("serving", "Serve; the scheduler runs elsewhere."),
    "scheduler": ("serving", "Read the keys that are due, without serving."),
    "demo": ("serving", "Serve with a simulated year of usage."),
    "migrate": ("schema", "Bring the schema up to date."),
    "schema": ("schema", "Print the schema as it is now."),
    "doctor": ("doctor", "Is everything in place? What is to be done?"),
    "user": ("user", "Accounts."),
    "token": ("token", "API tokens, leaked ones too."),
    "keys": ("keys", "OpenRouter keys."),
    "import-activity": ("usage", "Import what OpenRouter's web page exported."),
    "export": ("usage", "Write usage as CSV or JSON lines."),
    "rotate-keys": ("rotation", "Re-encrypt every stored OpenRouter key."),
    "openapi": ("openapi", "Print the OpenAPI description."),
    "simulate-openrouter": ("simulator", "Serve a simulated OpenRouter, for trying out."),
}


class Commands(click.Group):
    """Knows the names and loads the rest."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """In the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- the same
        """Imports its module."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        return getattr(import_module(f"app.commands.{module}"), cmd_name.replace("-", "_"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- the same
        """Without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(cls=Commands)
@click.version_option(__version__)
def cli() -> None:
    """OpenRouter Watcher: what your OpenRouter keys spend, kept for ever.

    Exit codes: 0 done; 1 refused or failed, with a sentence; 2 wrong usage; 3 the database or OpenRouter is away, so
    that trying again may help. Every command takes --json: its answer is JSON then, and so is what went wrong.
    """


def main() -> NoReturn:
    """The console script."""
    _open_standard_streams()
    # Python's own answer to these would leave the embedded database behind. granian replaces them when it serves.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    name = "python -m app" if sys.argv[0].endswith("__main__.py") else None
    try:
        code = cli.main(prog_name=name, standalone_mode=False)
    except click.Abort:
        fail(Failure("aborted", "Aborted."))
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        fail(failure)
    sys.exit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Where whoever starts this has closed them: a connection would get such a number, and be sent what is meant to be said."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 -- the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)
