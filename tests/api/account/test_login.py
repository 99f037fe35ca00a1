"""Logging in, choosing a company, and what each token is good for."""

from datetime import timedelta
from uuid import uuid4

from app import Causeway
from domain.companies.company import CompanyFounded
from domain.deciding import Caller
from domain.ids import new_id
from tests.api.staging import SetClock
from tests.api_client import Answer, Api

PREFIXES = ("/sso/v2", "/v2")


async def log_in(api: Api, prefix: str = "/sso/v2", **members: object) -> Answer:
    body = {"email_address": api.plan.email_address, "password": api.plan.password, **members}
    return await api.call("POST", f"{prefix}/Auth/Login", body)


async def test_a_login_answers_the_published_members_under_both_prefixes(api: Api) -> None:
    for prefix in PREFIXES:
        answer = await log_in(api, prefix, return_url="/back", tracking_guid="t-1", remember_me=True)
        assert answer.status == 200
        said = answer.json
        assert said.pop("access_token").startswith("cwa_")
        assert said.pop("access_token_expiration").endswith("Z")
        assert said == {
            "id": 1,
            "name": "Quickstart Owner",
            "email_address": api.plan.email_address,
            "refresh_token": None,
            "return_url": "/back",
            "permissions": [],
            "tracking_guid": "t-1",
        }


async def test_the_address_may_be_called_username_and_written_in_any_case(api: Api) -> None:
    address = api.plan.email_address.upper()
    body = {"username": f" {address} ", "password": api.plan.password}
    assert (await api.call("POST", "/sso/v2/Auth/Login", body)).status == 200


async def test_a_wrong_password_and_an_unknown_address_read_the_same(api: Api) -> None:
    wrong = await log_in(api, password="wrong")
    unknown = await log_in(api, email_address="nobody@quickstart.example")
    assert wrong.status == unknown.status == 401
    assert wrong.text == unknown.text == "The e-mail address or the password is wrong."
    assert set(wrong.headers) == set(unknown.headers)
    assert wrong.headers["Content-Type"].startswith("text/plain")


async def test_a_login_without_address_or_password_is_400(api: Api) -> None:
    for members in ({"email_address": None}, {"email_address": ""}, {"password": ""}, {"password": "x" * 1025}):
        answer = await log_in(api, **members)
        assert answer.status == 400
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_the_persons_companies_are_told_under_the_persons_own_number(api: Api) -> None:
    login = (await log_in(api)).json
    for prefix in PREFIXES:
        path = f"{prefix}/User/{login['id']}/Companies"
        answer = await api.call("GET", path, token=login["access_token"])
        assert answer.json == [
            {
                "id": str(api.plan.company_id),
                "name": "Quickstart Company",
                "logo": None,
                "designation_id": 1,
                "user_type_id": 1,
                "designations": {"1": "Admin"},
            }
        ]
        assert '"total_Count":1' in answer.headers["X-Pagination"]


async def test_another_persons_number_is_404(api: Api) -> None:
    token = (await log_in(api)).json["access_token"]
    for number in ("2", "0", "01", "-1", "x", str(uuid4()), str(2**70)):
        answer = await api.call("GET", f"/sso/v2/User/{number}/Companies", token=token)
        assert (answer.status, answer.text) == (404, "No such user.")


async def test_choosing_a_company_answers_a_token_for_it(api: Api) -> None:
    token = (await log_in(api)).json["access_token"]
    for prefix in PREFIXES:
        path = f"{prefix}/User/ChangeCompany/{api.plan.company_id}"
        chosen = (await api.call("GET", path, token=token)).json
        assert chosen["access_token"].startswith("cws_")
        assert chosen["permissions"] == ["owner"]
        projects = await api.manage("GET", "/subscriptions/v2/Projects", token=chosen["access_token"])
        assert [project["name"] for project in projects.json] == ["Quickstart"]
        again = await api.call("GET", path, token=chosen["access_token"])
        assert again.status == 200


