"""Making the service wait: bounds on its statements, and knowing that it waits."""

from __future__ import annotations

import asyncio

import asyncpg


async def bound(connection: asyncpg.Connection, setting: str, value: str) -> None:
    """For connections from now on."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET {setting} = '{value}'")


async def waiting_backend(connection: asyncpg.Connection) -> int:
    """The service's connection, once it waits for the lock."""
    for _ in range(200):
        found = await connection.fetchval(
            "SELECT pid FROM pg_locks WHERE NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        if found:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")
