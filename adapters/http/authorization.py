"""The token that a request presents."""

from __future__ import annotations

from aiohttp import web


def presented_token(request: web.Request) -> str:
    """What stands after "Bearer", in any case (RFC 9110, 11.1), or the whole header; empty when there is none."""
    header = request.headers.get("Authorization", "").strip()
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else header
