"""The published samples: what they send is taken, and what is answered has their members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.api.grants.speaking import Grants

SAMPLES: dict[str, Any] = json.loads((Path(__file__).parent / "samples.json").read_text())


async def test_the_published_requests_are_taken_and_answered_with_the_published_members(grants: Grants) -> None:
    customer = await grants.made_customer()
    made = await grants.created(f"/v1/customers/{customer}/connections", SAMPLES["create_connection"])
    assert made.keys() == SAMPLES["connection"].keys()
    runtime = await grants.made_instance()
    body = {**SAMPLES["create_grant"], "instance_id": runtime.id}
    granted = await grants.created(f"/v1/customers/{customer}/connections/{made['id']}/grants", body)
    assert granted.keys() == SAMPLES["grant"].keys()
    listed = (await grants.call("GET", f"/v1/customers/{customer}/connections")).json
    assert listed.keys() == SAMPLES["connections"].keys()
    assert listed["connections"] == [made | {"grants": [granted]}]
    fetched = await runtime.fetch("string", name="string", capability="string")
    assert (fetched.status, fetched.json.keys()) == (200, SAMPLES["fetched"].keys())
    refused = await grants.call("POST", f"/v1/customers/{customer}/connections", {})
    assert refused.json.keys() == SAMPLES["unprocessable"].keys()
    assert refused.json["detail"][0].keys() == SAMPLES["unprocessable"]["detail"][0].keys()


async def test_times_and_types_are_the_published_ones(grants: Grants) -> None:
    made = await grants.made_connection(await grants.made_customer(), scopes=["mail.read"])
    assert made["created_at"].endswith("Z") and made["updated_at"] == made["created_at"]
    assert (made["status"], made["error_message"], made["expires_at"], made["last_used_at"]) == (
        "active",
        None,
        None,
        None,
    )
    assert (made["auth_type"], made["scopes"], made["grants"]) == ("oauth2", ["mail.read"], [])
