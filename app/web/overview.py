"""What do my keys spend? The first page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from app.hygiene import repository as hygiene
from app.keys import repository as keys
from app.keys.structs import KeyEntry
from app.stats.spending import read_runways, read_spending
from app.tokens import repository as tokens
from app.usage.reading import Sync
from app.web.charts import stack
from app.web.filters import FILTERS, PERIODS, Filters, find_choices, find_selection
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

CONCERNED_MAX = 5  # keys and tokens of each finding; the rest is counted


class Share(msgspec.Struct, frozen=True):
    """A line of a list of what has cost how much. `address`: the filter that shows it alone."""

    name: str
    address: dict[str, Any]
    cost: Decimal | None
    requests: int | None


class OverviewPage(Controller):
    """Everything at a glance."""

    guards = (require_own_page, require_session)
    dependencies = FILTERS
    include_in_schema = False

    @get("/")
    async def show(
        self,
        request: SignedInRequest,
        filters: NamedDependency[Filters],
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """Of the period, key and model that the address names."""
        user_id = request.user.user_id
        selection, error = await find_selection(sync.db, user_id, filters)
        spending = await read_spending(sync.db, user_id, selection)
        overview = spending.overview
        watched = await keys.list_keys(sync.db, user_id, sync.stale_seconds, None, keys.ALL)
        choices = await find_choices(sync.db, user_id)
        models = list(dict.fromkeys(cell.model or "" for cell in spending.by_model_day))
        dearest = [figures.model or "" for figures in overview.by_model if (figures.model or "") in models]
        return pages.page(
            request,
            "overview.html",
            error=error,
            filters=filters,
            periods=PERIODS,
            choices=choices,
            overview=overview,
            spending=spending,
            chart=stack(overview.by_day, spending.by_model_day, dearest),
            by_model=[
                Share(row.model or "unknown model", {"model": row.model or ""}, row.cost, row.requests)
                for row in overview.by_model
            ],
            by_key=[
                Share(row.api_key_name or "no key", {"api_key_id": row.api_key_id}, row.cost, row.requests)
                for row in overview.by_key
            ],
            runways=await read_runways(sync.db, user_id, watched),
            troubled=_troubled(watched),
            troubled_max=CONCERNED_MAX,
            hygiene=await hygiene.find_findings(sync.db, user_id, CONCERNED_MAX),
            has_keys=any(key.kind != "imported" for key in watched),
            has_usage=bool(choices.keys or choices.models),
            has_tokens=bool(await tokens.list_tokens(sync.db, user_id, "all", None, 1)),
        )


def _troubled(watched: list[KeyEntry]) -> list[KeyEntry]:
    """The keys whose figures are not what they should be."""
    return [key for key in watched if key.is_active and key.sync_status in {"stale", "unauthorized", "error"}]
