"""Refusals in iPaaS.com's style: plain text; no right is 401, a duplicate is 400."""

from __future__ import annotations

from aiohttp import web

from adapters.http.problems import status_of
from domain.errors import Conflict, Forbidden, Refusal


def render(refusal: Refusal) -> web.Response:
    status = status_of(refusal)
    if isinstance(refusal, Forbidden):
        status = 401
    if isinstance(refusal, Conflict):
        status = 400
    return web.Response(text=refusal.message, status=status)


def render_fault(fault_id: str) -> web.Response:
    return web.Response(text=f"Something went wrong here; it is logged as {fault_id}.", status=500)
