"""Does every variable do what it says, and does a wrong value refuse to start in a sentence that gives no secret away?"""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
import sys
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from app.errors import OperatorError
from app.limits import Limit
from app.settings import Settings, SettingsError, load

SECRETS = [bytes(range(start, start + 32)) for start in (0, 40, 80)]
FIRST, SECOND, THIRD = (urlsafe_b64encode(secret).decode() for secret in SECRETS)
SECRET_FIELDS = {"JWT_SECRETS": "jwt_secrets", "ENCRYPTION_KEYS": "encryption_keys"}
GIVEN = dict.fromkeys(SECRET_FIELDS, FIRST)

# field: (variable, default, {text: value}, texts that are refused). What has further rules has tests of its own below.
PLAIN: dict[str, tuple[str, Any, dict[str, Any], list[str]]] = {
    "database_url": (
        "DATABASE_URL",
        None,
        {text: text for text in ("postgresql://u:p@h:5432/d", "postgres:///d?host=/run")},
        ["mysql://u@h/d", "h:5432", "postgresql", "http://h/", "postgresql://[::1/d"],
    ),
    "database_replica_url": (
        "DATABASE_REPLICA_URL",
        None,
        {"postgresql://u:p@replica:5432/d": "postgresql://u:p@replica:5432/d"},
        ["mysql://u@h/d", "replica:5432"],
    ),
    "data_dir": ("DATA_DIR", Path.cwd() / ".data", {"/a/b": Path("/a/b"), "c": Path.cwd() / "c"}, []),
    "database_pool_size": (
        "DATABASE_POOL_SIZE",
        10,
        {"1": 1, "1000": 1000},
        ["0", "1001", "-1", "ten", "1.5", "1e1", "1_0", "+1", "٣", "9" * 5000],
    ),
    "database_pooler": (
        "DATABASE_POOLER",
        "none",
        {"none": "none", "transaction": "transaction"},
        ["session", "Transaction"],
    ),
    "host": ("HOST", "127.0.0.1", {"0.0.0.0": "0.0.0.0", "::1": "::1"}, []),  # noqa: S104 -- only read
    "port": ("PORT", 8000, {"1": 1, "65535": 65535}, ["0", "65536", "http", "-80"]),
    "workers": ("WORKERS", 1, {"1": 1, "256": 256}, ["0", "257", "auto"]),
    "shutdown_delay_seconds": ("SHUTDOWN_DELAY_SECONDS", 0, {"0": 0, "600": 600}, ["-1", "601", "5s"]),
    "public_url": (
        "PUBLIC_URL",
        "",
        {
            "https://w.example.com": "https://w.example.com",
            "http://[::1]:8000/": "http://[::1]:8000",
            "https://h/under/a/path/": "https://h/under/a/path",
        },
        [
            "w.example.com",
            "ftp://h",
            "https://",
            "https://h/?a=b",
            "https://h/#a",
            "https://u:p@h",
            "https://:p@h",
            "https://h/a b",
            "https://h\r\nSet-Cookie: a",
            'https://h/"',
            "https://h/>",
            "https://[::1",
            "https://hé.de",
            "https://h:http",
            "https://h:70000",
            "https://h\\a",
        ],
    ),
    "trusted_proxies": (
        "TRUSTED_PROXIES",
        (),
        {
            "10.0.0.0/8": (ip_network("10.0.0.0/8"),),
            "127.0.0.1, ::1": (ip_network("127.0.0.1/32"), ip_network("::1/128")),
            "10.1.2.3/8 fd00::/8": (ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        },
        ["*", "10.0.0.0/33", "proxy.local", "10.0.0", "10.0.0.0/8;::1"],
    ),
    "max_api_tokens_per_user": (
        "MAX_API_TOKENS_PER_USER",
        5,
        {"0": 0, "100000": 100_000},
        ["-1", "100001", "many"],
    ),
    "max_api_keys_per_user": ("MAX_API_KEYS_PER_USER", 10, {"0": 0, "100000": 100_000}, ["-1", "100001", "many"]),
    "openrouter_base_url": (
        "OPENROUTER_BASE_URL",
        "https://openrouter.ai/api/v1",
        {
            "https://openrouter.ai/api/v1/": "https://openrouter.ai/api/v1",
            "http://127.0.0.1:9000": "http://127.0.0.1:9000",
            "http://simulator:9000/api/v1": "http://simulator:9000/api/v1",
        },
        [
            "openrouter.ai/api/v1",
            "/api/v1",
            "file:///etc/passwd",
            "https://",
            "https://u:p@h/api/v1",
            "https://h/api/v1?a=b",
            "https://h/api/v1#a",
            "https://h:port/api/v1",
            "https://h/api v1",
        ],
    ),
    "sync_interval_minutes": ("SYNC_INTERVAL_MINUTES", 15, {"1": 1, "1440": 1440}, ["0", "1441", "-1", "1.5", "15m"]),
    "registration": (
        "REGISTRATION",
        "open",
        {"open": "open", "first": "first", "closed": "closed"},
        ["no", "Open", "true"],
    ),
    "password_min_length": ("PASSWORD_MIN_LENGTH", 15, {"8": 8, "256": 256}, ["7", "257", "0"]),
    "login_limit": (
        "LOGIN_LIMIT",
        Limit(10, 900),
        {"5/minute": Limit(5, 60), "5/minute,7/hour": Limit(5, 60), "off": None, "off,7/hour": None},
        ["5", "5/minute,", "5/minute,7", "5/minute,7/hour,9/day", ",5/minute"],
    ),
    "login_client_limit": (
        "LOGIN_LIMIT",
        Limit(30, 900),
        {
            "5/minute": Limit(15, 60),
            "5/minute,7/hour": Limit(7, 3600),
            "5/minute, off": None,
            "off": None,
            "off,7/hour": Limit(7, 3600),
        },
        [],
    ),
    "registration_limit": (
        "REGISTRATION_LIMIT",
        Limit(20, 3600),
        {"3/day": Limit(3, 86_400), "off": None},
        ["3", "0/day"],
    ),
    "public_rate_limit": (
        "PUBLIC_RATE_LIMIT",
        Limit(600, 60),
        {"100/hour": Limit(100, 3600), "5/2seconds": Limit(5, 2), "off": None},
        ["600", "0/minute", "-1/minute", "unlimited"],
    ),
    "metrics_token": (
        "METRICS_TOKEN",
        None,
        {"a-token-of-16-ch": "a-token-of-16-ch"},
        ["short", "with a space in it", "ü" * 20],
    ),
    "metrics_folder": ("PROMETHEUS_MULTIPROC_DIR", None, {"/shared/x": Path("/shared/x")}, []),
    "event_retention": (
        "EVENT_RETENTION_DAYS",
        timedelta(days=90),
        {"7": timedelta(days=7), "3660": timedelta(days=3660)},
        ["6", "3661", "ever"],
    ),
    "log_level": ("LOG_LEVEL", "info", {"debug": "debug", "error": "error"}, ["INFO", "verbose"]),
    "log_format": ("LOG_FORMAT", "auto", {"json": "json", "console": "console"}, ["JSON", "text"]),
}

DEFAULTS = [(field, row[1]) for field, row in PLAIN.items()]
GOOD = [(field, row[0], text, value) for field, row in PLAIN.items() for text, value in row[2].items()]
BAD = [(row[0], text) for row in PLAIN.values() for text in row[3]]


def read(**variables: str) -> Settings:
    """As on a server: nothing is made on disk."""
    return load({**GIVEN, **variables})


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    assert isinstance(caught.value, OperatorError)  # what the command line tells in a sentence
    return str(caught.value)


def test_every_setting_is_tested_here() -> None:
    assert set(PLAIN) | set(SECRET_FIELDS.values()) == set(Settings.__struct_fields__)


@pytest.mark.parametrize(("field", "default"), DEFAULTS, ids=[field for field, _ in DEFAULTS])
def test_default(field: str, default: object) -> None:
    assert getattr(read(), field) == default


@pytest.mark.parametrize(("field", "name", "text", "value"), GOOD)
def test_good_value_is_taken(field: str, name: str, text: str, value: object) -> None:
    assert getattr(read(**{name: text}), field) == value
    assert getattr(read(**{name: f"  {text}\n"}), field) == value


@pytest.mark.parametrize(("name", "text"), BAD)
def test_wrong_value_refuses_to_start_and_names_the_variable(name: str, text: str) -> None:
    message = refusal({**GIVEN, name: text})
    assert message.startswith(f"{name} must ")
    assert "\n" not in message


@pytest.mark.parametrize("name", sorted({row[0] for row in PLAIN.values()} | set(SECRET_FIELDS)))
class TestFile:
    """Each variable may also be given as NAME_FILE."""

    def good(self, name: str) -> tuple[str, str]:
        """A field and a text for it."""
        if name in SECRET_FIELDS:
            return SECRET_FIELDS[name], SECOND
        field = next(field for field, row in PLAIN.items() if row[0] == name)
        return field, next(iter(PLAIN[field][2]))

    def without(self, name: str) -> dict[str, str]:
        """What else a start needs."""
        return {other: text for other, text in GIVEN.items() if other != name}

    def test_file_is_read(self, name: str, tmp_path: Path) -> None:
        field, text = self.good(name)
        file = tmp_path / "secret"
        file.write_text(f"{text}\n", encoding="utf-8")
        by_file = load({**self.without(name), f"{name}_FILE": str(file)})
        assert getattr(by_file, field) == getattr(load({**self.without(name), name: text}), field)

    def test_both_are_refused(self, name: str, tmp_path: Path) -> None:
        _, text = self.good(name)
        message = refusal({**self.without(name), name: text, f"{name}_FILE": str(tmp_path / "secret")})
        assert message == f"{name} and {name}_FILE are both set; give one of them"

    @pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
    def test_file_that_cannot_be_read_is_refused(self, name: str, kind: str, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        if kind == "folder":
            file.mkdir()
        elif kind == "binary":
            file.write_bytes(b"\xff\xfe\x00")
        message = refusal({**self.without(name), f"{name}_FILE": str(file)})
        assert message.startswith(f"{name}_FILE names a file that cannot be read")


def test_empty_value_counts_as_not_set() -> None:
    assert read(DATABASE_URL="", PORT=" ", LOGIN_LIMIT="", LOG_LEVEL_FILE="").port == 8000


# --- secrets


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_secrets_are_demanded_where_a_database_is_given_and_never_made(name: str, tmp_path: Path) -> None:
    others = {other: text for other, text in GIVEN.items() if other != name}
    message = refusal({**others, "DATABASE_URL": "postgresql://u:hunter2@h/d", "DATA_DIR": str(tmp_path)})
    assert message.startswith(f"{name} must be set when DATABASE_URL is")
    assert "hunter2" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "field"), SECRET_FIELDS.items())
