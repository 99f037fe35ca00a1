"""What a developer's server receives: signed messages about connections, each as it was when it happened."""

from __future__ import annotations

import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from adapters.connectors.outbound import OutboundClient
from adapters.workers.deliveries import LEASE
from app import Causeway
from tests.api.staging import SetClock, connect_fields, import_token
from tests.api_client import MANAGEMENT, Api
from tests.deliveries.conftest import Post
from tests.own_logs import logs_of_its_own
from tests.webhook_receiver import Receiver, receiving


async def test_a_connection_is_announced_with_a_signature_that_everybody_can_verify(
    post: Post, api: Api, receiver: Receiver
) -> None:
    secret = await post.new_secret()
    await api.connect("ada")
    await post.deliver()
    (received,) = receiver.received
    said = received.verified(secret)
    assert set(said) == {"type", "timestamp", "data"}
    assert said["type"] == "connection.created"
    assert received.headers["content-type"] == "application/json"
    data = said["data"]
    assert data["event_id"] == received.id
    assert (data["app_key"], data["user_id"], data["status"]) == ("github", "ada", "active")
    assert (data["version"], data["error_message"], data["name"]) == (1, None, "")
    assert data["position"] > 0


async def test_everything_that_happens_to_a_connection_is_told_in_its_own_message(
    post: Post, api: Api, receiver: Receiver
) -> None:
    await api.connect("ada")
    await api.monkedo("POST", "/users/connections/import", {**IMPORT, "userId": "ada", "accessToken": "another"})
    await api.monkedo("DELETE", "/users/ada/connections/github")
    await post.deliver()
    by_version = sorted((one.json["data"] for one in receiver.received), key=lambda data: data["version"])
    assert sorted(receiver.types) == ["connection.created", "connection.deleted", "connection.updated"]
    assert [data["version"] for data in by_version] == [1, 2, 3]
    assert [data["status"] for data in by_version] == ["active", "active", "deleted"]
    assert {data["user_id"] for data in by_version} == {"ada"}
    assert len({data["connection_id"] for data in by_version}) == 1
    assert len({one.id for one in receiver.received}) == 3


IMPORT = {"appKey": "github", "scopes": [], "accessToken": "token"}


async def test_the_developers_own_connection_has_a_name_and_no_user(post: Post, receiver: Receiver) -> None:
    own = {"app_key": "github", "name": "mine", "connection_fields": {"accessToken": "x"}}
    await post.manage("POST", "/Connections", own)
    await post.deliver()
    data = receiver.received[0].json["data"]
    assert (data["name"], data["user_id"]) == ("mine", None)


async def test_for_a_day_after_its_rotation_the_old_secret_signs_too(post: Post, api: Api, receiver: Receiver) -> None:
    old, new = await post.new_secret(), await post.new_secret()
    await api.connect("ada")
    await post.deliver()
    first = receiver.received[0]
    assert first.verified(old) == first.verified(new)
    await import_token(api, "grace")
    await post.later(hours=25)
    second = receiver.received[1]
    assert (first.signatures, second.signatures) == (3, 1)  # the project's first secret was replaced today, too
    with pytest.raises(WebhookVerificationError, match="too new"):
        second.verified(new)  # the clock of this test is ahead, and a receiver minds


async def test_the_secret_is_answered_when_a_project_is_made_and_when_the_same_request_is_repeated(
    post: Post, api: Api, receiver: Receiver
) -> None:
    body, once = {"name": "Second", "webhook_url": receiver.url}, {"Idempotency-Key": "make-it"}
    made = (await api.manage("POST", f"{MANAGEMENT}/Project", body, headers=once)).json
    again = (await api.manage("POST", f"{MANAGEMENT}/Project", body, headers=once)).json
    assert again == made
    theirs = Api(api.client, msgspec.structs.replace(api.plan, project_id=made["id"]))
    assert (await theirs.manage("POST", f"{theirs.managed_project}/Integration", {"app_key": "github"})).status == 201
    own = {"app_key": "github", "name": "mine", "connection_fields": {"accessToken": "x"}}
    await theirs.manage("POST", f"{theirs.managed_project}/Connections", own)
    await post.deliver()
    assert receiver.received[0].verified(made["webhook_secret"])["data"]["name"] == "mine"
    assert made["webhook_secret"] not in (await theirs.manage("GET", theirs.managed_project)).text


async def test_a_repeated_rotation_answers_the_same_secret(post: Post) -> None:
    once = {"Idempotency-Key": "rotate"}
    first, second = [await post.manage("POST", "/WebhookSecret", headers=once) for _ in range(2)]
    assert first.json == second.json
    assert (await post.new_secret()) != first.json["webhook_secret"]


async def test_projects_send_to_their_own_addresses_with_their_own_secrets(
    post: Post, api: Api, receiver: Receiver
) -> None:
    secret = await post.new_secret()
    async with receiving() as other:
        body = {"name": "Second", "webhook_url": other.url}
        made = (await api.manage("POST", f"{MANAGEMENT}/Project", body)).json
        base = f"{MANAGEMENT}/Project/{made['id']}"
        await api.manage("POST", f"{base}/Integration", {"app_key": "github"})
        own = {"app_key": "github", "name": "theirs", "connection_fields": {"accessToken": "x"}}
        await api.manage("POST", f"{base}/Connections", own)
        await api.connect("ada")
        await post.deliver()
        assert receiver.received[0].verified(secret)["data"]["user_id"] == "ada"
        assert other.received[0].verified(made["webhook_secret"])["data"]["name"] == "theirs"
        assert (len(receiver.received), len(other.received)) == (1, 1)
        with pytest.raises(WebhookVerificationError):
            other.received[0].verified(secret)


