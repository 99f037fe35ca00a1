"""When a link is handed out, to what, and for how long it works."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app import Causeway
from scripts.providers.faults import status
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import SHOP, link
from tests.api.connect.person import Person
from tests.api.staging import PUBLIC_URL, SetClock, register, stored
from tests.api_client import Answer, Api

ELSEWHERE = "https://elsewhere.example"
NOT_ALLOWED: list[dict[str, Any]] = [
    {"origin": ELSEWHERE},
    {"origin": f"{SHOP}/"},
    {"origin": f"{SHOP}:444"},
    {"origin": "http://shop.example"},
    {"origin": "*"},
    {"origin": "null"},
    {"origin": ""},
    {"returnUrl": ELSEWHERE},
    {"returnUrl": ""},
    {"returnUrl": "/done"},
    {"returnUrl": "//elsewhere.example"},
    {"returnUrl": "///elsewhere.example"},
    {"returnUrl": "https:elsewhere.example"},
    {"returnUrl": "javascript:alert(1)//https://shop.example"},
    {"returnUrl": "data:text/html,https://shop.example"},
    {"returnUrl": f"{SHOP}@elsewhere.example"},
    {"returnUrl": f"{SHOP}:443@elsewhere.example/"},
    {"returnUrl": f"{SHOP}.elsewhere.example"},
    {"returnUrl": f"{SHOP}\\@elsewhere.example"},
    {"returnUrl": f"{ELSEWHERE}\\.shop.example"},
    {"returnUrl": f"{SHOP}%2eelsewhere.example"},
    {"returnUrl": f"{SHOP}\n.elsewhere.example"},
    {"returnUrl": f"{SHOP}/\tdone"},
    {"returnUrl": f"{SHOP}/\r\nSet-Cookie: a=b"},
    {"returnUrl": f"{SHOP}:x"},
    {"returnUrl": f"{SHOP}/" + "x" * 2000},
    {"returnUrl": "https://shop。example"},
    {"returnUrl": f"{SHOP}/done", "origin": ELSEWHERE},
    {"origin": SHOP, "returnUrl": ELSEWHERE},
]


async def ask(api: Api, app: str = "local", user: str = "ada", **body: Any) -> Answer:
    return await api.monkedo("POST", f"{api.project}/users/{user}/connections/{app}", body)


@pytest.mark.parametrize("wishes", NOT_ALLOWED, ids=str)
async def test_nobody_is_told_or_sent_back_where_the_project_did_not_allow(
    api: Api, wired: Causeway, wishes: dict[str, Any]
) -> None:
    before = await stored(wired.pool)
    answer = await ask(api, **wishes)
    assert (answer.status, answer.json["code"]) == (400, 1)
    assert await stored(wired.pool) == before


async def test_the_same_origin_in_another_spelling_is_allowed(api: Api) -> None:
    for address in (f"{SHOP}:443/done", "HTTPS://Shop.Example/done", f"{SHOP}?a=b", f"{SHOP}#end"):
        assert (await ask(api, returnUrl=address)).status == 200, address


async def test_an_app_with_a_key_is_connected_at_once_or_by_a_link(api: Api) -> None:
    await register(api, "keyed")
    missing = await ask(api, "keyed")
    assert (missing.status, missing.json["code"]) == (400, 1)
    for wishes in ({"link": True}, {"returnUrl": SHOP}, {"origin": SHOP}):
        assert (await ask(api, "keyed", **wishes)).json.startswith(f"{PUBLIC_URL}/connect/")
    at_once = await ask(api, "keyed", connectionFields={"key": "k"})
    assert (at_once.status, at_once.json) == (200, None)
    assert await api.status("ada", "keyed") == {"keyed": "connected"}


async def test_an_app_that_needs_nobodys_consent_is_connected_at_once_or_by_a_link(
    api: Api, provider: QuickProvider, person: Person
) -> None:
    for user, body in (("ada", {"connectionFields": {}}), ("bob", None)):
        answer = await api.monkedo("POST", f"{api.project}/users/{user}/connections/machine", body)
        assert answer.status == 200
        if answer.json is not None:
            assert (await person.fill_in(answer.json)).words.startswith("Machine is connected")
        assert await api.status(user, "machine") == {"machine": "connected"}


async def test_a_provider_that_gives_no_token_is_told_at_once(api: Api, provider: QuickProvider) -> None:
    provider.faults.plan(status(503))
    answer = await ask(api, "machine", connectionFields={})
    assert (answer.status, "could not answer just now" in answer.text) == (502, True)
    assert await api.status("ada", "machine") == {"machine": "not-connected"}


async def test_an_app_that_is_not_registered_is_600(api: Api) -> None:
    for app in ("keyed", "nonsense"):
        for wishes in ({}, {"link": True}, {"connectionFields": {"key": "k"}}):
            answer = await ask(api, app, **wishes)
            assert (answer.status, answer.json["code"]) == (404, 600)


async def test_a_repeated_request_gets_the_same_link(api: Api, wired: Causeway) -> None:
    path, once = f"{api.project}/users/ada/connections/local", {"Idempotency-Key": "once"}
    first = await api.monkedo("POST", path, {"origin": SHOP}, headers=once)
    before = await stored(wired.pool)
    again = await api.monkedo("POST", path, {"origin": SHOP}, headers=once)
    assert (again.status, again.text) == (200, first.text)
    assert await stored(wired.pool) == before


async def test_a_repeated_request_is_answered_as_before_whatever_has_become_of_the_app(api: Api) -> None:
    await register(api, "keyed")
    once = {"Idempotency-Key": "once"}
    path, fields = f"{api.project}/users/ada/connections/keyed", {"connectionFields": {"key": "k"}}
    first = await api.monkedo("POST", path, fields, headers=once)
    await api.manage("DELETE", f"{api.managed_project}/Integration/keyed")
    await register(api, "keyed", auth_type="oauth2")
    again = await api.monkedo("POST", path, fields, headers=once)
    assert (again.status, again.text) == (first.status, first.text) == (200, "null")


async def test_a_link_works_for_half_an_hour(api: Api, person: Person, clock: SetClock) -> None:
    address = await link(api)
    clock.ahead = timedelta(minutes=29, seconds=50)
    assert (await person.get(address)).status == 200
    clock.ahead = timedelta(minutes=30)
    for answer in (await person.get(address), await person.post(address, {})):
        assert (answer.status, "This link does not work" in answer.words) == (404, True)


async def test_who_left_in_time_may_come_back_after_that_but_not_after_ten_minutes(
    api: Api, person: Person, provider: QuickProvider, clock: SetClock
) -> None:
    one, other = await link(api, "ada"), await link(api, "bob")
    clock.ahead = timedelta(minutes=25)
    backs = [await person.agree_at(provider, address) for address in (one, other)]
    clock.ahead = timedelta(minutes=34)
    assert (await person.get(backs[0])).status == 200
    clock.ahead = timedelta(minutes=35, seconds=1)
    assert (await person.get(backs[1])).status == 403
    assert await api.status("bob", "local") == {"local": "not-connected"}


async def test_a_link_is_used_up_when_it_has_connected(api: Api, person: Person, provider: QuickProvider) -> None:
    for address, app in ((await link(api), "local"), (await link(api, app="machine"), "machine")):
        if app == "local":
            await person.connect(provider, address)
        else:
            await person.fill_in(address)
        for answer in (await person.get(address), await person.post(address, {})):
            assert (answer.status, "This link was used already" in answer.words) == (404, True)


async def test_a_link_dies_with_what_it_belongs_to(api: Api, person: Person, provider: QuickProvider) -> None:
    erased, removed, deleted = await link(api, "ada"), await link(api, "bob", "machine"), await link(api, "eve")
    on_the_way = [await person.agree_at(provider, address) for address in (erased, deleted)]
    await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")
    for answer in (await person.get(erased), await person.post(erased, {}), await person.get(on_the_way[0])):
        assert answer.status in (403, 404), answer.words
    await api.manage("DELETE", f"{api.managed_project}/Integration/machine")
    for answer in (await person.get(removed), await person.post(removed, {})):
        assert (answer.status, "not offered here any more" in answer.words) == (404, True)
    await api.manage("DELETE", api.managed_project)
    for answer in (await person.get(deleted), await person.post(deleted, {}), await person.get(on_the_way[1])):
        assert answer.status in (403, 404), answer.words


async def test_a_removed_app_cannot_be_come_back_to(api: Api, person: Person, provider: QuickProvider) -> None:
    back = await person.agree_at(provider, await link(api))
    await api.manage("DELETE", f"{api.managed_project}/Integration/local")
    assert (await person.get(back)).status in (403, 404)
    assert await api.status("ada", "local") == {"local": "not-connected"}


async def test_an_integration_without_an_oauth_client_is_refused_and_told_what_to_do(api: Api) -> None:
    await api.manage("DELETE", f"{api.managed_project}/Integration/local")
    refused = await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": "local"})
    assert refused.status == 400
    assert f"the redirect URI {PUBLIC_URL}/platform/{api.plan.project_id}/oauth" in refused.text
    assert "client_id and client_secret" in refused.text


async def test_an_integration_with_a_client_is_of_oauth_and_says_where_people_come_back(api: Api) -> None:
    entry = (await register(api, "keyed", client_id="mine", client_secret="secret")).json
    assert entry["auth_type"] == "oauth2"
    assert entry["redirect_uri"] == f"{PUBLIC_URL}/platform/{api.plan.project_id}/oauth"
    listed = (await api.manage("GET", f"{api.managed_project}/Integrations")).json
    told = {one["app_key"]: one["redirect_uri"] for one in listed}
    assert told["keyed"] == told["local"] == entry["redirect_uri"]
    assert told["form"] is told["machine"] is told["github"] is None


async def test_the_developers_own_account_is_connected_by_a_link(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    path = f"{api.managed_project}/Connections"
    made = await api.manage("POST", path, {"app_key": "local", "name": "mine"})
    assert (made.status, made.json["status"]) == (201, "pending")
    entry = (await api.manage("GET", f"{path}/{made.json['id']}")).json
    assert (entry["status"], entry["connect_url"]) == ("pending", None)
    assert (await person.connect(provider, made.json["connect_url"], "developer")).status == 200
    entry = (await api.manage("GET", f"{path}/{made.json['id']}")).json
    assert (entry["status"], entry["account_name"]) == ("active", "developer")
    again = await api.manage("POST", path, {"app_key": "local", "name": "mine"})
    assert (again.status, "'mine'" in again.text) == (400, True)


async def test_a_connection_that_still_waits_for_its_link_can_be_deleted(api: Api, person: Person) -> None:
    path = f"{api.managed_project}/Connections"
    made = (await api.manage("POST", path, {"app_key": "local", "name": "mine"})).json
    assert (await api.manage("DELETE", f"{path}/{made['id']}")).status == 200
    assert (await api.manage("GET", path)).json == []
    assert (await api.manage("POST", path, {"app_key": "local", "name": "mine"})).status == 201
