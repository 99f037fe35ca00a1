"""Speaks to the API as the quickstart project's developer does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp.test_utils import TestClient

from adapters.cli.quickstart import Plan

MONKEDO = "/api/v1/ipaas"
MANAGEMENT = "/subscriptions/v2"


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.text)


class Api:
    """``monkedo`` calls with the project's token, ``manage`` with the company's API key; ``token`` replaces either. ``services``:
    what the server calls, where a test has staged it; ``settled`` returns when nothing is going on with providers there.
    """

    def __init__(self, client: TestClient[Any, Any], plan: Plan) -> None:
        self.client = client
        self.services: Any = None
        self.settled: Callable[[], Awaitable[None]] | None = None
        self.plan = plan

    @property
    def project(self) -> str:
        return f"{MONKEDO}/projects/{self.plan.project_id}"

    @property
    def managed_project(self) -> str:
        return f"{MANAGEMENT}/Project/{self.plan.project_id}"

    async def monkedo(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **kwargs: Any
    ) -> Answer:
        path = path if path.startswith(MONKEDO) else MONKEDO + path
        return await self.call(method, path, body, token=token or self.plan.project_token, **kwargs)

    async def manage(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **kwargs: Any
    ) -> Answer:
        return await self.call(method, path, body, token=token or self.plan.api_key, **kwargs)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = raw if raw is not None else (None if body is None else msgspec.json.encode(body))
        async with self.client.request(method, path, data=data, headers=sent) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    async def connect(self, user: str, app: str = "github", secret: str = "ghp_" + "a" * 36) -> Answer:
        path = f"{self.project}/users/{user}/connections/{app}"
        return await self.monkedo("POST", path, {"connectionFields": {"accessToken": secret}})

    async def status(self, user: str, *apps: str) -> Any:
        answer = await self.monkedo("GET", f"{self.project}/users/{user}/connections/status?appKeys={','.join(apps)}")
        return answer.json
