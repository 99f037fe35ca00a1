"""What an end user fills in: credential-info in both generations."""

from uuid import uuid4

from tests.api.staging import refusal, register
from tests.api_client import MONKEDO, Api


async def test_both_generations_describe_the_fields_of_a_registered_app_alike(api: Api) -> None:
    newer = await api.monkedo("GET", f"{api.project}/apps/github/credential-info")
    older = await api.monkedo("GET", "/apps/github/credential-info")
    assert newer.status == older.status == 200
    assert newer.json == older.json
    assert set(newer.json) == {"appName", "desc", "fields"}
    assert newer.json["appName"] == "GitHub"
    field = newer.json["fields"][0]
    assert (field["name"], field["type"], field["isOptional"]) == ("accessToken", "password", False)


async def test_selects_and_conditions_are_told_in_the_published_words(api: Api) -> None:
    await register(api, "posthog")
    fields = {f["name"]: f for f in (await api.monkedo("GET", "/apps/posthog/credential-info")).json["fields"]}
    assert fields["region"]["type"] == "select"
    assert {"value": "eu", "label": "EU Cloud"} in fields["region"]["options"]
    assert fields["host"]["showWhen"] == {"key": "region", "value": "self-hosted"}


async def test_an_app_that_is_not_registered_is_600(api: Api) -> None:
    for app in ("notion", "nonsense", "status", "import"):
        for path in (f"{api.project}/apps/{app}/credential-info", f"/apps/{app}/credential-info"):
            assert refusal(await api.monkedo("GET", path)) == (404, 600)


async def test_a_project_that_is_not_there_is_901(api: Api) -> None:
    for project in (str(uuid4()), "nonsense", "66dcc20c7de8ff49fcd68da2", "%F0%9F%98%80"):
        answer = await api.monkedo("GET", f"/projects/{project}/apps/github/credential-info")
        assert refusal(answer) == (404, 901)


async def test_the_project_id_may_be_written_in_capitals(api: Api) -> None:
    path = f"{MONKEDO}/projects/{str(api.plan.project_id).upper()}/apps/github/credential-info"
    assert (await api.monkedo("GET", path)).status == 200
