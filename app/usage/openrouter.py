"""What does OpenRouter say? The only file that knows its addresses and the shapes of its answers.

Source: OpenRouter's OpenAPI description and the observations collected beside it. Its API grows without notice: unknown
fields and values are fine; what is missing, of the wrong type or absurd is refused whole, and nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Generic, TypeVar

import httpx
import msgspec
from msgspec import UNSET, UnsetType

from app.keys.structs import Counter, Credits, KeyState
from app.usage.measures import sum_of
from app.usage.money import is_money
from app.usage.structs import Activity, Cell, Measures

T = TypeVar("T")

CLOCK_TIMEOUT_SECONDS = 10.0
CALL_TIMEOUT_SECONDS = 60.0  # a whole answer
PHASE_TIMEOUT = httpx.Timeout(20.0, connect=10.0, pool=60.0)
ANSWER_MAX_BYTES = 32 * 1024 * 1024
CONNECTIONS_MAX = 32
PAGES_MAX = 1000
WORKSPACES_PAGE = 100
TEXT_MAX = 300  # code points
COUNT_MAX = 10**12
# OpenRouter's clock counts, because its days do. One that is so far from ours is not a clock.
CLOCK_TOLERANCE = timedelta(days=2)
RETRY_AFTER_MAX_SECONDS = 24 * 3600

_SECRET = re.compile("[!-~]{8,300}", re.ASCII)
_KEY = re.compile(r"sk-or-[A-Za-z0-9_-]{8,}", re.ASCII)  # a label has dots in its middle
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([ T].*)?", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class OpenRouterError(Exception):
    """OpenRouter did not give what was asked for; the text is a sentence for the key's owner and holds no secret."""


class Unauthorized(OpenRouterError):
    """OpenRouter does not know the key, or not any more."""


class Refused(OpenRouterError):
    """OpenRouter knows the key and says no."""

    def __init__(self, text: str, status: int) -> None:
        """`status`: of the answer, 400 to 499."""
        super().__init__(text)
        self.status = status


class Busy(OpenRouterError):
    """OpenRouter asks to be left alone for a while."""

    def __init__(self, text: str, retry_after_seconds: float | None) -> None:
        """`retry_after_seconds`: None where it did not say how long."""
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


class Unreachable(OpenRouterError):
    """No answer, or one that says that OpenRouter is not well."""


class Nonsense(OpenRouterError):
    """An answer that cannot be right."""


# --- the shapes of answers, as far as they matter here


class _KeyData(msgspec.Struct):
    label: str
    usage: Decimal
    usage_daily: Decimal
    byok_usage: Decimal
    byok_usage_daily: Decimal
    limit: Decimal | None = None
    limit_remaining: Decimal | None = None
    limit_reset: str | None = None
    expires_at: str | None = None


class _OwnKey(_KeyData):
    is_management_key: bool | None = None
    is_provisioning_key: bool | None = None  # its old name
    creator_user_id: str | None = None


class _ListedKey(_KeyData, kw_only=True):
    hash: str
    name: str
    disabled: bool = False
    last_used_at: str | UnsetType | None = UNSET  # null: never; not there: an older OpenRouter, which does not say


class _Credits(msgspec.Struct):
    total_credits: Decimal
    total_usage: Decimal


class _Workspace(msgspec.Struct):
    id: str


class _ActivityRow(msgspec.Struct):
    date: str
    model_permaslug: str
    usage: Decimal
    provider_name: str | None = None
    byok_usage_inference: Decimal | None = None
    requests: int | float | None = None
    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    reasoning_tokens: int | float | None = None
    cached_tokens: int | float | None = None


class _Data(msgspec.Struct, Generic[T]):
    data: T


class _ErrorText(msgspec.Struct):
    message: str


class _Error(msgspec.Struct):
    error: _ErrorText


