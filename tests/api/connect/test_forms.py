"""The form of an app that takes a key: what it asks for, what it keeps, and what it says is wrong beside each field."""

from __future__ import annotations

import pytest

from app import Causeway
from scripts.providers.faults import status
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import SHOP, link
from tests.api.connect.person import SAME_SITE, Person
from tests.api.staging import register, sealed_secret, stored
from tests.api_client import Api

GOOD = {"region": "eu", "email": "ada@shop.example", "token": "s3cret-token"}


async def form_link(api: Api, user: str = "ada", **wishes: object) -> str:
    return await link(api, user, "form", **{"link": True, **wishes})


async def test_the_form_asks_for_what_credential_info_tells(api: Api, person: Person) -> None:
    page = await person.get(await form_link(api))
    info = (await api.monkedo("GET", f"{api.project}/apps/form/credential-info")).json
    asked = [field for field in info["fields"] if field.get("show") is not False]
    assert [field["name"] for field in asked] == ["region", "host", "email", "token", "key", "note"]
    for field in asked:
        entry = page.entry(field["name"])
        assert ("aria-required" in entry) == (not field["isOptional"])
        assert f'<label for="{entry["id"]}">{field["label"]}' in page.text
        if field["desc"]:
            assert f'id="{entry["aria-describedby"]}"' in page.text
        for option in field.get("options", []):
            assert f'<option value="{option["value"]}">{option["label"]}</option>' in page.text
    assert 'name="field-internal"' not in page.text
    assert page.entry("token")["type"] == "password"
    assert "Only where Region is A server of my own." in page.words
    assert (len(page.text.encode()) < 30_000, page.headers.get("Set-Cookie")) == (True, None)


async def test_what_is_filled_in_connects(api: Api, wired: Causeway, person: Person) -> None:
    done = await person.fill_in(await form_link(api, origin=SHOP), **GOOD, key="-----\r\nabc\r\n-----", note=" ")
    assert done.status == 200
    assert (done.told_to, done.told) == (SHOP, {"source": "causeway", "status": "connected", "app_key": "form"})
    assert done.policy["frame-ancestors"] == SHOP
    assert await api.status("ada", "form") == {"form": "connected"}
    assert (await sealed_secret(wired, "ada", "form"))["fields"] == {**GOOD, "key": "-----\nabc\n-----"}


async def test_with_a_return_url_the_person_goes_back_there(api: Api, person: Person) -> None:
    done = await person.fill_in(await form_link(api, returnUrl=f"{SHOP}/a?b=c"), **GOOD)
    assert done.goes_on_to == f"{SHOP}/a?b=c&status=connected&app_key=form"


async def test_what_is_wrong_is_said_beside_each_field_and_what_was_right_is_kept(
    api: Api, wired: Causeway, person: Person
) -> None:
    address = await form_link(api)
    before = await stored(wired.pool)
    page = await person.fill_in(address, region="eu", email="nonsense", token="", note="kept <b>")
    assert page.status == 400
    assert "E-mail must be an e-mail address." in page.words and "Token is missing." in page.words
    for name in ("email", "token"):
        entry = page.entry(name)
        assert entry["aria-invalid"] == "true"
        assert f'id="{entry["aria-describedby"].split()[-1]}"' in page.text
    assert ("autofocus" in page.entry("email"), "autofocus" in page.entry("token")) == (True, False)
    assert page.entry("email")["value"] == "nonsense"
    assert page.entry("note")["value"] == "kept <b>"
    assert '<option value="eu" selected>' in page.text
    assert await stored(wired.pool) == before
    assert (await person.fill_in(address, **GOOD)).status == 200


async def test_secrets_are_never_sent_back(api: Api, person: Person) -> None:
    page = await person.fill_in(await form_link(api), **{**GOOD, "email": "", "key": "planted-key"})
    assert page.status == 400
    assert GOOD["token"] not in page.text and "planted-key" not in page.text


