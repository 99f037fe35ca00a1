"""Receivers that fail: messages are tried again and given up in the end, sent again by hand, and endpoints are disabled."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.postgres.pool import Pool
from app import Causeway
from domain.deciding import Caller
from domain.deliveries.schedule import JITTER, RETRY_AFTER
from domain.ids import new_id
from domain.projects.project import ProjectSettings
from tests.api.staging import import_token
from tests.api_client import MANAGEMENT, Api
from tests.deliveries.conftest import Post
from tests.webhook_receiver import Receiver, receiving

LONGEST = 1 + JITTER
SHORTEST = 1 - JITTER


async def entry(post: Post) -> Any:
    """The one entry of the log."""
    (found,) = await post.log()
    return found


async def test_a_message_is_tried_eight_times_at_its_times_and_then_given_up(
    post: Post, api: Api, receiver: Receiver
) -> None:
    receiver.status = 500
    await api.connect("ada")
    await post.deliver()
    for number, pause in enumerate(RETRY_AFTER, start=1):
        await post.later(seconds=pause.total_seconds() * SHORTEST * 0.99)
        assert len(receiver.received) == number
        assert (await entry(post))["status"] == "pending"
        await post.later(seconds=pause.total_seconds() * (LONGEST - SHORTEST * 0.99))
        assert len(receiver.received) == number + 1
    await post.later(days=2)
    assert len(receiver.received) == 8
    logged = await entry(post)
    assert (logged["status"], logged["next_attempt_at"], len(logged["attempts"])) == ("failed", None, 8)
    assert {attempt["note"] for attempt in logged["attempts"]} == {"The receiver answered HTTP 500."}
    assert {one.id for one in receiver.received} == {logged["id"]}
    stamps = [one.headers["webhook-timestamp"] for one in receiver.received]
    assert stamps == sorted(set(stamps), key=int)


async def test_a_message_that_arrives_at_a_later_attempt_is_delivered(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.status = 503
    await api.connect("ada")
    await post.deliver()
    assert (await entry(post))["next_attempt_at"] is not None
    receiver.status = 204
    await post.later(seconds=6)
    logged = await entry(post)
    assert (logged["status"], logged["next_attempt_at"]) == ("delivered", None)
    assert [attempt["status_code"] for attempt in logged["attempts"]] == [503, 204]
    assert [attempt["note"] for attempt in logged["attempts"]] == ["The receiver answered HTTP 503.", ""]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_failures_and_nobody_goes_there(
    post: Post, api: Api, receiver: Receiver, status: int
) -> None:
    async with receiving() as elsewhere:
        receiver.status, receiver.headers = status, {"Location": elsewhere.url}
        await api.connect("ada")
        await post.deliver()
        assert elsewhere.received == []
    (attempt,) = (await entry(post))["attempts"]
    assert attempt["note"] == f"Redirects are not followed (HTTP {status})."


async def test_a_receiver_that_does_not_answer_in_time_has_failed(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.hold = True
    await api.connect("ada")
    await post.deliver()
    (attempt,) = (await entry(post))["attempts"]
    assert attempt["status_code"] is None
    assert attempt["note"] == '"127.0.0.1" did not answer within 0.5 s.'
    receiver.hold = False
    await post.later(seconds=6)
    assert (await entry(post))["status"] == "delivered"


async def test_a_receiver_that_is_not_there_has_failed(post: Post, api: Api, receiver: Receiver) -> None:
    await post.send_to("http://127.0.0.1:9/hooks")
    await api.connect("ada")
    await post.deliver()
    (attempt,) = (await entry(post))["attempts"]
    assert attempt["note"] == 'No connection to "127.0.0.1".'
    await post.send_to(receiver.url)
    await post.later(seconds=6)
    assert (await entry(post))["status"] == "delivered"


async def test_retry_after_is_waited_for(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "3600"}
    await api.connect("ada")
    await post.deliver()
    await post.later(minutes=59)
    assert len(receiver.received) == 1
    await post.later(minutes=2)
    assert len(receiver.received) == 2


async def test_an_attempt_counts_whatever_the_receiver_asks_for(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": "Fri, 01 Jan 99999999999 00:00:00 GMT"}
    await api.connect("ada")
    await post.deliver()
    (attempt,) = (await entry(post))["attempts"]
    assert attempt["status_code"] == 503
    receiver.status, receiver.headers = 200, {}
    await post.later(seconds=6)
    assert (await entry(post))["status"] == "delivered"


async def test_a_receiver_that_says_it_is_gone_is_sent_nothing_more(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.status = 410
    await api.connect("ada")
    await post.deliver()
    project = await post.project()
    assert project["webhook_status"] == "disabled"
    assert project["webhook_disabled_at"] is not None
    assert project["webhook_message"] == "The receiver said that it is gone (HTTP 410)."
    await import_token(api, "grace")
    await post.later(days=1)
    assert len(receiver.received) == 1
    assert [one["status"] for one in await post.log()] == ["failed", "failed"]
    assert (await post.log())[0]["attempts"][0]["note"] == "The webhook is disabled."


async def fail_for_days(post: Post, receiver: Receiver, days: int) -> None:
    """A message a day, and nothing arrives."""
    receiver.status = 500
    for day in range(days):
        await import_token(post.api, f"user{day}")
        await post.later(days=1)


async def test_after_five_days_of_nothing_but_failures_the_webhook_is_disabled_and_says_so(
    post: Post, receiver: Receiver
) -> None:
    await fail_for_days(post, receiver, 5)
    assert (await post.project())["webhook_status"] == "active"
    await fail_for_days(post, receiver, 2)
    project = await post.project()
    assert project["webhook_status"] == "disabled"
    assert project["webhook_message"] == "Nothing has arrived for 5 days. Last: The receiver answered HTTP 500."
    tried = len(receiver.received)
    await fail_for_days(post, receiver, 1)
    assert len(receiver.received) == tried
    assert await post.log("pending") == []
    topics = "select count(*) from events where topic = 'webhook.disabled' and tenant_id = $1"
    assert await post.wired.pool.fetchval(topics, post.api.plan.project_id) == 1


async def test_one_delivery_in_five_days_keeps_the_webhook_enabled(post: Post, receiver: Receiver) -> None:
    await fail_for_days(post, receiver, 4)
    receiver.status = 200
    await import_token(post.api, "ada")
    await post.deliver()
    await fail_for_days(post, receiver, 4)
    assert (await post.project())["webhook_status"] == "active"


async def disabled(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.status = 410
    await api.connect("ada")
    await post.deliver()
    await import_token(api, "grace")
    await post.deliver()
    receiver.status = 200
    receiver.received.clear()


async def test_a_new_address_enables_the_webhook(post: Post, api: Api, receiver: Receiver) -> None:
    await disabled(post, api, receiver)
    again = await post.manage("PUT", "", {"name": "Same address", "webhook_url": receiver.url})
    assert again.json["webhook_status"] == "disabled"
    moved = await post.manage("PUT", "", {"name": "Receiving", "webhook_url": f"{receiver.url}&moved=1"})
    assert (moved.json["webhook_status"], moved.json["webhook_message"]) == ("active", None)
    assert (await post.project()) == moved.json
    await import_token(api, "linus")
    await post.deliver()
    assert [one.json["data"]["user_id"] for one in receiver.received] == ["linus"]


async def test_recovering_enables_the_webhook_and_sends_all_that_failed_since(
    post: Post, api: Api, receiver: Receiver
) -> None:
    before = post.clock()
    await disabled(post, api, receiver)
    failed = {one["id"] for one in await post.log("failed")}
    answer = await post.manage("POST", "/Deliveries/Recover", {"since": before.isoformat()})
    assert (answer.status, answer.json) == (200, {"recovered": 2})
    assert (await post.project())["webhook_status"] == "active"
    await post.deliver()
    assert {one.id for one in receiver.received} == failed
    assert len(await post.log("delivered")) == 2
    assert (await post.manage("POST", "/Deliveries/Recover", {"since": before.isoformat()})).json == {"recovered": 0}


async def test_recovering_leaves_alone_what_failed_before(post: Post, api: Api, receiver: Receiver) -> None:
    await disabled(post, api, receiver)
    since = post.clock().isoformat()
    answer = await post.manage("POST", "/Deliveries/Recover", {"since": since}, headers={"Idempotency-Key": "once"})
    assert answer.json == {"recovered": 0}
    repeated = await post.manage("POST", "/Deliveries/Recover", {"since": since}, headers={"Idempotency-Key": "once"})
    assert repeated.json == answer.json


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_outside_of_all_years_is_refused(post: Post, since: str) -> None:
    answer = await post.manage("POST", "/Deliveries/Recover", {"since": since})
    assert (answer.status, "no calendar" in answer.text) == (400, True)


async def test_one_message_is_sent_again_under_its_own_id(post: Post, api: Api, receiver: Receiver) -> None:
    await api.connect("ada")
    await post.deliver()
    logged = await entry(post)
    answer = await post.manage("POST", f"/Delivery/{logged['id']}/Resend")
    assert (answer.status, answer.text) == (200, "")
    assert (await entry(post))["status"] == "pending"
    await post.deliver()
    first, second = receiver.received
    assert first.id == second.id == logged["id"]
    assert first.body == second.body
    assert len((await entry(post))["attempts"]) == 2


async def test_a_repeated_request_sends_again_once(post: Post, api: Api, receiver: Receiver) -> None:
    await api.connect("ada")
    await post.deliver()
    path = f"/Delivery/{(await entry(post))['id']}/Resend"
    for _ in range(3):
        assert (await post.manage("POST", path, headers={"Idempotency-Key": "again"})).status == 200
        await post.deliver()
    assert len(receiver.received) == 2


async def test_a_message_of_nobody_cannot_be_sent_again(post: Post, api: Api) -> None:
    for unknown in (str(new_id()), "nonsense"):
        answer = await post.manage("POST", f"/Delivery/{unknown}/Resend")
        assert answer.status == 404
        assert answer.text == "No delivery with that id in this project; they are kept for 30 days."


async def test_a_message_of_another_project_cannot_be_seen_or_sent(post: Post, api: Api, receiver: Receiver) -> None:
    await api.connect("ada")
    await post.deliver()
    mine = (await entry(post))["id"]
    made = (await api.manage("POST", f"{MANAGEMENT}/Project", {"name": "Second", "webhook_url": receiver.url})).json
    base = f"{MANAGEMENT}/Project/{made['id']}"
    assert (await api.manage("GET", f"{base}/Deliveries")).json == []
    assert (await api.manage("POST", f"{base}/Delivery/{mine}/Resend")).status == 404
    since = {"since": "2020-01-01T00:00:00Z"}
    assert (await api.manage("POST", f"{base}/Deliveries/Recover", since)).json == {"recovered": 0}
    await post.deliver()
    assert len(receiver.received) == 1


async def test_the_log_has_pages_and_can_be_narrowed_to_a_status(post: Post, api: Api, receiver: Receiver) -> None:
    for user in ("ada", "grace", "linus"):
        await import_token(api, user)
        await post.deliver()
    receiver.status = 500
    await import_token(api, "barbara")
    await post.deliver()
    page = await post.manage("GET", "/Deliveries?pageNumber=2&pageSize=3")
    assert msgspec.json.decode(page.headers["X-Pagination"])["total_Count"] == 4
    assert len(page.json) == 1
    assert len(await post.log("delivered")) == 3
    (waiting,) = await post.log("pending")
    assert waiting == (await post.log())[0]  # the newest first
    assert set(waiting) == {"id", "type", "connection_id", "status", "created_at", "next_attempt_at", "attempts"}
    assert (await post.manage("GET", "/Deliveries?status=lost")).status == 400


async def test_a_project_without_an_address_keeps_no_messages(
    post: Post, api: Api, receiver: Receiver, wired: Causeway, pool: Pool
) -> None:
    await api.connect("ada")
    silent = ProjectSettings(name="Silent", webhook_url="")
    await wired.services.projects.change(api.plan.project_id, Caller("test:deliveries"), silent)
    await post.deliver()
    assert await pool.fetchval("select count(*) from outbox") == 0
    assert await post.log() == []
    for path, body in (
        (f"/Delivery/{new_id()}/Resend", None),
        ("/Deliveries/Recover", {"since": "2020-01-01T00:00:00Z"}),
    ):
        answer = await post.manage("POST", path, body)
        assert (answer.status, answer.text) == (404, "The project has no webhook address.")


async def test_a_receiver_that_hangs_does_not_slow_the_others(post: Post, api: Api, receiver: Receiver) -> None:
    receiver.hold = True
    async with receiving() as lively:
        made = (await api.manage("POST", f"{MANAGEMENT}/Project", {"name": "Lively", "webhook_url": lively.url})).json
        base = f"{MANAGEMENT}/Project/{made['id']}"
        await api.manage("POST", f"{base}/Integration", {"app_key": "github"})
        for number in range(100):
            await import_token(api, f"user{number}")
        running = asyncio.create_task(post.loop.run())
        try:
            await receiver.gets(32)  # what one project may have under way
            for number in range(20):
                own = {"app_key": "github", "name": f"own{number}", "connection_fields": {"accessToken": "x"}}
                await api.manage("POST", f"{base}/Connections", own)
            post.loop.wakeups.set()
            await lively.gets(20)
        finally:
            running.cancel()
            await asyncio.wait([running])
    assert len(await post.log("delivered")) == 0
