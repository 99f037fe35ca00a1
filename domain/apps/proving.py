"""The question whether a credential works, asked of the app itself: the port and its three answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from domain.apps.app import App, AuthScheme


class Accepted(msgspec.Struct, frozen=True):
    """The app answered as it does to a working credential."""


class Rejected(msgspec.Struct, frozen=True):
    """The app, or the address rule, said no; `message` is for the person who connects, and holds no secret."""

    message: str


class Unreachable(msgspec.Struct, frozen=True):
    """The app gave no usable answer, so nothing is known about the credential; the same request may work later."""

    message: str


Proof = Accepted | Rejected | Unreachable


class CredentialProver(Protocol):
    """Asks an app whether the fields of a connection work."""

    async def prove(self, app: App, scheme: AuthScheme, fields: Mapping[str, str]) -> Proof:
        """Perform the scheme's test request with checked fields; a scheme without one is accepted unasked."""
        ...