@pytest.mark.parametrize("separator", [",", "\n", ", ", "\r\n", ",\n"])
def test_several_secrets_stay_in_order(name: str, field: str, separator: str) -> None:
    assert getattr(read(**{name: separator.join([FIRST, SECOND, THIRD])}), field) == tuple(SECRETS)


@pytest.mark.parametrize("secret", [bytes(range(224, 256)), bytes(range(33)), bytes(range(64))], ids=len)
@pytest.mark.parametrize("write", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("padding", ["=", ""])
def test_both_alphabets_of_base64_are_read_padded_or_not(secret: bytes, write: Any, padding: str) -> None:
    text = write(secret).decode().rstrip("=") + padding * (-len(write(secret).decode().rstrip("=")) % 4)
    assert read(JWT_SECRETS=text).jwt_secrets == (secret,)


@pytest.mark.parametrize(
    "text",
    [
        urlsafe_b64encode(bytes(range(31))).decode(),
        f"{FIRST},{urlsafe_b64encode(bytes(range(31))).decode()}",
        f"{FIRST},{FIRST}",
        f"{FIRST},",
        urlsafe_b64encode(b"\0" * 32).decode(),
        urlsafe_b64encode(b"x" * 48).decode(),
        urlsafe_b64encode(b"change-me-change-me-change-me-now").decode(),
        f"{FIRST[:20]}!{FIRST[20:]}",
        f"{FIRST[:20]}.{FIRST[20:]}",
        "not base64 at all, but long enough to be a secret of some kind",
        "A" * 45,
        "é" * 44,
    ],
)
def test_weak_or_garbled_jwt_secret_is_refused_without_being_quoted(text: str) -> None:
    message = refusal({"JWT_SECRETS": text})
    assert message.startswith("JWT_SECRETS must ")
    assert not any(part in message for part in text.split(",") if len(part) > 8)
    assert FIRST not in message


@pytest.mark.parametrize(
    "text",
    [
        urlsafe_b64encode(bytes(range(31))).decode(),
        urlsafe_b64encode(bytes(range(33))).decode(),
        urlsafe_b64encode(bytes(range(64))).decode(),
        f"{FIRST},{urlsafe_b64encode(bytes(range(31))).decode()}",
        f"{FIRST},{FIRST}",
        f"{FIRST},{FIRST.rstrip('=')}",
        f"{FIRST},",
        urlsafe_b64encode(b"\0" * 32).decode(),
        urlsafe_b64encode(b"change-me-change-me-change-me-now").decode(),
        bytes(range(32)).hex(),
        f"{FIRST[:20]}!{FIRST[20:]}",
        "é" * 43,
    ],
)
def test_short_long_or_garbled_encryption_key_is_refused_without_being_quoted(text: str) -> None:
    message = refusal({**GIVEN, "ENCRYPTION_KEYS": text})
    assert message.startswith("ENCRYPTION_KEYS must ")
    assert not any(part in message for part in text.split(",") if len(part) > 8)
    assert FIRST not in message


def test_encryption_keys_that_records_could_not_tell_apart_are_refused() -> None:
    one, other = keys_of_one_name()
    text = f"{urlsafe_b64encode(one).decode()},{urlsafe_b64encode(other).decode()}"
    assert refusal({**GIVEN, "ENCRYPTION_KEYS": text}).startswith(
        "ENCRYPTION_KEYS must be keys with names of their own"
    )


def keys_of_one_name() -> tuple[bytes, bytes]:
    """Two keys whose SHA-256 begins with the same 8 hex digits; among 200,000 there is nearly always a pair."""
    seen: dict[bytes, bytes] = {}
    for number in range(1_000_000):
        key = hashlib.sha256(b"%d" % number).digest()
        other = seen.setdefault(hashlib.sha256(key).digest()[:4], key)
        if other != key:
            return other, key
    raise AssertionError("there is none")


# urlsplit quotes the whole of an address whose host holds U+2100
@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hunter2@h/d",
        "postgresql://u:hunter2\u2100@h/d",
        "postgresql://u:hunter2@[h/d",
        "postgresql://u:hunter2/x@h/d",
    ],
)
def test_database_password_is_not_quoted(url: str) -> None:
    message = refusal({**GIVEN, "DATABASE_URL": url})
    assert message.startswith("DATABASE_URL must ")
    assert "hunter2" not in message


