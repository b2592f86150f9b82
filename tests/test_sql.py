"""Does every SQL file agree with the schema, with its own header and with the struct of the one Query that runs it?"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import AsyncGenerator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import asyncpg
import msgspec
import pytest

import app
from app.database import Query, sql_folder
from tests.conftest import admin, new_database

# what a query does is one of these; a new verb is added here on purpose
VERBS = {
    "authorize", "check", "claim", "count", "create", "delete", "describe", "end", "find", "list", "lock", "merge", "purge",
    "return", "revoke", "rotate", "set", "sum", "take",
}  # fmt: skip

# methods of a Record
METHODS_OF_A_RECORD = {"keys", "values", "items", "get"}

# PostgreSQL's short names for what people write, and what asyncpg makes of them
TYPES: dict[str, tuple[str, type]] = {
    "int2": ("smallint", int),
    "int4": ("integer", int),
    "int8": ("bigint", int),
    "text": ("text", str),
    "name": ("name", str),
    "varchar": ("varchar", str),
    "bool": ("boolean", bool),
    "bytea": ("bytea", bytes),
    "uuid": ("uuid", UUID),
    "numeric": ("numeric", Decimal),
    "float8": ("double precision", float),
    "date": ("date", date),
    "timestamptz": ("timestamptz", datetime),
    "interval": ("interval", timedelta),
    "void": ("void", NoneType),
}

KEYWORDS = (
    "select|from|where|insert|into|update|delete|join|inner|left|order by|group by|having|returning|values|on conflict|union|"
    "with|as|and|or|not|null|in|is|distinct|limit|case|when|then|else|end|set|array|for share|skip locked"
)


def _queries() -> list[Query[Any]]:
    """Every Query that a module of the application holds, once."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(app.__path__, "app.")
        if _is_code(found.name)
    ]
    found = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Query)}
    return list(found.values())


def _is_code(name: str) -> bool:
    return name != "app.__main__"  # which runs the command line


FILES = {
    path.relative_to(sql_folder()).with_suffix("").as_posix(): path
    for path in sorted(sql_folder().rglob("*.sql"))
    if path.parent.name != "migrations" and path.name != "schema.sql"
}
QUERIES = {query.name: query for query in _queries()}
every_file = pytest.mark.parametrize("name", FILES)


@cache
def text_of(name: str) -> str:
    return FILES[name].read_text(encoding="utf-8")


def code_of(name: str) -> str:
    """Without comments and the contents of strings."""
    return re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--.*", "", text_of(name)))


@pytest.fixture(scope="module")
async def migrated(server_url: str, template: str) -> AsyncGenerator[asyncpg.Connection]:
    """One database for all files: nothing is executed but what temporary tables need."""
    async with new_database(server_url, template) as url, admin(url) as connection:
        await connection.execute("SET idle_in_transaction_session_timeout = 0")  # not every test here asks it something
        transaction = connection.transaction()
        await transaction.start()
        # statements on a temporary table can only be prepared where it is
        for name in FILES:
            if re.search(r"\bCREATE TEMPORARY TABLE\b", code_of(name)):
                await connection.execute(text_of(name))
        yield connection
        await transaction.rollback()


# --- files and queries


def test_there_are_files_and_queries() -> None:
    assert len(FILES) >= 20


def test_every_file_is_used_by_exactly_one_query() -> None:
    names = sorted(query.name for query in _queries())
    assert names == sorted(FILES)


def test_every_query_is_used() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in Path(app.__path__[0]).rglob("*.py"))
    constants = re.findall(r"^(\w+) = Query\(", sources, re.MULTILINE)
    assert len(constants) == len(FILES)
    assert [name for name in constants if len(re.findall(rf"\b{name}\b", sources)) < 2] == []


@every_file
def test_name_is_a_verb_and_what_it_is_about(name: str) -> None:
    folder, _, file = name.partition("/")
    assert re.fullmatch(r"[a-z]+", folder)
    assert re.fullmatch(rf"({'|'.join(VERBS)})(_[a-z]+)*", file), "name it <verb>[_<what>][_by_<key>]"


# --- prepared on the migrated database


@every_file
async def test_parameters_are_what_the_header_says(name: str, migrated: asyncpg.Connection) -> None:
    statement = await migrated.prepare(text_of(name))
    written = re.findall(r"^-- \$([0-9]+) ([a-z_]+) (.+)$", text_of(name), re.MULTILINE)
    assert [int(number) for number, _, _ in written] == list(range(1, len(written) + 1))
    assert len({parameter for _, parameter, _ in written}) == len(written)
    assert [kind for _, _, kind in written] == [_written(parameter.name) for parameter in statement.get_parameters()]