async def test_a_worker_that_dies_with_a_message_in_its_hands_loses_nothing(
    post: Post, api: Api, receiver: Receiver
) -> None:
    await api.connect("ada")
    (lost,) = await post.queue.claim(post.clock(), {api.plan.project_id: 10}, LEASE)
    await post.deliver()
    assert receiver.received == []
    await post.later(seconds=LEASE.total_seconds() + 1)
    (received,) = receiver.received
    assert received.id == str(lost.message_id)
    await post.later(days=1)
    assert len(receiver.received) == 1


async def test_a_worker_that_dies_after_posting_posts_again_under_the_same_id(
    post: Post, api: Api, receiver: Receiver
) -> None:
    await api.connect("ada")
    await post.deliver()
    delivered = "update deliveries set status = 'pending' returning message_id, stream_id, kind"
    row = await post.wired.pool.fetchrow(delivered)  # as if the answer had never been written down
    await post.wired.pool.execute(
        "insert into outbox (tenant_id, message_id, stream_id, version, kind, held, fence) values ($1, $2, $3, 1, $4, true, 1)",
        api.plan.project_id,
        *row,
    )
    await post.later(seconds=LEASE.total_seconds() + 1)
    assert [one.id for one in receiver.received] == [str(row["message_id"])] * 2
    assert receiver.received[0].body == receiver.received[1].body


async def test_who_was_erased_is_named_no_more(post: Post, api: Api, receiver: Receiver) -> None:
    await api.connect("ada")
    (claim,) = await post.queue.claim(post.clock(), {api.plan.project_id: 10}, LEASE)
    await post.manage("DELETE", "/EndUser/ada")
    composed = await post.composer.compose(claim)
    assert composed is not None
    assert composed.letter.data.user_id is None
    await post.later(days=1)
    assert receiver.received == []
    assert await post.log() == []


async def test_a_deleted_project_sends_nothing_any_more(post: Post, api: Api, receiver: Receiver) -> None:
    await api.connect("ada")
    assert (await post.manage("DELETE", "")).status == 200
    await post.later(days=1)
    assert receiver.received == []
    assert await post.wired.pool.fetchval("select count(*) from outbox") == 0


async def test_what_the_receiver_answers_besides_its_status_changes_nothing(
    post: Post, api: Api, receiver: Receiver
) -> None:
    receiver.body, receiver.headers = b"x" * 5_000_000, {"Content-Type": "text/html"}
    await api.connect("ada")
    await post.deliver()
    (entry,) = await post.log()
    assert (entry["status"], entry["attempts"][0]["status_code"]) == ("delivered", 200)


async def test_an_address_in_a_private_network_is_not_called(wired: Causeway, api: Api, receiver: Receiver) -> None:
    async with OutboundClient() as strict:
        post = Post(wired, api, SetClock(), strict, 0.5)
        for address in (receiver.url, receiver.url.replace("http:", "https:"), "https://169.254.169.254/hooks"):
            await post.send_to(address)
            await import_token(api, address[-30:].replace("/", "-"))
            await post.later(minutes=10)
    assert receiver.received == []
    notes = {attempt["note"] for entry in await post.log() for attempt in entry["attempts"]}
    assert notes == {"Only https addresses are called.", *{f'The address "{host}" is not public.' for host in PRIVATE}}


PRIVATE = ("127.0.0.1", "169.254.169.254")


async def test_neither_secrets_nor_addresses_nor_people_stand_in_the_logs(
    wired: Causeway, api: Api, receiver: Receiver
) -> None:
    with logs_of_its_own("json") as written:
        async with OutboundClient(allow_private_networks=True) as outbound:
            post = Post(wired, api, SetClock(), outbound, 0.5)
            await post.send_to(receiver.url)
            secret = await post.new_secret()
            for status in (500, 410):
                receiver.status = status
                await connect_fields(api, f"ada-{status}", "github", {"accessToken": "planted-token"})
                await post.deliver()
    logs = written.getvalue()
    assert logs.count(b"delivery_failed") == 2 and b"webhook_disabled" in logs
    for unsaid in (secret, secret.removeprefix("whsec_"), "sent-in-the-address", "planted-token", "ada-"):
        assert unsaid.encode() not in logs
    tables = await wired.pool.fetch("select tries::text from deliveries")
    assert len(tables) == 2 and not any("sent-in-the-address" in row[0] for row in tables)


async def test_the_workers_deliver_by_themselves_right_after_the_append(
    wired: Causeway, api: Api, receiver: Receiver
) -> None:
    body = {"name": "Receiving", "webhook_url": receiver.url}
    assert (await api.manage("PUT", api.managed_project, body)).status == 200
    workers = wired.workers()
    workers.start()
    try:
        for number in range(30):
            await api.connect(f"user{number}")
        await receiver.gets(30)
    finally:
        await workers.stop()
    assert {one.json["data"]["user_id"] for one in receiver.received} == {f"user{number}" for number in range(30)}
    assert len({one.id for one in receiver.received}) == 30
