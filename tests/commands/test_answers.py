"""Do all commands keep the same manners: help, JSON, exit codes, nothing but text where a program reads?"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import click

from app.cli import COMMANDS, cli
from app.commands.usage import READ_BYTES
from tests.cast import Person
from tests.commands.running import run


def all_commands(group: click.Group, *path: str) -> Generator[tuple[str, click.Command]]:
    """Those that do something, by their full names."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from all_commands(command, *path, name)
        else:
            yield " ".join([*path, name]), command


def test_list_of_commands_says_what_their_own_help_says() -> None:
    context = click.Context(cli)
    for name, (_, sentence) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command
        assert command.name == name
        assert (command.help or "").split("\n")[0] == sentence


def test_every_command_can_answer_in_json_and_none_takes_a_secret() -> None:
    for name, command in all_commands(cli):
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, name
        assert not [option for option in options if "password" in option or "secret" in option], name


def test_wrong_usage_ends_with_2_and_is_told_in_json_where_that_was_asked_for(environment: dict[str, str]) -> None:
    plain = run(environment, "user", "frobnicate")
    assert (plain.returncode, plain.stdout) == (2, "")
    assert "No such command 'frobnicate'" in plain.stderr
    told = run(environment, "export", "--json", "--days", "never")
    assert (told.returncode, told.stdout) == (2, "")
    failure = json.loads(told.stderr)
    assert (failure["code"], failure["exit_code"]) == ("usage", 2)
    assert "Usage" not in failure["detail"]


def test_commands_load_what_they_need_and_no_more() -> None:
    """Each start pays for it, and the server's first process as long as it lives."""
    heavy = {"litestar", "granian", "jinja2", "zxcvbn", "httpx", "cryptography", "asyncpg", "app.main"}
    code = (
        "import sys, app.cli; names = set(sys.modules); import app.commands.serving, app.server;"
        f"print(sorted({heavy} & names), 'litestar' in sys.modules, 'app.main' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False False\n"


def test_long_work_shows_a_bar_on_a_terminal_and_nothing_to_a_program(
    environment: dict[str, str], alice: Person, tmp_path: Path
) -> None:
    export = tmp_path / "export.csv"
    header = "generation_id,created_at,cost_total,model_permaslug\n"
    export.write_text(header + "".join(f"{n},2026-11-01 10:00:00,0.1,m\n" for n in range(2 * READ_BYTES // 32)))
    command = [sys.executable, "-m", "app", "import-activity", str(export), "--user", alice.email]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        assert process.stdout
        said = process.stdout.read()
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert "importing" in shown
    assert "━" in shown
    assert b"\x1b" not in said
    piped = run(environment, *command[3:])
    assert piped.stderr == ""
    assert piped.stdout.startswith(f"{2 * READ_BYTES // 32} rows: 0 imported")
