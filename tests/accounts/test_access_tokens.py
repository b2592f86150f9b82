"""Is anything but a fresh access token of ours let through?"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import hypothesis
import jwt
import msgspec
import pytest
from hypothesis import strategies as st

from app.accounts.jwt import AccessClaims, Signer, key_id
from app.errors import Unauthenticated
from app.settings import Settings, SettingsError, load
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.accounts.test_refresh import refresh
from tests.cast import PASSWORD, Person, log_in
from tests.conftest import SECRET, running_app

OTHER_SECRET = bytes(reversed(range(100, 140)))


def encoded(part: Any) -> str:
    """One segment of a token."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: Any, claims: Any, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """Signed as asked, whatever the header says."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), digest))}"


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


@pytest.fixture
def genuine(alice: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of Alice's token."""
    return decoded(alice.tokens["access_token"])


Refused = Callable[[dict[str, str | bytes]], Any]


@pytest.fixture
def refuses(client: httpx.AsyncClient, genuine: tuple[dict[str, Any], dict[str, Any]]) -> Refused:
    """Asserts that each of the named credentials is answered 401, and that what they were made from is not."""

    async def check(credentials: dict[str, str | bytes]) -> None:
        assert await status(client, forged(*genuine)) == 200
        found = {name: await status(client, credential) for name, credential in credentials.items()}
        assert found == dict.fromkeys(credentials, 401)

    return check


async def status(client: httpx.AsyncClient, credential: str | bytes) -> int:
    """Of `GET /me` with a credential; a 401 must be ours."""
    raw = credential.encode("latin-1") if isinstance(credential, str) else credential
    answer = await client.get("/api/auth/me", headers=[(b"authorization", b"Bearer " + raw)])
    if answer.status_code == 401:
        assert_unauthenticated(answer, credential_sent=True)
    return answer.status_code


async def test_algorithm_is_not_the_tokens_to_choose(
    genuine: tuple[dict[str, Any], dict[str, Any]], refuses: Refused
) -> None:
    header, claims = genuine
    unsigned = {
        f"{alg} {name}": f"{encoded(header | {'alg': alg})}.{encoded(claims)}.{signature}"
        for alg in ("none", "None", "NONE", "nOnE", "", "HS256")
        for name, signature in (("unsigned", ""), ("badly signed", encoded(b"x" * 32)))
    }
    signed = {
        str(alg): forged(header | {"alg": alg}, claims)
        for alg in ("none", "None", "nOnE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", "", None, 256, ["HS256"])
    }  # fmt: skip
    await refuses(
        unsigned
        | signed
        | {
            "HS512, rightly signed": forged(header | {"alg": "HS512"}, claims, digest="sha512"),
            "HS384, rightly signed": forged(header | {"alg": "HS384"}, claims, digest="sha384"),
            "no alg": forged({name: value for name, value in header.items() if name != "alg"}, claims),
            "another key": forged(header, claims, OTHER_SECRET),
            "an empty key": forged(header, claims, b""),
            "cut signature": forged(header, claims)[:-1],
            "changed claims": ".".join(
                [encoded(header), encoded(claims | {"sub": "2"}), forged(header, claims).split(".")[2]]
            ),
        }
    )


async def test_every_claim_is_required(genuine: tuple[dict[str, Any], dict[str, Any]], refuses: Refused) -> None:
    header, claims = genuine
    assert claims.keys() == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}
    await refuses(
        {
            missing: forged(header, {name: value for name, value in claims.items() if name != missing})
            for missing in claims
        }
        | {f"{empty} null": forged(header, claims | {empty: None}) for empty in claims}
    )


async def test_claims_must_say_the_right_thing(
    genuine: tuple[dict[str, Any], dict[str, Any]], bob: Person, refuses: Refused
) -> None:
    header, claims = genuine
    now = int(time.time())
    bobs = decoded(bob.tokens["access_token"])[1]
    changes: dict[str, dict[str, Any]] = {
        "another audience": {"aud": "another"},
        "audience among others": {"aud": ["openrouter-watcher", "another"]},
        "empty audience": {"aud": []},
        "another issuer": {"iss": "another"},
        "issuer in a list": {"iss": ["openrouter-watcher"]},
        "expired": {"exp": now - 1},
        "expiry as text": {"exp": "tomorrow"},
        "expiry as object": {"exp": {}},
        "not yet": {"nbf": now + 60},
        "issued in the future": {"iat": now + 60},
        "somebody else with this session": {"sub": str(bob.id)},
        "somebody else's session": {"sid": bobs["sid"]},
        "a session that never was": {"sid": "999999"},
        "subject as number": {"sub": int(claims["sub"])},
        "subject that is no number": {"sub": "alice"},
        "session that is no number": {"sid": "x"},
        "session as object": {"sid": {}},
    }
    await refuses({name: forged(header, claims | change) for name, change in changes.items()})


