"""Which environment variables are there, and what do they mean? Read once; a wrong value refuses to start, in a sentence."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from app.errors import OperatorError
from app.limits import Limit, parse_limit

T = TypeVar("T")
Network = IPv4Network | IPv6Network
Registration = Literal["open", "first", "closed"]
Pooler = Literal["none", "transaction"]
LogLevel = Literal["debug", "info", "warning", "error"]

JWT_SECRET_MIN_BYTES = 32
PASSWORD_MIN_LENGTH_FLOOR = 8
# what people put where they should have put a secret
EXAMPLE_SECRETS = frozenset({b"0" * 32, b"change-me-change-me-change-me-now"})


class SettingsError(OperatorError):
    """A setting is missing or wrong."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside. `database_url` None stands for the embedded server in `data_dir`."""

    jwt_secrets: tuple[bytes, ...]
    database_url: str | None = None
    data_dir: Path = Path(".data")
    database_pool_size: int = 10
    database_pooler: Pooler = "none"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    public_url: str = ""
    trusted_proxies: tuple[Network, ...] = ()
    max_api_tokens_per_user: int = 5
    registration: Registration = "open"
    password_min_length: int = 15
    login_limit: Limit | None = Limit(10, 900)
    login_client_limit: Limit | None = Limit(30, 900)
    registration_limit: Limit | None = Limit(20, 3600)
    log_level: LogLevel = "info"

    def __repr__(self) -> str:
        """Without the values: some of them are secret."""
        return "Settings(…)"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings.

    Without `DATABASE_URL` this is a laptop or a test: secrets that are not given are made and kept in `DATA_DIR`.
    Raises SettingsError, which names the variable and never its value where that is secret.
    """
    read = _Reader(environ)
    default = Settings(jwt_secrets=())
    database_url = read("DATABASE_URL", _database_url, None)
    data_dir = read("DATA_DIR", lambda text: Path(text).expanduser(), default.data_dir).absolute()
    login_limit, login_client_limit = read(
        "LOGIN_LIMIT", _login_limits, (default.login_limit, default.login_client_limit)
    )
    jwt_secrets = read("JWT_SECRETS", _jwt_secrets, None)
    if jwt_secrets is None:
        if database_url is not None:
            raise SettingsError("JWT_SECRETS must be set when DATABASE_URL is; make one with `openssl rand -base64 32`")
        file = data_dir / "jwt_secrets"
        try:
            jwt_secrets = _jwt_secrets(_development_secret(file))
        except ValueError as error:  # half written when the machine went down, or edited
            raise SettingsError(f"{file} {error}; remove it to have a new one made") from None
    return Settings(
        database_url=database_url,
        data_dir=data_dir,
        jwt_secrets=jwt_secrets,
        database_pool_size=read("DATABASE_POOL_SIZE", _whole(1, 1000), default.database_pool_size),
        database_pooler=read("DATABASE_POOLER", _choice("none", "transaction"), default.database_pooler),
        host=read("HOST", str, default.host),
        port=read("PORT", _whole(1, 65535), default.port),
        workers=read("WORKERS", _whole(1, 256), default.workers),
        public_url=read("PUBLIC_URL", _public_url, default.public_url),
        trusted_proxies=read("TRUSTED_PROXIES", _networks, default.trusted_proxies),
        max_api_tokens_per_user=read("MAX_API_TOKENS_PER_USER", _whole(0, 100_000), default.max_api_tokens_per_user),
        registration=read("REGISTRATION", _choice("open", "first", "closed"), default.registration),
        password_min_length=read(
            "PASSWORD_MIN_LENGTH", _whole(PASSWORD_MIN_LENGTH_FLOOR, 256), default.password_min_length
        ),
        login_limit=login_limit,
        login_client_limit=login_client_limit,
        registration_limit=read("REGISTRATION_LIMIT", parse_limit, default.registration_limit),
        log_level=read("LOG_LEVEL", _choice("debug", "info", "warning", "error"), default.log_level),
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


def _public_url(text: str) -> str:
    url = _split(text)
    # it becomes part of headers: nothing that would have to be escaped there
    is_plain = url is not None and re.fullmatch(r"[!-~]+", text, re.ASCII) and not set(text) & set('?#@<>"')
    if url is None or not is_plain or url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("must be an address like https://watcher.example.com")
    return text.rstrip("/")


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
    decoded = tuple(_base64(part) for part in re.split(r"[\s,]+", text.strip()))
    if any(len(secret) < JWT_SECRET_MIN_BYTES for secret in decoded):
        raise ValueError(f"must be base64 of at least {JWT_SECRET_MIN_BYTES} random bytes each")
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


def _development_secret(path: Path) -> str:
    """A secret of this installation, made at the first start; two first starts at once agree on one."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(), encoding="ascii")
            try:
                os.link(draft, path)  # unlike rename, it does not replace what another process put there
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise SettingsError(f"DATA_DIR {path.parent} cannot be used: {error.strerror}") from error
