"""Is a stored secret readable only with the right key, in the right place and unchanged?"""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from app.keys.vault import OPENROUTER_KEY, CannotDecrypt, Vault, key_id, key_id_of
from tests.test_settings import keys_of_one_name

OLD, NEW, OTHER = (bytes(range(start, start + 32)) for start in (0, 50, 100))
SECRET = "sk-or-v1-" + "0123456789abcdef" * 4

ids = st.integers(-(2**63), 2**63 - 1)
purposes = st.text(max_size=40)
places = st.fixed_dictionaries({"user_id": ids, "row_id": ids, "purpose": purposes})
HERE = {"user_id": 7, "row_id": 11, "purpose": OPENROUTER_KEY}


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(CannotDecrypt) as caught:
        act()
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)
    return str(caught.value)


# --- what comes back


@given(plaintext=st.text(), place=places)
def test_what_was_encrypted_comes_back(plaintext: str, place: dict) -> None:
    vault = Vault([NEW])
    assert vault.decrypt(vault.encrypt(plaintext, **place), **place) == plaintext


@given(place=places)
def test_first_key_encrypts_and_all_decrypt(place: dict) -> None:
    old, both, new = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
    assert both.decrypt(old.encrypt(SECRET, **place), **place) == SECRET
    assert new.decrypt(both.encrypt(SECRET, **place), **place) == SECRET


def test_record_is_laid_out_as_it_is_written_down() -> None:
    """What is stored outlives this version: version, name of the key, nonce, ciphertext with its tag."""
    record = Vault([NEW]).encrypt(SECRET, **HERE)
    assert record[:1] == b"\x01"
    assert record[1:5] == key_id_of(record) == hashlib.sha256(NEW).digest()[:4] == Vault([NEW, OLD]).key_id
    assert len(record) == 1 + 4 + 12 + len(SECRET) + 16
    place = record[:5] + (7).to_bytes(8, "big") + (11).to_bytes(8, "big") + b"openrouter_keys.secret"
    assert AESGCM(NEW).decrypt(record[5:17], record[17:], place) == SECRET.encode()


def test_record_of_the_first_version_can_still_be_read() -> None:
    record = "012b038b02000102030405060708090a0bc14b571d823e607ec0d4a64ef7bd6c2884be6bb468e1a8404a7c26023a9037cc"
    assert Vault([NEW]).decrypt(bytes.fromhex(record), **HERE) == "sk-or-v1-example"


def test_plaintext_is_not_in_the_record() -> None:
    record = Vault([NEW]).encrypt(SECRET, **HERE)
    assert not any(SECRET[start : start + 6].encode() in record for start in range(len(SECRET) - 6))


def test_nonces_never_repeat() -> None:
    vault = Vault([NEW])
    assert len({vault.encrypt(SECRET, **HERE)[5:17] for _ in range(10_000)}) == 10_000


# --- what does not


@given(place=places, data=st.data())
def test_record_with_any_bit_flipped_does_not_decrypt(place: dict, data: st.DataObject) -> None:
    vault = Vault([NEW, OLD])
    record = bytearray(vault.encrypt(SECRET, **place))
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit // 8] ^= 1 << bit % 8
    refusal(lambda: vault.decrypt(bytes(record), **place))


def test_record_with_a_bit_flipped_at_every_place_does_not_decrypt() -> None:
    vault = Vault([NEW, OLD])
    record = vault.encrypt(SECRET, **HERE)
    for bit in range(len(record) * 8):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << bit % 8
        refusal(lambda changed=changed: vault.decrypt(bytes(changed), **HERE))


def test_record_cut_or_lengthened_does_not_decrypt() -> None:
    vault = Vault([NEW])
    record = vault.encrypt(SECRET, **HERE)
    for length in range(len(record)):
        refusal(lambda length=length: vault.decrypt(record[:length], **HERE))
    refusal(lambda: vault.decrypt(record + b"\0", **HERE))