async def test_header_must_be_ours(genuine: tuple[dict[str, Any], dict[str, Any]], refuses: Refused) -> None:
    header, claims = genuine
    kids = ("", "unknown", "' OR 1=1 --", "../../../../dev/null", "x" * 10_000, "\0", "é", header["kid"] + " ",
            0, 1, 1.5, True, None, [], {}, ["x"])  # fmt: skip
    types = ("JWT", "jwt", "refresh", "", None, 1, ["at+jwt"])
    jwk = {"kty": "oct", "k": encoded(OTHER_SECRET)}
    await refuses(
        {f"kid {kid!r:.20}": forged(header | {"kid": kid}, claims) for kid in kids}
        | {f"typ {typ!r}": forged(header | {"typ": typ}, claims) for typ in types}
        | {f"no {name}": forged({k: v for k, v in header.items() if k != name}, claims) for name in ("kid", "typ")}
        | {f"crit {crit!r}": forged(header | {"crit": crit}, claims) for crit in (["x"], ["exp"], [], None, "x")}
        | {
            "b64 false": forged(header | {"b64": False, "crit": ["b64"]}, claims),
            "key in the token": forged({"alg": "HS256", "typ": "at+jwt", "jwk": jwk}, claims, OTHER_SECRET),
            "key in the token, under our name": forged(header | {"jwk": jwk}, claims, OTHER_SECRET),
        }
    )


async def test_malformed_tokens_are_refused(
    genuine: tuple[dict[str, Any], dict[str, Any]], alice: Person, refuses: Refused
) -> None:
    header, claims = genuine
    token = alice.tokens["access_token"]
    nested = {f"{name} {depth} deep": open_ * depth + close * depth
              for name, open_, close in (("lists", b"[", b"]"), ("objects", b'{"a":', b"}"))
              for depth in (100, 1_000, 2_000, 20_000)}  # fmt: skip
    odd = {
        "empty": b"", "null": b"null", "list": b"[]", "number": b"1", "text": b'"x"', "broken": b"{",
        "bad UTF-8": b"\xff", "bad UTF-8 inside": b'{"alg":"\xff"}', "lone surrogate": rb'{"alg":"\ud800"}',
        "NUL": b"\0", "NaN": b"NaN", "huge number": b'{"exp":1' + b"0" * 3_000 + b"}", "byte order mark": b"\xef\xbb\xbf{}",
    }  # fmt: skip
    await refuses(
        {f"header {name}": forged(part, claims) for name, part in (odd | nested).items()}
        | {f"claims {name}": forged(header, part) for name, part in (odd | nested).items() if part}
        | {f"unsigned header {name}": f"{encoded(part)}.e30.x" for name, part in (odd | nested).items()}
        | {f"{count} segments": ".".join(["e30"] * count) for count in (1, 2, 3, 4, 5)}
        | {
            "four segments of ours": token + ".e30",
            "64 kB": "a" * 65_536,
            "64 kB of claims, rightly signed": forged(header, claims | {"x": "x" * 65_536}),
            "dots": "..", "one dot": ".", "no base64": "a.b.c", "spaces": token.replace(".", " . "), "NUL": token + "\0",
            "non-ASCII": token + "é", "padded": token.replace(".", "=."), "plain base64": token + "+/",
            "newline after it": token + "\n", "CRLF after it": token + "\r\n", "newline before it": "\n" + token,
            "space after it": token + " ", "two spaces before it": " " + token, "quoted": f'"{token}"',
            "twice": f"{token}, {token}", "with the scheme twice": f"Bearer {token}",
        }
    )  # fmt: skip


