"""Proves a credential by the app's own test request."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from adapters.connectors.outbound import OutboundClient, OutboundFailed, OutboundRefused, OutboundResponse
from adapters.connectors.pointers import ABSENT, at_pointer
from adapters.connectors.templates import CannotRender, hosts_of, render, render_url, values_of
from domain.apps.app import App, AuthScheme, Place, RefuseWhen, TestRequest
from domain.apps.proving import Accepted, Proof, Rejected, Unreachable

_TRY_LATER = frozenset({408, 425, 429})


class CredentialTester:
    """The CredentialProver that really asks the app."""

    def __init__(self, client: OutboundClient) -> None:
        self._client = client

    async def prove(self, app: App, scheme: AuthScheme, fields: Mapping[str, str]) -> Proof:
        """Perform the scheme's test request with checked fields; a scheme without one is accepted unasked."""
        test = scheme.test
        if test is None:
            return Accepted()
        place = scheme.place or Place()
        try:
            values = values_of(scheme, fields)
            response = await self._client.request(
                test.method,
                render_url(test.url, values),
                headers=_headers(place, test, values),
                query={name: render(text, values) for name, text in (test.query | place.query).items()},
                body=_body(test, values),
                hosts=hosts_of(app, values),
            )
        except (CannotRender, OutboundRefused) as refusal:
            return Rejected(f"{app.name} was not asked. {refusal}")
        except OutboundFailed as failure:
            return Unreachable(f"{app.name} could not be asked. {failure}")
        return _judge(app, test, response)


def _headers(place: Place, test: TestRequest, values: Mapping[str, str]) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    headers |= {name: render(text, values) for name, text in (place.headers | test.headers).items()}
    basic = test.basic or place.basic
    if basic is not None:
        pair = ":".join(render(text, values) for text in basic)
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    if test.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if test.json is not None:
        headers["Content-Type"] = "application/json"
    return headers


def _body(test: TestRequest, values: Mapping[str, str]) -> bytes | None:
    if test.form is not None:
        return urlencode({name: render(text, values) for name, text in test.form.items()}).encode()
    if test.json is not None:
        return msgspec.json.encode({name: render(text, values) for name, text in test.json.items()})
    return None


def _judge(app: App, test: TestRequest, response: OutboundResponse) -> Proof:
    status = response.status
    if any(_expects(expected, status) for expected in test.expect_status):
        return _judge_body(app, test.refuse_when, response)
    if status in _TRY_LATER or status >= 500:
        return Unreachable(f"{app.name} could not answer just now (HTTP {status}).")
    if 300 <= status < 400:
        return Rejected(f"{app.name} points to another address (HTTP {status}); check the name of the account or site.")
    if status == 404:
        return Rejected(f"{app.name} knows nothing at this address (HTTP 404); check the name of the account or site.")
    if status == 403:
        return Rejected(f"{app.name} knows these values but gives them no right to this call (HTTP 403).")
    return Rejected(f"{app.name} does not accept these values (HTTP {status}).")


def _expects(expected: int | str, status: int) -> bool:
    low, _, high = str(expected).partition("-")
    return int(low) <= status <= int(high or low)


def _judge_body(app: App, rule: RefuseWhen | None, response: OutboundResponse) -> Proof:
    if rule is None:
        return Accepted()
    try:
        found: object = at_pointer(msgspec.json.decode(response.body), rule.pointer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = ABSENT
    if found is ABSENT:
        return Unreachable(f"{app.name} answered in a way that says nothing about these values.")
    if type(found) is type(rule.value) and found == rule.value:
        return Rejected(f"{app.name} does not accept these values.")
    return Accepted()
