"""Which environment variables are there, and what do they mean? Read once; a wrong value refuses to start, in a sentence."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from app.errors import OperatorError
from app.keys.vault import KEY_BYTES, key_id
from app.limits import Limit, parse_limit

T = TypeVar("T")
Network = IPv4Network | IPv6Network
Registration = Literal["open", "first", "closed"]
Pooler = Literal["none", "transaction"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

JWT_SECRET_MIN_BYTES = 32
PASSWORD_MIN_LENGTH_FLOOR = 8
TOKEN_MIN_LENGTH = 16
# what people put where they should have put a secret
EXAMPLE_SECRETS = frozenset({b"0" * 32, b"change-me-change-me-change-me-now"})


class SettingsError(OperatorError):
    """A setting is missing or wrong."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside. `database_url` None stands for the embedded server in `data_dir`."""

    jwt_secrets: tuple[bytes, ...]
    encryption_keys: tuple[bytes, ...]
    database_url: str | None = None
    database_replica_url: str | None = None
    data_dir: Path = Path(".data")
    database_pool_size: int = 10
    database_pooler: Pooler = "none"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    shutdown_delay_seconds: int = 0
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    openrouter_base_url: str = "https://openrouter.ai/api/v1"
    sync_interval_minutes: int = 15
    max_api_keys_per_user: int = 10
    max_api_tokens_per_user: int = 5
    public_rate_limit: Limit | None = Limit(600, 60)
    registration: Registration = "open"
    password_min_length: int = 15
    login_limit: Limit | None = Limit(10, 900)
    login_client_limit: Limit | None = Limit(30, 900)
    registration_limit: Limit | None = Limit(20, 3600)
    metrics_token: str | None = None
    metrics_folder: Path | None = None
    event_retention: timedelta = timedelta(days=90)
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    def __repr__(self) -> str:
        """Without the values: some of them are secret."""
        return "Settings(…)"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings.

    Without `DATABASE_URL` this is a laptop or a test: secrets that are not given are made and kept in `DATA_DIR`.
    Raises SettingsError, which names the variable and never its value where that is secret.
    """
    read = _Reader(environ)
    default = Settings(jwt_secrets=(), encryption_keys=())
    database_url = read("DATABASE_URL", _database_url, None)
    data_dir = read("DATA_DIR", lambda text: Path(text).expanduser(), default.data_dir).absolute()
    login_limit, login_client_limit = read(
        "LOGIN_LIMIT", _login_limits, (default.login_limit, default.login_client_limit)
    )
    jwt_secrets = read("JWT_SECRETS", _jwt_secrets, None)
    encryption_keys = read("ENCRYPTION_KEYS", _encryption_keys, None)
    if database_url is not None:
        _require_secrets(JWT_SECRETS=jwt_secrets, ENCRYPTION_KEYS=encryption_keys)
    return Settings(
        database_url=database_url,
        database_replica_url=read("DATABASE_REPLICA_URL", _database_url, None),
        data_dir=data_dir,
        jwt_secrets=jwt_secrets
        or _development_secrets(data_dir / "jwt_secrets", _jwt_secrets, "remove it to have a new one made"),
        encryption_keys=encryption_keys
        or _development_secrets(
            data_dir / "encryption_keys",
            _encryption_keys,
            "bring it back as it was: without it nothing can read the OpenRouter keys that are stored",
        ),
        database_pool_size=read("DATABASE_POOL_SIZE", _whole(1, 1000), default.database_pool_size),
        database_pooler=read("DATABASE_POOLER", _choice("none", "transaction"), default.database_pooler),
        host=read("HOST", str, default.host),
        port=read("PORT", _whole(1, 65535), default.port),
        workers=read("WORKERS", _whole(1, 256), default.workers),
        shutdown_delay_seconds=read("SHUTDOWN_DELAY_SECONDS", _whole(0, 600), default.shutdown_delay_seconds),
        public_url=read("PUBLIC_URL", _http_url("https://watcher.example.com"), default.public_url),
        trusted_proxies=read("TRUSTED_PROXIES", _networks, default.trusted_proxies),
        openrouter_base_url=read(
            "OPENROUTER_BASE_URL", _http_url(default.openrouter_base_url), default.openrouter_base_url
        ),
        sync_interval_minutes=read("SYNC_INTERVAL_MINUTES", _whole(1, 1440), default.sync_interval_minutes),
        max_api_keys_per_user=read("MAX_API_KEYS_PER_USER", _whole(0, 100_000), default.max_api_keys_per_user),
        max_api_tokens_per_user=read("MAX_API_TOKENS_PER_USER", _whole(0, 100_000), default.max_api_tokens_per_user),
        public_rate_limit=read("PUBLIC_RATE_LIMIT", parse_limit, default.public_rate_limit),
        registration=read("REGISTRATION", _choice("open", "first", "closed"), default.registration),
        password_min_length=read(
            "PASSWORD_MIN_LENGTH", _whole(PASSWORD_MIN_LENGTH_FLOOR, 256), default.password_min_length
        ),
        login_limit=login_limit,
        login_client_limit=login_client_limit,
        registration_limit=read("REGISTRATION_LIMIT", parse_limit, default.registration_limit),
        metrics_token=read("METRICS_TOKEN", _token, default.metrics_token),
        metrics_folder=read("PROMETHEUS_MULTIPROC_DIR", Path, default.metrics_folder),
        event_retention=read("EVENT_RETENTION_DAYS", _days(7, 3660), default.event_retention),
        log_level=read("LOG_LEVEL", _choice("debug", "info", "warning", "error"), default.log_level),
        log_format=read("LOG_FORMAT", _choice("auto", "json", "console"), default.log_format),
    )


class _Reader:
    """Reads `NAME` or the file that `NAME_FILE` names; an empty value counts as not set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self._text(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None  # the cause's text may carry the value

    def _text(self, name: str) -> str:
        text, file = self._environ.get(name, "").strip(), self._environ.get(f"{name}_FILE", "").strip()
        if text and file:
            raise SettingsError(f"{name} and {name}_FILE are both set; give one of them")
        if not file:
            return text
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{name}_FILE names a file that cannot be read ({type(error).__name__})") from None


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _days(low: int, high: int) -> Callable[[str], timedelta]:
    parse = _whole(low, high)
    return lambda text: timedelta(days=parse(text))


def _token(text: str) -> str:
    if not re.fullmatch(rf"[!-~]{{{TOKEN_MIN_LENGTH},200}}", text, re.ASCII):
        raise ValueError(f"must be {TOKEN_MIN_LENGTH} to 200 letters, digits and signs, without spaces")
    return text


def _choice(*choices: T) -> Callable[[str], T]:
    def parse(text: str) -> T:
        for choice in choices:
            if choice == text:
                return choice
        raise ValueError(f"must be one of: {', '.join(map(str, choices))}")

    return parse


def _database_url(text: str) -> str:
    # not urlsplit's own ValueError, which quotes the password
    if (url := _split(text)) is None or url.scheme not in {"postgresql", "postgres"}:
        raise ValueError("must be an address that begins with postgresql://")
    try:
        _ = url.port
    except ValueError:
        raise ValueError("must have a number for its port; odd characters in a password are percent-encoded") from None
    return text


def _http_url(example: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        url = _split(text)
        # it is begun with, and becomes part of headers: nothing that ends a path or would have to be escaped there
        is_plain = re.fullmatch(r"[!-~]+", text, re.ASCII) and not set(text) & set('?#@<>"\\')
        if url is None or not is_plain or url.scheme not in {"http", "https"} or not url.hostname or not _has_port(url):
            raise ValueError(f"must be an address like {example}")
        return text.rstrip("/")

    return parse


def _has_port(url: SplitResult) -> bool:
    """Whether its port can be one, if it names one."""
    try:
        return url.port != 0
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part, strict=False) for part in re.split(r"[\s,]+", text))
    except ValueError:
        raise ValueError("must be networks like 10.0.0.0/8, separated by commas") from None


