"""Links whose end user or connection is gone meanwhile: they connect nothing, and keep nothing."""

from __future__ import annotations

from app import Causeway
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import link
from tests.api.connect.person import Person
from tests.api.staging import register
from tests.api_client import Api

FILLED = {"region": "eu", "email": "ada@example.com", "token": "token"}
OLDER = "/users/ada/connections/local"


async def secrets(wired: Causeway) -> int:
    return int(await wired.pool.fetchval("select count(*) from credentials"))


async def test_what_a_person_filled_in_on_the_way_goes_with_them(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await register(api, "hosted", client_id=provider.client_id, client_secret=provider.client_secret)
    before = await secrets(wired)
    back = await person.agree_at(provider, await link(api, "ada", "hosted"), account="127")
    assert await secrets(wired) == before + 1
    assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")).status == 200
    assert await secrets(wired) == before
    assert (await person.get(back)).status == 404


async def test_a_link_does_not_bring_a_deleted_connection_back(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api))
    begun, untouched = [(await api.monkedo("POST", OLDER, {})).json for _ in range(2)]
    back = await person.agree_at(provider, begun)
    assert (await api.monkedo("DELETE", OLDER)).status == 200
    late = await person.get(back)
    assert (late.status, "ask for a new one" in late.words) == (404, True)
    for answer in (await person.get(untouched), await person.post(untouched, {})):
        assert (answer.status, "This link does not work" in answer.words) == (404, True)
    assert await api.status("ada", "local") == {"local": "not-connected"}
    assert (await person.connect(provider, await link(api))).status == 200
    assert await api.status("ada", "local") == {"local": "connected"}


async def test_a_form_from_before_a_deletion_does_not_replace_what_was_connected_after_it(
    api: Api, person: Person
) -> None:
    old, first = [await link(api, app="form", link=True) for _ in range(2)]
    assert (await person.fill_in(first, **FILLED)).status == 200
    assert (await api.monkedo("DELETE", "/users/ada/connections/form")).status == 200
    assert (await person.fill_in(await link(api, app="form", link=True), **FILLED)).status == 200
    sent = {f"field-{name}": value for name, value in {**FILLED, "token": "another"}.items()}
    assert (await person.post(old, sent)).status == 404
