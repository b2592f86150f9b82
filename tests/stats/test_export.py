"""Does `python -m app export` write what the API answers, and say in a sentence what it cannot do?"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from tests.commands.running import environment_of, run
from tests.readers import AUGUST, Reader, today
from tests.usage.exports import ACTIVITY, exact_text, imports
from tests.usage.facts import Fact, book, key_ids

ALICE = ("--user", "alice@example.com")
PERIOD = ("--start-date", "2026-08-01", "--end-date", "2026-08-31")


async def test_csv_is_the_one_of_the_api_byte_for_byte(person: Reader, database_url: str) -> None:
    await imports(person.owner, ACTIVITY)
    environment = environment_of(database_url)
    done = run(environment, "export", "--user", person.owner.email, *PERIOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == await person.csv()
    assert "sample-agent-key" in done.stdout


async def test_lines_of_json_are_the_items_of_the_api(person: Reader, database_url: str) -> None:
    await imports(person.owner, ACTIVITY)
    done = run(
        environment_of(database_url), "export", "--user", person.owner.email.upper(), "--format", "jsonl", *PERIOD
    )
    assert [exact_text(line) for line in done.stdout.splitlines()] == await person.usage()


async def test_selection_is_the_one_of_the_api(
    person: Reader, connection: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    days = [date(2026, 8, 1), *(today() - timedelta(days=back) for back in (0, 29, 30))]
    facts = [Fact(day, key, model, cost=Decimal(1)) for day in days for key in ("=a", None) for model in ("x", "y")]
    await book(connection, person.owner.id, *facts)
    key = (await key_ids(connection, person.owner.id))["=a"]
    environment, file = environment_of(database_url), tmp_path / "usage.csv"
    for options, query, lines in (
        ((), "", 8),
        (("--days", "31"), "days=31", 12),
        (("--api-key-id", str(key), "--model", "x", *PERIOD), f"{AUGUST}&api_key_id={key}&model=x", 1),
    ):
        done = run(environment, "export", "--user", person.owner.email, *options, "--output", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        assert file.read_bytes().decode() == await person.csv(query)
        assert len(file.read_text(encoding="utf-8").splitlines()) == 1 + lines


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--user", "nobody@example.com"), 1, "There is no account nobody@example.com."),
        ((*ALICE, "--api-key-id", "999999"), 1, "There is no key 999999 (api_key_id)."),
        ((*ALICE, "--days", "5", *PERIOD), 1, "days cannot be combined with start_date and end_date"),
        ((*ALICE, "--start-date", "2026-08-01"), 1, "end_date is required"),
        ((*ALICE, "--model"), 2, "--model"),
        ((*ALICE, "--start-date", "2026-08-02", "--end-date", "2026-08-01"), 1, "end_date is before start_date"),
        ((*ALICE, "--start-date", "2026-02-30", "--end-date", "2026-03-01"), 2, "2026-02-30"),
        ((*ALICE, "--days", "0"), 2, "--days"),
        ((*ALICE, "--format", "xml"), 2, "--format"),
        ((), 2, "--user"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_a_sentence_and_nothing_is_written(
    database_url: str, tmp_path: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    done = run(environment_of(database_url), "export", "--output", str(tmp_path / "usage.csv"), *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "usage.csv").exists()


async def test_failure_midway_ends_with_an_error(
    person: Reader, connection: asyncpg.Connection, database_url: str
) -> None:
    await book(connection, person.owner.id, Fact(date(2026, 8, 1), cost=Decimal(1)))
    await connection.execute("ALTER TABLE usage_facts RENAME TO gone")
    done = run(environment_of(database_url), "export", "--user", person.owner.email, *PERIOD)
    assert done.returncode != 0
    assert done.stderr
