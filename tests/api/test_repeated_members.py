"""Members of a query that come more than once: lists are joined, anything else is refused."""

from __future__ import annotations

from tests.api.every_route import Target
from tests.api.refused import Refused
from tests.api_client import Api

STATUS = "/users/ada/connections/status"


async def test_a_list_may_come_in_one_member_or_in_several(api: Api) -> None:
    await api.connect("ada")
    expected = {"github": "connected", "notion": "not-connected", "stripe": "not-connected"}
    for query in (
        "appKeys=github,notion,stripe",
        "appKeys=github&appKeys=notion&appKeys=stripe",
        "appKeys=github,%20notion&x=1&appKeys=&appKeys=stripe",
    ):
        answer = await api.monkedo("GET", f"{STATUS}?{query}")
        assert (answer.status, answer.json) == (200, expected), query


async def test_the_limit_holds_for_all_members_together(api: Api) -> None:
    half = "appKeys=" + ",".join(f"app{number}" for number in range(101))
    assert (await api.monkedo("GET", f"{STATUS}?{half}")).status == 200
    assert (await api.monkedo("GET", f"{STATUS}?{half}&{half}")).status == 400


async def test_anything_else_that_comes_twice_is_refused(api: Api, every: list[Target]) -> None:
    refused = Refused(api)
    paged = [target for target in every if target.route.query is not None and "/subscriptions/" in target.route.path]
    assert len(paged) >= 5
    for target in paged:
        await refused.send(target, 400, f"{target.path()}?pageSize=1&pageSize=1")
        await refused.send(target, 400, f"{target.path()}?pageNumber=1&pageSize=1&pageNumber=2")
    assert refused.complaints == []
    answer = await api.manage("GET", "/subscriptions/v2/Projects?pageNumber=1&pageNumber=2")
    assert (answer.status, answer.text) == (400, 'The query has "pageNumber" twice.')
    assert (await api.manage("GET", "/subscriptions/v2/Projects?other=1&other=2")).status == 200
