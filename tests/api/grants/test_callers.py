"""Who may act for a project here: its tokens, and its company's keys, in either header."""

from __future__ import annotations

from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import Grants, detail, problems
from tests.api_client import MANAGEMENT, MONKEDO, Answer, Api


async def listed(api: Api, token: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.call("GET", "/v1/customers", token=token, headers=named)


async def test_a_project_token_opens_as_bearer_and_as_api_key(api: Api) -> None:
    assert (await listed(api, api.plan.project_token)).status == 200
    assert (await listed(api, X_Api_Key=api.plan.project_token)).status == 200
    assert (await listed(api, x_api_key=api.plan.project_token)).status == 200


async def test_a_company_key_opens_the_only_project(api: Api) -> None:
    assert (await listed(api, api.plan.api_key)).status == 200
    assert (await listed(api, X_Api_Key=api.plan.api_key)).status == 200


async def test_a_company_with_several_projects_names_one(api: Api, grants: Grants) -> None:
    body = {"name": "second", "webhook_url": "https://shop.example"}
    second = (await api.manage("POST", f"{MANAGEMENT}/Project", body)).json["id"]
    await grants.made_customer(external_id="in the first")
    refused = await listed(api, api.plan.api_key)
    assert problems(refused) == [(["header", "x-project-id"], "missing")]
    for project, expected in ((str(api.plan.project_id), 1), (second, 0)):
        answer = await listed(api, api.plan.api_key, X_Project_Id=project)
        assert (answer.status, answer.json["total"]) == (200, expected)
    for unknown in (UNKNOWN_ID, "nonsense", ""):
        assert detail(await listed(api, api.plan.api_key, X_Project_Id=unknown)) == (404, "No project record found.")


async def test_a_project_token_is_for_its_own_project_alone(api: Api) -> None:
    token = api.plan.project_token
    assert (await listed(api, token, X_Project_Id=str(api.plan.project_id))).status == 200
    assert (await listed(api, token, X_Project_Id=UNKNOWN_ID)).status == 404


async def test_nobody_and_strangers_are_401(api: Api, grants: Grants, session: str) -> None:
    runtime = await grants.made_instance()
    for token in (None, "nonsense", session, runtime.key, "cwp_" + "A" * 64, "cwk_" + "A" * 64):
        answer = await listed(api, token)
        assert detail(answer)[0] == 401, token
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await listed(api, "nonsense", X_Api_Key=api.plan.project_token)).status == 401


async def test_who_asks_is_looked_at_before_what_is_asked(api: Api) -> None:
    for path in ("/v1/customers", "/v1/customers/nonsense/connections", "/v1/instances"):
        assert (await api.call("POST", path, raw=b"{", token="nonsense")).status == 401


async def test_a_revoked_token_is_refused_at_once(api: Api, grants: Grants) -> None:
    made = (await api.manage("POST", f"{api.managed_project}/Token", {"name": "short"})).json
    assert (await listed(api, made["token"])).status == 200
    await api.manage("DELETE", f"{api.managed_project}/Token/{made['id']}")
    assert (await listed(api, made["token"])).status == 401


async def test_company_keys_stay_refused_where_project_tokens_are_asked_for(api: Api) -> None:
    path = f"{MONKEDO}/users/ada/connections/status?appKeys=github"
    headers = {"X-Project-Id": str(api.plan.project_id), "X-Api-Key": api.plan.project_token}
    assert (await api.call("GET", path, token=api.plan.api_key, headers=headers)).status == 401


async def test_a_key_that_cannot_be_one_is_told_where_it_stands(grants: Grants) -> None:
    answer = await grants.call("POST", "/v1/customers", {}, headers={"Idempotency-Key": "two words"})
    assert problems(answer) == [(["header", "idempotency-key"], "value_error")]
