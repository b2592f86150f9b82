"""Where does each test get its database? The template is copied; a copy that is as good as new after a test serves the next one.

New sessions on a new copy read its catalogs and plan every statement anew: for most tests that would be most of their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import msgspec

# the settings of a role in a database do not come with a copy of it
COPY_SETTINGS = """
    DO $$
    DECLARE
        setting text;
    BEGIN
        FOR setting IN
            SELECT replace(unnest(setconfig), '=', ' = ''') || ''''
            FROM pg_db_role_setting AS kept
            INNER JOIN pg_database AS template ON template.oid = kept.setdatabase
            WHERE template.datname = '{template}'
        LOOP
            EXECUTE 'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET ' || setting;
        END LOOP;
    END
    $$
"""
# what migrations have made and put there: any change of it, and any new transaction that wrote it, is seen
MAKE = """
    SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
        SELECT concat_ws(' ', 'c', oid, xmin) AS line FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'a', attrelid, attnum, a.xmin) FROM pg_attribute AS a
        INNER JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL SELECT concat_ws(' ', 'k', oid, xmin) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 't', oid, xmin) FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', 'p', oid, xmin) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', 'n', oid) FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT concat_ws(' ', 'e', oid) FROM pg_extension
        UNION ALL SELECT concat_ws(' ', 's', setrole, setconfig::text) FROM pg_db_role_setting AS s
        INNER JOIN pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = current_database()
        UNION ALL SELECT concat_ws(' ', 'm', m::text) FROM schema_migrations AS m
        UNION ALL SELECT concat_ws(' ', 'r', k::text) FROM openrouter_keys AS k WHERE id = 0
        UNION ALL SELECT concat_ws(' ', 'r', m::text) FROM models AS m WHERE id = 0
        UNION ALL SELECT concat_ws(' ', 'r', p::text) FROM providers AS p WHERE id = 0
    ) AS made
"""
BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'
"""
LARGE = """
    SELECT EXISTS (
        SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 1000000
    )
"""
EMPTY = """
    DO $$
    DECLARE
        place record;
    BEGIN
        SET LOCAL lock_timeout = '500ms';
        SET LOCAL session_replication_role = replica;
        FOR place IN
            SELECT c.oid::regclass AS name, EXISTS (
                SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'id'
            ) AS has_id
            FROM pg_class AS c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_migrations'
        LOOP
            EXECUTE format('DELETE FROM %s %s', place.name, CASE WHEN place.has_id THEN 'WHERE id <> 0' ELSE '' END);
        END LOOP;
        PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
        FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL;
    END
    $$
"""


class _Copy(msgspec.Struct):
    """Of a template; `make` is what MAKE says of it."""

    url: str
    connection: asyncpg.Connection
    make: str


class Databases:
    """Those of one server."""

    def __init__(self, server_url: str) -> None:
        """`server_url`: its own database."""
        self._server_url = server_url
        self._administrator: asyncpg.Connection | None = None
        self._administration = asyncio.Lock()
        self._idle: dict[str, list[_Copy]] = {}

    @asynccontextmanager
    async def new(self, template: str = "template0") -> AsyncGenerator[str]:
        """One that lives as long as the block."""
        url = await self._create(template)
        try:
            yield url
        finally:
            await self._drop(url)

    @asynccontextmanager
    async def lent(self, template: str) -> AsyncGenerator[str]:
        """One in nobody else's hands; it is new, or as good as new."""
        idle = self._idle.setdefault(template, [])
        copy = idle.pop() if idle else await self._copy(template)
        try:
            yield copy.url
        finally:
            if await _empties(copy):
                idle.append(copy)
            else:
                copy.connection.terminate()
                await self._drop(copy.url)

    async def close(self) -> None:
        """Nobody needs them any more; they end with their server."""
        for copy in [copy for idle in self._idle.values() for copy in idle]:
            copy.connection.terminate()
        if self._administrator is not None:
            self._administrator.terminate()  # its server may be gone by now

    async def _copy(self, template: str) -> _Copy:
        url = await self._create(template)
        connection = await asyncpg.connect(url)
        return _Copy(url, connection, await connection.fetchval(MAKE))

    async def _create(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        # the default strategy writes every page to the log too
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        await self._administer(COPY_SETTINGS.format(template=template, name=name))
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    async def _drop(self, url: str) -> None:
        await self._administer(f'DROP DATABASE "{urlsplit(url).path.strip("/")}" WITH (FORCE)')

    async def _administer(self, command: str) -> None:
        """On a connection that stays: most of the time of a short command is the way to it."""
        async with self._administration:
            administrator = self._administrator
            if administrator is None or administrator.is_closed():
                administrator = self._administrator = await asyncpg.connect(self._server_url)
            await administrator.execute(command)


async def _empties(copy: _Copy) -> bool:
    """Whether it was made as good as new: not if a test changed what it is made of, or if somebody is still at work in it."""
    connection = copy.connection
    try:
        if await connection.fetchval(BUSY) or await connection.fetchval(LARGE):
            return False
        await connection.execute(EMPTY)
        return await connection.fetchval(MAKE) == copy.make
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False
