"""Is an export that takes several batches booked to the last digit?"""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import msgspec
import pytest

from app.usage import imports as importing
from tests.cast import Person
from tests.usage.exports import ACTIVITY, imports
from tests.usage.test_import import assert_consistent

ROWS, BATCH_ROWS = 30_000, 8_000
DAYS, KEYS, MODELS, PROVIDERS = 60, 5, 20, 7
SEED = 20260824
START = datetime(2026, 6, 20, tzinfo=UTC)


class Sums(msgspec.Struct):
    """Of a day and model, by Python's own arithmetic."""

    requests: int = 0
    cost: Decimal = Decimal(0)
    tokens_input: int = 0
    tokens_output: int = 0


def made(dice: random.Random) -> tuple[bytes, dict[tuple[date, str], Sums]]:
    """An export in random order, some rows of it twice, and what it comes to."""
    names = ACTIVITY.decode().splitlines()[0].split(",")
    sums: dict[tuple[date, str], Sums] = defaultdict(Sums)
    lines = []
    for number in range(ROWS):
        moment = START + timedelta(seconds=dice.randrange(DAYS * 86_400), milliseconds=dice.randrange(1000))
        cost = Decimal(dice.randrange(2_000_000)).scaleb(-6)
        tokens_input, tokens_output = dice.randrange(200_000), dice.randrange(5_000)
        model = f"maker/model-{dice.randrange(MODELS)}"
        row = dict.fromkeys(names, "") | {
            "generation_id": f"gen-{number:06}",
            "created_at": f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}",
            "cost_total": str(cost),
            "tokens_prompt": tokens_input,
            "tokens_completion": tokens_output,
            "model_permaslug": model,
            "provider_name": f"Provider {dice.randrange(PROVIDERS)}",
            "api_key_name": f"key {dice.randrange(KEYS)}",
        }
        lines.append(row)
        total = sums[moment.date(), model]
        total.requests += 1
        total.cost += cost
        total.tokens_input += tokens_input
        total.tokens_output += tokens_output
    lines += dice.sample(lines, 500)
    dice.shuffle(lines)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode(), dict(sums)


async def test_large_export_in_random_order_is_booked_exactly(
    alice: Person, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", BATCH_ROWS)  # several batches of fewer rows than it takes otherwise
    content, expected = made(random.Random(SEED))  # noqa: S311 -- no secret

    async def streamed() -> AsyncGenerator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    report = await imports(alice, streamed())
    assert (report["rows"], report["imported"], report["duplicates"]) == (ROWS + 500, ROWS, 500)
    assert report["rejected_rows"] == 0
    assert report["total_cost"] == sum(total.cost for total in expected.values())
    assert report["first_day"] == min(expected)[0].isoformat()
    assert report["last_day"] == max(expected)[0].isoformat()
    rows = await connection.fetch(
        """
        SELECT r.day, m.slug, r.requests, r.cost, r.tokens_input, r.tokens_output
        FROM usage_rollups AS r INNER JOIN models AS m ON m.id = r.model_id
        WHERE r.user_id = $1 AND r.key_id = -1
        """,
        alice.id,
    )
    assert {(day, slug): Sums(*sums) for day, slug, *sums in rows} == expected
    counts = await connection.fetchrow(
        "SELECT count(DISTINCT key_id), count(DISTINCT model_id), count(DISTINCT provider_id) FROM usage_facts"
    )
    assert tuple(counts) == (KEYS, MODELS, PROVIDERS)
    await assert_consistent(connection)
