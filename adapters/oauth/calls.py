"""Calls to a provider as values, and the manifest's templates filled in for one connection."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote_plus, urlencode

import msgspec

from adapters.connectors.templates import hosts_of, render, render_url, values_of
from domain.apps.app import Place, Request
from domain.connections.oauth import Client, Target


class Call(msgspec.Struct, frozen=True):
    """One request; the names of its headers are in lower case."""

    method: Literal["GET", "POST", "DELETE"]
    url: str
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"Call({self.method})"

    def carrying(self, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> Call:
        """The same with more headers and query parameters."""
        return msgspec.structs.replace(
            self, headers={**self.headers, **lower(headers)}, query={**self.query, **(query or {})}
        )


class Templates:
    """The manifest's texts for one connection. Every method raises CannotRender where a value is missing or misfit.

    What the project fills in for its client wins over what an answer brought, and that over what a person filled in:
    the client's secret goes where the project says.
    """

    def __init__(self, target: Target, more: Mapping[str, str] | None = None) -> None:
        given = {**target.fields, **target.names, **target.client.fields}
        self._target = target
        self._values = {**values_of(target.scheme, given), "client_id": target.client.client_id, **(more or {})}

    def hosts(self) -> tuple[str, ...]:
        """All that may be called for the connecting."""
        return hosts_of(self._target.app, self._values, connecting=True)

    def url(self, template: str) -> str:
        return render_url(template, self._values)

    def text(self, template: str) -> str:
        return render(template, self._values)

    def texts(self, templates: Mapping[str, str]) -> dict[str, str]:
        return {name: render(text, self._values) for name, text in templates.items()}

    def call(self, request: Request) -> Call:
        headers = {"accept": "application/json"} | lower(self.texts(request.headers)) | self._basic(request.basic)
        call = Call(request.method, self.url(request.url), headers, self.texts(request.query))
        if request.form is not None:
            return with_form(call, self.texts(request.form))
        return with_json(call, self.texts(request.json)) if request.json is not None else call

    def placed(self, call: Call, place: Place) -> Call:
        """The call with the token where the app wants it."""
        return call.carrying(self.texts(place.headers) | self._basic(place.basic), self.texts(place.query))

    def _basic(self, pair: tuple[str, str] | None) -> dict[str, str]:
        if pair is None:
            return {}
        user, password = (render(text, self._values) for text in pair)
        return {"authorization": basic(user, password)}


def with_form(call: Call, fields: Mapping[str, str]) -> Call:
    return msgspec.structs.replace(
        call,
        headers={"content-type": "application/x-www-form-urlencoded", **call.headers},
        body=urlencode(fields).encode(),
    )


def with_json(call: Call, fields: Mapping[str, str]) -> Call:
    return msgspec.structs.replace(
        call, headers={"content-type": "application/json", **call.headers}, body=msgspec.json.encode(fields)
    )


def basic(user: str, password: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def client_basic(client: Client) -> str:
    """A client's id and secret, form-encoded before they are joined (RFC 6749, 2.3.1)."""
    return basic(quote_plus(client.client_id), quote_plus(client.secret))


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
