"""Does the one statement give each token its verdict, count what passes, and never more than the limit in any window?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.limits import Limit
from app.tokens import repository, secret
from app.tokens.structs import Verdict
from tests.conftest import admin, new_database
from tests.plans import BY_INDEX, plans, rows_read, scans

LONG = 60 * 10**7  # a sixtieth of it is months: the clock is where the test says it is, by moving the meter instead
METER_UPDATES = """
    SELECT coalesce(n_tup_upd, 0) AS updates, coalesce(n_tup_hot_upd, 0) AS in_place
    FROM pg_stat_user_tables WHERE relname = 'api_token_meters'
"""
BUCKETS = 61  # a window and the part of a sub-bucket that juts out of it


class Tokens:
    """Of one user, made behind the service's back."""

    def __init__(self, connection: asyncpg.Connection, digests: Sequence[bytes], user_id: int) -> None:
        self.connection, self.digests, self.user_id = connection, digests, user_id

    async def authorize(self, *requests: int, limit: Limit | None = None) -> list[Verdict | None]:
        """The verdicts on so many requests with each of the tokens."""
        asked = dict(zip(self.digests, requests, strict=False))
        verdicts = await repository.authorize_tokens(self.connection, asked, limit)
        return [verdicts[digest] for digest in asked]

    async def passes(self, requests: int, limit: Limit) -> int:
        """How many of the requests with the first token pass."""
        [verdict] = await self.authorize(requests, limit=limit)
        assert verdict is not None
        return min(verdict.free, requests)

    async def meter(self, number: int = 0) -> asyncpg.Record:
        """Of the token with that number, and which version of the row it is."""
        return await self.connection.fetchrow(
            "SELECT m.*, m.ctid, m.xmin FROM api_token_meters AS m JOIN api_tokens AS t ON id = token_id WHERE token_hash = $1",
            self.digests[number],
        )

    async def time_passes(self, buckets: int) -> None:
        """For the rate limit: so many sixtieths of the window; less than 0 puts the clock back."""
        await self.connection.execute("UPDATE api_token_meters SET window_bucket = window_bucket - $1", buckets)


@pytest.fixture
async def tokens(connection: asyncpg.Connection) -> Tokens:
    return await make_tokens(connection)


async def make_tokens(connection: asyncpg.Connection, address: str = "a@b.c") -> Tokens:
    user_id = await connection.fetchval(
        "INSERT INTO users (email, email_key, password_hash) VALUES ($1, $1, 'x') RETURNING id", address
    )
    digests = [secret.digest(secret.make()) for _ in range(5)]
    for digest in digests:
        await connection.execute(
            """
            WITH made AS (
                INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at) VALUES ($1, $2, 'n', 'h', now()) RETURNING id
            )
            INSERT INTO api_token_meters (token_id) SELECT id FROM made
            """,
            user_id,
            digest,
        )
    return Tokens(connection, digests, user_id)


# --- verdicts and counts


async def test_each_token_has_its_own_verdict_and_count(tokens: Tokens) -> None:
    await tokens.connection.execute("UPDATE api_tokens SET revoked_at = now() WHERE token_hash = $1", tokens.digests[1])
    verdicts = await tokens.authorize(3, 1, 2)
    assert [verdict and verdict.user_id for verdict in verdicts] == [tokens.user_id, None, tokens.user_id]
    assert [(await tokens.meter(number))["request_count"] for number in range(4)] == [3, 0, 2, 0]
    assert [(await tokens.meter(number))["last_used_at"] is not None for number in range(4)] == [
        True,
        False,
        True,
        False,
    ]


async def test_order_of_the_question_makes_no_difference(tokens: Tokens) -> None:
    asked = dict.fromkeys(reversed(tokens.digests), 1)
    verdicts = await repository.authorize_tokens(tokens.connection, asked, None)
    for digest, verdict in verdicts.items():
        assert verdict is not None
        assert verdict.digest == digest


async def test_verdict_tells_the_state_of_its_owners_figures(tokens: Tokens) -> None:
    other = await make_tokens(tokens.connection, "b@b.c")

    async def states() -> list[int]:
        verdicts = [*await tokens.authorize(1, 1), *await other.authorize(1)]
        assert {verdict and verdict.today for verdict in verdicts} == {
            await tokens.connection.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
        }
        return [verdict.usage_version for verdict in verdicts if verdict]

    assert await states() == [0, 0, 0]
    change = "INSERT INTO usage_versions (user_id, version) VALUES ($1, $2)"
    await tokens.connection.execute(change, other.user_id, 7)
    assert await states() == [0, 0, 7]
    await tokens.connection.execute(change, tokens.user_id, 5)
    assert await states() == [5, 5, 7]


