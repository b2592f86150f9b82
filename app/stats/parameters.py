"""How does a query say which usage is meant, and in which form? The same words on every route."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from litestar.datastructures.headers import Accept
from litestar.di import Provide
from litestar.params import QueryParameter

from app.errors import Invalid
from app.requests import ID_MAX, AnyConnection
from app.stats.selection import DAYS_MAX, Selection, select

Format = Literal["json", "csv"]
JSON, CSV = "application/json", "text/csv"


def read_selection(
    days: Annotated[
        int | None, QueryParameter(ge=1, le=DAYS_MAX, description="UTC days up to and with today; 30 by default")
    ] = None,
    start_date: Annotated[date | None, QueryParameter(description="first UTC day, with `end_date`")] = None,
    end_date: Annotated[date | None, QueryParameter(description="last UTC day, with `start_date`")] = None,
    api_key_id: Annotated[int | None, QueryParameter(ge=1, le=ID_MAX, description="only this key")] = None,
    model: Annotated[str | None, QueryParameter(description="only this model, by OpenRouter's permaslug")] = None,
) -> Selection:
    """Raises Invalid for a selection that contradicts itself."""
    return select(days, start_date, end_date, api_key_id, model)


SELECTION = {"selection": Provide(read_selection, sync_to_thread=False)}


def wants_csv(connection: AnyConnection, given: Format | None) -> bool:
    """`?format=` decides, else what `Accept` likes best; JSON where it has no opinion."""
    if given is not None:
        return given == "csv"
    return Accept(", ".join(connection.headers.getall("accept", []))).best_match([JSON, CSV]) == CSV


def refuse_paging(limit: int | None, cursor: str | None) -> None:
    """CSV is the whole selection. Raises Invalid rather than ignore what was asked for."""
    for name, value in (("limit", limit), ("cursor", cursor)):
        if value is not None:
            raise Invalid((name, "cannot be combined with CSV, which is the whole selection"))