async def test_a_field_that_another_answer_hides_is_neither_needed_nor_kept(
    api: Api, wired: Causeway, person: Person
) -> None:
    await person.fill_in(await form_link(api), **GOOD, host="https://unused.example")
    assert (await sealed_secret(wired, "ada", "form"))["fields"] == GOOD
    own = {**GOOD, "region": "own"}
    missing = await person.fill_in(await form_link(api, "bob"), **own)
    assert (missing.status, "Server is missing." in missing.words) == (400, True)
    wrong = await person.fill_in(await form_link(api, "bob"), **own, host="not an address")
    assert "Server must be a full web address such as https://example.com." in wrong.words
    assert (await person.fill_in(await form_link(api, "bob"), **own, host="https://own.example")).status == 200
    assert (await sealed_secret(wired, "bob", "form"))["fields"] == {**own, "host": "https://own.example"}


async def test_what_is_not_on_the_form_is_refused(api: Api, wired: Causeway, person: Person) -> None:
    address = await form_link(api)
    before = await stored(wired.pool)
    for more in ({"region": "moon"}, {"nonsense": "x"}, {"token": "two\nlines"}, {"note": "x" * 20_001}):
        assert (await person.fill_in(address, **{**GOOD, **more})).status == 400, more
    assert (await person.post(address, {"other": "x"})).status == 400
    assert await stored(wired.pool) == before


BROKEN = [
    b"field-note=%",
    b"field-note=%zz",
    b"field-note=%ff",
    b"field-note=\xff",
    b"field-note=%ed%a0%80",
    b"field-note=a%00b",
    b"%00=a",
    b"field-note=a&field-note=b",
    b"field-note=a&field%2dnote=b",
    b"proof=a&proof=b",
    b"field-note",
    b"=",
    b"x=" * 5 + b"&" * 10 + b"y=",
    b"&".join(b"field-%d=x" % number for number in range(101)),
]


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:30]))
async def test_a_form_that_cannot_be_read_is_refused_on_a_page(
    api: Api, wired: Causeway, person: Person, body: bytes
) -> None:
    address = await form_link(api)
    before = await stored(wired.pool)
    path = address.partition("/connect/")[2]
    kind = {"Content-Type": "application/x-www-form-urlencoded", **SAME_SITE}
    answer = await api.call("POST", f"/connect/{path}", raw=body, headers=kind)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert await stored(wired.pool) == before


async def test_a_form_of_another_kind_or_size_is_refused(api: Api) -> None:
    path = "/connect/" + (await form_link(api)).partition("/connect/")[2]
    form = "application/x-www-form-urlencoded"
    for kind, body, expected in (
        ("application/json", b"{}", 400),
        ("text/plain", b"field-note=x", 400),
        ("multipart/form-data; boundary=x", b"--x--", 400),
        (form, b"field-note=" + b"x" * 300_000, 413),
        (form, b"field-note=" + b"x" * 1_048_000, 413),
    ):
        answer = await api.call("POST", path, raw=body, headers={"Content-Type": kind, **SAME_SITE})
        assert (answer.status, answer.headers["Content-Type"]) == (expected, "text/html; charset=utf-8"), kind


async def test_a_form_inside_another_sites_page_works_without_a_cookie_but_not_from_another_site(
    api: Api, person: Person
) -> None:
    address = await form_link(api)
    form = {f"field-{name}": value for name, value in GOOD.items()}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await person.post(address, form, headers)).status == 403
    assert (await person.post(address, form)).status == 200
    assert person.cookies == {}


async def test_a_token_that_cannot_be_bought_is_explained_and_may_be_tried_again(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    address = await link(api, app="machine")
    provider.faults.plan(status(503))
    failed = await person.fill_in(address)
    assert (failed.status, "could not answer just now" in failed.words) == (502, True)
    assert (await person.fill_in(address)).status == 200


async def test_an_app_of_oauth_may_ask_for_fields_before_the_person_leaves(
    api: Api, person: Person, provider: QuickProvider
) -> None:
    await register(api, "hosted", client_id=provider.client_id, client_secret=provider.client_secret)
    address = await link(api, app="hosted")
    missing = await person.fill_in(address)
    assert (missing.status, "Account is missing." in missing.words) == (400, True)
    odd = await person.fill_in(address, account="127.0.0.1/evil")
    assert (odd.status, "bare name" in odd.words) == (502, True)
    done = await person.connect(provider, address, account="127")
    assert done.status == 200
