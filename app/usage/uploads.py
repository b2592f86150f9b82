"""How does a file reach us over HTTP? As the body itself or as a part of a form; piece by piece, never as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from app.errors import Invalid, Malformed, TooLarge, Unavailable, UnsupportedMediaType

PARTS_MAX = 20
FIELD_MAX_BYTES = 4096
PLACE_TIMEOUT_SECONDS = 30.0

# of a form: where a part begins, a piece of it, None where it ends
Event = MultipartSegment | bytes | bytearray | None


@asynccontextmanager
async def a_place(places: asyncio.Semaphore) -> AsyncGenerator[None]:
    """Each import holds a batch in memory, so only some run at once; the others wait, unread. Raises Unavailable."""
    try:
        async with asyncio.timeout(PLACE_TIMEOUT_SECONDS):
            await places.acquire()
    except TimeoutError as error:
        raise Unavailable from error
    try:
        yield
    finally:
        places.release()


def uploaded_file(request: Request[Any, Any, Any], media_type: str, field: str) -> AsyncGenerator[bytes]:
    """The file's bytes: the body where its type is `media_type`, or the part `field` of a multipart form.

    Raises UnsupportedMediaType for other bodies, Malformed for a broken form, Invalid for a form without the file.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type == media_type:
        return request.stream()
    if content_type == "multipart/form-data" and "boundary" in options:
        return _part(_events(request.stream(), options["boundary"]), field)
    raise UnsupportedMediaType(f"Send the file as {media_type}, or as `{field}` in a multipart form.")


async def uploaded_form(request: Request[Any, Any, Any], field: str) -> tuple[dict[str, str], AsyncGenerator[bytes]]:
    """The fields that come before the file in a multipart form, and then the file's bytes.

    Raises UnsupportedMediaType, Malformed, TooLarge for a field that is no field, Invalid for a form without the file.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type != "multipart/form-data" or "boundary" not in options:
        raise UnsupportedMediaType(f"Send a multipart form with the file as `{field}`.")
    fields: dict[str, bytes] = {}
    events = _events(request.stream(), options["boundary"])
    name = ""
    async for event in events:
        if isinstance(event, MultipartSegment):
            if event.name == field:
                break
            name = event.name or ""
            fields[name] = b""
        elif event:
            fields[name] += event
            if len(fields[name]) > FIELD_MAX_BYTES:
                raise TooLarge
    else:
        raise Invalid((field, "is missing from the form"))
    try:
        return {name: value.decode() for name, value in fields.items()}, _rest_of_part(events)
    except UnicodeError as error:
        raise Malformed("The form is not in UTF-8.") from error


async def _events(stream: AsyncGenerator[bytes], boundary: str) -> AsyncGenerator[Event]:
    try:
        with PushMultipartParser(boundary, max_segment_count=PARTS_MAX) as parser:
            async for chunk in stream:
                if not chunk:
                    continue  # to the parser, nothing means the end
                for event in parser.parse(chunk):
                    yield event
    except (MultipartError, UnicodeError) as error:
        raise Malformed("The multipart form is broken or incomplete.") from error


async def _part(events: AsyncGenerator[Event], field: str) -> AsyncGenerator[bytes]:
    """The pieces of the first part of that name; the other parts are read past."""
    async for event in events:
        if isinstance(event, MultipartSegment) and event.name == field:
            async for piece in _rest_of_part(events):
                yield piece
            return
    raise Invalid((field, "is missing from the form"))


async def _rest_of_part(events: AsyncGenerator[Event]) -> AsyncGenerator[bytes]:
    """The pieces up to the end of the part; then the form is read to its end, so that a broken one is found out."""
    is_inside = True
    async for event in events:
        is_inside = is_inside and event is not None
        if is_inside and event and not isinstance(event, MultipartSegment):
            yield bytes(event)
