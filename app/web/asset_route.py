"""How are the pages' files answered? The same to everybody, zipped to those who can unzip."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.web.assets import Assets
from app.web.guards import VisitorRequest

_FOREVER = "public, max-age=31536000, immutable"  # the address changes with the content


@get("/static/{name:str}", include_in_schema=False)
async def get_asset(
    name: FromPath[str], request: VisitorRequest, assets: NamedDependency[Assets], v: FromQuery[str] = ""
) -> Response[bytes]:
    """Public: they are the same for everybody."""
    asset = assets.find(name)
    is_zipped = accepts_gzip(request)
    return Response(
        asset.zipped if is_zipped else asset.body,
        media_type=asset.media_type,
        headers={
            "Cache-Control": _FOREVER if v == asset.version else "no-cache",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Vary": "Accept-Encoding",
            **({"Content-Encoding": "gzip"} if is_zipped else {}),
        },
    )


def accepts_gzip(request: VisitorRequest) -> bool:
    """Whether the client said so."""
    codings = request.headers.get("accept-encoding", "").replace(" ", "").split(",")
    return "gzip" in codings