@given(place=places, other=places)
def test_record_does_not_decrypt_in_any_other_place(place: dict, other: dict) -> None:
    vault = Vault([NEW])
    record = vault.encrypt(SECRET, **place)
    for name, value in other.items():
        elsewhere = {**place, name: value}
        if elsewhere != place:
            assert refusal(lambda elsewhere=elsewhere: vault.decrypt(record, **elsewhere)) == (
                "The record was changed, or belongs elsewhere."
            )


@given(one=places, other=places)
def test_swapped_records_do_not_decrypt(one: dict, other: dict) -> None:
    vault = Vault([NEW])
    if one != other:
        first, second = vault.encrypt("first", **one), vault.encrypt("second", **other)
        refusal(lambda: vault.decrypt(second, **one))
        refusal(lambda: vault.decrypt(first, **other))


def test_user_and_row_cannot_change_places() -> None:
    vault = Vault([NEW])
    record = vault.encrypt(SECRET, user_id=7, row_id=11, purpose=OPENROUTER_KEY)
    refusal(lambda: vault.decrypt(record, user_id=11, row_id=7, purpose=OPENROUTER_KEY))
    record = vault.encrypt(SECRET, user_id=1, row_id=23, purpose="4")
    refusal(lambda: vault.decrypt(record, user_id=12, row_id=3, purpose="4"))
    refusal(lambda: vault.decrypt(record, user_id=1, row_id=2, purpose="34"))


def test_record_of_another_key_says_which_is_missing() -> None:
    record = Vault([OLD]).encrypt(SECRET, **HERE)
    name = hashlib.sha256(OLD).hexdigest()[:8]
    said = refusal(lambda: Vault([NEW, OTHER]).decrypt(record, **HERE))
    assert said == f"The encryption key {name} is not among ENCRYPTION_KEYS."


def test_key_of_the_same_name_does_not_decrypt() -> None:
    one, other = keys_of_one_name()
    record = Vault([one]).encrypt(SECRET, **HERE)
    assert refusal(lambda: Vault([other]).decrypt(record, **HERE)) == "The record was changed, or belongs elsewhere."


@given(record=st.binary(max_size=200))
def test_garbage_does_not_decrypt_and_breaks_nothing(record: bytes) -> None:
    vault = Vault([NEW])
    refusal(lambda: vault.decrypt(record, **HERE))
    refusal(lambda: vault.decrypt(b"\x01" + vault.key_id + record, **HERE))


@pytest.mark.parametrize("record", [b"", b"\x01", b"\x01" * 32, b"\x00" * 60, b"\x02" * 60, SECRET.encode()])
def test_what_is_no_record_has_no_key(record: bytes) -> None:
    assert refusal(lambda: key_id_of(record)) == "This is no encrypted record."


# --- keys


@pytest.mark.parametrize(
    "keys", [[], [b""], [NEW[:31]], [NEW + b"x"], [NEW, OLD[:16]], [NEW, b""], [NEW.hex().encode()]], ids=str
)
def test_vault_wants_keys_of_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="exactly 32 bytes"):
        Vault(keys)


def test_vault_wants_keys_that_a_record_can_tell_apart() -> None:
    for keys in ([NEW, OLD, NEW], list(keys_of_one_name())):
        with pytest.raises(ValueError, match="same name"):
            Vault(keys)


def test_repr_shows_names_and_no_keys() -> None:
    vault = Vault([NEW, OLD])
    shown = f"{vault!r} {vault} {[vault]}"
    assert key_id(NEW).hex() in shown
    for key in (NEW, OLD):
        assert key.hex() not in shown
        assert repr(key) not in shown
        assert repr(key)[2:20] not in shown


def test_vault_does_not_let_itself_be_written_down() -> None:
    """A pickle of it in a cache or a message to another process would carry the keys."""
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            write(Vault([NEW]))
