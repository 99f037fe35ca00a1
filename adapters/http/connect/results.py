"""How it went: told to the window that opened the page, to the address that the person is sent back to, or in words."""

from __future__ import annotations

import msgspec
from aiohttp import web

from adapters.http.connect.problems import words
from adapters.http.connect.rendering import page, sent_on
from adapters.http.problems import status_of
from domain.connections.authorization import ProviderSaidNo
from domain.connections.connect_link import LinkIssued
from domain.errors import Refusal


def result(
    issued: LinkIssued,
    app_name: str,
    refusal: Refusal | None = None,
    *,
    again: str = "",
    frames: tuple[str, ...] = (),
) -> web.Response:
    """``again``: where the person may try once more."""
    told = {"status": "failed" if refusal else "connected", "app_key": issued.app_key}
    if refusal:
        told["error"] = error_code(refusal)
    following = going_back(issued.return_url, told) if issued.return_url else ""
    if following and not issued.origin:
        return sent_on(following, "where you came from", frames=frames)
    values = {
        "app": app_name,
        "message": words(refusal) if refusal else "",
        "again": again,
        "origin": issued.origin or "",
        "told": msgspec.json.encode({"source": "causeway", **told}).decode(),
        "next": following,
    }
    status = status_of(refusal) if refusal else 200
    return page("result.html", values, status=status, frames=frames, has_opener=issued.origin is not None)


def error_code(refusal: Refusal) -> str:
    """The provider's own code where it is a registered one, else ours."""
    return (isinstance(refusal, ProviderSaidNo) and refusal.reason) or refusal.code


def going_back(return_url: str, told: dict[str, str]) -> str:
    """The address with the result in its query, before a fragment if there is one."""
    address, mark, fragment = return_url.partition("#")
    joint = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    added = "&".join(f"{name}={value}" for name, value in told.items())
    return f"{address}{joint}{added}{mark}{fragment}"
