"""From the link to the provider and back: what the developer asked for is what comes about."""

from __future__ import annotations

from datetime import timedelta

from app import Causeway
from domain.connections.connection import Status
from scripts.providers.faults import dropped, html, oauth_error, status
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import SHOP, link
from tests.api.connect.person import Person
from tests.api.staging import PUBLIC_URL, SetClock, details, register, sealed_secret
from tests.api_client import Api
from tests.projections.histories import findings


async def test_an_end_user_connects_by_the_link(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    done = await person.connect(provider, await link(api))
    assert (done.status, done.words) == (200, "Local Provider is connected You can close this window.")
    assert await api.status("ada", "local") == {"local": "connected"}
    secret = await sealed_secret(wired, "ada", "local")
    assert await provider.whose(secret["access_token"]) == "ada"
    assert secret["refresh_token"]
    assert (await details(api, "ada", "local"))["scopes"] == ["read"]


async def test_until_then_nothing_is_connected(api: Api) -> None:
    await link(api)
    assert await api.status("ada", "local") == {"local": "not-connected"}
    for method in ("GET", "DELETE"):
        answer = await api.monkedo(method, "/users/ada/connections/local")
        assert (answer.status, answer.json["code"]) == (404, 209)


async def test_the_page_says_who_asks_for_what(api: Api, person: Person) -> None:
    page = await person.get(await link(api))
    assert page.status == 200
    for said in (
        "Connect Local Provider",
        "Shop asks to use your Local Provider account",
        "What it asks for read",
        "127.0.0.1",
    ):
        assert said in page.words
    assert len(page.text.encode()) < 30_000


async def test_the_provider_is_asked_for_what_the_project_asks_for(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    sent = await person.fill_in(await link(api))
    address = sent.goes_on_to
    assert address.startswith(f"{provider.authorize_url}?")
    callback = f"{PUBLIC_URL}/platform/{api.plan.project_id}/oauth".replace(":", "%3A").replace("/", "%2F")
    for part in ("scope=read", f"redirect_uri={callback}", "code_challenge_method=S256", "state=cwo_"):
        assert part in address


async def test_the_installations_client_comes_back_to_the_installations_callback(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    entry = (await register(api, "keyed", auth_type="oauth2")).json
    assert entry["redirect_uri"] == f"{PUBLIC_URL}/platform/installation/oauth"
    done = await person.connect(provider, await link(api, app="keyed"))
    assert (done.status, await api.status("ada", "keyed")) == (200, {"keyed": "connected"})


async def test_with_an_origin_the_window_that_opened_the_page_is_told(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    done = await person.connect(provider, await link(api, origin=SHOP))
    assert done.told_to == SHOP
    assert done.told == {"source": "causeway", "status": "connected", "app_key": "local"}
    assert done.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"


async def test_with_a_return_url_the_person_goes_back_there(api: Api, person: Person, provider: QuickProvider) -> None:
    for user, back, wanted in (
        ("ada", f"{SHOP}/done", f"{SHOP}/done?status=connected&app_key=local"),
        ("bob", f"{SHOP}/done?step=2#end", f"{SHOP}/done?step=2&status=connected&app_key=local#end"),
    ):
        done = await person.connect(provider, await link(api, user, returnUrl=back))
        assert (done.status, done.goes_on_to) == (200, wanted)


async def test_with_both_the_page_tells_the_window_or_else_goes_back(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    done = await person.connect(provider, await link(api, origin=SHOP, returnUrl=f"{SHOP}/done"))
    assert (done.told_to, done.goes_on_to) == (SHOP, "")
    assert f'data-next="{SHOP}/done?status=connected&amp;app_key=local"' in done.text


async def test_who_says_no_is_told_so_and_may_try_again(api: Api, person: Person, provider: QuickProvider) -> None:
    address = await link(api, origin=SHOP)
    refused = await person.get(await provider.deny((await person.fill_in(address)).goes_on_to, "ada"))
    assert refused.status == 502
    assert "Local Provider was not allowed to share the account" in refused.words
    assert refused.told == {
        "source": "causeway",
        "status": "failed",
        "app_key": "local",
        "error": "access_denied",
    }
    assert f'<a class="button" href="{address}">Try again</a>' in refused.text
    assert await api.status("ada", "local") == {"local": "not-connected"}
    assert (await person.connect(provider, address)).status == 200


async def test_who_says_no_goes_back_with_the_error(api: Api, person: Person, provider: QuickProvider) -> None:
    page = await person.fill_in(await link(api, returnUrl=f"{SHOP}/done"))
    refused = await person.get(await provider.deny(page.goes_on_to, "ada"))
    assert refused.goes_on_to == f"{SHOP}/done?status=failed&app_key=local&error=access_denied"


async def test_a_provider_in_trouble_is_explained(api: Api, person: Person, provider: QuickProvider) -> None:
    address = await link(api)
    for trouble, said in (
        (status(503), "could not answer just now"),
        (html(200), "no answer to the question"),
        (dropped(), "broke off"),
        (oauth_error("invalid_client", 401), "does not accept the client id and secret"),
    ):
        back = await person.agree_at(provider, address)
        provider.faults.plan(trouble)
        failed = await person.get(back)
        assert failed.status == 502
        assert "was not connected" in failed.words and said in failed.words
        assert "Try again" in failed.words
    assert (await person.connect(provider, address)).status == 200


async def test_errors_that_nobody_registered_are_not_repeated(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    page = await person.fill_in(await link(api))
    back = await provider.deny(page.goes_on_to, "ada")
    failed = await person.get(back.replace("error=access_denied", "error=call-555-0100-now"))
    assert failed.status == 502
    assert "555" not in failed.text
    assert "Local Provider did not connect the account. Try again." in failed.words


async def test_the_newer_generation_refuses_a_second_connection_and_the_older_replaces_it(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api))
    first = await sealed_secret(wired, "ada", "local")
    refused = await api.monkedo("POST", f"{api.project}/users/ada/connections/local")
    assert (refused.status, refused.json["code"]) == (409, 222)
    older = await api.monkedo("POST", "/users/ada/connections/local")
    assert older.status == 200
    assert (await person.connect(provider, older.json)).status == 200
    assert (await sealed_secret(wired, "ada", "local"))["access_token"] != first["access_token"]


async def test_a_second_callback_replaces_the_first(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    one, other = await link(api), await link(api)
    await person.connect(provider, one)
    first = await sealed_secret(wired, "ada", "local")
    assert (await person.connect(provider, other)).status == 200
    second = await sealed_secret(wired, "ada", "local")
    assert first["access_token"] != second["access_token"]
    assert await wired.pool.fetchval("select count(*) from read_connections_1") == 1


async def test_another_account_is_refused_where_it_must_be_the_same(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api), "ada-at-provider")
    before = await sealed_secret(wired, "ada", "local")
    again = await api.monkedo("POST", "/users/ada/connections/local", {"keepsAccount": True, "origin": SHOP})
    assert "Choose the same account as before" in (await person.get(again.json)).words
    refused = await person.connect(provider, again.json, "somebody-else")
    assert (refused.status, refused.told["error"]) == (409, "different_account")
    assert "Another account than before" in refused.words
    assert await sealed_secret(wired, "ada", "local") == before
    assert (await person.connect(provider, again.json, "ada-at-provider")).status == 200
    assert await sealed_secret(wired, "ada", "local") != before


async def test_another_account_is_taken_where_nobody_minds(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api), "ada-at-provider")
    again = await api.monkedo("POST", "/users/ada/connections/local")
    await person.connect(provider, again.json, "somebody-else")
    secret = await sealed_secret(wired, "ada", "local")
    assert await provider.whose(secret["access_token"]) == "somebody-else"


async def test_reconnecting_keeps_the_connections_identity(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    ids = []
    for _ in range(2):
        answer = await api.monkedo("POST", "/users/ada/connections/local")
        await person.connect(provider, answer.json)
        ids.append(await wired.pool.fetchval("select connection_id from read_connections_1"))
    assert ids[0] == ids[1]


async def test_what_was_linked_is_renewed_when_it_has_run_out(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider, clock: SetClock
) -> None:
    await person.connect(provider, await link(api))
    first = await sealed_secret(wired, "ada", "local")
    connection_id = await wired.pool.fetchval("select connection_id from read_connections_1")
    clock.ahead = timedelta(hours=2)
    usable = await api.services.refresher.usable(api.plan.project_id, connection_id)
    assert usable.connection.status(clock()) is Status.ACTIVE
    assert usable.secret.access_token != first["access_token"]
    assert await provider.whose(usable.secret.access_token or "") == "ada"


async def test_the_read_models_agree_with_the_history_of_links(
    api: Api, wired: Causeway, person: Person, provider: QuickProvider
) -> None:
    await person.connect(provider, await link(api))
    await person.get(await provider.deny((await person.fill_in(await link(api, "bob"))).goes_on_to, "bob"))
    await api.manage("POST", f"{api.managed_project}/Connections", {"app_key": "local", "name": "mine"})
    assert await findings(wired) == []
