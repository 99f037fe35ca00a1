"""An account is linked, used, refreshed, withdrawn and deleted: status, timeline and webhooks all tell the same story."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from adapters.cli.progress import Out
from adapters.cli.timeline import print_timeline
from adapters.connectors.outbound import OutboundClient
from adapters.vault.vault import PostgresVault
from app import Causeway
from domain.connections.refreshing import ConnectionUnusable
from scripts.providers.quick import QuickProvider
from tests.api.conftest import clock  # noqa: F401 - a fixture
from tests.api.connect.conftest import api, link, person, provider  # noqa: F401 - fixtures
from tests.api.connect.person import Person
from tests.api.staging import SetClock, details
from tests.api_client import Api
from tests.deliveries.conftest import Post, receiver  # noqa: F401 - a fixture
from tests.webhook_receiver import Receiver


async def timeline(wired: Causeway, stream_id: UUID) -> list[str]:
    """The topics that the audit prints of the stream."""
    said = io.StringIO()
    until = datetime.now(UTC) + timedelta(days=1)
    vault_on = lambda connection: PostgresVault(connection, wired.keyring)  # noqa: E731
    assert await print_timeline(wired.pool, vault_on, stream_id, until, None, True, Out.to(said))
    return [msgspec.json.decode(line)["topic"] for line in said.getvalue().splitlines()]


async def test_status_timeline_and_webhook_tell_the_same_story(
    api: Api,  # noqa: F811
    wired: Causeway,
    person: Person,  # noqa: F811
    provider: QuickProvider,  # noqa: F811
    receiver: Receiver,  # noqa: F811
    clock: SetClock,  # noqa: F811
) -> None:
    async with OutboundClient(allow_private_networks=True) as outbound:
        post = Post(wired, api, SetClock(), outbound, 5)
        await post.send_to(receiver.url)
        secret = await post.new_secret()

        await person.connect(provider, await link(api))
        assert (await details(api, "ada", "local"))["status"] == "connected"

        project_id = api.plan.project_id
        user_id = await wired.services.end_user_queries.end_user_id(project_id, "ada")
        assert user_id is not None
        row = await wired.services.connection_queries.connection(project_id, user_id, "local")
        assert row is not None
        connection_id = row.connection_id
        refresher = api.services.refresher
        clock.ahead = timedelta(hours=2)
        used = await refresher.usable(project_id, connection_id)
        assert await provider.whose(str(used.secret.access_token)) == "ada"
        assert (await details(api, "ada", "local"))["refreshedAt"] is not None

        await provider.withdraw("ada")
        clock.ahead = timedelta(hours=4)
        with pytest.raises(ConnectionUnusable):
            await refresher.usable(project_id, connection_id)
        found = await details(api, "ada", "local")
        assert (found["status"], "connect again" in found["errorMessage"]) == ("invalid", True)

        assert (await api.monkedo("DELETE", "/users/ada/connections/local")).status == 200
        assert api.settled is not None
        await api.settled()
        await post.deliver()

        assert sorted(receiver.types) == ["connection.created", "connection.deleted", "connection.invalid"]
        told = {one.json["type"]: one.verified(secret)["data"] for one in receiver.received}
        assert {data["connection_id"] for data in told.values()} == {str(connection_id)}
        assert {data["user_id"] for data in told.values()} == {"ada"}
        assert told["connection.invalid"]["error_message"] == found["errorMessage"]
        assert await timeline(wired, connection_id) == [
            "connection.requested",
            "connection.linked",
            "connection.refresh_started",
            "connection.token_refreshed",
            "connection.refresh_started",
            "connection.invalidated",
            "connection.deleted",
            "connection.revocation_attempted",
        ]
