"""Apps of the tests for the OAuth adapter, and the client under test with its clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from adapters.connectors.outbound import OutboundClient
from adapters.oauth.provider_client import ProviderClient
from domain.apps.app import App, OAuth1Scheme, OAuth2Scheme, Scheme, TwoStepScheme
from domain.connections.oauth import Client, OAuthClient, Target
from scripts.providers.provider import OAuth2Provider
from tests.vendor_stand_in import StandIn

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CALLBACK = "https://causeway.example/platform/installation/oauth"
VERIFIER = "v3rif1er-" * 6
HOST = "login.vendor.example"
CLIENT = Client("client+id", "s3cret/of=the+client")
SECONDS = 10.0


def app_with(scheme: Scheme, *hosts: str) -> App:
    return App("vendor", "Vendor", "A vendor.", ("x",), hosts, (scheme,), ("https://vendor.example/docs",))


def target(scheme: Scheme, client: Client = CLIENT, **fields: str) -> Target:
    """At the stand-in's host, at one that is named in part, or at the one that an answer names."""
    return Target(app_with(scheme, HOST, "{site}.vendor.example", "{instance}"), scheme, client, fields)


def oauth2(**members: Any) -> OAuth2Scheme:
    return OAuth2Scheme(
        **{"authorize_url": f"https://{HOST}/authorize", "token_url": f"https://{HOST}/token", **members}
    )


def oauth1(**members: Any) -> OAuth1Scheme:
    return OAuth1Scheme(
        request_token_url=f"https://{HOST}/initiate",
        authorize_url=f"https://{HOST}/authorize",
        access_token_url=f"https://{HOST}/token",
        **members,
    )


def two_step(**members: Any) -> TwoStepScheme:
    return TwoStepScheme(**members)


def at_provider(provider: OAuth2Provider, client: Client | None = None, **members: Any) -> Target:
    """At a provider on loopback."""
    scheme = OAuth2Scheme(
        authorize_url=provider.authorize_url,
        token_url=provider.token_url,
        revoke_url=provider.revoke_url,
        **members,
    )
    return Target(app_with(scheme, "127.0.0.1"), scheme, client or Client(provider.client_id, provider.client_secret))


def asking(outbound: OutboundClient) -> OAuthClient:
    return ProviderClient(outbound, lambda: NOW)


def answers(vendor: StandIn, body: object, status: int = 200, **headers: str) -> None:
    """From now on the stand-in says this: a document as JSON, or the bytes as they are."""
    vendor.status = status
    vendor.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    vendor.headers = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


def form_of(vendor: StandIn) -> dict[str, str]:
    """The fields of the last request's form."""
    return dict(parse_qsl(vendor.seen[-1].body.decode(), keep_blank_values=True))
