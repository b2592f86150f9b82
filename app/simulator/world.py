"""Who is there at the simulated OpenRouter, and what have they used? No I/O. Money is US dollars in decimal digits."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec

from app.simulator.clock import Clock

if TYPE_CHECKING:
    from app.simulator.faults import Fault

ZERO = Decimal(0)
LimitReset = Literal["daily", "weekly", "monthly"]

# slug, permaslug, providers
MODELS = (
    ("openai/gpt-4.1-mini", "openai/gpt-4.1-mini-2025-04-14", ("OpenAI", "Azure")),
    ("anthropic/claude-sonnet-4.5", "anthropic/claude-4.5-sonnet-20250929", ("Anthropic", "Amazon Bedrock", "Google")),
    ("google/gemini-2.5-flash", "google/gemini-2.5-flash", ("Google", "Google AI Studio")),
    ("deepseek/deepseek-chat-v3.1", "deepseek/deepseek-chat-v3.1", ("DeepInfra", "Fireworks", "Novita")),
    ("qwen/qwen3-coder:free", "qwen/qwen3-coder-480b-a35b-07-25:free", ("Chutes",)),
)


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """How this OpenRouter behaves. Observed lags: 40 s of the counters, 60 s of the credits and of the free quota."""

    counter_lag_seconds: float = 0
    activity_lag_seconds: float = 0
    credits_lag_seconds: float = 0
    free_quota_lag_seconds: float = 0
    credits_for_inference: Literal["403", "real", "zeros"] = "403"
    activity_date_format: Literal["timestamp", "plain"] = "timestamp"
    deleted_keys_activity: Literal["rows", "empty", "404"] = "rows"  # nobody knows
    older_schema: bool = False  # as before August 2026
    page_size: int = 100
    workspaces_available: bool = True
    latency_seconds: float = 0.0
    analytics_time_column: Literal["date", "created_at"] = "date"


class Workspace(msgspec.Struct, frozen=True):
    """A part of an account that has keys of its own."""

    id: str
    name: str
    created_at: datetime


class Record(msgspec.Struct, frozen=True):
    """Usage of one moment, of one model at one provider."""

    moment: datetime
    key_hash: str | None
    workspace_id: str
    model: str
    permaslug: str
    provider: str
    requests: int
    cost: Decimal
    byok_cost: Decimal
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int

    @property
    def day(self) -> date:
        """In UTC."""
        return self.moment.date()

    @property
    def endpoint_id(self) -> str:
        """Each provider of a model is an endpoint."""
        return str(UUID(bytes=hashlib.sha256(f"{self.permaslug}@{self.provider}".encode()).digest()[:16]))


class Cell(msgspec.Struct):
    """The sum of some usage."""

    requests: int = 0
    cost: Decimal = ZERO
    byok_cost: Decimal = ZERO
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def add(self, record: Record) -> None:
        """One more."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(record, name))