def test_no_cause_that_quotes_a_secret_is_shown_with_the_refusal() -> None:
    for environ in (
        {"JWT_SECRETS": "hunter2!" * 9},
        {**GIVEN, "ENCRYPTION_KEYS": "hunter2!" * 9},
        {**GIVEN, "DATABASE_URL": "postgresql://u:hunter2\u2100@h"},
    ):
        with pytest.raises(SettingsError) as caught:
            load(environ)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_repr_shows_no_secret() -> None:
    settings = read(DATABASE_URL="postgresql://u:hunter2@h/d")
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "hunter2" not in shown
        assert FIRST not in shown
        assert repr(SECRETS[0]) not in shown


# --- the secrets of a laptop


@pytest.mark.parametrize("field", SECRET_FIELDS.values())
def test_development_secret_is_private_and_survives(field: str, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    first = getattr(load({"DATA_DIR": str(folder)}), field)
    assert [len(secret) for secret in first] == [32]
    assert (folder / field).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in folder.iterdir()} == set(SECRET_FIELDS.values())  # no draft left
    assert getattr(load({"DATA_DIR": str(folder)}), field) == first


def test_every_installation_has_secrets_of_its_own(tmp_path: Path) -> None:
    one, other = load({"DATA_DIR": str(tmp_path / "a")}), load({"DATA_DIR": str(tmp_path / "b")})
    assert len({one.jwt_secrets, one.encryption_keys, other.jwt_secrets, other.encryption_keys}) == 4


