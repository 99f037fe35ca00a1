"""Every app of the catalogue: in order, asking for what it should, and proving credentials as its vendor wants."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.connectors.catalogue_check import complaints_about
from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.loader import CATALOGUE, load_catalogue
from domain.apps.app import KeyScheme
from domain.apps.connection_fields import check_fields, credential_info
from domain.apps.proving import Accepted, Rejected, Unreachable
from tests.vendor_stand_in import StandIn, stand_in_for

RECORDED = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "recorded").glob("*.json"))
}
APPS = load_catalogue()
CASES = [pytest.param(key, case, id=f"{key}-{case['host']}") for key in RECORDED for case in RECORDED[key]["cases"]]


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    hosts = sorted({case["host"] for recording in RECORDED.values() for case in recording["cases"]})
    async with stand_in_for(hosts, tmp_path) as running:
        yield running


def answer(vendor: StandIn, recording: dict[str, Any]) -> None:
    body = recording["body"]
    vendor.status = recording["status"]
    vendor.body = body.encode() if isinstance(body, str) else json.dumps(body).encode()


async def prove(vendor: StandIn, key: str, fields: dict[str, str]) -> Accepted | Rejected | Unreachable:
    scheme = APPS[key].auth[0]
    async with vendor.client() as client:
        return await CredentialTester(client).prove(APPS[key], scheme, check_fields(scheme, fields))


def test_every_folder_is_an_app() -> None:
    assert len(APPS) >= 280
    assert set(APPS) == {path.name for path in CATALOGUE.iterdir() if path.is_dir()}


def test_every_app_with_a_key_has_a_recording() -> None:
    with_a_key = {key for key, app in APPS.items() if any(isinstance(scheme, KeyScheme) for scheme in app.auth)}
    assert len(with_a_key) >= 18
    assert set(RECORDED) == with_a_key


@pytest.mark.parametrize("key", APPS)
def test_an_app_passes_every_rule(key: str) -> None:
    assert complaints_about(APPS[key]) == []


@pytest.mark.parametrize("key", RECORDED)
def test_an_app_asks_for_the_recorded_fields(key: str) -> None:
    scheme = APPS[key].auth[0]
    fields = credential_info(APPS[key], scheme)["fields"]
    always = [one["name"] for one in fields if not one["isOptional"] and "showWhen" not in one]
    assert always == RECORDED[key]["required"]
    assert [one["name"] for one in fields if one["name"] not in always] == RECORDED[key]["conditional"]


@pytest.mark.parametrize(("key", "case"), CASES)
async def test_a_working_credential_is_accepted_and_arrives_where_the_vendor_wants_it(
    vendor: StandIn, key: str, case: dict[str, Any]
) -> None:
    answer(vendor, RECORDED[key]["accepting"])
    assert await prove(vendor, key, case["fields"]) == Accepted()
    (seen,) = vendor.seen
    assert (seen.method, seen.host, seen.target) == (case["method"], case["host"], case["target"])
    expected = dict(case["headers"])
    if "basic" in case:
        expected["authorization"] = "Basic " + base64.b64encode(":".join(case["basic"]).encode()).decode()
    assert {name: seen.headers.get(name) for name in expected} == expected


@pytest.mark.parametrize(("key", "case"), CASES)
async def test_a_wrong_credential_is_rejected_in_words_without_values(
    vendor: StandIn, key: str, case: dict[str, Any]
) -> None:
    answer(vendor, RECORDED[key]["rejecting"])
    proof = await prove(vendor, key, case["fields"])
    assert isinstance(proof, Rejected) and APPS[key].name in proof.message
    secrets = [
        case["fields"][field.name]
        for field in APPS[key].auth[0].fields
        if field.secret and field.name in case["fields"]
    ]
    assert not any(secret in proof.message for secret in secrets)


@pytest.mark.parametrize("key", RECORDED)
async def test_a_vendor_in_trouble_says_nothing_about_the_credential(vendor: StandIn, key: str) -> None:
    answer(vendor, {"status": 503, "body": "Service Unavailable"})
    assert isinstance(await prove(vendor, key, RECORDED[key]["cases"][0]["fields"]), Unreachable)


async def test_zendesk_s_anonymous_user_is_not_a_working_credential(vendor: StandIn) -> None:
    answer(vendor, {"status": 200, "body": {"user": {"id": None, "name": "Anonymous user"}}})
    assert isinstance(await prove(vendor, "zendesk", RECORDED["zendesk"]["cases"][0]["fields"]), Rejected)


async def test_a_web_page_at_a_self_hosted_name_is_not_a_posthog(vendor: StandIn) -> None:
    answer(vendor, {"status": 200, "body": "<!doctype html>"})
    assert isinstance(await prove(vendor, "posthog", RECORDED["posthog"]["cases"][2]["fields"]), Unreachable)