class Key(msgspec.Struct, eq=False):
    """A key of an account."""

    secret: str
    name: str
    workspace: Workspace
    created_at: datetime
    creator_user_id: str
    is_management: bool = False
    disabled: bool = False
    deleted: bool = False
    limit: Decimal | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: bool = False
    expires_at: datetime | None = None
    updated_at: datetime | None = None
    correction: Decimal = ZERO  # what was taken off its lifetime counter

    @property
    def hash(self) -> str:
        """OpenRouter's identity of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    @property
    def label(self) -> str:
        """What OpenRouter shows of it."""
        return f"{self.secret[:12]}...{self.secret[-3:]}"

    def is_usable(self, now: datetime) -> bool:
        """Whether requests with it are answered."""
        return not (self.disabled or self.deleted or (self.expires_at is not None and self.expires_at <= now))


class Account:
    """Somebody with credits, workspaces, keys and usage."""

    def __init__(self, clock: Clock, dice: random.Random) -> None:
        """Everything random comes from `dice`."""
        self._clock = clock
        self._dice = dice
        self.user_id = f"user_{dice.getrandbits(128):032x}"
        self.credits = Decimal(100)
        self.workspaces: list[Workspace] = []
        self.keys: list[Key] = []
        self.records: list[Record] = []
        self._by_key: dict[str | None, dict[date, list[Record]]] = defaultdict(lambda: defaultdict(list))
        self._day_costs: dict[str | None, dict[date, Cell]] = defaultdict(lambda: defaultdict(Cell))
        self._free: dict[date, list[Record]] = defaultdict(list)
        self.add_workspace("Default")

    @property
    def now(self) -> datetime:
        """By the simulated clock."""
        return self._clock.now()

    def add_workspace(self, name: str) -> Workspace:
        """The first one is the default."""
        workspace = Workspace(str(UUID(int=self._dice.getrandbits(128), version=4)), name, self.now)
        self.workspaces.append(workspace)
        return workspace

    def add_key(
        self,
        name: str,
        *,
        workspace: Workspace | None = None,
        limit: Decimal | None = None,
        limit_reset: LimitReset | None = None,
        include_byok_in_limit: bool = False,
        expires_at: datetime | None = None,
        created_at: datetime | None = None,
    ) -> Key:
        """An inference key."""
        key = Key(
            secret=f"sk-or-v1-{self._dice.getrandbits(256):064x}",
            name=name,
            workspace=workspace or self.workspaces[0],
            created_at=created_at or self.now,
            creator_user_id=self.user_id,
            limit=limit,
            limit_reset=limit_reset,
            include_byok_in_limit=include_byok_in_limit,
            expires_at=expires_at,
        )
        self.keys.append(key)
        return key

    def add_management_key(self, name: str) -> Key:
        """A key that sees the account and spends nothing."""
        key = self.add_key(name)
        key.is_management = True
        return key

    def delete_key(self, key: Key) -> None:
        """Its usage stays."""
        key.deleted = True
        self.keys.remove(key)

    def find(self, key_hash: str) -> Key | None:
        """An inference key by its hash."""
        return next((key for key in self.keys if key.hash == key_hash and not key.is_management), None)

    # --- using

    def spend(
        self,
        key: Key | None,
        cost: Decimal,
        *,
        at: datetime | None = None,
        model: str = MODELS[0][1],
        provider: str = "OpenAI",
        byok_cost: Decimal = ZERO,
        requests: int = 1,
        prompt_tokens: int = 100,
        completion_tokens: int = 50,
        reasoning_tokens: int = 10,
        cached_tokens: int = 20,
        workspace: Workspace | None = None,
    ) -> None:
        """Usage at a moment, now if none is given, that nobody sees before. Without a key it is the web chat's."""
        record = Record(
            at or self.now,
            key.hash if key else None,
            (workspace or (key.workspace if key else self.workspaces[0])).id,
            next((slug for slug, permaslug, _ in MODELS if permaslug == model), model),
            model,
            provider,
            requests,
            Decimal(cost),
            Decimal(byok_cost),
            prompt_tokens,
            completion_tokens,
            reasoning_tokens,
            cached_tokens,
        )
        self.records.append(record)
        self._by_key[record.key_hash][record.day].append(record)
        self._day_costs[record.key_hash][record.day].add(record)
        if record.permaslug.endswith(":free"):
            self._free[record.day].append(record)

    def generate(self, days: int, *, per_day: int = 20, keys: Sequence[Key] | None = None) -> None:
        """Random usage of the last so many days, today included, by the keys and the web chat; some days are idle."""
        dice, now = self._dice, self.now
        users: list[Key | None] = [*(keys if keys is not None else [k for k in self.keys if not k.is_management]), None]
        for back in range(days):
            if back and dice.random() < 0.1:  # noqa: PLR2004 -- a tenth of the days
                continue
            midnight = datetime.combine(now.date() - timedelta(days=back), time(), now.tzinfo)
            seconds = (now - midnight).total_seconds() if back == 0 else 86_400
            for _ in range(dice.randrange(per_day + 1)):
                _, permaslug, providers = dice.choice(MODELS)
                is_free, is_byok = permaslug.endswith(":free"), dice.random() < 0.1  # noqa: PLR2004 -- a tenth of it
                cost = ZERO if is_free else Decimal(dice.randrange(1, 400_000_000)).scaleb(-9)
                prompt, completion = dice.randrange(50, 30_000), dice.randrange(1, 4_000)
                self.spend(
                    dice.choice(users),
                    cost / 20 if is_byok else cost,
                    at=midnight + timedelta(seconds=dice.random() * seconds),
                    model=permaslug,
                    provider=dice.choice(providers),
                    byok_cost=cost if is_byok else ZERO,
                    requests=dice.randrange(1, 5),
                    prompt_tokens=prompt,
                    completion_tokens=completion,
                    reasoning_tokens=dice.randrange(completion + 1),
                    cached_tokens=dice.randrange(prompt + 1),
                )

    def revise(self, day: date, key: Key | None, extra_cost: Decimal) -> None:
        """Usage that becomes known only now, of a day that is over."""
        self.spend(key, extra_cost, at=datetime.combine(day, time(23, 59), self.now.tzinfo))

    def correct(self, key: Key, amount: Decimal) -> None:
        """Takes something off a key's lifetime counter; its activity stays as it is."""
        key.correction += amount

    # --- what is so

    def used(self, key: Key, until: datetime, since: date | None = None) -> tuple[Decimal, Decimal]:
        """What a key has spent from a day on, ever if None, up to a moment: credits and BYOK."""
        if key.is_management:
            return ZERO, ZERO
        cost, byok = (ZERO if since else -key.correction), ZERO
        for day, cell in self._day_costs[key.hash].items():
            if since is not None and day < since:
                continue
            if day < until.date():
                cost, byok = cost + cell.cost, byok + cell.byok_cost
            elif day == until.date():
                for record in self._by_key[key.hash][day]:
                    if record.moment <= until:
                        cost, byok = cost + record.cost, byok + record.byok_cost
        return cost, byok

    def free_requests(self, day: date, until: datetime) -> int:
        """To models that cost nothing, of all keys, on a day up to a moment."""
        return sum(record.requests for record in self._free[day] if record.moment <= until)

    def last_used_at(self, key: Key, until: datetime) -> datetime | None:
        """None for a key that was never used."""
        moments = (
            record.moment
            for day in sorted(self._by_key[key.hash], reverse=True)
            for record in self._by_key[key.hash][day]
            if record.moment <= until
        )
        return next(moments, None)

    def known(self, until: datetime) -> Iterable[Record]:
        """All usage up to a moment."""
        return (record for record in self.records if record.moment <= until)

    def cost_by_day(self, key: Key | None) -> dict[date, Decimal]:
        """The truth, of all time; None is the web chat, and keys that were deleted."""
        live = {live_key.hash for live_key in self.keys}
        hashes = [key.hash] if key else [None, *(found for found in list(self._day_costs) if found not in live)]
        costs: dict[date, Decimal] = defaultdict(Decimal)
        for key_hash in dict.fromkeys(hashes):
            for day, cell in self._day_costs[key_hash].items():
                costs[day] += cell.cost
        return dict(costs)

    def total(self, key: Key | None) -> Decimal:
        """The truth, of all days."""
        return sum(self.cost_by_day(key).values(), ZERO)

    def cost_by_cell(self) -> dict[tuple[date, str | None, str, str], Cell]:
        """The truth by day, key (its hash), model and provider."""
        cells: dict[tuple[date, str | None, str, str], Cell] = defaultdict(Cell)
        for record in self.records:
            cells[record.day, record.key_hash, record.permaslug, record.provider].add(record)
        return dict(cells)


class World:
    """All accounts, and how their OpenRouter behaves. The same seed makes the same world."""

    def __init__(self, clock: Clock | None = None, seed: int = 0) -> None:
        """`clock`: the real time if none is given."""
        self.clock = clock or Clock()
        self.options = Options()
        self.faults: list[Fault] = []
        self.accounts: list[Account] = []
        self._dice = random.Random(seed)  # noqa: S311 -- no secret
        self.analytics_calls: list[datetime] = []
        self._by_secret: dict[str, tuple[Account, Key]] = {}

    def add_account(self) -> Account:
        """With one workspace, the default one."""
        account = Account(self.clock, random.Random(self._dice.getrandbits(64)))  # noqa: S311 -- no secret
        self.accounts.append(account)
        return account

    def find(self, secret: str) -> tuple[Account, Key] | None:
        """Whose key this is."""
        found = self._by_secret.get(secret)
        if found is None:
            self._by_secret = {key.secret: (account, key) for account in self.accounts for key in account.keys}
            found = self._by_secret.get(secret)
        return found if found and found[1].is_usable(self.clock.now()) else None
