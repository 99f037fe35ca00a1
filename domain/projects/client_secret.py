"""What is sealed as an integration's credential."""

from __future__ import annotations

import msgspec


class ClientSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """An OAuth client's secret ("" for a public one; the PEM of the private key for RSA-SHA1), and the manifest's client_fields."""

    client_secret: str = ""
    fields: dict[str, str] = {}

    def __repr__(self) -> str:
        return "ClientSecret(...)"