async def test_what_another_session_holds_is_passed_over_without_waiting(tokens: Tokens, database_url: str) -> None:
    async with admin(database_url) as other, other.transaction():
        await repository.lock_meter(other, tokens.digests[1])
        async with asyncio.timeout(1):
            verdicts = await tokens.authorize(1, 1, 1)
            await repository.lock_meter(tokens.connection, tokens.digests[0])
    assert [verdict and verdict.is_locked for verdict in verdicts] == [False, True, False]
    assert [(await tokens.meter(number))["request_count"] for number in range(3)] == [1, 0, 1]


async def test_session_that_holds_a_meter_itself_gets_its_verdict(tokens: Tokens) -> None:
    async with tokens.connection.transaction():
        await repository.lock_meter(tokens.connection, tokens.digests[0])
        [verdict] = await tokens.authorize(1)
    assert verdict is not None
    assert not verdict.is_locked
    assert (await tokens.meter())["request_count"] == 1


async def test_locked_dead_token_is_dead(tokens: Tokens, database_url: str) -> None:
    await tokens.connection.execute("UPDATE api_tokens SET expires_at = now()")
    async with admin(database_url) as other, other.transaction():
        await repository.lock_meter(other, tokens.digests[0])
        assert await tokens.authorize(1) == [None]


async def test_last_use_never_goes_back(tokens: Tokens) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await tokens.connection.execute("UPDATE api_token_meters SET last_used_at = $1", later)
    await tokens.authorize(1)
    assert (await tokens.meter())["last_used_at"] == later


async def test_commits_of_others_on_the_same_connection_wait_for_the_disk(tokens: Tokens) -> None:
    await tokens.connection.execute("SET synchronous_commit = on")
    await tokens.authorize(1)
    assert await tokens.connection.fetchval("SHOW synchronous_commit") == "on"


async def test_meters_are_updated_in_place(tokens: Tokens) -> None:
    # While anybody's transaction is open, in whatever database of this server, what is dead cannot be reused. Tests beside this
    # one hold some for a moment again and again, so it is tried in the gaps between them.
    async with asyncio.timeout(60):
        while not await are_updated_in_place(tokens):
            await tokens.connection.execute("VACUUM FULL api_token_meters")


async def are_updated_in_place(tokens: Tokens) -> bool:
    before = await tokens.connection.fetchrow(METER_UPDATES)
    for number in range(60):
        if number % 10 == 0:
            await tokens.time_passes(1)
        await tokens.authorize(1, 1, limit=Limit(10**6, LONG))
    await tokens.connection.execute("SELECT pg_stat_force_next_flush()")
    after = await tokens.connection.fetchrow(METER_UPDATES)
    updates, in_place = (after[name] - before[name] for name in ("updates", "in_place"))
    assert updates >= 120
    pages = await tokens.connection.fetchval("SELECT pg_relation_size('api_token_meters') / 8192")
    return in_place > 0.9 * updates and pages <= 3


async def test_statement_reads_only_the_tokens_it_is_asked_about(tokens: Tokens) -> None:
    await tokens.connection.execute(
        """
        WITH made AS (
            INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at)
            SELECT $1, sha256(n::text::bytea), 'n', 'h', now() FROM generate_series(1, 5000) AS n
            RETURNING id
        )
        INSERT INTO api_token_meters (token_id) SELECT id FROM made
        """,
        tokens.user_id,
    )
    await tokens.connection.execute("VACUUM ANALYZE")
    digests = [rf"\\x{digest.hex()}" for digest in tokens.digests]
    arguments = (digests, [1] * len(digests), 100, 3600)
    for plan in await plans(tokens.connection, repository._authorize, arguments):
        for table, most in (("api_tokens", 1), ("api_token_meters", 2)):
            found = [scan for scan in scans(plan, {table}) if scan["Node Type"] != "ModifyTable"]
            assert {scan["Node Type"] for scan in found} <= BY_INDEX
            assert rows_read(found) == most * len(digests)


# --- the rate limit


