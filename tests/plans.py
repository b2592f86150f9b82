"""How does the database mean to run a query? Both ways in which it plans one."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import asyncpg

from app.database import Query

# the last one after a scan of an index, which is in there too
BY_INDEX = {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


async def plans(connection: asyncpg.Connection, query: Query[Any], arguments: tuple[Any, ...]) -> Iterator[Any]:
    """As it is planned for these arguments, and as for any: the database does the one or the other."""
    literals = ", ".join(map(_literal, arguments))
    await connection.execute(f"PREPARE hot AS {query.sql}")
    try:
        return iter([await _plan(connection, mode, literals) for mode in ("force_custom_plan", "force_generic_plan")])
    finally:
        await connection.execute("DEALLOCATE hot")


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"'{{{', '.join('NULL' if item is None else str(item) for item in value)}}}'"
    return "NULL" if value is None else f"'{value}'"


async def _plan(connection: asyncpg.Connection, mode: str, literals: str) -> Any:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON, ANALYZE) EXECUTE hot({literals})")
    return json.loads(text)[0]["Plan"]


def scans(plan: Any, tables: Collection[str]) -> list[Any]:
    """Those of these tables."""
    inner = [scan for part in plan.get("Plans", []) for scan in scans(part, tables)]
    return [plan, *inner] if plan.get("Relation Name") in tables else inner


def rows_read(scans: Sequence[Any]) -> float:
    """What is read and thrown away counts too."""
    return sum(
        (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0))
        * scan["Actual Loops"]
        for scan in scans
    )