async def test_a_company_that_is_not_the_persons_is_404(api: Api, wired: Causeway) -> None:
    other = new_id()
    await wired.services.accounts.found_company(Caller("test:1"), other, "Other Company")
    token = (await log_in(api)).json["access_token"]
    for company in (other, uuid4(), "nonsense", "1"):
        answer = await api.call("GET", f"/sso/v2/User/ChangeCompany/{company}", token=token)
        assert (answer.status, answer.text) == (404, "No such company.")


async def test_a_persons_token_is_refused_where_a_company_is_meant(api: Api) -> None:
    token = (await log_in(api)).json["access_token"]
    for path in ("/subscriptions/v2/Projects", "/subscriptions/v2/Apps", api.managed_project):
        answer = await api.manage("GET", path, token=token)
        assert answer.status == 401
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_the_api_key_is_accepted_wherever_a_company_token_is(api: Api, session: str) -> None:
    paths = [
        "/subscriptions/v2/Projects",
        "/subscriptions/v2/Apps",
        api.managed_project,
        *(f"{api.managed_project}/{name}" for name in ("Tokens", "Integrations", "EndUsers", "Connections")),
    ]
    for path in paths:
        by_key = await api.manage("GET", path)
        by_person = await api.manage("GET", path, token=session)
        assert (by_key.status, by_key.text) == (by_person.status, by_person.text), path
        assert by_key.status == 200


async def test_an_api_key_is_nobody_who_could_choose_a_company(api: Api) -> None:
    for path in ("/sso/v2/User/1/Companies", f"/sso/v2/User/ChangeCompany/{api.plan.company_id}"):
        assert (await api.call("GET", path, token=api.plan.api_key)).status == 401


async def test_the_header_may_carry_the_bare_token_or_bearer_in_any_case(api: Api) -> None:
    for scheme in ("", "Bearer ", "bearer ", "BEARER  "):
        headers = {"Authorization": scheme + api.plan.api_key}
        assert (await api.call("GET", "/subscriptions/v2/Projects", headers=headers)).status == 200


async def test_sessions_end_after_an_hour(api: Api, clock: SetClock) -> None:
    clock.ahead = timedelta(minutes=-59)
    alive = (await log_in(api)).json["access_token"]
    clock.ahead = timedelta(minutes=-61)
    over = (await log_in(api)).json["access_token"]
    clock.ahead = timedelta()
    path = f"/sso/v2/User/ChangeCompany/{api.plan.company_id}"
    assert (await api.call("GET", path, token=alive)).status == 200
    assert (await api.call("GET", path, token=over)).status == 401
    clock.ahead = timedelta(minutes=-61)
    company_session = (await api.call("GET", path, token=alive)).json["access_token"]
    assert (await api.manage("GET", "/subscriptions/v2/Projects", token=company_session)).status == 401


async def test_what_is_no_token_is_401_everywhere(api: Api) -> None:
    for token in ("", "nonsense", "cwk_" + "A" * 64, "cws_" + "A" * 63, "cwz_" + "A" * 64, api.plan.api_key[:-1]):
        headers = {"Authorization": f"Bearer {token}"}
        for path in ("/subscriptions/v2/Projects", api.managed_project, "/sso/v2/User/1/Companies"):
            answer = await api.call("GET", path, headers=headers)
            assert answer.status == 401, token
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await api.call("GET", "/subscriptions/v2/Projects")).status == 401


async def test_logging_in_leaves_neither_password_nor_token_in_the_events(api: Api, wired: Causeway) -> None:
    token = (await log_in(api)).json["access_token"]
    states = await wired.pool.fetch("select state, metadata from events")
    assert any(CompanyFounded(name="Quickstart Company").name.encode() in row["state"] for row in states)
    for row in states:
        for secret in (token, api.plan.password, api.plan.email_address):
            assert secret.encode() not in row["state"] + row["metadata"]
