"""Is an activity export read as it was meant, and does one bad line cost nothing but itself?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import Invalid
from app.usage import activity_csv
from app.usage.activity_csv import ActivityReader, Generation, Rejected

HEADER = "generation_id,created_at,cost_total,model_permaslug"
GOOD = "gen-{},2026-08-24 22:00:18.189,0.000153,openai/gpt-5"
COLUMNS = {
    "generation_id": "gen-1",
    "created_at": "2026-08-24 22:00:18.189",
    "cost_total": "0.000153",
    "cost_web_search": "",
    "cost_cache": "-0.006331",
    "byok_usage_inference": "0.25",
    "tokens_prompt": "264",
    "tokens_completion": "84",
    "tokens_reasoning": "67",
    "tokens_cached": "0",
    "model_permaslug": "openai/gpt-5.6-luna-20260709",
    "provider_name": "Azure",
    "app_name": "Hermes Agent",
    "api_key_name": "sample-agent-key",
    "api_key_disabled": "false",
}
WHOLE = Generation(
    line=2,
    generation_id="gen-1",
    created_at=datetime(2026, 8, 24, 22, 0, 18, 189000, UTC),
    cost=Decimal("0.000153"),
    model="openai/gpt-5.6-luna-20260709",
    byok_cost=Decimal("0.25"),
    tokens_input=264,
    tokens_output=84,
    tokens_reasoning=67,
    tokens_cached=0,
    provider="Azure",
    key_name="sample-agent-key",
)


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    """Of a file."""
    return (content[start : start + size] for start in range(0, len(content), size))


def read(content: str | bytes, size: int = 2**30) -> list[Generation | Rejected]:
    """All that a file holds."""
    reader = ActivityReader()
    content = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    found = [row for piece in pieces(content, size) for row in reader.feed(piece)]
    return found + reader.finish()


def outline(found: list[Generation | Rejected]) -> list[tuple[int, str | None]]:
    """Line by line: the id of a generation, None for what was refused."""
    return [(row.line, row.generation_id if isinstance(row, Generation) else None) for row in found]


def one(**fields: str) -> Generation | Rejected:
    """What becomes of one row."""
    columns = COLUMNS | fields
    [row] = read(f"{','.join(columns)}\n{','.join(columns.values())}\n")
    return row


def generation(**fields: str) -> Generation:
    """One that can be read."""
    row = one(**fields)
    assert isinstance(row, Generation), row
    return row


def assert_refused(field: str, value: str) -> None:
    """The line is reported, and the reason names the column but not the value."""
    row = one(**{field: value})
    assert isinstance(row, Rejected), (field, value)
    assert row.line == 2
    assert field in row.reason
    assert row.reason.isprintable()


def test_row_is_read_whole() -> None:
    assert one() == WHOLE


@pytest.mark.parametrize("names", [sorted(COLUMNS), sorted(COLUMNS, reverse=True), [*COLUMNS][::-1]])
def test_columns_are_found_by_name_in_any_order(names: list[str]) -> None:
    assert read(f"{','.join(names)}\n{','.join(COLUMNS[name] for name in names)}\n") == [WHOLE]


def test_missing_optional_columns_are_unknown_and_not_zero() -> None:
    [row] = read(f"{HEADER}\n{GOOD.format(1)}\n")
    assert isinstance(row, Generation)
    assert row[5:] == (None,) * 7


def test_empty_optional_values_are_unknown_and_not_zero() -> None:
    row = generation(
        byok_usage_inference="", tokens_prompt="", tokens_completion="", tokens_reasoning="", tokens_cached="",
        provider_name="", api_key_name=" ",
    )  # fmt: skip
    assert row[5:] == (None,) * 7
    assert generation(byok_usage_inference="0", tokens_prompt="0")[5:7] == (Decimal(0), 0)


def test_columns_that_are_not_used_may_hold_anything() -> None:
    assert one(cost_cache="not a number", cost_web_search="NaN", app_name="\x07", api_key_disabled="?") == WHOLE


@pytest.mark.parametrize("missing", activity_csv.REQUIRED)
def test_file_without_a_required_column_is_refused_and_the_column_named(missing: str) -> None:
    names = ",".join(name for name in COLUMNS if name != missing)
    with pytest.raises(Invalid, match=missing) as caught:
        read(f"{names}\n")
    assert [error.pointer for error in caught.value.errors] == ["#/file"]


@pytest.mark.parametrize("content", ["", "\n", "\r\n\n", " \n", "\ufeff", "{}", "<html>", "a,b,c\n1,2,3\n", "\0" * 100])
def test_file_that_is_no_export_is_refused(content: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(content)
    assert [error.pointer for error in caught.value.errors] == ["#/file"]


@pytest.mark.parametrize(
    "content", [b"\xff\xfe" + HEADER.encode("utf-16-le"), b"\x00" * 2**21, b"\x1f\x8b\x08\x00", b'"' * 2**21]
)
def test_bytes_that_are_no_export_are_refused(content: bytes) -> None:
    for size in (2**16, 2**30):
        with pytest.raises(Invalid):
            read(content, size)


def test_doubled_column_is_refused_where_it_would_be_ambiguous() -> None:
    with pytest.raises(Invalid, match="cost_total"):
        read(f"{HEADER},cost_total\n")
    assert len(read(f"{HEADER},user,user\n{GOOD.format(1)},a,b\n")) == 1


def test_file_of_a_header_alone_is_empty_and_no_error() -> None:
    for content in (HEADER, f"{HEADER}\n", f"\ufeff{HEADER}\r\n", f"{HEADER}\n\n\n"):
        assert read(content) == []


def test_byte_order_mark_and_windows_line_ends_make_no_difference() -> None:
    lines = [",".join(COLUMNS), ",".join(COLUMNS.values())]
    for end in ("\n", "\r\n"):
        for mark in ("", "\ufeff"):
            assert read(mark + end.join(lines) + end) == [WHOLE]
            assert read(mark + end.join(lines)) == [WHOLE]  # the last line may have no end


def test_header_may_be_quoted_and_padded() -> None:
    for mark in ("", "\ufeff"):
        quoted = ",".join(f'"{name}"' for name in COLUMNS)
        assert read(f"{mark}{quoted}\n{','.join(COLUMNS.values())}\n") == [WHOLE]
        padded = ",".join(f" {name} " for name in COLUMNS)
        assert read(f"{mark}{padded}\n{','.join(f' {value} ' for value in COLUMNS.values())}\n") == [WHOLE]


def test_byte_order_mark_elsewhere_is_kept() -> None:
    [row] = read(f"{HEADER}\n\ufeff{GOOD.format(1)}\n")
    assert isinstance(row, Generation)
    assert row.generation_id == "\ufeffgen-1"


def test_quoted_fields_hold_commas_quotes_and_line_breaks() -> None:
    content = (
        f"{HEADER},app_name,provider_name\n"
        f'{GOOD.format(1)},"Hermes, ""the"" agent","Azure, Inc"\n'
        f'{GOOD.format(2)},"two\nlines\r\nor three",x\n'
        f"{GOOD.format(3)},x,x\n"
    )
    found = read(content)
    assert outline(found) == [(2, "gen-1"), (3, "gen-2"), (6, "gen-3")]
    assert isinstance(found[0], Generation)
    assert found[0].provider == "Azure, Inc"


def test_empty_lines_are_no_rows_and_lines_are_counted_all_the_same() -> None:
    content = f"{HEADER}\n\n{GOOD.format(1)}\n\r\n\n{GOOD.format(2)}\nx\n\n"
    assert outline(read(content)) == [(3, "gen-1"), (6, "gen-2"), (7, None)]


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_quote_that_is_never_closed_costs_its_own_line_only(where: str) -> None:
    lines = [GOOD.format(number) for number in range(100)]
    place = {"first": 0, "middle": 50, "last": 99}[where]
    lines[place] = '"' + lines[place]
    found = read("\n".join([HEADER, *lines]))
    assert [row.line for row in found if isinstance(row, Rejected)] == [place + 2]
    assert outline(found) == [(n + 2, None if n == place else f"gen-{n}") for n in range(100)]


def test_two_unclosed_quotes_cost_two_lines() -> None:
    lines = [GOOD.format(number) for number in range(30)]
    for place in (3, 7):
        lines[place] = lines[place].replace("openai", '"openai')
    found = read("\n".join([HEADER, *lines]))
    assert [row.line for row in found if isinstance(row, Rejected)] == [5, 9]


def test_record_may_reach_over_a_few_lines_and_no_more() -> None:
    longest = activity_csv.RECORD_MAX_LINES - 1
    for breaks, ids in ((longest, [(2, "gen-1"), (2 + longest + 1, "gen-2")]), (longest + 1, None)):
        found = read(f'{HEADER},app_name\n{GOOD.format(1)},"{"x" + breaks * chr(10)}"\n{GOOD.format(2)},x\n')
        if ids:
            assert outline(found) == ids
        else:
            assert outline(found)[0] == (2, None)
            assert outline(found)[-1] == (2 + breaks + 1, "gen-2")


def test_line_break_in_a_used_field_is_refused() -> None:
    found = read(f'{HEADER}\ngen-1,2026-08-24 22:00:18,0.1,"m\nn"\n{GOOD.format(2)}\n')
    assert outline(found) == [(2, None), (3, None), (4, "gen-2")]


def test_hostile_quotes_do_not_stop_the_server() -> None:
    # Each line opens a quote, and keeps one open that was open before. If every line were read again to the end of what
    # is there, this would take minutes in which the process answers nobody.
    started_at = time.process_time()
    found = read(f"{HEADER}\n".encode() + b'y","\n' * 50_000)
    assert len(found) == 50_000
    assert not any(isinstance(row, Generation) for row in found)
    assert time.process_time() - started_at < 20


def test_bytes_that_are_not_utf8_cost_their_line_only() -> None:
    bad = GOOD.format(2).replace("openai", "open\udcff")
    assert outline(read(f"{HEADER}\n{GOOD.format(1)}\n{bad}\n{GOOD.format(3)}")) == [
        (2, "gen-1"),
        (3, None),
        (4, "gen-3"),
    ]
    # and nothing where they stand in a column that is not used
    assert outline(read(f"{HEADER},app_name\n{GOOD.format(1)},\udcff\n")) == [(2, "gen-1")]


@pytest.mark.parametrize("change", [lambda row: row + ",x", lambda row: row.rpartition(",")[0], lambda _: "x"])
def test_rows_with_too_many_or_too_few_columns_are_refused(change: Callable[[str], str]) -> None:
    found = read(f"{HEADER}\n{GOOD.format(1)}\n{change(GOOD.format(2))}\n{GOOD.format(3)}\n")
    assert outline(found) == [(2, "gen-1"), (3, None), (4, "gen-3")]
    assert isinstance(found[1], Rejected)
    assert "columns instead of 4" in found[1].reason


@pytest.mark.parametrize("size", [2**16, 2**30])
@pytest.mark.parametrize("filling", ["x", ",", '"', '""', "é", "x," * 50])
def test_line_of_more_than_a_mebibyte_costs_itself_only(filling: str, size: int) -> None:
    long = filling * (activity_csv.RECORD_MAX_BYTES // len(filling.encode()) + 10)
    content = f"{HEADER}\n{GOOD.format(1)}\n{long}\n{GOOD.format(2)}\n{long}".encode()
    found = read(content, size)
    assert outline(found) == [(2, "gen-1"), (3, None), (4, "gen-2"), (5, None)]
    assert [row.reason for row in found if isinstance(row, Rejected)] == ["is longer than 1048576 bytes"] * 2


def test_long_field_in_a_column_that_is_not_used_costs_its_line_at_most() -> None:
    content = (
        f"{HEADER},app_name\n{GOOD.format(1)},{'x' * 100_000}\n{GOOD.format(2)},{'x' * 500_000}\n{GOOD.format(3)},x\n"
    )
    assert outline(read(content)) == [(2, "gen-1"), (3, None), (4, "gen-3")]


@pytest.mark.parametrize(
    "cost", ["0", "0.0", "0.000153", "1e-7", "1.5E-06", "999999999.99999999", " 0.5 ", "00.5", "0.00000000000000000001"]
)
def test_cost_is_kept_to_the_last_digit(cost: str) -> None:
    assert generation(cost_total=cost).cost == Decimal(cost.strip())
    assert generation(byok_usage_inference=cost).byok_cost == Decimal(cost.strip())


@pytest.mark.parametrize(
    "cost",
    [
        "NaN", "nan", "sNaN", "Infinity", "-inf", "1e9", "1E+9", "1e5", "1000000000", "9999999999", "-0.1", "-0", "+1",
        "1_0", "0x1", "1.", ".5", "1.5.5", "1 0", "$1", "1e-100", "1e-999999999", "x", "٠", "１", "0." + "0" * 21 + "1",
        "1" * 5000, "\x00", "0\x00",
    ],
)  # fmt: skip
def test_odd_amounts_are_refused(cost: str) -> None:
    assert_refused("cost_total", cost)
    assert_refused("byok_usage_inference", cost)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-08-24 22:00:18.189", datetime(2026, 8, 24, 22, 0, 18, 189000, UTC)),
        ("2026-08-24 22:00:18", datetime(2026, 8, 24, 22, 0, 18, 0, UTC)),
        ("2026-08-24T22:00:18.189Z", datetime(2026, 8, 24, 22, 0, 18, 189000, UTC)),
        ("2026-08-24 22:00:18.189+00:00", datetime(2026, 8, 24, 22, 0, 18, 189000, UTC)),
        ("2026-08-24 22:00:18.189123", datetime(2026, 8, 24, 22, 0, 18, 189123, UTC)),
        ("2024-02-29 23:59:59.999999", datetime(2024, 2, 29, 23, 59, 59, 999999, UTC)),
        ("2000-01-01 00:00:00.000", datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_utc(text: str, moment: datetime) -> None:
    found = generation(created_at=text).created_at
    assert found == moment
    assert found.utcoffset() == moment.utcoffset()


@pytest.mark.parametrize(
    "text",
    [
        "x", "2026-08-24", "22:00:18", "2026-02-30 00:00:00.000", "2026-02-29 00:00:00", "2026-13-01 00:00:00",
        "2026-08-24 24:00:01", "2026-08-24 22:60:00", "0000-01-01 00:00:00", "0001-01-01 00:00:00",
        "1999-12-31 23:59:59", "2101-01-01 00:00:00", "9999-12-31 23:59:59", "10000-01-01 00:00:00", "1787608818",
        "2026-08-24 22:00:18+02:00", "2026-08-24 22:00:18-00:01", "infinity", "now", "24/08/2026 22:00:18",
        "2026-W34-1 22:00:18", "٢٠٢٦-٠٨-٢٤ ٢٢:٠٠:١٨", "2026-08-24\x0022:00:18",
    ],
)  # fmt: skip
def test_odd_times_are_refused(text: str) -> None:
    assert_refused("created_at", text)


@pytest.mark.parametrize("field", ["tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached"])
def test_odd_token_counts_are_refused(field: str) -> None:
    for value in (
        "-1", "+1", "1.0", "1.5", "1e3", "x", "NaN", "1_000", "0x10", "٣", "³", str(10**10 + 1), str(2**63),
        str(10**30), "9" * 5000, "1 0",
    ):  # fmt: skip
        assert_refused(field, value)
    generation(**{field: str(10**10)})


@pytest.mark.parametrize("field", activity_csv.REQUIRED)
def test_empty_required_values_are_refused(field: str) -> None:
    for value in ("", "  ", "\u00a0"):
        assert_refused(field, value)


@pytest.mark.parametrize(
    ("field", "longest"),
    [("generation_id", 200), ("model_permaslug", 300), ("provider_name", 300), ("api_key_name", 300)],
)
def test_texts_are_bounded_and_free_of_control_characters(field: str, longest: int) -> None:
    generation(**{field: "😀" * longest})
    assert_refused(field, "😀" * (longest + 1))
    for bad in ("a\0b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "a\udcffb"):
        assert_refused(field, bad)


LINES = st.sampled_from(
    [
        GOOD.format(1), GOOD.format(2), GOOD.format(3) + "\r", "", "x", '"', 'a"b', 'y","', '"a', 'b"', '""', '"""',
        f'"{GOOD.format(4)}', '"gen-5","2026-08-24 22:00:18","0.1","m"', '"gen',
        "-" * 60 + '",2026-08-24 22:00:18,0.1,m', "ü€😀", "\udcff\udce2\udc82",
        '"open,', ",,,", '","', "\ufeff", "a\rb", "\0",
    ]
)  # fmt: skip


