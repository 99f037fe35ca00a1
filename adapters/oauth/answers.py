"""A provider's answer as a document, whatever content type it claims: JSON, or form-encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from adapters.connectors.pointers import at_pointer

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FORM = re.compile(rb"[A-Za-z0-9_.%+*~-]+=[\x21\x23-\x3b\x3d\x3f-\x7e]*")
"""Names and values of a form have no space, quotation mark or angle bracket: a page for people is none."""


class Answer(msgspec.Struct, frozen=True):
    """What came back. `document` None: the body is neither a JSON object nor a form. `sent_at`: when the question left."""

    status: int
    headers: Mapping[str, str]
    document: Mapping[str, Any] | None
    sent_at: datetime

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    def at(self, pointer: str) -> object:
        """What a JSON pointer finds in the document, else ABSENT."""
        return at_pointer(self.document, pointer)

    def text(self, pointer: str) -> str | None:
        """A text that says something there, else None."""
        found = self.at(pointer)
        return found if isinstance(found, str) and found else None


def document_of(body: bytes) -> Mapping[str, Any] | None:
    """The JSON object, or the fields of the form, that a body is."""
    text = body.removeprefix(_BYTE_ORDER_MARK).strip()
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _form(text)
    return document if isinstance(document, dict) else None


def _form(text: bytes) -> Mapping[str, str] | None:
    if not all(_FORM.fullmatch(field) for field in text.split(b"&")):
        return None
    return dict(parse_qsl(text.decode("ascii"), keep_blank_values=True))