def test_given_secrets_go_before_the_development_secrets(tmp_path: Path) -> None:
    settings = load({"DATA_DIR": str(tmp_path), "JWT_SECRETS": FIRST, "ENCRYPTION_KEYS": SECOND})
    assert (settings.jwt_secrets, settings.encryption_keys) == ((SECRETS[0],), (SECRETS[1],))
    assert list(tmp_path.iterdir()) == []


def test_first_starts_at_once_agree_on_their_secrets(tmp_path: Path) -> None:
    starts = 16
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        barrier = Barrier(starts)

        def start(folder: Path = folder, barrier: Barrier = barrier) -> tuple[bytes, bytes]:
            barrier.wait()
            settings = load({"DATA_DIR": str(folder)})
            return settings.jwt_secrets[0], settings.encryption_keys[0]

        with ThreadPoolExecutor(starts) as pool:
            found = {future.result() for future in [pool.submit(start) for _ in range(starts)]}
        assert len(found) == 1
        assert {path.name for path in folder.iterdir()} == set(SECRET_FIELDS.values())


def test_first_starts_of_several_processes_agree_on_one_secret(tmp_path: Path) -> None:
    script = "from app.settings import load; print(load().jwt_secrets[0].hex())"
    environ = {**os.environ, "DATA_DIR": str(tmp_path / "data")}
    starts = [subprocess.Popen([sys.executable, "-c", script], env=environ, stdout=subprocess.PIPE) for _ in range(3)]
    found = {start.communicate(timeout=30)[0] for start in starts}
    assert {start.returncode for start in starts} == {0}
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"half", b"!" * 44])
@pytest.mark.parametrize(
    # with another encryption key in its place the stored keys would be lost
    ("field", "remedy"),
    [("jwt_secrets", "remove it"), ("encryption_keys", "bring it back")],
)
def test_damaged_development_secret_is_a_sentence(field: str, remedy: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / field).write_bytes(content)
    message = refusal({"DATA_DIR": str(tmp_path)})
    assert message.startswith(f"{tmp_path / field} must ")
    assert remedy in message
    assert (tmp_path / field).read_bytes() == content


def test_second_line_in_the_file_of_development_keys_is_an_older_key(tmp_path: Path) -> None:
    (tmp_path / "encryption_keys").write_text(f"{SECOND}\n{FIRST}\n", encoding="ascii")
    assert load({"DATA_DIR": str(tmp_path)}).encryption_keys == (SECRETS[1], SECRETS[0])


def test_data_dir_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal({"DATA_DIR": str(tmp_path / "file" / "data")})
    assert message == f"DATA_DIR {tmp_path}/file/data cannot be used: Not a directory"


def test_data_dir_that_may_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with _without_root():
        message = refusal({"DATA_DIR": str(tmp_path / "data")})
    tmp_path.chmod(0o700)
    assert message == f"DATA_DIR {tmp_path}/data cannot be used: Permission denied"


@contextmanager
def _without_root() -> Generator[None]:
    """Root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_home_is_understood_in_data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read(DATA_DIR="~/watcher").data_dir == tmp_path / "watcher"


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRETS", SECOND)
    monkeypatch.setenv("ENCRYPTION_KEYS", SECOND)
    monkeypatch.setenv("PORT", "8123")
    settings = load()
    assert (settings.jwt_secrets, settings.port) == ((urlsafe_b64decode(SECOND),), 8123)
