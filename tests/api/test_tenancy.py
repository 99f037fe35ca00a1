"""Two companies with a project each: nothing of one is seen or changed with the other's keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.http.dialects import CONNECT, GRANTS, MONKEDO
from app import Causeway
from domain.deciding import Caller
from domain.ids import COMPANY_KEY, mint_token, new_id
from tests.api.every_route import Runtime, Target, is_for_runtimes, targets
from tests.api.staging import connect_fields, import_token, new_runtime, register, stored
from tests.api_client import MANAGEMENT, Answer, Api

OPERATOR = Caller("test:tenancy")
PASSWORD = "correct horse battery staple"
OWNED = {"id", "projectId", "customer_id", "instance_id"}
"""Parameters of a path that say whose it is."""


class Side(msgspec.Struct):
    """One company: its keys, and the ids of what it has."""

    api_key: str
    project_token: str
    session: str
    company: str
    number: str
    project: str
    token_id: str
    connection_id: str
    delivery_id: str
    marker: str
    runtime: Runtime

    def parameters(self, target: Target) -> dict[str, str]:
        path = target.route.path
        own = self.company if "/ChangeCompany/" in path else self.number if "/User/" in path else self.project
        known = {
            "id": own,
            "projectId": self.project,
            "token_id": self.token_id,
            "connection_id": self.connection_id,
            "delivery_id": self.delivery_id,
            "userId": self.marker,
            "user_id": self.marker,
        }
        known |= msgspec.structs.asdict(self.runtime) if target.dialect is GRANTS else {}
        return {name: known.get(name, value) for name, value in target.parameters.items()}

    def token(self, target: Target) -> str:
        if is_for_runtimes(target.route):
            return self.runtime.proxy_key
        if target.dialect in (MONKEDO, GRANTS):
            return self.project_token
        return self.session if "/User/" in target.route.path else self.api_key


async def side(api: Api, wired: Causeway, marker: str) -> Side:
    """A company of its own, with everything that a project can have, and the marker in every name of it."""
    accounts, company, account = wired.services.accounts, new_id(), new_id()
    await accounts.found_company(OPERATOR, company, marker)
    number = await accounts.register(OPERATOR, account, f"{marker}@tenancy.example", marker, PASSWORD)
    await accounts.join_company(OPERATOR, account, company, "owner")
    api_key, minted = mint_token(COMPANY_KEY, company)
    await accounts.adopt_api_key(OPERATOR, company, new_id(), marker, minted.digest)
    body = {"name": marker, "webhook_url": f"https://{marker}.example"}
    project = (await api.manage("POST", f"{MANAGEMENT}/Project", body, token=api_key)).json["id"]
    base = f"{MANAGEMENT}/Project/{project}"
    made = (await api.manage("POST", f"{base}/Token", {"name": marker}, token=api_key)).json
    theirs = Api(api.client, msgspec.structs.replace(api.plan, project_id=UUID(project), api_key=api_key))
    theirs.plan.project_token = made["token"]
    await register(theirs, "github", auth_type="api_key", client_id=marker, client_secret=marker)
    await connect_fields(theirs, marker, "github", {"accessToken": marker})
    own = {"app_key": "github", "name": marker, "connection_fields": {"accessToken": marker}}
    connection = (await theirs.manage("POST", f"{base}/Connections", own)).json
    await import_token(theirs, marker)
    delivery = (await theirs.manage("GET", f"{base}/Deliveries")).json[0]
    login = {"email_address": f"{marker}@tenancy.example", "password": PASSWORD}
    person = (await api.call("POST", "/sso/v2/Auth/Login", login)).json["access_token"]
    chosen = (await api.call("GET", f"/sso/v2/User/ChangeCompany/{company}", token=person)).json
    return Side(
        api_key,
        made["token"],
        chosen["access_token"],
        str(company),
        str(number),
        project,
        made["id"],
        connection["id"],
        delivery["id"],
        marker,
        await new_runtime(theirs, marker),
    )


@pytest.fixture
async def sides(api: Api, wired: Causeway) -> tuple[Side, Side]:
    return await side(api, wired, "left-marker"), await side(api, wired, "right-marker")


async def ask(api: Api, target: Target, token: str, parameters: dict[str, str]) -> Answer:
    body: Any = target.body() if target.route.body is not None else None
    path = msgspec.structs.replace(target, parameters=parameters).path() + "?appKeys=github&provider=github"
    return await api.call(target.method, path, body, token=token)


def crossings(target: Target, mine: Side, theirs: Side) -> list[dict[str, str]]:
    """The path with the other side's ids, in every combination that names at least one. User ids are the application's
    own words, which nobody owns: the other side's are named throughout.
    """
    own, others = mine.parameters(target), theirs.parameters(target)
    own |= {name: others[name] for name in own if name in ("userId", "user_id")}
    foreign = [name for name in own if own[name] != others[name]]
    return [
        {**own, **{name: others[name] for place, name in enumerate(foreign) if chosen >> place & 1}}
        for chosen in range(1, 1 << len(foreign))
    ]


async def test_with_the_others_ids_nothing_is_seen_and_nothing_changes(
    api: Api, wired: Causeway, sides: tuple[Side, Side]
) -> None:
    mine, theirs = sides
    history = "select count(*) from all_events where tenant_id::text = any ($1)"
    before = await wired.pool.fetchval(history, [theirs.project, theirs.company])
    seen, complaints = await overview(api, theirs), []
    for target in targets(api.plan, "", mine.runtime):
        for parameters in crossings(target, mine, theirs) if target.route.needs_token else []:
            answer = await ask(api, target, mine.token(target), parameters)
            said = answer.text.replace(_given_back(target, parameters), "")
            if theirs.marker in said:
                complaints.append(f"{target} {parameters} tells {answer.text[:200]}")
            if answer.status not in (401, 404):
                complaints.append(f"{target} {parameters} is answered {answer.status}")
    assert complaints == []
    assert await wired.pool.fetchval(history, [theirs.project, theirs.company]) == before
    assert await overview(api, theirs) == seen


def _given_back(target: Target, parameters: dict[str, str]) -> str:
    """A user id that the caller itself sent may come back."""
    return parameters.get("userId", parameters.get("user_id", "\0"))


async def overview(api: Api, of: Side) -> list[Any]:
    """Everything of a side that its own keys show, but for when tokens were used."""
    base = f"{MANAGEMENT}/Project/{of.project}"
    pages = [base, *(f"{base}/{name}" for name in ("Integrations", "EndUsers", "Connections", "Deliveries"))]
    answers = [(await api.manage("GET", page, token=of.api_key)).json for page in pages]
    status = await api.monkedo("GET", f"/users/{of.marker}/connections/status?appKeys=github", token=of.project_token)
    pages = ["/v1/customers", f"/v1/customers/{of.runtime.customer_id}/connections", "/v1/instances"]
    granted = [(await api.call("GET", page, token=of.project_token)).json for page in pages]
    return [*answers, status.json, *granted]


async def test_the_others_keys_open_nothing_of_mine(api: Api, wired: Causeway, sides: tuple[Side, Side]) -> None:
    mine, theirs = sides
    before, complaints = await stored(wired.pool), []
    for target in targets(api.plan, "", mine.runtime):
        parameters = mine.parameters(target)
        if not target.route.needs_token or "/User/" in target.route.path or not OWNED & set(parameters):
            continue
        tokens = (theirs.api_key, theirs.project_token, theirs.session, theirs.runtime.proxy_key)
        for token in (*tokens, api.plan.api_key, api.plan.project_token):
            answer = await ask(api, target, token, parameters)
            if answer.status not in (401, 404) or mine.marker in answer.text:
                complaints.append(f"{target}: {answer.status} {answer.text[:200]}")
    assert complaints == []
    assert await stored(wired.pool) == before


async def test_lists_hold_ones_own_alone(api: Api, sides: tuple[Side, Side]) -> None:
    mine, theirs = sides
    for target in targets(api.plan, "", mine.runtime):
        if target.method == "GET" and target.dialect is not CONNECT:
            answer = await ask(api, target, mine.token(target), mine.parameters(target))
            assert answer.status == 200, str(target)
            assert theirs.marker not in answer.text, str(target)


async def test_one_user_id_in_two_projects_is_two_users(api: Api, sides: tuple[Side, Side]) -> None:
    mine, theirs = sides
    await import_token(Api(api.client, msgspec.structs.replace(api.plan, project_token=mine.project_token)), "shared")
    path = "/users/shared/connections/status?appKeys=github"
    for method in ("GET", "DELETE"):
        for asking, of in ((mine, theirs), (theirs, mine)):
            answer = await api.monkedo(method, f"/users/{of.marker}/connections/github", token=asking.project_token)
            assert (answer.status, answer.json["code"]) == (404, 1000)
    assert (await api.monkedo("GET", path, token=mine.project_token)).json == {"github": "connected"}
    assert (await api.monkedo("GET", path, token=theirs.project_token)).json == {"github": "not-connected"}
    erased = await api.manage("DELETE", f"{MANAGEMENT}/Project/{theirs.project}/EndUser/shared", token=theirs.api_key)
    assert erased.status == 404


async def test_a_tenant_written_into_a_token_does_not_open_it(api: Api, sides: tuple[Side, Side]) -> None:
    """A token says whose it is; its secret half must be that tenant's."""
    mine, theirs = sides
    kind, _, body = mine.project_token.partition("_")
    forged = f"{kind}_{theirs.project_token.partition('_')[2][:22]}{body[22:]}"
    answer = await api.monkedo("GET", "/apps/github/credential-info", token=forged)
    assert (answer.status, answer.json["code"]) == (401, 900)
    for token in (f"cwk_{body}", f"cws_{body}", mine.api_key.replace("cwk_", "cws_")):
        assert (await api.manage("GET", f"{MANAGEMENT}/Projects", token=token)).status == 401


async def test_a_proxy_key_opens_its_own_instance_alone(api: Api, sides: tuple[Side, Side]) -> None:
    mine, theirs = sides
    second = await new_runtime(_speaking_as(api, mine), f"{mine.marker}-second")
    for key in (theirs.runtime.proxy_key, second.proxy_key, mine.project_token, mine.api_key):
        path = f"/internal/v1/instances/{mine.runtime.instance_id}/connections?provider=github"
        answer = await api.call("GET", path, token=key)
        assert (answer.status, mine.marker in answer.text) == (401, False)


async def test_an_instance_is_granted_nothing_of_another_project(api: Api, sides: tuple[Side, Side]) -> None:
    mine, theirs = sides
    grants = f"/v1/customers/{mine.runtime.customer_id}/connections/{mine.runtime.connection_id}/grants"
    body = {"instance_id": theirs.runtime.instance_id, "capabilities": []}
    answer = await api.call("POST", grants, body, token=mine.project_token)
    assert (answer.status, answer.json) == (404, {"detail": "No such instance."})


def _speaking_as(api: Api, of: Side) -> Api:
    return Api(api.client, msgspec.structs.replace(api.plan, project_token=of.project_token))
