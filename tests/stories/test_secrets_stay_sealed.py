"""Every secret that comes in is planted, refused and faulted over; then everything that comes out is searched."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec
import pytest

from adapters.http.dialects import APIS
from app import Causeway
from tests.api.raw_http import request_bytes, send_raw
from tests.api.staging import staged
from tests.api_client import Answer, Api
from tests.conftest import Ground
from tests.own_logs import logs_of_its_own
from tests.stories.planted import database, disguises, found_in

PERSON = "planted.person+1@example.com"
ONCE = {"Idempotency-Key": "sealed-story"}
OF_PEOPLE = {"read_end_users_1", "read_profiles_1", "read_connections_1", "read_grants_1", "read_instances_1"}
"""Read models that show people to whoever may see them, until they are erased."""


def planted(name: str) -> str:
    return f"planted-{name}-{uuid4().hex}"


class Story(msgspec.Struct):
    """``secrets`` by name; ``errors`` are the bodies of all refusals and faults."""

    api: Api
    wired: Causeway
    secrets: dict[str, str] = {}
    errors: list[str] = []

    def secret(self, name: str) -> str:
        return self.secrets.setdefault(name, planted(name))

    async def send(self, answer: Answer, *expected: int) -> Answer:
        assert answer.status in expected, (answer.status, answer.text)
        if answer.status >= 400:
            self.errors.append(answer.text)
        return answer

    async def monkedo(self, expected: int, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send(await self.api.monkedo(method, path, body, **more), expected)

    async def manage(self, expected: int, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send(await self.api.manage(method, path, body, **more), expected)


@pytest.fixture(params=["json", "console"])
def logged(request: pytest.FixtureRequest) -> Iterator[io.BytesIO]:
    with logs_of_its_own(request.param) as written:
        yield written


@pytest.fixture
async def story(logged: io.BytesIO, ground: Ground, wired: Causeway) -> AsyncIterator[Story]:
    async with staged(wired, ground.plan) as api:
        plan = ground.plan
        known = {"password": plan.password, "api key": plan.api_key, "project token": plan.project_token}
        yield Story(api, wired, {**known, "master key": ground.master_key.partition(":")[2]})


async def log_in(story: Story) -> None:
    plan, login = story.api.plan, "/sso/v2/Auth/Login"
    body = {"email_address": plan.email_address, "password": plan.password}
    session = (await story.send(await story.api.call("POST", login, body), 200)).json["access_token"]
    wrong = {**body, "password": story.secret("wrong password")}
    await story.send(await story.api.call("POST", login, wrong), 401)
    await story.send(await story.api.call("POST", login, {**wrong, "email_address": 5}), 400)
    company = await story.api.call("GET", f"/sso/v2/User/ChangeCompany/{plan.company_id}", token=session)
    story.secrets |= {"session": session, "company session": company.json["access_token"]}
    await story.manage(401, "GET", "/subscriptions/v2/Projects", token=session)
    await story.manage(401, "GET", "/subscriptions/v2/Projects", token=story.secret("unknown token"))


async def set_up(story: Story) -> None:
    base = story.api.managed_project
    made = (await story.manage(201, "POST", f"{base}/Token", {"name": "ci"}, headers=ONCE)).json
    story.secrets["created token"] = made["token"]
    await story.manage(400, "POST", f"{base}/Token", {"name": "other"}, headers=ONCE)
    rotated = (
        await story.manage(200, "POST", f"{base}/WebhookSecret", headers=ONCE | {"Idempotency-Key": "rotate"})
    ).json
    story.secrets["webhook secret"] = rotated["webhook_secret"]
    story.secrets["webhook key"] = rotated["webhook_secret"].removeprefix("whsec_")
    integration = {"app_key": "jira", "client_id": "client", "client_secret": story.secret("client secret")}
    await story.manage(201, "POST", f"{base}/Integration", integration)
    await story.manage(400, "POST", f"{base}/Integration", integration)
    await story.manage(404, "POST", f"{base}/Integration", {**integration, "app_key": "nonsense"})
    await story.manage(400, "POST", f"{base}/Integration", {**integration, "scopes": story.secret("client secret")})
    hooks = f"https://user:{story.secret('password in an address')}@shop.example"
    await story.manage(400, "PUT", base, {"name": "findable-name", "webhook_url": hooks})
    await story.manage(200, "PUT", base, {"name": "findable-name", "webhook_url": "https://shop.example"})
    own = {"app_key": "github", "name": "own", "connection_fields": {"accessToken": story.secret("own field")}}
    await story.manage(201, "POST", f"{base}/Connections", own, headers=ONCE | {"Idempotency-Key": "own"})
    await story.manage(400, "POST", f"{base}/Connections", own)
    await story.manage(502, "POST", f"{base}/Connections", {**own, "name": "verified", "verify": True})


def token_set(story: Story, user: str, app: str = "github") -> dict[str, Any]:
    return {
        "userId": user,
        "appKey": app,
        "scopes": ["findable-scope"],
        "accessToken": story.secret("access token"),
        "refreshToken": story.secret("refresh token"),
        "oauth1Token": story.secret("oauth1 token"),
        "accessTokenSecret": story.secret("oauth1 secret"),
    }


async def connect(story: Story) -> None:
    body, older, newer = token_set(story, PERSON), "/users/connections/import", f"/users/{PERSON}/connections/import"
    await story.monkedo(200, "POST", older, body, headers=ONCE)
    await story.monkedo(409, "POST", newer, body)
    await story.monkedo(404, "POST", newer, token_set(story, PERSON, "notion"))
    await story.monkedo(400, "POST", newer, {**body, "expiresAt": -1})
    await story.monkedo(400, "POST", newer, {**body, "scopes": body["accessToken"]})
    await story.monkedo(400, "POST", newer, raw=msgspec.json.encode(body)[:-1])
    await story.monkedo(400, "POST", newer, raw=msgspec.json.encode(body)[:-1] + b',"more":"\\u0000"}')
    jira = {"site": "acme", "email": story.secret("field") + "@example.com", "apiToken": story.secret("key field")}
    path = f"{story.api.project}/users/{PERSON}/connections/jira"
    await story.monkedo(200, "POST", path, {"connectionFields": jira}, headers=ONCE | {"Idempotency-Key": "jira"})
    await story.monkedo(409, "POST", path, {"connectionFields": jira})
    await story.monkedo(400, "POST", path, {"connectionFields": {**jira, "site": story.secret("key field") + "/"}})
    await story.monkedo(400, "POST", path, {"connectionFields": jira, "verify": story.secret("key field")})
    await story.monkedo(502, "POST", path, {"connectionFields": jira, "verify": True})
    await story.monkedo(404, "GET", f"/users/{PERSON}.unknown/connections/github")
    await story.monkedo(401, "GET", f"/users/{PERSON}/connections/github", token=story.secret("unknown token"))


async def keep_for_a_runtime(story: Story) -> None:
    """The same person as a customer, with names that tell of them, and a runtime that fetches."""

    def once(key: str) -> dict[str, str]:
        return {"Idempotency-Key": f"kept-{key}"}

    async def call(expected: int, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        token = more.pop("token", story.api.plan.project_token)
        return await story.send(await story.api.call(method, path, body, token=token, **more), expected)

    found = (await call(200, "GET", f"/v1/customers?search={quote(PERSON)}")).json["customers"]
    customer = f"/v1/customers/{found[0]['id']}"
    await call(409, "POST", "/v1/customers", {"email": PERSON})
    await call(422, "POST", "/v1/customers", {"email": [PERSON]})
    other = {"external_id": f"{PERSON}.2", "email": f"2.{PERSON}", "company_name": f"{PERSON} & Co"}
    second = (await call(201, "POST", "/v1/customers", other, headers=once("customer"))).json
    tokens = {name: story.secret(f"kept {name}") for name in ("access_token", "refresh_token", "client_secret")}
    kept = {"provider": "gmail", "name": PERSON, "credentials": tokens, "metadata_json": {"note": story.secret("note")}}
    connection = (await call(201, "POST", f"{customer}/connections", kept, headers=once("connection"))).json
    await call(409, "POST", f"{customer}/connections", kept)
    await call(422, "POST", f"{customer}/connections", {**kept, "auth_type": story.secret("wrong auth type")})
    await call(422, "POST", f"{customer}/connections", {**kept, "credentials": {"expires_at": story.secret("note")}})
    instance = (
        await call(
            201, "POST", "/v1/instances", {"name": PERSON, "customer_id": found[0]["id"]}, headers=once("instance")
        )
    ).json
    grant = {"instance_id": instance["id"], "capabilities": ["send_mail"]}
    await call(201, "POST", f"{customer}/connections/{connection['id']}/grants", grant)
    rotated = await call(200, "POST", f"/v1/instances/{instance['id']}/rotate-key", headers=once("rotation"))
    story.secrets |= {"first proxy key": instance["proxy_key"], "proxy key": rotated.json["proxy_key"]}
    fetch = f"/internal/v1/instances/{instance['id']}/connections?provider=gmail"
    fetched = await call(200, "GET", f"{fetch}&name={quote(PERSON)}", token=story.secrets["proxy key"])
    assert found_in(fetched.text.encode(), story.secrets) == ["kept access_token"]
    await call(401, "GET", fetch, token=story.secrets["first proxy key"])
    await call(403, "GET", f"{fetch}&capability=other", token=story.secrets["proxy key"])
    await call(204, "DELETE", f"/v1/customers/{second['id']}")


async def break_things(story: Story) -> None:
    """Tables go missing, so that queries and appends fail with all these values in their hands."""
    body = token_set(story, PERSON + ".late")
    for table in ("credentials", "uniques", "read_end_users_1", "read_project_tokens_1"):
        await story.wired.pool.execute(f"alter table {table} rename to hidden")
        try:
            await story.monkedo(500, "POST", "/users/connections/import", body)
        finally:
            await story.wired.pool.execute(f"alter table hidden rename to {table}")
    wrong = request_bytes("GET", "/", story.secret("token in a broken header") + "\0")
    assert (await send_raw(story.api.client, wrong)).status == 400


async def test_no_secret_is_ever_told(story: Story, logged: io.BytesIO, capfd: pytest.CaptureFixture[str]) -> None:
    marker = {"X-Request-Id": "findable-request"}
    await story.api.call("GET", "/healthz", headers=marker)
    for step in (log_in, set_up, connect, keep_for_a_runtime, break_things):
        await step(story)
    await story.wired.marks.flush()

    logs = logged.getvalue() + "".join(capfd.readouterr()).encode()
    assert b"findable-request" in logs and logs.count(b"fault") >= 4 and b"protocol_error" in logs
    personal = {**story.secrets, "the person": PERSON}
    assert found_in(logs, personal) == []

    tables = await database(story.wired.pool)
    assert b"findable-name" in tables["events"] and b"findable-scope" in tables["read_connections_1"]
    for name, text in tables.items():
        kept = story.secrets if name in OF_PEOPLE else personal
        assert (name, found_in(text, kept)) == (name, [])

    assert len(story.errors) >= 20
    assert found_in("\n".join(story.errors).encode(), personal) == []
    pages = ["/metrics", "/readyz", *(f"/openapi/{dialect.name}.json" for dialect in APIS)]
    for page in pages:
        assert (page, found_in((await story.api.call("GET", page)).text.encode(), personal)) == (page, [])


async def test_answers_to_everybody_who_may_ask_tell_no_secret(story: Story) -> None:
    for step in (log_in, set_up, connect):
        await step(story)
    base = story.api.managed_project
    answers = [
        *[
            await story.manage(200, "GET", f"{base}{page}")
            for page in ("", "/Tokens", "/Integrations", "/Connections", "/Deliveries")
        ],
        await story.manage(200, "GET", f"{base}/EndUsers"),
        await story.manage(200, "GET", "/subscriptions/v2/Apps"),
        *[await story.monkedo(200, "GET", f"/users/{PERSON}/connections/{app}") for app in ("github", "jira")],
        await story.monkedo(200, "GET", f"/users/{PERSON}/connections/status?appKeys=github,jira"),
    ]
    for answer in answers:
        assert found_in((answer.text + str(answer.headers)).encode(), story.secrets) == []


async def test_what_was_erased_is_nowhere(story: Story) -> None:
    for step in (log_in, set_up, connect, keep_for_a_runtime):
        await step(story)
    assert found_in((await database(story.wired.pool))["read_end_users_1"], {"the person": PERSON}) == ["the person"]
    await story.manage(200, "DELETE", f"{story.api.managed_project}/EndUser/{PERSON}")
    for name, text in (await database(story.wired.pool)).items():
        assert (name, found_in(text, {**story.secrets, "the person": PERSON})) == (name, [])


def test_the_search_sees_through_disguises() -> None:
    secret = planted("sample")
    for text in disguises(secret):
        assert len(text) >= 12
        assert found_in(b"before" + text + b"after", {"sample": secret}) == ["sample"]
    assert found_in(b"planted-other", {"sample": secret}) == []
