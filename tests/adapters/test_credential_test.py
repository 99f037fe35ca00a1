"""How a credential is proved, and how each kind of answer is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.outbound import OutboundClient
from adapters.connectors.templates import CannotRender, hosts_of, render_url
from domain.apps.app import App, CustomScheme, Derived, Field, Option, RefuseWhen, TestRequest
from domain.apps.proving import Accepted, CredentialProver, Proof, Rejected, Unreachable
from tests.vendor_stand_in import FixedResolver, StandIn, stand_in_for

SITE = Field("site", "Site", "The site.")
TOKEN = Field("token", "Token", "The token.", type="password", secret=True)
FIELDS = {"site": "acme", "token": "s3cret"}


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for(["acme.vendor.example"], tmp_path) as running:
        yield running


def app_with(test: TestRequest | None, hosts: tuple[str, ...] = ("{site}.vendor.example",)) -> App:
    scheme = CustomScheme(fields=(SITE, TOKEN), token_field="token", test=test)
    return App("vendor", "Vendor", "A vendor.", ("x",), hosts, (scheme,), ("https://vendor.example",))


def request(**more: Any) -> TestRequest:
    return TestRequest(**{"method": "GET", "url": "https://{site}.vendor.example/me", **more})


async def prove(vendor: StandIn, app: App, fields: dict[str, str] = FIELDS) -> Proof:
    async with vendor.client() as client:
        prover: CredentialProver = CredentialTester(client)
        return await prover.prove(app, app.auth[0], fields)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Accepted),
        (204, Rejected),
        (301, Rejected),
        (302, Rejected),
        (400, Rejected),
        (401, Rejected),
        (403, Rejected),
        (404, Rejected),
        (408, Unreachable),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
    ],
)
async def test_a_status_is_judged(vendor: StandIn, status: int, kind: type[Proof]) -> None:
    vendor.status, vendor.body = status, b""
    assert isinstance(await prove(vendor, app_with(request())), kind)


async def test_a_range_of_statuses_may_be_expected(vendor: StandIn) -> None:
    vendor.status, vendor.body = 204, b""
    assert await prove(vendor, app_with(request(expect_status=("200-299",)))) == Accepted()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"ok": true}', Accepted),
        (b'{"ok": false}', Rejected),
        (b'{"ok": 0}', Accepted),
        (b"{}", Unreachable),
        (b"[]", Unreachable),
        (b"not json", Unreachable),
        (b"\xff", Unreachable),
        (b"[" * 100_000, Unreachable),
    ],
    ids=range(8),
)
async def test_a_no_in_the_body_is_heard(vendor: StandIn, body: bytes, kind: type[Proof]) -> None:
    vendor.body = body
    assert isinstance(await prove(vendor, app_with(request(refuse_when=RefuseWhen("/ok", False)))), kind)


@pytest.mark.parametrize("pointer", ["/a/1/b~1c~0d", "/a/0"])
async def test_a_pointer_reaches_into_lists_and_odd_names(vendor: StandIn, pointer: str) -> None:
    vendor.body = b'{"a": ["no", {"b/c~d": "no"}]}'
    assert isinstance(await prove(vendor, app_with(request(refuse_when=RefuseWhen(pointer, "no")))), Rejected)


async def test_a_scheme_without_a_test_is_accepted_unasked(vendor: StandIn) -> None:
    assert await prove(vendor, app_with(None)) == Accepted()
    assert vendor.seen == []


async def test_values_in_path_query_and_body_are_encoded(vendor: StandIn) -> None:
    odd = "a/b?c&d=e f#g%é"
    test = request(
        method="POST", url="https://{site}.vendor.example/t/{token}/me", query={"t": "{token}"}, form={"t": "{token}"}
    )
    assert await prove(vendor, app_with(test), {"site": "acme", "token": odd}) == Accepted()
    (seen,) = vendor.seen
    path, _, query = seen.target.partition("?")
    assert path.count("/") == 3 and "%2Fb" in path and "%3Fc" in path and "#" not in seen.target
    assert query.startswith("t=a/b?c%26d") or query.startswith("t=a%2Fb")
    assert seen.body.startswith(b"t=a%2Fb%3Fc%26d%3De+f%23g%25")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_json_body_is_json(vendor: StandIn) -> None:
    await prove(vendor, app_with(request(method="POST", json={"key": "{token}"})), {"site": "acme", "token": 'a"b'})
    assert vendor.seen[0].body == b'{"key":"a\\"b"}' and vendor.seen[0].headers["content-type"] == "application/json"


async def test_a_line_break_in_a_header_value_is_never_sent(vendor: StandIn) -> None:
    test = request(headers={"Authorization": "Bearer {token}"})
    proof = await prove(vendor, app_with(test), {"site": "acme", "token": "s3cret\r\nX-Evil: 1"})
    assert isinstance(proof, Rejected) and "s3cret" not in proof.message and vendor.seen == []


@pytest.mark.parametrize("site", ["evil.example/", "evil.example#", "a.b", "a@b", "", "acme:1", "ac_me", "äcme"])
async def test_a_value_cannot_lead_to_another_host(vendor: StandIn, site: str) -> None:
    proof = await prove(vendor, app_with(request()), {"site": site, "token": "s3cret"})
    assert isinstance(proof, Rejected) and '"site"' in proof.message and vendor.seen == []


async def test_a_request_outside_the_declared_hosts_is_not_made(vendor: StandIn) -> None:
    proof = await prove(vendor, app_with(request(), hosts=("api.other.example",)))
    assert isinstance(proof, Rejected) and vendor.seen == []


async def test_a_private_address_is_rejected_before_anything_is_sent(vendor: StandIn) -> None:
    app = app_with(request())
    async with OutboundClient(resolver=FixedResolver([["127.0.0.1"]], vendor.port), tls=vendor.tls) as client:
        proof = await CredentialTester(client).prove(app, app.auth[0], FIELDS)
    assert isinstance(proof, Rejected) and "not public" in proof.message and vendor.seen == []


async def test_a_missing_field_is_named(vendor: StandIn) -> None:
    proof = await prove(vendor, app_with(request(headers={"X": "{token}"})), {"site": "acme"})
    assert isinstance(proof, Rejected) and '"token"' in proof.message and vendor.seen == []


async def test_a_vendor_that_is_not_there_is_unreachable_and_the_secret_stays_here(tmp_path: Path) -> None:
    async with stand_in_for(["acme.vendor.example"], tmp_path) as gone:
        pass
    proof = await prove(gone, app_with(request(url="https://{site}.vendor.example/{token}")))
    assert isinstance(proof, Unreachable) and "s3cret" not in proof.message


@pytest.mark.parametrize("value", [".", ".."])
def test_a_dot_cannot_climb_in_the_path(value: str) -> None:
    with pytest.raises(CannotRender):
        render_url("https://vendor.example/a/{token}/b", {"token": value})


def test_a_connection_may_call_only_its_own_hosts() -> None:
    app = app_with(request(), hosts=("api.vendor.example", "{site}.vendor.example", "{host}"))
    assert hosts_of(app, {"site": "acme"}) == ("api.vendor.example", "acme.vendor.example")
    assert hosts_of(app, {"host": "own.example"}) == ("api.vendor.example", "own.example")


async def test_a_derived_name_follows_the_select(vendor: StandIn) -> None:
    region = Field("region", "R", "R.", type="select", options=(Option("a", "A"), Option("b", "B")))
    derived = Derived("sub", "region", {"a": "acme", "b": "{site}"})
    scheme = CustomScheme(
        fields=(region, SITE),
        token_field="site",
        test=request(url="https://{sub}.vendor.example/"),
        derived=(derived,),
    )
    app = App("v", "V", "V.", ("x",), ("acme.vendor.example",), (scheme,), ())
    assert await prove(vendor, app, {"region": "a"}) == Accepted()
    assert isinstance(await prove(vendor, app, {"region": "b"}), Rejected)
