"""What exactly was used? The table of a selection, in any order, and the same as a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from app.cursors import ByCell, Cursors
from app.database import Database
from app.pages import split_page
from app.requests import Clients
from app.stats import repository
from app.stats.answers import UsageQuery, answer_usage
from app.stats.export import place_of
from app.stats.selection import Selection
from app.stats.structs import Selected, UsageRow
from app.web.filters import FILTERS, PERIODS, Filters, find_choices, find_selection
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

PAGE_ROWS = 50
# Any order but the store's own reads the whole selection for each page: some 0.3 s for so many facts. Beyond, newest first only.
SORTED_FACTS_MAX = 200_000

Column = Literal[
    "date", "key", "model", "provider", "requests", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached", "cost",
    "byok_cost",
]  # fmt: skip
Direction = Literal["asc", "desc"]

TEXTS = frozenset({"key", "model", "provider"})


class Order(msgspec.Struct, frozen=True):
    """Of the table."""

    column: Column
    direction: Direction

    def next(self, column: Column) -> dict[str, str]:
        """What a click on a column's head asks for: texts from A, figures and days from the top; then the other way round."""
        natural = "asc" if column in TEXTS else "desc"
        if column == self.column:
            natural = "asc" if self.direction == "desc" else "desc"
        return {"sort": column, "direction": natural}


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rows. `first`: the place of the first one, `total`: of all, where known; `before`, `after`: the other pages."""

    rows: Sequence[UsageRow]
    is_sortable: bool
    first: int | None = None
    total: int | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class UsagePages(Controller):
    """The table and the file."""

    path = "/usage"
    guards = (require_own_page, require_session)
    dependencies = FILTERS
    include_in_schema = False

    @get()
    async def show(
        self,
        request: SignedInRequest,
        filters: NamedDependency[Filters],
        db: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        pages: NamedDependency[Pages],
        sort: FromQuery[Column] = "date",
        direction: FromQuery[Direction] = "desc",
        page: Annotated[int, QueryParameter(ge=1, le=SORTED_FACTS_MAX)] = 1,
        cursor: FromQuery[str] = "",
    ) -> Response[Any]:
        """A page of it."""
        user_id = request.user.user_id
        selection, error = await find_selection(db, user_id, filters)
        selected = await repository.find_selection(db, user_id, selection)
        order = Order(sort, direction)
        if await repository.count_facts(db, user_id, selected) <= SORTED_FACTS_MAX:
            table = await _sorted_table(db, user_id, selected, order, page)
        else:
            table = await _newest_first(db, user_id, selection, selected, cursors, cursor)
        return pages.page(
            request,
            "usage.html",
            error=error,
            filters=filters,
            periods=PERIODS,
            choices=await find_choices(db, user_id),
            selected=selected,
            table=table,
            order=order,
            sorted_max=SORTED_FACTS_MAX,
        )

    @get("/file")
    async def download(
        self,
        request: SignedInRequest,
        filters: NamedDependency[Filters],
        db: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        clients: NamedDependency[Clients],
    ) -> Response[Any]:
        """The whole selection as CSV, as the API gives it."""
        query = UsageQuery(filters.selection(), "csv", None, None)
        return await answer_usage(request, db, cursors, request.user.user_id, query, client=clients.of(request))


async def _sorted_table(db: Database, user_id: int, selected: Selected, order: Order, page: int) -> Table:
    offset = (page - 1) * PAGE_ROWS
    is_descending = order.direction == "desc"
    rows = await repository.list_usage_sorted(
        db, user_id, selected, order.column, offset, PAGE_ROWS, descending=is_descending
    )
    total = rows[0].total if rows else 0 if page == 1 else None
    has_more = total is not None and offset + len(rows) < total
    same = {"sort": order.column, "direction": order.direction}
    return Table(
        rows=rows,
        is_sortable=True,
        first=offset + 1,
        total=total,
        before=same | {"page": page - 1} if page > 1 else None,
        after=same | {"page": page + 1} if has_more else None,
    )


async def _newest_first(
    db: Database, user_id: int, selection: Selection, selected: Selected, cursors: Cursors, cursor: str
) -> Table:
    """A page of a selection that is too large to be sorted, from a cursor on."""
    bound_to = ("usage page", user_id, selection)
    place = cursors.read(cursor, ByCell, *bound_to) if cursor else None
    found = await repository.list_usage(db, user_id, selected, place, PAGE_ROWS + 1)
    rows, following = split_page(found, PAGE_ROWS, lambda row: cursors.make(place_of(row, selected), *bound_to))
    return Table(rows=rows, is_sortable=False, after={"cursor": following} if following else None)
