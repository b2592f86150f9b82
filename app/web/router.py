"""Which pages are there?"""

from __future__ import annotations

from litestar import Router

from app.web.account import AccountPages
from app.web.errors import PAGE_ERRORS
from app.web.imports import ImportPages
from app.web.keys import KeyPages
from app.web.overview import OverviewPage
from app.web.reference import ReferencePage
from app.web.sign_in import SignInPages, SignOutPage
from app.web.tokens import TokenPages
from app.web.usage import UsagePages


def pages_router() -> Router:
    """All of them; what goes wrong in them is told on a page."""
    return Router(
        path="/",
        route_handlers=[
            OverviewPage,
            UsagePages,
            KeyPages,
            TokenPages,
            ImportPages,
            AccountPages,
            SignInPages,
            SignOutPage,
            ReferencePage,
        ],
        exception_handlers=PAGE_ERRORS,
    )
