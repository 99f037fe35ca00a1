"""The settled order: token (900), project (901), parameters (1), app (600), user (1000), connection (209, 222)."""

from uuid import uuid4

from tests.api.staging import refusal, register
from tests.api_client import Answer, Api

BLANK = "%20"


async def refused(api: Api, method: str, path: str, body: object = None, *, token: str | None = None) -> int:
    answer: Answer = await api.monkedo(method, path, body, token=token)
    return refusal(answer)[1]


async def test_a_wrong_token_is_900_before_anything_else(api: Api) -> None:
    for token in ("cwp_" + "A" * 64, "", "nonsense", "cwp_", "cwk_" + "A" * 64, "ü" * 20):
        await refused_everywhere(api, token)


async def refused_everywhere(api: Api, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    nowhere = f"/projects/{uuid4()}"
    for method, path in [
        ("GET", f"{nowhere}/apps/notion/credential-info"),
        ("GET", "/apps/notion/credential-info"),
        ("GET", f"{nowhere}/users/{BLANK}/connections/status"),
        ("GET", f"/users/{BLANK}/connections/status"),
        ("GET", f"/users/{BLANK}/connections/notion"),
        ("DELETE", f"/users/{BLANK}/connections/notion"),
        ("POST", f"{nowhere}/users/{BLANK}/connections/notion"),
        ("POST", f"/users/{BLANK}/connections/notion"),
        ("POST", f"/users/{BLANK}/connections/import"),
        ("POST", "/users/connections/import"),
    ]:
        answer = await api.call(method, f"/api/v1/ipaas{path}", raw=b"{", headers=headers)
        assert refusal(answer) == (401, 900), path
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_company_key_or_a_session_is_no_project_token(api: Api, session: str) -> None:
    for token in (api.plan.api_key, session):
        assert await refused(api, "GET", "/apps/github/credential-info", token=token) == 900


async def test_the_scheme_is_read_in_any_case_and_may_be_left_out(api: Api) -> None:
    for scheme in ("Bearer ", "bearer ", "BEARER   ", ""):
        headers = {"Authorization": f"{scheme}{api.plan.project_token}"}
        assert (await api.call("GET", "/api/v1/ipaas/apps/github/credential-info", headers=headers)).status == 200


async def test_another_scheme_is_900(api: Api) -> None:
    for scheme in ("Basic ", "Bearer Bearer ", "Token "):
        headers = {"Authorization": f"{scheme}{api.plan.project_token}"}
        answer = await api.call("GET", "/api/v1/ipaas/apps/github/credential-info", headers=headers)
        assert refusal(answer) == (401, 900)


async def test_a_revoked_token_is_900_at_once(api: Api) -> None:
    made = (await api.manage("POST", f"{api.managed_project}/Token", {"name": "short-lived"})).json
    path = "/apps/github/credential-info"
    assert (await api.monkedo("GET", path, token=made["token"])).status == 200
    await api.manage("DELETE", f"{api.managed_project}/Token/{made['id']}")
    assert await refused(api, "GET", path, token=made["token"]) == 900


async def test_a_project_that_is_not_there_is_901_and_one_that_is_not_the_tokens_is_900(api: Api) -> None:
    body = {"name": "Other", "webhook_url": "https://example.com"}
    other = (await api.manage("POST", "/subscriptions/v2/Project", body)).json["id"]
    for project, code in ((uuid4(), 901), (other, 900)):
        base = f"/projects/{project}"
        assert await refused(api, "GET", f"{base}/apps/notion/credential-info") == code
        assert await refused(api, "GET", f"{base}/users/{BLANK}/connections/status") == code
        assert await refused(api, "POST", f"{base}/users/{BLANK}/connections/notion", []) == code


async def test_a_wrong_parameter_is_1_before_the_app_is_looked_up(api: Api) -> None:
    assert await refused(api, "GET", f"/users/{BLANK}/connections/notion") == 1
    assert await refused(api, "DELETE", f"/users/{BLANK}/connections/notion") == 1
    assert await refused(api, "POST", f"{api.project}/users/ada/connections/notion", {"connectionFields": 5}) == 1
    assert await refused(api, "POST", "/users/ada/connections/notion", {"verify": "yes"}) == 1
    assert await refused(api, "POST", "/users/ada/connections/import", {"appKey": "notion"}) == 1
    imported = {"appKey": "notion", "scopes": [], "accessToken": "x"}
    assert await refused(api, "POST", "/users/connections/import", imported) == 1
    assert await refused(api, "POST", "/users/ada/connections/import", {**imported, "expiresAt": -1}) == 1


async def test_an_app_that_is_not_registered_is_600_before_the_user_is_looked_up(api: Api) -> None:
    for method in ("GET", "DELETE"):
        assert await refused(api, method, "/users/nobody/connections/notion") == 600


async def test_an_unknown_user_is_1000_before_the_connection_is_looked_up(api: Api) -> None:
    for method in ("GET", "DELETE"):
        assert await refused(api, method, "/users/nobody/connections/github") == 1000
        await api.connect("ada")
        assert await refused(api, method, "/users/ada/connections/telegram-bot") == 209


async def test_fields_that_do_not_fit_are_1_before_an_existing_connection_is_222(api: Api) -> None:
    await register(api, "notion")
    await api.connect("ada")
    path = f"{api.project}/users/ada/connections/github"
    assert await refused(api, "POST", path, {"connectionFields": {}}) == 1
    assert await refused(api, "POST", path, {"connectionFields": {"accessToken": "x"}}) == 222
    imported = {"appKey": "github", "scopes": [], "accessToken": "x"}
    assert await refused(api, "POST", "/users/ada/connections/import", {**imported, "accessToken": ""}) == 1
    assert await refused(api, "POST", "/users/ada/connections/import", imported) == 222


async def test_a_token_whose_project_was_deleted_is_900_and_its_project_is_901_for_others(api: Api) -> None:
    body = {"name": "Other", "webhook_url": "https://example.com"}
    other = (await api.manage("POST", "/subscriptions/v2/Project", body)).json["id"]
    token = (await api.manage("POST", f"/subscriptions/v2/Project/{other}/Token", {"name": "t"})).json["token"]
    await api.manage("DELETE", f"/subscriptions/v2/Project/{other}")
    assert await refused(api, "GET", f"/projects/{other}/apps/github/credential-info", token=token) == 900
    assert await refused(api, "GET", f"/projects/{other}/apps/github/credential-info") == 901