async def test_what_is_no_access_token_of_ours_is_refused(alice: Person, refuses: Refused) -> None:
    await refuses(
        {
            "refresh token": alice.tokens["refresh_token"],
            "API token": (await alice.creates_token())["token"],
            "made-up API token": "or_api_" + "0" * 38,
            "password": PASSWORD,
            "address and password": base64.b64encode(f"{alice.email}:{PASSWORD}".encode()).decode(),
            "SQL": "'OR'1'='1",
        }
    )


async def test_challenge_tells_whether_there_was_a_credential(alice: Person, client: httpx.AsyncClient) -> None:
    token = alice.tokens["access_token"]
    for headers in ([], [("Authorization", "")], [("Authorization", "Basic YTpi")], [("Authorization", token)],
                    [("Authorization", f"Token {token}")], [("X-Authorization", f"Bearer {token}")]):  # fmt: skip
        assert_unauthenticated(await client.get("/api/auth/me", headers=headers), credential_sent=False)
    for headers in ([("Authorization", "Bearer x")], [("Authorization", f"Bearer {token}")] * 2,
                    [("Authorization", f"Bearer {token}"), ("Authorization", "Basic YTpi")]):  # fmt: skip
        assert_unauthenticated(await client.get("/api/auth/me", headers=headers), credential_sent=True)


async def test_case_of_the_scheme_does_not_matter(alice: Person, client: httpx.AsyncClient) -> None:
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        headers = {"Authorization": f"{scheme} {alice.tokens['access_token']}"}
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 200


async def test_access_token_lives_fifteen_minutes(
    genuine: tuple[dict[str, Any], dict[str, Any]], client: httpx.AsyncClient
) -> None:
    claims, signer, now = genuine[1], Signer([SECRET]), datetime.now(UTC)
    user_id, session_id = int(claims["sub"]), int(claims["sid"])
    almost = signer.sign(user_id, session_id, now=now - timedelta(minutes=14, seconds=30))
    over = signer.sign(user_id, session_id, now=now - timedelta(minutes=15))
    assert await status(client, almost) == 200
    assert await status(client, over) == 401


async def test_secret_is_changed_without_logging_anybody_out(settings: Settings) -> None:
    def having(*secrets: bytes) -> Settings:
        return msgspec.structs.replace(settings, jwt_secrets=secrets)

    async with (
        running_app(having(SECRET)) as before,
        running_app(having(SECRET, OTHER_SECRET)) as prepared,
        running_app(having(OTHER_SECRET, SECRET)) as changed,
        running_app(having(OTHER_SECRET)) as after,
    ):
        alice = await Person.arrives(before, "alice@example.com")
        old = alice.tokens["access_token"]
        for client, expected in ((before, 200), (prepared, 200), (changed, 200), (after, 401)):
            assert await status(client, old) == expected
        answer = await refresh(changed, alice.tokens)
        assert answer.status_code == 200, answer.text
        new = answer.json()["access_token"]
        assert decoded(new)[0]["kid"] == key_id(OTHER_SECRET)
        for client, expected in ((before, 401), (prepared, 200), (changed, 200), (after, 200)):
            assert await status(client, new) == expected
        assert (await refresh(after, answer.json())).status_code == 200


async def test_lost_answer_is_given_again_while_the_secret_is_changed(settings: Settings) -> None:
    old, new = (
        msgspec.structs.replace(settings, jwt_secrets=secrets)
        for secrets in ((SECRET, OTHER_SECRET), (OTHER_SECRET, SECRET))
    )
    async with running_app(old) as before, running_app(new) as after:
        alice = await Person.arrives(before, "alice@example.com")
        tokens = alice.tokens
        for first, second in ((before, after), (after, before)):
            answers = [await refresh(client, tokens) for client in (first, second, first)]
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            assert len({answer.json()["refresh_token"] for answer in answers}) == 1
            tokens = answers[0].json()


async def test_lost_answer_that_nobody_can_tell_again_is_refused(settings: Settings) -> None:
    """The secret that the successor was derived with is gone."""
    changed = msgspec.structs.replace(settings, jwt_secrets=(OTHER_SECRET,))
    async with running_app(settings) as before, running_app(changed) as after:
        alice = await Person.arrives(before, "alice@example.com")
        assert (await refresh(before, alice.tokens)).status_code == 200
        assert (await refresh(after, alice.tokens)).status_code == 401


