"""What happens to links whose end user or connection is gone, and to provider names that end in a line break."""

from __future__ import annotations

from app import Causeway
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import link
from tests.api.connect.person import Person
from tests.api.staging import register
from tests.api_client import Api


async def sealed_for_anybody(wired: Causeway) -> int:
    return int(await wired.pool.fetchval("select count(*) from credentials"))


async def test_what_a_person_filled_in_on_the_way_goes_with_them(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await register(api, "hosted", client_id=provider.client_id, client_secret=provider.client_secret)
    before = await sealed_for_anybody(wired)
    address = await link(api, "ada", "hosted")
    back = await person.agree_at(provider, address, account="127")
    assert await sealed_for_anybody(wired) == before + 1
    assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")).status == 200
    assert await sealed_for_anybody(wired) == before
    assert (await person.get(back)).status == 404


async def test_a_link_does_not_bring_a_deleted_connection_back(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api))
    older = f"/users/ada/connections/local"
    address, second = [(await api.monkedo("POST", older, {})).json for _ in range(2)]
    back = await person.agree_at(provider, address)
    exchanged = len(provider.traffic.requests) if hasattr(provider, "traffic") else None
    assert (await api.monkedo("DELETE", older)).status == 200
    shown = await person.get(back)
    assert (shown.status, "ask for a new one" in shown.words) == (404, True)
    for answer in (await person.get(second), await person.post(second, {})):
        assert (answer.status, "This link does not work" in answer.words) == (404, True)
    assert await api.status("ada", "local") == {"local": "not-connected"}
    assert (await person.connect(provider, await link(api))).status == 200
    assert await api.status("ada", "local") == {"local": "connected"}
    del exchanged


async def test_a_link_from_before_a_deletion_does_not_replace_what_came_after_it(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    old = await link(api, app="form", link=True)
    filled = {"region": "eu", "email": "a@example.com", "token": "token"}
    assert (await person.fill_in(old.replace("x", "x"), **{**filled, "region": "moon"})).status == 400
    new = await link(api, app="form", link=True)
    assert (await person.fill_in(new, **filled)).status == 200
    assert (await api.monkedo("DELETE", "/users/ada/connections/form")).status == 200
    newest = await link(api, app="form", link=True)
    assert (await person.fill_in(newest, **filled)).status == 200
    assert (await person.post(old, {f"field-{name}": value for name, value in filled.items()})).status == 404
