"""A running provider as an app of the catalogue."""

from __future__ import annotations

from typing import Any

import msgspec

from domain.apps.app import App
from scripts.providers.provider import OAuth2Provider


def manifest_of(provider: OAuth2Provider, key: str = "local", **members: Any) -> dict[str, Any]:
    """The manifest's members as TOML would bring them; ``members`` are more of the OAuth scheme, or other ones."""
    scheme = {
        "type": "oauth2",
        "review": "unverified",
        "authorize_url": provider.authorize_url,
        "token_url": provider.token_url,
        "revoke_url": provider.revoke_url,
        "default_scopes": ["read"],
        "sends_iss": True,
        "issuer": provider.url,
        "userinfo": {
            "account_id": "/owner",
            "account_name": "/owner",
            "request": {"method": "GET", "url": f"{provider.url}/resource"},
        },
    }
    return {
        "key": key,
        "name": "Local Provider",
        "desc": "An OAuth provider on this machine.",
        "categories": ["testing"],
        "hosts": ["127.0.0.1"],
        "docs": ["https://www.rfc-editor.org/rfc/rfc6749"],
        "auth": [scheme | members],
    }


def as_app(provider: OAuth2Provider, key: str = "local", **members: Any) -> App:
    return msgspec.convert(manifest_of(provider, key, **members), App)
