"""A developer who calls the API of one or several services."""

from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

from adapters.cli.quickstart import Plan

_PROVIDER = "/api/v1/ipaas"
_MANAGEMENT = "/subscriptions/v2"
APP = "github"


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer; status 0 when there was none."""

    status: int
    text: str = ""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)


class Developer:
    """Calls in the name of one project: the token for end users' connections, the API key to manage."""

    def __init__(self, session: aiohttp.ClientSession, project_id: str, token: str, api_key: str) -> None:
        self._session = session
        self.project_id = project_id
        self.token = token
        self._api_key = api_key

    @classmethod
    def of(cls, session: aiohttp.ClientSession, plan: Plan) -> "Developer":
        return cls(session, str(plan.project_id), plan.project_token, plan.api_key)

    def with_token(self, token: str) -> "Developer":
        """The same developer with another project token."""
        return Developer(self._session, self.project_id, token, self._api_key)

    async def call(self, method: str, url: str, bearer: str, body: object = None, command: str | None = None) -> Reply:
        """``command`` is the Idempotency-Key, under which the call may be repeated."""
        headers = {"Authorization": f"Bearer {bearer}"} | ({"Idempotency-Key": command} if command else {})
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(method, url, data=data, headers=headers) as response:
                return Reply(response.status, await response.text())
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return Reply(0)

    async def import_token(self, url: str, user: str, secret: str, command: str | None = None) -> Reply:
        """Replaces the user's connection if there is one (the older generation of the API)."""
        body = {"userId": user, "appKey": APP, "scopes": [], "accessToken": secret}
        return await self.call("POST", f"{url}{_PROVIDER}/users/connections/import", self.token, body, command)

    async def delete_connection(self, url: str, user: str, command: str | None = None) -> Reply:
        return await self.call("DELETE", f"{url}{_PROVIDER}/users/{user}/connections/{APP}", self.token, None, command)

    async def status(self, url: str, user: str) -> Reply:
        path = f"{_PROVIDER}/users/{user}/connections/status?appKeys={APP}"
        return await self.call("GET", url + path, self.token)

    async def manage(self, method: str, url: str, path: str, body: object = None, command: str | None = None) -> Reply:
        """``path`` is below the project's own."""
        whole = f"{url}{_MANAGEMENT}/Project/{self.project_id}{path}"
        return await self.call(method, whole, self._api_key, body, command)

    async def erase(self, url: str, user: str, command: str | None = None) -> Reply:
        return await self.manage("DELETE", url, f"/EndUser/{user}", None, command)

    async def new_token(self, url: str) -> tuple[str, str]:
        """Its id and its text."""
        made = (await self.manage("POST", url, "/Token", {"name": "torture"})).json
        return made["id"], made["token"]

    async def new_project(self, url: str) -> "Developer":
        """A project of its own, with a token and the app."""
        body = {"name": f"Torture {uuid4()}", "webhook_url": "http://127.0.0.1/"}
        made = await self.call("POST", f"{url}{_MANAGEMENT}/Project", self._api_key, body)
        new = Developer(self._session, made.json["id"], "", self._api_key)
        _, new.token = await new.new_token(url)
        await new.manage("POST", url, "/Integration", {"app_key": APP})
        return new
