"""What others may try with links, states, codes and cookies, and that none of it connects anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from app import Causeway
from domain.connections.connect_link import MOST_AUTHORIZATIONS
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import SHOP, link
from tests.api.connect.person import SAME_SITE, Person, Shown
from tests.api.staging import PUBLIC_URL, register, sealed_secret
from tests.api_client import MANAGEMENT, Api


@pytest.fixture
async def attacker(api: Api) -> AsyncIterator[Person]:
    """Has a browser and a link of their own."""
    async with Person(api) as attacker:
        yield attacker


def query(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def with_query(address: str, **changed: str | None) -> str:
    told = {name: value for name, value in {**query(address), **changed}.items() if value is not None}
    return f"{address.partition('?')[0]}?{urlencode(told)}"


async def connected(api: Api, *users: str) -> list[str]:
    return [user for user in users if await api.status(user, "local") == {"local": "connected"}]


def refused_state(shown: Shown) -> bool:
    return shown.status == 403 and "This did not begin here" in shown.words and not shown.goes_on_to


async def test_a_state_works_once(api: Api, wired: Causeway, person: Person, provider: QuickProvider) -> None:
    back = await person.agree_at(provider, await link(api))
    assert (await person.get(back)).status == 200
    secret = await sealed_secret(wired, "ada", "local")
    assert refused_state(await person.get(back))
    assert await sealed_secret(wired, "ada", "local") == secret


async def test_a_state_that_failed_does_not_work_again(api: Api, person: Person, provider: QuickProvider) -> None:
    page = await person.fill_in(await link(api))
    refused = await provider.deny(page.goes_on_to, "ada")
    agreed = await provider.consent(page.goes_on_to, "ada")
    assert (await person.get(refused)).status == 502
    assert refused_state(await person.get(agreed))
    assert await connected(api, "ada") == []


async def test_a_person_who_was_sent_to_the_provider_by_somebody_else_connects_nothing_for_them(
    api: Api, person: Person, attacker: Person, provider: QuickProvider
) -> None:
    """The attacker begins with their own link and has the victim consent: the victim's browser has another cookie, or none."""
    theirs = (await attacker.fill_in(await link(api, "mallory"))).goes_on_to
    consented = await provider.consent(theirs, "victim")
    assert refused_state(await person.get(consented))
    await person.get(await link(api, "victim"))
    assert person.cookies
    assert refused_state(await person.get(consented))
    assert await connected(api, "mallory", "victim") == []


async def test_a_code_from_another_flow_is_refused(
    api: Api, person: Person, attacker: Person, provider: QuickProvider
) -> None:
    """The victim's code, caught on its way, put into the attacker's own callback: the code verifier does not fit."""
    stolen = query(await person.agree_at(provider, await link(api, "victim"), "victim"))["code"]
    own = await attacker.agree_at(provider, await link(api, "mallory"), "mallory")
    failed = await attacker.get(with_query(own, code=stolen))
    assert failed.status == 502
    assert await connected(api, "mallory", "victim") == []


async def test_a_code_is_not_put_into_the_victims_callback(
    api: Api, person: Person, attacker: Person, provider: QuickProvider
) -> None:
    """So that the victim would work in the attacker's account."""
    theirs = query(await attacker.agree_at(provider, await link(api, "mallory"), "mallory"))["code"]
    back = await person.agree_at(provider, await link(api, "victim"), "victim")
    assert (await person.get(with_query(back, code=theirs))).status == 502
    assert await connected(api, "victim") == []


@pytest.mark.parametrize("issuer", [None, "", "https://honest.example", "{url}/", "{url}.evil.example"])
async def test_an_answer_of_another_issuer_or_of_none_is_refused(
    api: Api, person: Person, provider: QuickProvider, issuer: str | None
) -> None:
    """Mix-up, and the stripping of iss (RFC 9207), also from a refusal."""
    wrong = None if issuer is None else issuer.format(url=provider.url)
    address = await link(api, origin=SHOP)
    back = await person.agree_at(provider, address)
    failed = await person.get(with_query(back, iss=wrong))
    assert (failed.status, failed.told["error"]) == (403, "connect_state_invalid")
    page = await person.fill_in(address)
    denied = await person.get(with_query(await provider.deny(page.goes_on_to, "ada"), iss=wrong))
    assert (denied.status, denied.told["error"]) == (403, "connect_state_invalid")
    assert provider.traffic.asked["authorization_code"] == 0
    assert await connected(api, "ada") == []


async def test_an_answer_at_another_callback_is_refused(api: Api, person: Person, provider: QuickProvider) -> None:
    """At the installation's, or at another project's."""
    body = {"name": "other", "webhook_url": "https://other.example"}
    other = (await api.manage("POST", f"{MANAGEMENT}/Project", body)).json["id"]
    for path in ("installation", other, "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0fa1b2", "nonsense"):
        back = await person.agree_at(provider, await link(api))
        moved = back.replace(f"/platform/{api.plan.project_id}/", f"/platform/{path}/")
        assert moved != back
        assert (await person.get(moved)).status == 403
    assert provider.traffic.asked["authorization_code"] == 0
    assert await connected(api, "ada") == []


async def test_a_state_of_ones_own_making_is_refused(api: Api, person: Person, provider: QuickProvider) -> None:
    back = await person.agree_at(provider, await link(api))
    state = query(back)["state"]
    forged = [None, "", "x", state[:-1], state + "A", state[:-4] + "AAAA", state.replace("cwo_", "cwl_"), state * 2]
    for one in forged:
        assert refused_state(await person.get(with_query(back, state=one))), one
    assert (await person.get(back)).status == 200


