"""A small OAuth 2 provider in this process, for fast tests: strict, deterministic, and over real HTTP."""

from __future__ import annotations

import base64
import binascii
import html
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Self
from urllib.parse import unquote_plus

from aiohttp import web
from yarl import URL

from scripts.providers.faults import Faults
from scripts.providers.front import LoopbackServer
from scripts.providers.ledger import Ledger, Refused
from scripts.providers.provider import Client, OAuth2Provider
from scripts.providers.traffic import Traffic

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Allow access</title><h1>Allow access</h1><form method="post"><label>Name <input name="username" required></label>
<button name="deny" value="1" formnovalidate>Cancel</button> <button name="allow" value="1">Allow</button></form></html>"""
_NEVER_STORED = {"Cache-Control": "no-store"}
Shape = Callable[[dict[str, Any]], dict[str, Any]]
ClientAuth = Literal["any", "basic", "body"]


class QuickProvider(OAuth2Provider):
    """Behaves like the certified provider where a client can tell: PKCE with S256 required, rotation with reuse
    detection, `iss` in the authorization response. Any scope exists. Client authentication is taken from the header and
    from the body, or with `client_auth` from one of them alone.

    `ledger` is its memory; `ledger.now` may be replaced to move time. `shape` changes each token answer, for providers
    that deviate; the answer it gets has the standard members.
    """

    def __init__(
        self, ledger: Ledger, shape: Shape, sends_issuer: bool, client_auth: ClientAuth, tls: ssl.SSLContext | None
    ) -> None:
        self.ledger = ledger
        self.client = self.machine = Client("causeway", secrets.token_urlsafe(24))
        self.traffic = Traffic("/token")
        self.faults = Faults(self.traffic)
        self._shape, self._sends_issuer, self._client_auth = shape, sends_issuer, client_auth
        self._redirects: set[str] = set()
        app = web.Application(middlewares=[self.faults.middleware(), _refusals])
        app.router.add_get("/authorize", self._ask)
        app.router.add_post("/authorize", self._consented)
        app.router.add_post("/token", self._token)
        app.router.add_post("/revoke", self._revoke)
        app.router.add_post("/introspect", self._introspect)
        app.router.add_get("/resource", self._resource)
        self._server = LoopbackServer(app, tls)

    @classmethod
    async def start(
        cls,
        *,
        access_seconds: int = 3600,
        rotates: bool = True,
        sends_issuer: bool = True,
        now: Callable[[], float] = time.time,
        shape: Shape = dict,
        client_auth: ClientAuth = "any",
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        provider = cls(Ledger(access_seconds, rotates, now), shape, sends_issuer, client_auth, tls)
        await provider._server.start()
        provider.authorize_url = f"{provider.url}/authorize"
        provider.token_url = f"{provider.url}/token"
        provider.revoke_url = f"{provider.url}/revoke"
        provider.introspect_url = f"{provider.url}/introspect"
        provider.userinfo_url = f"{provider.url}/resource"
        return provider

    @property
    def url(self) -> str:
        return self._server.url

    def tokens_for(self, user: str, scope: str = "read") -> dict[str, Any]:
        """A new grant without the dance: the token answer as a code exchange would bring it."""
        return self._shape(self.ledger.grant(user, self.client.id, scope))

    async def register_redirect(self, uri: str) -> None:
        self._redirects.add(uri)

    async def withdraw(self, user: str) -> None:
        self.ledger.withdraw(user)

    async def stop(self) -> None:
        self.faults.clear()
        await self._server.stop()

    async def _ask(self, request: web.Request) -> web.Response:
        problem = self._problem(request.query)
        if problem is None:
            return web.Response(text=_PAGE, content_type="text/html")
        if not self._known(request.query):
            return web.Response(status=400, text=f"The client or its redirect URI is unknown: {html.escape(problem)}")
        return self._back(request.query, error=problem)

    async def _consented(self, request: web.Request) -> web.Response:
        query, form = request.query, await request.post()
        if not self._known(query) or self._problem(query) is not None:
            return web.Response(status=400, text="This page is not to be had so.")
        if "allow" not in form:
            return self._back(query, error="access_denied")
        code = self.ledger.code(
            user=str(form["username"]),
            client_id=query["client_id"],
            redirect_uri=query["redirect_uri"],
            challenge=query["code_challenge"],
            scope=query.get("scope", "read"),
        )
        return self._back(query, code=code)

    def _known(self, query: Mapping[str, str]) -> bool:
        return query.get("client_id") == self.client.id and query.get("redirect_uri") in self._redirects

    def _problem(self, query: Mapping[str, str]) -> str | None:
        if not self._known(query):
            return "invalid_client"
        if query.get("response_type") != "code":
            return "unsupported_response_type"
        challenged = query.get("code_challenge") and query.get("code_challenge_method") == "S256"
        return None if challenged else "invalid_request"

    def _back(self, query: Mapping[str, str], **result: str) -> web.Response:
        if "state" in query:
            result["state"] = query["state"]
        if self._sends_issuer:
            result["iss"] = self.url
        target = URL(query["redirect_uri"], encoded=True).update_query(result)
        return web.Response(status=302, headers={"Location": str(target)})

    async def _token(self, request: web.Request) -> web.Response:
        form = await self._authenticated(request)
        match form.get("grant_type"):
            case "authorization_code":
                answer = self.ledger.exchange(
                    self.client.id, form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier", "")
                )
            case "refresh_token":
                answer = self.ledger.refresh(self.client.id, form.get("refresh_token", ""))
            case "client_credentials":
                answer = self.ledger.for_client(self.client.id, form.get("scope", "read"))
            case _:
                raise Refused("unsupported_grant_type")
        return web.json_response(self._shape(answer), headers=_NEVER_STORED)

    async def _revoke(self, request: web.Request) -> web.Response:
        self.ledger.revoke((await self._authenticated(request)).get("token", ""))
        return web.Response()

    async def _introspect(self, request: web.Request) -> web.Response:
        token = (await self._authenticated(request)).get("token", "")
        return web.json_response(self.ledger.introspect(token), headers=_NEVER_STORED)

    async def _resource(self, request: web.Request) -> web.Response:
        owner = self.ledger.owner(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if owner is None:
            raise Refused("invalid_token", 401)
        return web.json_response({"owner": owner})

    async def _authenticated(self, request: web.Request) -> dict[str, str]:
        form = {name: str(value) for name, value in (await request.post()).items()}
        ways = {"basic": _basic(request), "body": (form.get("client_id"), form.get("client_secret"))}
        accepted = ways.values() if self._client_auth == "any" else [ways[self._client_auth]]
        if tuple(self.client) not in accepted:
            raise Refused("invalid_client", 401)
        return form


def _basic(request: web.Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("invalid_client", 401) from None
    return unquote_plus(name), unquote_plus(secret)


@web.middleware
async def _refusals(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except Refused as refused:
        headers = {"WWW-Authenticate": f'Bearer error="{refused.error}"'} if refused.status == 401 else {}
        return web.json_response({"error": refused.error}, status=refused.status, headers={**_NEVER_STORED, **headers})
