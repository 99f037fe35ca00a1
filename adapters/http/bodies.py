"""Reading what callers send: JSON into declared structs, and texts that can be stored."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.http.problems import BadRequest

Body = TypeVar("Body")
LARGEST_INTEGER = 2**63 - 1
_LONG_NUMBER = re.compile(rb"\d{19}")


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


async def raw_body(request: web.Request) -> bytes:
    """The body as bytes, decompressed; BadRequest when its transfer or content coding is broken, or it breaks off."""
    try:
        return await request.read()
    except (HttpProcessingError, web.RequestPayloadError):
        raise BadRequest("The body's encoding is broken.") from None
    except ConnectionError:
        raise BadRequest("The connection broke off before the whole body had come.") from None


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """The JSON body as ``kind``. Of duplicate members the last wins. BadRequest says what is wrong and where, without
    repeating what was sent.
    """
    raw = await raw_body(request)
    if not raw.strip():
        raise BadRequest("The request needs a JSON body.")
    try:
        raw.decode()  # members that nobody reads are not looked at below
        if b"\\u0000" in raw or _LONG_NUMBER.search(raw):
            check_storable(msgspec.json.decode(raw))
        return _decoded(raw, kind)
    except RecursionError:
        raise BadRequest("The JSON is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise BadRequest("The body is not valid JSON.") from None


def _decoded(raw: bytes, kind: type[Body]) -> Body:
    decoder: msgspec.json.Decoder[Body] = _decoder(kind)  # type: ignore[arg-type]
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:  # a wrong value may stand in a member that comes again: the last wins
        return msgspec.convert(msgspec.json.decode(raw), kind)


def check_storable(value: Any) -> None:
    """BadRequest for what no table can keep: NUL characters and integers over 64 bits, at any depth."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            check_text(one)
        elif isinstance(one, bool) or one is None:
            continue
        elif isinstance(one, int):
            if not -LARGEST_INTEGER - 1 <= one <= LARGEST_INTEGER:
                raise BadRequest("An integer has more than 64 bits.")
        elif isinstance(one, dict):
            pending += one
            pending += one.values()
        elif isinstance(one, list):
            pending += one


def check_text(text: str, what: str = "A text", longest: int | None = None) -> str:
    """The text, if it can be stored: no NUL, no lone surrogates, not too long."""
    if "\0" in text:
        raise BadRequest(f"{what} contains a NUL character.")
    if longest is not None and len(text) > longest:
        raise BadRequest(f"{what} is longer than {longest} characters.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest(f"{what} is not valid Unicode.") from None
    return text
