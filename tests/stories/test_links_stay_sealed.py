"""Links, states, codes, cookies and what people fill in: followed, refused and faulted over, and told to nobody else."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from app import Causeway
from scripts.providers.quick import QuickProvider
from tests.api.connect.conftest import SHOP, apps, link
from tests.api.connect.person import Person, Shown
from tests.api.staging import PUBLIC_URL, nobody_answers, register, staged
from tests.api_client import Api
from tests.conftest import Ground
from tests.own_logs import logs_of_its_own
from tests.stories.planted import database, found_in

FILLED = {
    "region": "eu",
    "email": "planted.person@example.com",
    "token": "planted-token-0001",
    "note": "planted-note-0001",
}
ELSEWHERE = "planted-word-of-a-provider"


@pytest.fixture
def logged() -> Iterator[io.BytesIO]:
    with logs_of_its_own("json") as written:
        yield written


@pytest.fixture
async def provider() -> AsyncIterator[QuickProvider]:
    async with await QuickProvider.start() as provider:
        yield provider


@pytest.fixture
async def api(logged: io.BytesIO, ground: Ground, wired: Causeway, provider: QuickProvider) -> AsyncIterator[Api]:
    async with staged(wired, ground.plan, catalogue=apps(provider), outbound=nobody_answers()) as api:
        settings = {"name": "findable-name", "webhook_url": SHOP, "allowed_origins": [SHOP]}
        await api.manage("PUT", api.managed_project, settings)
        await register(api, "local", client_id=provider.client_id, client_secret=provider.client_secret)
        await register(api, "form")
        await provider.register_redirect(f"{PUBLIC_URL}/platform/{ground.plan.project_id}/oauth")
        yield api


@pytest.fixture
async def person(api: Api) -> AsyncIterator[Person]:
    async with Person(api) as person:
        yield person


class Walk:
    """One person's way; ``secrets`` by name, and the pages that were errors."""

    def __init__(self, api: Api, wired: Causeway, person: Person, provider: QuickProvider) -> None:
        self.api, self.wired, self.person, self.provider = api, wired, person, provider
        self.secrets = {
            "client secret": provider.client_secret,
            **{f"field {n}": v for n, v in FILLED.items() if n != "region"},
        }
        self.errors: list[str] = []

    async def oauth(self) -> None:
        person, address = self.person, await link(self.api, origin=SHOP)
        page = await person.get(address)
        sent = await person.post(address, {"proof": page.hidden("proof")})
        denied = await self.provider.deny(sent.goes_on_to, "ada")
        self._know("first", address, page, denied)
        await self._refused(denied.replace("state=cwo_", "state=cwo_A"))
        await self._refused(denied + "&state=twice")
        failed = await person.get(denied.replace("access_denied", ELSEWHERE))
        assert failed.status == 502 and ELSEWHERE not in failed.text
        back = await person.agree_at(self.provider, address)
        self._know("second", address, page, back)
        async with Person(self.api) as other:
            self.errors.append((await other.get(back)).text)
        await self._broken("credentials", back, 500)
        back = await person.agree_at(self.provider, address)
        self._know("third", address, page, back)
        assert (await person.get(back)).status == 200
        await self._refused(back)
        await self._refused(address)

    async def form(self) -> None:
        address = await link(self.api, app="form", link=True)
        self.secrets["link of the form"] = address.rpartition("/")[2]
        wrong = await self.person.fill_in(address, **{**FILLED, "region": "moon"})
        assert wrong.status == 400
        self.errors.append((await self.person.fill_in(address, token=FILLED["token"])).text)
        await self._broken("credentials", address, 500, FILLED)
        assert (await self.person.fill_in(address, **FILLED)).status == 200
        await self._refused(address)

    def _know(self, which: str, address: str, page: Shown, back: str) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        self.secrets |= {f"{which} {name}": query[name] for name in ("state", "code") if name in query}
        self.secrets |= {"link": address.rpartition("/")[2], "proof": page.hidden("proof")}
        self.secrets["cookie"] = self.person.cookies["causeway"].value

    async def _refused(self, address: str) -> None:
        refused = await self.person.get(address)
        assert 400 <= refused.status < 500, refused.words
        self.errors.append(refused.text)

    async def _broken(self, table: str, address: str, status: int, fields: dict[str, str] | None = None) -> None:
        """With a table missing, so that queries fail with all these values in their hands."""
        await self.wired.pool.execute(f"alter table {table} rename to hidden")
        try:
            shown = await (self.person.fill_in(address, **fields) if fields else self.person.get(address))
        finally:
            await self.wired.pool.execute(f"alter table hidden rename to {table}")
        assert (shown.status, "it is logged as" in shown.words) == (status, True), shown.words
        self.errors.append(shown.text)


async def test_nothing_of_a_link_is_ever_told(
    api: Api,
    wired: Causeway,
    person: Person,
    provider: QuickProvider,
    logged: io.BytesIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    walk = Walk(api, wired, person, provider)
    await walk.oauth()
    await walk.form()
    await wired.marks.flush()
    assert {"link", "proof", "cookie", "second code", "third state", "field token"} <= set(walk.secrets)
    assert all(len(secret) >= 12 for secret in walk.secrets.values())
    told = {**walk.secrets, "the provider's words": ELSEWHERE}

    logs = logged.getvalue() + "".join(capfd.readouterr()).encode()
    assert b"/connect/{token}" in logs and b"/platform/{project}/oauth" in logs and logs.count(b"fault") >= 2
    assert found_in(logs, told) == []

    tables = await database(wired.pool)
    assert b"findable-name" in tables["events"]
    for name, text in tables.items():
        assert (name, found_in(text, told)) == (name, [])

    assert len(walk.errors) >= 8
    assert found_in("\n".join(walk.errors).encode(), told) == []
    assert found_in((await api.call("GET", "/metrics")).text.encode(), told) == []
