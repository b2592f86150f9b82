"""What may a token be called, and does the name come back as it was?"""

from __future__ import annotations

import asyncpg
import pytest

from app.errors import Invalid
from app.names import clean_name
from tests.accounts.bodies import assert_problem
from tests.cast import Person

EMOJI = "\U0001f600"
# all that str.strip() takes away
SPACE = "".join(character for character in map(chr, range(0x110000)) if character.isspace())

GOOD = (
    "x", "grafana", "100 %", "O'Brien's \"token\" \\ / <b> & =1+1 ; --", EMOJI * 100, "x" * 100, "two  spaces",
    "e\u0301a\u0308", "\u1112\u1161\u11ab",  # combining marks stay as they are typed
    "مفتاح", "מפתח", "\u0905\u0928\u0941", "令牌", "👩\u200d👩\u200d👧", "no\u00a0break", "soft\u00adhyphen",
    "\ufeffmark", "\ue000", "\U0010ffff",
)  # fmt: skip
BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
BAD = (
    "", " ", SPACE, "x" * 101, EMOJI * 101, "a\0b", "a\nb", "a\rb", "a\tb", "a\x1bb", "a\x7fb", "a\x80b", "a\x85b",
    "a\x9fb", "a\u2028b", "a\u2029b", *(f"a{character}b" for character in BIDIRECTIONAL),
)  # fmt: skip
SURROGATES = ("a\ud800", "\udfffa", "\ud83d", "\ude00\ud83d")


@pytest.mark.parametrize("name", GOOD)
def test_good_names_are_kept_as_they_are(name: str) -> None:
    assert clean_name(name) == name


@pytest.mark.parametrize("name", [*BAD, *SURROGATES], ids=ascii)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        clean_name(name)
    assert [error.pointer for error in caught.value.errors] == ["#/name"]


def test_all_space_around_a_name_is_taken_away_and_not_counted() -> None:
    assert clean_name(f"{SPACE}a b{SPACE}") == "a b"
    assert clean_name(f"{SPACE}{EMOJI * 100}{SPACE}") == EMOJI * 100
    for character in SPACE:
        assert clean_name(f"{character}a{character}") == "a"


@pytest.fixture
async def patient(alice: Person, connection: asyncpg.Connection) -> Person:
    """Alice, whose tokens have all expired as soon as they are made: she may make as many as she likes."""
    await connection.execute(
        """
        CREATE FUNCTION expire() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.expires_at := NEW.created_at - interval '1 second'; RETURN NEW; END$$;
        CREATE TRIGGER expire BEFORE INSERT ON api_tokens FOR EACH ROW EXECUTE FUNCTION expire();
        """
    )
    return alice


async def test_names_come_back_as_they_went_in(patient: Person, connection: asyncpg.Connection) -> None:
    for name in GOOD:
        created = await patient.creates_token(f" {name}\u2003")
        assert created["name"] == name
        assert (await patient.get(f"/api/tokens/{created['id']}")).json()["name"] == name
        assert await connection.fetchval("SELECT name FROM api_tokens WHERE id = $1", created["id"]) == name


async def test_bad_names_are_answered_422_and_store_nothing(alice: Person, connection: asyncpg.Connection) -> None:
    for name in BAD:
        assert_problem(await alice.post("/api/tokens", {"name": name}), 422, "invalid", "#/name")
    assert await connection.fetchval("SELECT count(*) FROM api_tokens") == 0


async def test_names_with_lone_surrogates_are_malformed(alice: Person, connection: asyncpg.Connection) -> None:
    for name in (rb"a\ud800", rb"\udfffa", rb"\ud83d", rb"\ude00\ud83d", b"\xed\xa0\x80"):
        answer = await alice.call(
            "POST", "/api/tokens", content=b'{"name":"' + name + b'"}', headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 400, "malformed")
    assert await connection.fetchval("SELECT count(*) FROM api_tokens") == 0


async def test_the_database_counts_code_points_too(alice: Person, connection: asyncpg.Connection) -> None:
    store = """
        INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at)
        VALUES ($1, sha256(random()::text::bytea), $2, '', now())
    """
    for name in ("x", "x" * 100, EMOJI * 100, "e\u0301" * 50):
        await connection.execute(store, alice.id, name)
    for name in ("", "x" * 101, EMOJI * 101, "e\u0301" * 50 + "e"):
        with pytest.raises(asyncpg.CheckViolationError, match="api_tokens_name_length"):
            await connection.execute(store, alice.id, name)
