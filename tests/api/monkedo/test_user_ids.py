"""An end user's id is the application's own: any text that can be stored."""

from urllib.parse import quote

from tests.api.raw_http import request_bytes, send_raw
from tests.api.staging import connect_fields, details, import_token, refusal
from tests.api_client import MONKEDO, Answer, Api

IDS = [
    "ada@example.com",
    "with spaces and\ttabs",
    " leading and trailing ",
    "a/b/c",
    "connections/github",
    "50%",
    "%2F",
    "%252F",
    "a+b",
    "a?b#c&d=e",
    "{braces}",
    "Zoë Ωmega 用户 😀",
    "é",
    "e\u0301",
    "quotes\"'\\",
    "\x01\x1f\x7f",
    "import",
    "status",
    "null",
    "x" * 512,
    "😀" * 512,
]


async def test_any_text_names_an_end_user_on_every_route(api: Api) -> None:
    for user in IDS:
        await come_and_go(api, user)


async def come_and_go(api: Api, user: str) -> None:
    assert (await connect_fields(api, user, "github", {"accessToken": "x"})).status == 200
    assert (await import_token(api, user, "telegram-bot")).status == 200
    assert await api.status(quote(user, safe=""), "github", "telegram-bot") == {
        "github": "connected",
        "telegram-bot": "connected",
    }
    assert (await details(api, user))["userId"] == user
    listed = (await api.manage("GET", f"{api.managed_project}/EndUsers")).json
    assert [(one["user_id"], one["connections"]) for one in listed] == [(user, 2)]
    assert (await api.monkedo("DELETE", f"/users/{quote(user, safe='')}/connections/github")).status == 200
    assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/{quote(user, safe='')}")).status == 200
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).json == []


async def test_ids_that_look_alike_are_different_users(api: Api) -> None:
    alike = ["ada", "Ada", "ada ", "é", "e\u0301", "a/b", "a%2Fb", "a%252Fb", "a+b", "a b"]
    for user in alike:
        assert (await import_token(api, user)).status == 200
    listed = (await api.manage("GET", f"{api.managed_project}/EndUsers")).json
    assert sorted(one["user_id"] for one in listed) == sorted(alike)


async def test_both_generations_mean_the_same_user(api: Api) -> None:
    user = "a/b 😀@example.com"
    body = {"userId": user, "appKey": "github", "scopes": [], "accessToken": "x"}
    assert (await api.monkedo("POST", "/users/connections/import", body)).status == 200
    assert await api.status(quote(user, safe=""), "github") == {"github": "connected"}


async def test_a_blank_user_id_is_code_1_in_the_published_words(api: Api) -> None:
    said = '"params" must contain "userId" value.'
    for blank in ("", "%20", "%09%20", "%E2%80%83"):
        answers = await everywhere(api, blank)
        assert [(refusal(answer), answer.json["message"]) for answer in answers] == [((400, 1), said)] * len(answers)


async def everywhere(api: Api, blank: str) -> list[Answer]:
    return [
        await api.monkedo("GET", f"/users/{blank}/connections/status?appKeys=github"),
        await api.monkedo("GET", f"{api.project}/users/{blank}/connections/status?appKeys=github"),
        await api.monkedo("GET", f"/users/{blank}/connections/github"),
        await api.monkedo("DELETE", f"/users/{blank}/connections/github"),
        await api.monkedo("POST", f"/users/{blank}/connections/github", {}),
        await api.monkedo("POST", f"{api.project}/users/{blank}/connections/github", {}),
        await api.monkedo("POST", f"/users/{blank}/connections/import", {}),
    ]


async def test_an_id_that_is_too_long_or_cannot_be_stored_is_code_1(api: Api) -> None:
    for path in ("x" * 513, "a%00b", "%FF", "%C3", "%ED%A0%80", "%", "%4", "%zz", "50%"):
        target = f"{MONKEDO}/users/{path}/connections/github"
        for method in ("GET", "DELETE"):
            answer = await send_raw(api.client, request_bytes(method, target, api.plan.project_token))
            assert (answer.status, b'"code":1,' in answer.body) == (400, True), path
    for user in ("x" * 513, "a\0b"):
        body = {"userId": user, "appKey": "github", "scopes": [], "accessToken": "x"}
        assert refusal(await api.monkedo("POST", "/users/connections/import", body)) == (400, 1)
