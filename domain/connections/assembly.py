"""The use cases of connections, put together over what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from domain.apps.catalogue import Catalogue
from domain.apps.proving import CredentialProver
from domain.connections.authorization import Authorizations
from domain.connections.connecting import Connecting
from domain.connections.customers import CustomerConnections
from domain.connections.linking import Linking
from domain.connections.oauth import Client, OAuthClient
from domain.connections.obtaining import Obtaining
from domain.connections.owners import Owners
from domain.connections.refresh_queue import NoteUse
from domain.connections.refresher import LEASE, Refresher
from domain.connections.revoking import Revoker
from domain.connections.targets import Targets
from domain.connections.use_cases import ConnectionCommands
from domain.deciding import Desk
from domain.ports import Clock
from domain.projects.integration import IntegrationReader


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the use cases of connections need of the outside. ``installation``: the OAuth clients that this installation has at
    providers, by app; ``chance`` answers a number between 0 and 1; ``complain`` tells operators.
    """

    catalogue: Catalogue
    oauth: OAuthClient
    prover: CredentialProver
    clock: Clock
    chance: Callable[[], float]
    note_use: NoteUse
    complain: Callable[..., object]
    public_url: str
    installation: Mapping[str, Client] = {}
    lease: timedelta = LEASE


class ConnectionUseCases(msgspec.Struct, frozen=True):
    commands: ConnectionCommands
    connecting: Connecting
    of_customers: CustomerConnections
    linking: Linking
    authorizations: Authorizations
    refresher: Refresher
    revoker: Revoker

    async def drain(self) -> None:
        """Returns when nothing that was begun with providers is still going on."""
        await self.refresher.drain()
        await self.revoker.drain()


def assemble(desk: Desk, around: Surroundings) -> ConnectionUseCases:
    reader = IntegrationReader(desk.store)
    targets = Targets(desk.store, desk.vault, around.catalogue, reader, around.installation)
    owners = Owners(desk.store, desk.vault, targets)
    obtaining = Obtaining(targets, around.oauth, around.prover)
    linking = Linking(desk, targets, around.clock, around.public_url)
    revoker = Revoker(desk, targets, around.oauth)
    return ConnectionUseCases(
        ConnectionCommands(desk, owners, targets, revoker, around.clock, around.note_use),
        Connecting(desk, owners, targets, obtaining, linking, around.clock),
        CustomerConnections(desk, owners, targets, revoker, around.clock),
        linking,
        Authorizations(
            desk, owners, targets, obtaining, around.oauth, around.clock, around.note_use, around.public_url
        ),
        Refresher(
            desk,
            targets,
            around.oauth,
            around.clock,
            around.chance,
            around.note_use,
            around.complain,
            lease=around.lease,
        ),
        revoker,
    )