async def test_key_id_tells_nothing_of_the_secret_to_who_has_another(alice: Person) -> None:
    kid = decoded(alice.tokens["access_token"])[0]["kid"]
    assert len(kid) == 8
    assert kid not in (SECRET.hex(), base64.b64encode(SECRET).decode())
    assert not SECRET.hex().startswith(kid)


def test_secrets_that_are_short_empty_or_examples_are_refused_at_the_start() -> None:
    for secret in (b"\x01" * 0, bytes(range(31)), bytes(32), b"0" * 32):
        text = base64.b64encode(secret).decode() or "="
        with pytest.raises(SettingsError, match="JWT_SECRETS") as refusal:
            load({"DATABASE_URL": "postgresql://localhost/x", "JWT_SECRETS": text})
        assert len(text) == 1 or text not in str(refusal.value)
    two = f"{base64.b64encode(SECRET).decode()}, {base64.b64encode(bytes(range(31))).decode()}"
    with pytest.raises(SettingsError, match="JWT_SECRETS"):
        load({"DATABASE_URL": "postgresql://localhost/x", "JWT_SECRETS": two})
    with pytest.raises(SettingsError, match="JWT_SECRETS"):
        load({"DATABASE_URL": "postgresql://localhost/x"})


async def test_each_access_token_is_different(alice: Person, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(log_in(client, alice.email) for _ in range(5)))
    assert len({decoded(tokens["access_token"])[1]["jti"] for tokens in answers}) == 5


SEGMENT = st.text("abcXYZ019-_", max_size=12) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["alg", "typ", "kid", "crit", "exp", "sub", "sid", "b64", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
).map(encoded)
TOKENISH = st.lists(SEGMENT, min_size=1, max_size=5).map(".".join)
NEAR_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "none", "RS256"]) | st.none() | st.integers(),
        "typ": st.sampled_from(["at+jwt", "JWT"]) | st.none() | st.lists(st.integers(), max_size=1),
        "kid": st.just(key_id(SECRET))
        | st.text(max_size=8)
        | st.none()
        | st.integers()
        | st.lists(st.none(), max_size=1),
        "crit": st.lists(st.text(max_size=3), max_size=2) | st.none(),
        "b64": st.booleans(),
    },
)


@hypothesis.given(st.text(max_size=200) | TOKENISH)
@hypothesis.settings(max_examples=150, deadline=None)
def test_any_text_is_an_access_token_or_unauthenticated(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Signer([SECRET]).read(text)


@hypothesis.given(NEAR_HEADERS, st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4)))
@hypothesis.settings(max_examples=300, deadline=None)
def test_any_claims_with_any_header_are_unauthenticated(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Even rightly signed."""
    with pytest.raises(Unauthenticated):
        Signer([SECRET]).read(forged(header, claims))


@hypothesis.given(st.integers(0, 400), st.integers(0, 255))
@hypothesis.settings(max_examples=300, deadline=None)
def test_token_with_a_character_changed_says_the_same_or_nothing(place: int, character: int) -> None:
    """The last bits of base64 mean nothing, so some changes change nothing."""
    token = Signer([SECRET]).sign(1, 2)
    place %= len(token)
    changed = token[:place] + chr(character) + token[place + 1 :]
    with suppress(Unauthenticated):
        assert Signer([SECRET]).read(changed) == AccessClaims(1, 2)
        assert changed[: token.rindex(".")] == token[: token.rindex(".")]


@hypothesis.given(st.binary(max_size=120))
@hypothesis.settings(
    max_examples=150, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
async def test_any_authorization_header_is_answered_401(client: httpx.AsyncClient, raw: bytes) -> None:
    for value in (raw, b"Bearer " + raw, b"Bearer " + encoded(raw).encode() + b".e30.x"):
        answer = await client.get("/api/auth/me", headers=[(b"authorization", value)])
        assert_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="openrouter-watcher"')


def test_key_that_is_too_short_signs_and_reads_nothing() -> None:
    """The settings refuse it, too; this is for whoever makes a Signer elsewhere."""
    signer = Signer([bytes(31)])
    with pytest.raises(jwt.InvalidKeyError):
        signer.sign(1, 1)