def hash_of(secret: str) -> str:
    """OpenRouter's own identity of a key: the SHA-256 of the whole string, in lower-case hex."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def is_secret(text: str) -> bool:
    """Whether it could be a key at all: printable ASCII, so that it fits into a header."""
    return _SECRET.fullmatch(text) is not None


@cache
def _trusted_authorities() -> ssl.SSLContext:
    """Read once: it takes longer than everything else about a client."""
    return httpx.create_ssl_context()


class OpenRouter:
    """A client of one OpenRouter, shared by everything in a process."""

    def __init__(self, base_url: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`base_url` as `https://openrouter.ai/api/v1`; `now`: our clock, by which the plausibility of OpenRouter's is judged."""
        self._now = now
        self._http = httpx.AsyncClient(
            base_url=base_url,
            verify=_trusted_authorities(),
            timeout=PHASE_TIMEOUT,
            follow_redirects=False,  # a key goes to the configured host and no other
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            # unpacking is where small answers become endless ones
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "openrouter-watcher"},
            # what one key was given is not for another one
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def clock(self) -> datetime | None:
        """What time it is there; None where the answer does not say. Any answer will do: no key is sent. Raises Unreachable."""
        try:
            async with asyncio.timeout(CLOCK_TIMEOUT_SECONDS):
                async with self._http.stream("GET", "/key") as answer:
                    return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise Unreachable(f"OpenRouter could not be reached ({type(error).__name__}).") from None
        except (KeyError, ValueError, TypeError, OverflowError):
            return None

    async def own_key(self, secret: str) -> KeyState:
        """What the key says about itself. Raises OpenRouterError."""
        data, moment = await self._get(secret, "/key", _OwnKey)
        is_management = data.is_management_key if data.is_management_key is not None else data.is_provisioning_key
        if is_management is None:
            raise Nonsense("OpenRouter did not say of which kind the key is.")
        state = _key_state(data, hash_of(secret), moment, is_management=is_management)
        # a name for an account without workspaces, the same through each of its management keys where OpenRouter says whose it is
        return msgspec.structs.replace(state, workspace=f"default of {_clean(data.creator_user_id or state.hash)}")

    async def credits(self, secret: str) -> Credits | None:
        """The account's balance; None where the key may not ask. Raises OpenRouterError."""
        try:
            data, moment = await self._get(secret, "/credits", _Credits)
        except Refused:
            return None
        _require_spent(data.total_credits, data.total_usage)
        return Credits(data.total_credits, data.total_usage, moment)

    async def workspaces(self, secret: str) -> list[str]:
        """The ids of the account's workspaces; none where OpenRouter knows of no workspaces. Raises OpenRouterError."""
        found: list[str] = []
        for _ in range(PAGES_MAX):
            query = {"offset": len(found), "limit": WORKSPACES_PAGE}
            try:
                rows, _ = await self._get(secret, "/workspaces", list[_Workspace], query)
            except Refused as refusal:
                if refusal.status == HTTPStatus.NOT_FOUND and not found:
                    return []
                raise
            fresh = [_word(row.id, "a workspace's id") for row in rows if row.id not in found]
            if not fresh:
                break
            found += fresh
        return found

    async def listed_keys(self, secret: str, workspace: str | None) -> AsyncGenerator[list[KeyState]]:
        """All keys of a workspace in pages, disabled and expired ones too. Raises OpenRouterError."""
        offset, seen = 0, set[str]()
        for _ in range(PAGES_MAX):
            query = {"offset": offset, "include_disabled": "true", "include_expired": "true"} | _workspace(workspace)
            rows, moment = await self._get(secret, "/keys", list[_ListedKey], query)
            if seen.issuperset(
                row.hash for row in rows
            ):  # nothing new: an end that does not depend on the size of a page
                return
            offset += len(rows)
            seen.update(row.hash for row in rows)
            yield [_listed(row, workspace or "", moment) for row in rows]

    async def activity(self, secret: str, workspace: str | None, key_hash: str | None = None) -> Activity:
        """The last 30 completed days of a workspace, or of one of its keys. Raises OpenRouterError."""
        query = _workspace(workspace) | ({} if key_hash is None else {"api_key_hash": key_hash})
        rows, moment = await self._get(secret, "/activity", list[_ActivityRow], query)
        return await asyncio.to_thread(_activity, rows, moment)

    async def _get(
        self, secret: str, path: str, type_: type[T], query: Mapping[str, str | int] | None = None
    ) -> tuple[T, datetime]:
        """The `data` of an answer, and when it was given."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                headers = {"Authorization": f"Bearer {secret}"}
                async with self._http.stream("GET", path, params=dict(query or {}), headers=headers) as answer:
                    body = await _read(answer)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError) as error:
            # not `from error`: what httpx raises carries the request, and with it the key
            raise Unreachable(f"OpenRouter could not be reached ({type(error).__name__}).") from None
        if answer.status_code != HTTPStatus.OK:
            raise self._failure(answer, _message(body, secret))
        try:
            data = await _decode(body, _Data[type_])  # pyright: ignore[reportInvalidTypeArguments] -- at run time it is a type
        except msgspec.ValidationError as error:
            raise Nonsense(f"OpenRouter's answer to {path} has an unexpected shape: {_clean(str(error))}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Nonsense(f"OpenRouter's answer to {path} is not JSON.") from None
        return data.data, self._moment(answer)

    def _moment(self, answer: httpx.Response) -> datetime:
        """OpenRouter's clock, whose days are the days that its counters speak of; ours where the answer does not say."""
        now = self._now()
        try:
            moment = parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError, TypeError, OverflowError):
            return now
        if abs(moment - now) > CLOCK_TOLERANCE:
            raise Nonsense("OpenRouter's clock and ours are days apart.")
        return moment

    def _failure(self, answer: httpx.Response, message: str) -> OpenRouterError:
        status = answer.status_code
        said = f"OpenRouter answered {status}{message}."
        if status == HTTPStatus.UNAUTHORIZED:
            return Unauthorized(said)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return Busy(said, self._retry_after(answer))
        if status == HTTPStatus.SERVICE_UNAVAILABLE and "retry-after" in answer.headers:
            return Busy(said, self._retry_after(answer))
        if httpx.codes.is_client_error(status) and status != HTTPStatus.REQUEST_TIMEOUT:
            return Refused(said, status)
        return Unreachable(said)

    def _retry_after(self, answer: httpx.Response) -> float | None:
        """Seconds, from either form of the header."""
        text = answer.headers.get("retry-after", "").strip()
        if re.fullmatch("[0-9]{1,9}", text, re.ASCII):
            seconds = float(text)
        else:
            try:
                seconds = (parsedate_to_datetime(text).astimezone(UTC) - self._moment(answer)).total_seconds()
            except (ValueError, TypeError, OverflowError, Nonsense):
                return None
        return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)


