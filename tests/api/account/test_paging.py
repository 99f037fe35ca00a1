"""X-Pagination on every list, as the documents show it."""

import msgspec

from adapters.http.account.paging import PageQuery, cut, paged
from adapters.http.dialects import ACCOUNT
from tests.api.staging import import_token
from tests.api_client import Api

MEMBERS = {"total_Count", "page_Size", "current_Page", "total_Pages", "previous_Page", "next_Page"}


def test_the_documented_sample_comes_out_as_documented() -> None:
    records = list(range(165))
    page = PageQuery(page_number=1, page_size=100).page()
    answer = paged(cut(records, page), len(records), page)
    assert msgspec.json.decode(answer.headers["X-Pagination"]) == {
        "total_Count": 165,
        "page_Size": 100,
        "current_Page": 1,
        "total_Pages": 2,
        "previous_Page": "No",
        "next_Page": "Yes",
    }
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Pagination"
    assert answer.body is not None and len(msgspec.json.decode(bytes(answer.body))) == 100  # type: ignore[arg-type]


async def test_every_list_sends_it(api: Api, session: str) -> None:
    lists = [route for route in ACCOUNT.routes if route.query is PageQuery]
    assert len(lists) >= 7
    for route in lists:
        own_id = "1" if "/User/" in route.path else str(api.plan.project_id)
        answer = await api.manage("GET", route.path.replace("{id}", own_id), token=session)
        said = msgspec.json.decode(answer.headers["X-Pagination"])
        assert set(said) == MEMBERS, route.path
        assert min(said["total_Count"], 100) == len(answer.json)
        pages = max(1, -(-said["total_Count"] // 100))
        assert (said["page_Size"], said["current_Page"], said["total_Pages"]) == (100, 1, pages)
        assert (said["previous_Page"], said["next_Page"]) == ("No", "Yes" if pages > 1 else "No")


async def test_pages_partition_a_list(api: Api) -> None:
    users = [f"user-{number}" for number in range(7)]
    for user in users:
        await import_token(api, user)
    found, says = [], []
    for number in (1, 2, 3, 4):
        answer = await api.manage("GET", f"{api.managed_project}/EndUsers?pageNumber={number}&pageSize=3")
        found += [entry["user_id"] for entry in answer.json]
        said = msgspec.json.decode(answer.headers["X-Pagination"])
        assert (said["total_Count"], said["page_Size"], said["total_Pages"]) == (7, 3, 3)
        says.append((said["current_Page"], said["previous_Page"], said["next_Page"]))
    assert sorted(found) == users
    assert says == [(1, "No", "Yes"), (2, "Yes", "Yes"), (3, "Yes", "No"), (4, "Yes", "No")]


async def test_a_page_that_cannot_be_is_400(api: Api) -> None:
    for query in ("pageNumber=0", "pageNumber=-1", "pageNumber=x", "pageNumber=1.5", "pageSize=0", "pageSize=101"):
        for name in ("Projects", "Apps"):
            answer = await api.manage("GET", f"/subscriptions/v2/{name}?{query}")
            assert answer.status == 400, query
            assert answer.headers["Content-Type"].startswith("text/plain")
    for query in ("pageNumber=", "pageSize=1000000000000000000000", "pageNumber=%00", "pageNumber=%FF"):
        assert (await api.manage("GET", f"{api.managed_project}/EndUsers?{query}")).status == 400


async def test_what_a_list_does_not_know_in_the_query_does_not_matter(api: Api) -> None:
    answer = await api.manage("GET", "/subscriptions/v2/Projects?sortBy=Name&pageSize=5")
    assert answer.status == 200
    assert msgspec.json.decode(answer.headers["X-Pagination"])["page_Size"] == 5
