"""What is an API token made of, and would another implementation make the same?"""

from __future__ import annotations

import hashlib
import re
import string
from collections import Counter

import pytest

from app.tokens import secret

# The 32 random characters, their CRC-32 in base 62, and the SHA-256 of the whole token. Made with nothing of this
# project's: other implementations can check theirs against them.
VECTORS = (
    (
        "00000000000000000000000000000000",
        "2wjyrI",
        "f1c265ae5dea9eb033687595be2884a40dcaee6bfb7442f76707f2dfa19e11ea",
    ),
    (
        "0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "1ggZdL",
        "62661cb5c9e7c64b059c855538d3a1b64ee306b8bd2ca5bcd770be913d692818",
    ),
    (  # a small CRC-32, so there are zeros in front
        "WNapJRWhMmXK07SjSMJYPLokhaV7fwOO",
        "00VUzy",
        "c7e30f3e69df90a80a3a618385e6ffa12661032f5feaed615603560adbd619b4",
    ),
)
CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile("or_api_[0-9A-Za-z]{38}", re.ASCII)


@pytest.fixture(scope="module")
def many() -> list[str]:
    """Ten thousand tokens."""
    return [secret.make() for _ in range(10_000)]


@pytest.mark.parametrize(("random", "checksum", "digest"), VECTORS)
def test_fixed_vectors(random: str, checksum: str, digest: str) -> None:
    token = f"or_api_{random}{checksum}"
    assert secret.checksum(random) == checksum
    assert secret.is_well_formed(token)
    assert secret.digest(token).hex() == digest


def test_tokens_have_the_promised_format(many: list[str]) -> None:
    for token in many:
        assert SHAPE.fullmatch(token)
        assert secret.is_well_formed(token)


def test_tokens_are_all_different(many: list[str]) -> None:
    assert len({token[7:39] for token in many}) == len(many)


def test_characters_are_drawn_uniformly_at_every_place(many: list[str]) -> None:
    expected = len(many) / 62
    for place in range(7, 39):
        counts = Counter(token[place] for token in many)
        assert set(counts) == set(CHARACTERS)
        deviation = sum((counts[character] - expected) ** 2 / expected for character in CHARACTERS)
        # chi-square with 61 degrees of freedom: honest tokens exceed this about once in 10^11 times
        assert deviation < 170, place


def test_any_single_wrong_character_is_noticed(many: list[str]) -> None:
    for token in many[:20]:
        for place in range(len(token)):
            for character in CHARACTERS + "_-":
                if character != token[place]:
                    assert not secret.is_well_formed(token[:place] + character + token[place + 1 :])


def test_exchanged_neighbours_are_noticed(many: list[str]) -> None:
    for token in many[:200]:
        for place in range(7, 44):
            if token[place] != token[place + 1]:
                wrong = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
                assert not secret.is_well_formed(wrong)


def test_look_alikes_are_not_well_formed() -> None:
    token = f"or_api_{VECTORS[0][0]}{VECTORS[0][1]}"
    assert secret.is_well_formed(token)
    for wrong in (
        "", "or_api_", token[7:], token.upper(), token.replace("or_api_", "or-api-"), token.replace("api_", "api"),
        f" {token}", f"{token} ", f"{token}\n", f"{token}\0", token[:-1], f"{token}0", f"x{token}", token + token,
        token.replace("0", "٠"), token.replace("0", "０"), token.replace("0", "О"), "' OR '1'='1", "\ud800",
    ):  # fmt: skip
        assert not secret.is_well_formed(wrong), ascii(wrong)


def test_hint_shows_four_characters_at_each_end(many: list[str]) -> None:
    for token in many[:100]:
        assert secret.hint(token) == f"or_api_{token[7:11]}…{token[-4:]}"


def test_digest_is_the_sha256_of_the_whole_token(many: list[str]) -> None:
    for token in many[:100]:
        assert secret.digest(token) == hashlib.sha256(token.encode()).digest()
