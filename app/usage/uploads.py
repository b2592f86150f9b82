"""How does a file reach us over HTTP? As the body itself or as a part of a form; piece by piece, never as a whole."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.errors import Invalid, Malformed, UnsupportedMediaType

PARTS_MAX = 20


def uploaded_file(request: Request[Any, Any, Any], media_type: str, field: str) -> AsyncGenerator[bytes]:
    """The file's bytes: the body where its type is `media_type`, or the part `field` of a multipart form.

    Raises UnsupportedMediaType for other bodies, Malformed for a broken form, Invalid for a form without the file.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == media_type:
        return request.stream()
    if content_type == "multipart/form-data" and "boundary" in options:
        return _part(request.stream(), options["boundary"], field)
    raise UnsupportedMediaType(f"Send the file as {media_type}, or as `{field}` in a multipart form.")


async def _part(stream: AsyncGenerator[bytes], boundary: str, field: str) -> AsyncGenerator[bytes]:
    """The pieces of the first part of that name; the other parts are read past."""
    is_found = is_inside = False
    try:
        with PushMultipartParser(boundary, max_segment_count=PARTS_MAX) as parser:
            async for chunk in stream:
                if not chunk:
                    continue  # to the parser, nothing means the end
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        is_inside = event.name == field and not is_found
                        is_found = is_found or is_inside
                    elif event and is_inside:
                        yield bytes(event)
    except (MultipartError, UnicodeError) as error:
        raise Malformed("The multipart form is broken or incomplete.") from error
    if not is_found:
        raise Invalid((field, "is missing from the form"))