async def test_a_later_start_makes_the_earlier_one_worthless(api: Api, person: Person, provider: QuickProvider) -> None:
    address = await link(api)
    first, second = await person.agree_at(provider, address), await person.agree_at(provider, address)
    assert refused_state(await person.get(first))
    assert (await person.get(second)).status == 200


async def test_another_site_cannot_set_a_person_out_for_the_provider(api: Api, person: Person) -> None:
    """Cross-site request forgery: without a look at our page, the attacker's link would be connected to the victim's account."""
    address = await link(api, "mallory")
    shown = await person.get(address)
    form = {"proof": shown.hidden("proof")}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": PUBLIC_URL},
    ):
        refused = await person.post(address, form, headers)
        assert (refused.status, refused.goes_on_to) == (403, ""), headers
    assert (await person.post(address, form)).goes_on_to


async def test_without_the_cookie_or_the_pages_proof_nobody_sets_out(
    api: Api, person: Person, attacker: Person
) -> None:
    address, other = await link(api, "mallory"), await link(api, "ada")
    proof = (await attacker.get(address)).hidden("proof")
    assert (await person.post(address, {"proof": proof})).status == 403
    await person.get(other)
    wrong = ["", proof, proof[:-1], (await person.get(other)).hidden("proof")]
    for one in wrong:
        assert (await person.post(address, {"proof": one})).status == 403
    assert (await person.post(address, {})).status == 403
    person.forget()
    assert (await person.post(other, {"proof": wrong[-1]})).status == 403


async def test_the_cookie_is_for_this_service_alone_and_the_same_for_all_links(api: Api, person: Person) -> None:
    shown = await person.get(await link(api))
    said = shown.headers["Set-Cookie"]
    assert said.startswith("causeway=") and len(said.partition(";")[0]) == len("causeway=") + 43
    for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in said
    assert "Domain" not in said and "Max-Age" not in said and "expires" not in said.lower()
    again = await person.get(await link(api, "bob"))
    assert again.headers["Set-Cookie"] == said


async def test_a_cookie_of_ones_own_making_is_replaced(api: Api, person: Person) -> None:
    address = await link(api)
    for fixed in ("x", "A" * 42, "A" * 44, "A" * 42 + "!"):
        shown = await person.get(address, {"Cookie": f"causeway={fixed}"})
        assert f"causeway={fixed};" not in shown.headers["Set-Cookie"]


async def test_consent_cannot_be_framed_and_forms_only_by_the_projects_own_sites(api: Api, person: Person) -> None:
    consent = await person.get(await link(api, origin=SHOP))
    assert consent.policy["frame-ancestors"] == "'none'"
    assert consent.headers["X-Frame-Options"] == "DENY"
    form = await person.get(await link(api, app="form", link=True))
    assert form.policy["frame-ancestors"] == SHOP
    assert "X-Frame-Options" not in form.headers
    settings = {"name": "Shop", "webhook_url": SHOP, "allowed_origins": []}
    await api.manage("PUT", api.managed_project, settings)
    nobody = await person.get(await link(api, app="form", link=True))
    assert (nobody.policy["frame-ancestors"], nobody.headers["X-Frame-Options"]) == ("'none'", "DENY")


async def test_every_page_forbids_what_it_does_not_need(api: Api, person: Person, provider: QuickProvider) -> None:
    address = await link(api, origin=SHOP)
    asking, sent = await person.get(address), await person.fill_in(address)
    done = await person.get(await provider.consent(sent.goes_on_to, "ada"))
    lost, going = await person.get(address), await person.fill_in(await link(api, "bob", "machine", returnUrl=SHOP))
    for page in (asking, sent, done, lost, going):
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.policy["default-src"] == page.policy["base-uri"] == "'none'"
        assert page.policy["form-action"] == ("'self'" if page is asking else "'none'")
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        for attribute in ("onclick=", "onload=", " src=", "<link", "@import", "style="):
            assert attribute not in page.text
    opened = [page.headers["Cross-Origin-Opener-Policy"] for page in (asking, sent, done, lost, going)]
    assert opened == ["unsafe-none", "unsafe-none", "unsafe-none", "same-origin", "same-origin"]


async def test_names_cannot_bring_markup_into_the_page(api: Api, person: Person) -> None:
    name = "\"><script>alert(1)</script>{{7*7}}'`"
    settings = {"name": name, "webhook_url": SHOP, "allowed_origins": [SHOP]}
    await api.manage("PUT", api.managed_project, settings)
    await api.manage("DELETE", f"{api.managed_project}/Integration/local")
    await register(api, "local", client_id="c", client_secret="s", scopes=["<img src=x>", "a&b"])
    page = await person.get(await link(api))
    assert page.text.count("<script>") == 1
    assert "<img" not in page.text and "49" not in page.words
    assert name in page.words and "<img src=x>" in page.words


async def test_a_link_of_ones_own_making_is_no_link(api: Api, person: Person) -> None:
    good = (await link(api)).rpartition("/")[2]
    for token in (
        "x",
        good[:-4] + "AAAA",
        good.replace("cwl_", "cwo_"),
        good + "A",
        "cwl_" + "A" * 86,
        "cwl_" + "%C3%A9" * 86,
    ):
        address = f"{PUBLIC_URL}/connect/{token}"
        for answer in (await person.get(address), await person.post(address, {})):
            assert (answer.status, "This link does not work" in answer.words) == (404, True), token


async def test_a_link_cannot_be_tried_without_end(api: Api, person: Person) -> None:
    address = await link(api)
    proof = {"proof": (await person.get(address)).hidden("proof")}
    for _ in range(MOST_AUTHORIZATIONS):
        assert (await person.post(address, proof, SAME_SITE)).status == 200
    refused = await person.post(address, proof, SAME_SITE)
    assert (refused.status, "tried too often" in refused.words) == (404, True)