@given(
    lines=st.lists(LINES, max_size=60),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=10),
    ends_with_a_break=st.booleans(),
)
@example(
    lines=['"', '"a', 'b",2026-08-24 22:00:18,0.1,m', GOOD.format(1), 'x"', GOOD.format(2)],
    sizes=[1],
    ends_with_a_break=False,
)
@example(lines=["ü€😀"] * 5, sizes=[1], ends_with_a_break=True)
def test_how_the_file_was_cut_into_pieces_makes_no_difference(
    lines: list[str], sizes: list[int], ends_with_a_break: bool
) -> None:
    content = "\n".join([HEADER, *lines] + [""] * ends_with_a_break).encode("utf-8", "surrogateescape")
    reader, found, start, turn = ActivityReader(), [], 0, 0
    while start < len(content):
        size = sizes[turn % len(sizes)]
        found += reader.feed(content[start : start + size])
        start, turn = start + size, turn + 1
    found += reader.finish()
    assert found == read(content)


@given(st.lists(LINES, max_size=60))
def test_every_line_is_found_once_and_good_lines_are_found_whatever_stands_around_them(lines: list[str]) -> None:
    found = read("\n".join([HEADER, *lines]))
    numbers = [row.line for row in found]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(2, len(lines) + 2))
    if not any('"' in line for line in lines):
        expected = [number for number, line in enumerate(lines, start=2) if line.startswith("gen-")]
        assert [row.line for row in found if isinstance(row, Generation)] == expected


@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_at_all_break_the_reader(content: bytes, size: int) -> None:
    found = read(f"{HEADER}\n".encode() + content, size)
    assert all(isinstance(row, Generation | Rejected) for row in found)