def _login_limits(text: str) -> tuple[Limit | None, Limit | None]:
    """`10/15minutes` per address and client, and after a comma per client alone (three times the first if not given)."""
    first, comma, second = text.partition(",")
    per_address = parse_limit(first)
    if comma:
        return per_address, parse_limit(second)
    return per_address, per_address and Limit(per_address.count * 3, per_address.window_seconds)


def _jwt_secrets(text: str) -> tuple[bytes, ...]:
    decoded = _secrets(text)
    if any(len(secret) < JWT_SECRET_MIN_BYTES for secret in decoded):
        raise ValueError(f"must be base64 of at least {JWT_SECRET_MIN_BYTES} random bytes each")
    return _random(decoded)


def _encryption_keys(text: str) -> tuple[bytes, ...]:
    decoded = _secrets(text)
    if any(len(key) != KEY_BYTES for key in decoded):
        raise ValueError(f"must be base64 of exactly {KEY_BYTES} random bytes each")
    if len({key_id(key) for key in decoded}) != len(set(decoded)):
        raise ValueError(
            "must be keys with names of their own (the first 8 hex digits of the SHA-256); make another one"
        )
    return _random(decoded)


def _secrets(text: str) -> tuple[bytes, ...]:
    return tuple(_base64(part) for part in re.split(r"[\s,]+", text.strip()))


def _random(decoded: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(set(decoded)) != len(decoded):
        raise ValueError("must not name the same secret twice")
    if any(secret in EXAMPLE_SECRETS or len(set(secret)) == 1 for secret in decoded):
        raise ValueError("must be random, not an example")
    return decoded


def _base64(text: str) -> bytes:
    """Base64url or plain base64, padded or not: `openssl rand -base64 32` makes the plain kind."""
    urlsafe = text.translate(str.maketrans("+/", "-_")).rstrip("=")
    if not re.fullmatch("[A-Za-z0-9_-]+", urlsafe):
        raise ValueError("must be written in base64")
    try:
        return base64.urlsafe_b64decode(urlsafe + "=" * (-len(urlsafe) % 4))
    except binascii.Error:
        raise ValueError("must be written in base64") from None


def _require_secrets(**given: tuple[bytes, ...] | None) -> None:
    for name, value in given.items():
        if value is None:
            raise SettingsError(f"{name} must be set when DATABASE_URL is; make one with `openssl rand -base64 32`")


def _development_secrets(path: Path, parse: Callable[[str], tuple[bytes, ...]], remedy: str) -> tuple[bytes, ...]:
    """Of a laptop; `remedy` is for a file that was edited."""
    try:
        return parse(_development_secret(path))
    except ValueError as error:
        raise SettingsError(f"{path} {error}; {remedy}") from None


def _development_secret(path: Path) -> str:
    """A secret of this installation, made at the first start; two first starts at once agree on one."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(), encoding="ascii")
            _keep(draft)  # what gets encrypted must not outlive its key when the machine goes down
            try:
                os.link(draft, path)  # unlike rename, it does not replace what another process put there
            except FileExistsError:
                pass
            finally:
                draft.unlink()
            _keep(path.parent)
        return path.read_text(encoding="ascii", errors="replace")  # what is no base64 is refused where it is parsed
    except OSError as error:
        raise SettingsError(f"DATA_DIR {path.parent} cannot be used: {error.strerror}") from error


def _keep(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
