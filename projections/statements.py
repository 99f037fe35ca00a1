"""Several writing statements as one: what needs no order among them takes one round trip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

Statement = tuple[str, Sequence[Any]]
"""A text with $1, $2, ... and its arguments."""

_PARAMETER = re.compile(r"\$(\d+)")


def together(statements: Sequence[Statement]) -> Statement:
    """All of them at once. Each sees the state before all, so no two may write the same row."""
    texts: list[str] = []
    arguments: list[Any] = []
    for text, own in statements:
        texts.append(f"w{len(texts)} as ({_shifted(text, len(arguments))})")
        arguments.extend(own)
    return f"with {', '.join(texts)} select", arguments


@lru_cache(maxsize=1_000)
def _shifted(text: str, places: int) -> str:
    return _PARAMETER.sub(lambda parameter: f"${int(parameter[1]) + places}", text)