@every_file
async def test_columns_are_the_fields_of_the_struct(name: str, migrated: asyncpg.Connection) -> None:
    columns = (await migrated.prepare(text_of(name))).get_attributes()
    row = QUERIES[name].row
    names = [column.name for column in columns]
    assert not METHODS_OF_A_RECORD & set(names)
    assert len(set(names)) == len(names)
    assert "?column?" not in names, "give the column a name"
    if row is NoneType:
        return
    if not issubclass(row, msgspec.Struct):
        assert [_read(column.type.name) for column in columns] == [row]
        return
    hints = get_type_hints(row, include_extras=True)
    fields = dict(zip(row.__struct_encode_fields__, row.__struct_fields__, strict=True))
    assert sorted(names) == sorted(fields)
    for column in columns:
        assert _accepts(hints[fields[column.name]], column.type.name), f"{column.name} is {column.type.name}"


def _written(kind: str) -> str:
    """As a person writes the type."""
    return f"{TYPES[kind.removesuffix('[]')][0]}{'[]' if kind.endswith('[]') else ''}"


def _read(kind: str) -> type:
    """What asyncpg makes of a scalar."""
    return TYPES[kind][1]


def _accepts(hint: Any, kind: str) -> bool:
    """Whether a struct's field takes what comes in such a column."""
    if get_origin(hint) is Annotated:
        return _accepts(get_args(hint)[0], kind)
    if get_origin(hint) in {Union, UnionType}:
        return any(_accepts(option, kind) for option in get_args(hint) if option is not NoneType)
    if kind.endswith("[]"):
        return get_origin(hint) in {list, tuple} and _accepts(get_args(hint)[0], kind.removesuffix("[]"))
    if get_origin(hint) is Literal:
        return all(type(value) is _read(kind) for value in get_args(hint))
    return hint is _read(kind)


# --- manners


@every_file
def test_header_is_a_sentence(name: str) -> None:
    lines = text_of(name).splitlines()
    sentence: list[str] = []
    for line in lines:
        if not line.startswith("-- ") or re.match(r"-- \$[0-9]", line):
            break
        sentence.append(line.removeprefix("-- "))
    written = " ".join(sentence)
    assert re.fullmatch(r"[A-Z].{9,}[.?]", written), "begin with a sentence: what, and why"


@every_file
def test_columns_are_named_one_by_one(name: str) -> None:
    assert not re.search(r"(\bSELECT|\bRETURNING|,)\s+(DISTINCT\s+)?(\w+\.)?\*", code_of(name), re.IGNORECASE)


@every_file
def test_days_do_not_follow_the_session_s_time_zone(name: str) -> None:
    code = re.sub(r"--.*", "", text_of(name))
    assert not re.search(
        r"\bcurrent_(date|time)\b|\blocaltime|\b(now|timestamp)\(\)\s*::\s*(date|time)\b", code, re.IGNORECASE
    )
    for cast in re.finditer(r"::\s*date\b", code, re.IGNORECASE):
        before = code[: cast.start()]
        assert re.search(r"(AT TIME ZONE 'UTC'\)|\$[0-9]+)$", before), "(… AT TIME ZONE 'UTC')::date"


@every_file
def test_nothing_is_left_behind_in_the_session(name: str) -> None:
    """A connection goes back to the pool as it is. What migrates has connections of its own."""
    if name.startswith("migrate/"):
        return
    code = re.sub(r"--.*", "", text_of(name))
    assert not re.match(r"\s*(SET|RESET|LISTEN|DECLARE|PREPARE|DISCARD|LOAD)\b", code, re.IGNORECASE)
    assert not re.search(r"\bpg_(try_)?advisory_lock(_shared)?\(", code, re.IGNORECASE)
    assert all(call.endswith("TRUE") for call in re.findall(r"\bset_config\(([^)]*)\)", code.replace("true", "TRUE")))
    if re.search(r"\bCREATE TEMPORARY TABLE\b", code, re.IGNORECASE):
        assert re.search(r"\bON COMMIT DROP\b", code, re.IGNORECASE)


@every_file
def test_keywords_are_upper_case(name: str) -> None:
    code = re.sub(r'"[^"]*"', "", code_of(name))
    assert re.findall(rf"(?<![\w.])(?:{KEYWORDS})(?![\w(])", code) == []


@every_file
def test_text_is_tidy(name: str) -> None:
    text = text_of(name)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not text.rstrip().endswith(";"), "one statement, without a semicolon"
    assert "\t" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_there_is_no_sql_in_python() -> None:
    """A string that is put together is where injections begin."""
    statement = re.compile(
        r"\b(SELECT\s.*\sFROM|INSERT\s+INTO|UPDATE\s.*\sSET|DELETE\s+FROM|ALTER\s+(TABLE|ROLE)|CREATE\s+TABLE)\s",
        re.DOTALL,
    )
    found = [
        f"{path.name}:{node.lineno}"
        for path in Path(app.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.search(node.value)
    ]
    assert found == []