async def test_no_more_pass_than_the_limit_and_only_they_are_counted(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    assert [await tokens.passes(count, limit) for count in (4, 4, 4, 1)] == [4, 4, 2, 0]
    assert (await tokens.meter())["request_count"] == 10


async def test_tokens_have_limits_of_their_own(tokens: Tokens) -> None:
    verdicts = await tokens.authorize(5, 12, limit=Limit(10, LONG))
    assert [verdict and verdict.free for verdict in verdicts] == [10, 10]
    verdicts = await tokens.authorize(5, 1, limit=Limit(10, LONG))
    assert [verdict and verdict.free for verdict in verdicts] == [5, 0]


async def test_refusal_writes_nothing(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(10, limit)
    await tokens.time_passes(5)
    before = await tokens.meter()
    assert await tokens.passes(3, limit) == 0
    assert dict(await tokens.meter()) == dict(before)  # the version of the row included


async def test_used_up_limit_is_free_again_after_its_window_and_not_before(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(6, limit)
    await tokens.time_passes(30)
    await tokens.passes(4, limit)
    for buckets, expected in ((30, 0), (1, 6), (29, 0), (1, 4), (61, 10)):
        await tokens.time_passes(buckets)
        assert await tokens.passes(100, limit) == expected


@pytest.mark.parametrize("buckets", [-1, -30, -60])
async def test_clock_that_is_put_back_frees_nothing(buckets: int, tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(7, limit)
    await tokens.time_passes(buckets)
    assert await tokens.passes(100, limit) == 3


async def test_clock_that_is_put_back_by_more_than_a_window_blocks_nobody(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(10, limit)
    await tokens.time_passes(-61)
    assert await tokens.passes(100, limit) == 10


async def test_another_limit_in_the_settings_holds_at_once(tokens: Tokens) -> None:
    await tokens.passes(8, Limit(10, LONG))
    assert await tokens.passes(100, Limit(5, LONG)) == 0
    assert await tokens.passes(100, Limit(12, LONG)) == 4
    assert await tokens.passes(100, Limit(12, 2 * LONG)) == 12  # a window of another length begins anew
    assert await tokens.passes(100, Limit(12, 2 * LONG)) == 0


async def test_requests_without_a_limit_count_when_there_is_one_again(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(3, limit)
    await tokens.authorize(5)
    assert (await tokens.meter())["request_count"] == 8
    assert await tokens.passes(100, limit) == 2


async def test_limits_at_the_ends_of_what_can_be_set(tokens: Tokens) -> None:
    assert await tokens.passes(5, Limit(1, 1)) == 1
    assert await tokens.passes(5, Limit(999_999_999, 999_999 * 86400)) == 5
    assert await tokens.passes(999_999_999, Limit(999_999_999, 999_999 * 86400)) == 999_999_994


async def test_more_is_free_at_the_time_that_is_told(tokens: Tokens) -> None:
    limit = Limit(10, LONG)
    await tokens.passes(4, limit)
    await tokens.time_passes(20)
    [verdict] = await tokens.authorize(6, limit=limit)
    assert verdict is not None
    now = datetime.now(UTC).timestamp()
    bucket = LONG // 60
    # the first four leave with the sub-bucket in which they came, 61 after it
    assert verdict.renewed_at == (now // bucket - 20 + BUCKETS) * bucket
    assert verdict.renewed_in_seconds == pytest.approx(verdict.renewed_at - now, abs=5)
    [refused] = await tokens.authorize(1, limit=limit)
    assert refused is not None
    assert (refused.free, refused.renewed_at) == (0, verdict.renewed_at)
    await tokens.time_passes(BUCKETS - 20)
    assert await tokens.passes(100, limit) == 4


async def test_times_that_are_told_lie_ahead_and_within_the_window(tokens: Tokens) -> None:
    for window in (1, 2, 60, 86400):
        [verdict] = await tokens.authorize(1, limit=Limit(10, window))
        assert verdict is not None
        assert 1 <= verdict.renewed_in_seconds <= window + window / 60 + 1


@pytest.fixture(scope="module")
async def lasting(server_url: str, template: str) -> AsyncGenerator[Tokens]:
    """One database for all examples."""
    async with new_database(server_url, template) as url, admin(url) as connection:
        yield await make_tokens(connection)


GAPS = st.sampled_from([0, 0, 0, 1, 1, 2, 7, 30, 59, 60, 61, 62, 200])


@given(count=st.integers(1, 20), steps=st.lists(st.tuples(GAPS, st.integers(1, 12)), max_size=40))
@hypothesis_settings(max_examples=60, deadline=None)
async def test_passes_are_those_of_a_list_of_all_passes(
    count: int, steps: list[tuple[int, int]], lasting: Tokens
) -> None:
    await lasting.connection.execute(
        "UPDATE api_token_meters SET request_count = 1000, window_bucket = NULL, window_seconds = NULL, window_marks = NULL"
    )
    limit, bucket, passed = Limit(count, LONG), 0, list[int]()
    for gap, requests in steps:
        bucket += gap
        await lasting.time_passes(gap)
        expected = min(requests, count - sum(1 for other in passed if other > bucket - BUCKETS))
        assert await lasting.passes(requests, limit) == expected
        passed += [bucket] * expected
    assert (await lasting.meter())["request_count"] == 1000 + len(passed)
