"""JSON pointers (RFC 6901) into what a vendor answered."""

from __future__ import annotations

from typing import Any, Final


class Absent:
    """Nothing is there, which is not the same as null."""


ABSENT: Final = Absent()


def at_pointer(document: Any, pointer: str) -> object:
    """What is there, or ABSENT. A pointer that leads through a text or a number leads nowhere."""
    found = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return ABSENT
    return found