async def _read(answer: httpx.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise Nonsense("OpenRouter's answer is packed, which was not asked for.")
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > ANSWER_MAX_BYTES:
            raise Nonsense("OpenRouter's answer has no end.")
    return bytes(body)


async def _decode(body: bytes, type_: type[T]) -> T:
    if len(body) < 64 * 1024:
        return msgspec.json.decode(body, type=type_)
    return await asyncio.to_thread(msgspec.json.decode, body, type=type_)


def _message(body: bytes, secret: str) -> str:
    """OpenRouter's own words, where it has any; should it repeat the key, or speak of another, without that."""
    try:
        message = msgspec.json.decode(body, type=_Error).error.message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return f": {_clean(_KEY.sub('…', message.replace(secret, '…')))}".rstrip(".")


def _clean(text: str, longest: int = TEXT_MAX) -> str:
    return _CONTROL.sub(" ", text).strip()[:longest]


def _workspace(workspace: str | None) -> dict[str, str | int]:
    return {} if workspace is None else {"workspace_id": workspace}


def _word(text: str, what: str) -> str:
    """Something that is compared or kept as it is: there is no mending it."""
    if not text or len(text) > TEXT_MAX or _CONTROL.search(text):
        raise Nonsense(f"OpenRouter's answer has {what} that cannot be one.")
    return text


def _hash(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text, re.ASCII):
        raise Nonsense("OpenRouter's answer has a key's hash that cannot be one.")
    return text


def _require_money(*amounts: Decimal | None) -> None:
    if not all(amount is None or is_money(amount) for amount in amounts):
        raise Nonsense("OpenRouter's answer has an amount that cannot be one.")


def _require_spent(*amounts: Decimal | None) -> None:
    _require_money(*amounts)
    if any(amount is not None and amount < 0 for amount in amounts):
        raise Nonsense("OpenRouter's answer has a negative amount.")


def _listed(row: _ListedKey, workspace: str, moment: datetime) -> KeyState:
    state = _key_state(row, _hash(row.hash), moment, is_management=False)
    return msgspec.structs.replace(
        state,
        name=_clean(row.name, 100) or state.label,
        workspace=workspace,
        is_disabled=row.disabled,
        is_unused=row.last_used_at is None and not any((row.usage, row.byok_usage)),
    )


def _key_state(data: _KeyData, key_hash: str, moment: datetime, *, is_management: bool) -> KeyState:
    _require_spent(data.usage, data.usage_daily, data.byok_usage, data.byok_usage_daily, data.limit)
    _require_money(data.limit_remaining)  # below 0 after an overshoot
    return KeyState(
        hash=key_hash,
        name="",
        label=_clean(data.label, 100),
        workspace="",
        is_management=is_management,
        is_disabled=False,
        is_unused=False,
        limit=data.limit,
        limit_remaining=data.limit_remaining,
        limit_reset=None if data.limit_reset is None else _clean(data.limit_reset, 50),
        expires_at=_expiry(data.expires_at),
        cost=Counter(data.usage, data.usage_daily),
        byok=Counter(data.byok_usage, data.byok_usage_daily),
        moment=moment,
    )


def _expiry(text: str | None) -> datetime | None:
    try:
        expires_at = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Nonsense("OpenRouter's answer has an expiry that is no time.") from None
    return expires_at and expires_at.replace(tzinfo=expires_at.tzinfo or UTC)


# --- activity

DAYS_KEPT = 30  # by OpenRouter
# Requests count on the day they began, and long ones end late: only then is the day before complete.
SETTLED_AFTER = timedelta(minutes=30)


def _activity(rows: Sequence[_ActivityRow], moment: datetime) -> Activity:
    today = moment.date()
    first_day = today - timedelta(days=DAYS_KEPT)
    last_day = (moment - SETTLED_AFTER).date() - timedelta(days=1)
    cells: dict[Cell, Measures] = {}
    for row in rows:
        day = _day(row.date)
        if not first_day - timedelta(days=1) <= day <= today:  # midnight may lie between its answer and its clock
            raise Nonsense("OpenRouter's answer has activity of a day that was not asked for.")
        cell = Cell(day, _word(row.model_permaslug, "a model's name"), _provider(row.provider_name))
        measures = _measures(row)
        if first_day <= day <= last_day:
            cells[cell] = sum_of(cells[cell], measures) if cell in cells else measures
    return Activity(first_day, last_day, cells)


def _day(text: str) -> date:
    try:
        if match := _DAY.fullmatch(text):
            return date.fromisoformat(match[1])
    except ValueError:
        pass
    raise Nonsense("OpenRouter's answer has activity of a day that is none.")


def _provider(text: str | None) -> str:
    return _word(text, "a provider's name") if text else ""


def _measures(row: _ActivityRow) -> Measures:
    _require_spent(row.usage, row.byok_usage_inference)
    return Measures(
        requests=_count(row.requests),
        cost=row.usage,
        byok_cost=row.byok_usage_inference,
        tokens_input=_count(row.prompt_tokens),
        tokens_output=_count(row.completion_tokens),
        tokens_reasoning=_count(row.reasoning_tokens),
        tokens_cached=_count(row.cached_tokens),
    )


def _count(number: float | None) -> int | None:
    """Counts used to be sent as 5.0."""
    if number is None:
        return None
    if number != number // 1 or not 0 <= number <= COUNT_MAX:
        raise Nonsense("OpenRouter's answer has a count that cannot be one.")
    return int(number)
