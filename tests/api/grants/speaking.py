"""Speaks to the connections and grants API as a developer and as a runtime do."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.api_client import Answer, Api

Json = dict[str, Any]
MAIL = {"provider": "gmail", "name": "inbox", "credentials": {"access_token": "at-1", "token_type": "Bearer"}}


class Runtime(msgspec.Struct):
    """An instance and its proxy key."""

    api: Api
    id: str
    key: str

    async def fetch(self, provider: str = "gmail", **query: str) -> Answer:
        path = f"/internal/v1/instances/{self.id}/connections"
        said = "&".join(f"{name}={value}" for name, value in {"provider": provider, **query}.items())
        return await self.api.call("GET", f"{path}?{said}", token=self.key)


class Grants:
    """Requests with the project's token; the ``made_`` ones must succeed and answer what was made."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.api.call(method, path, body, **{"token": self.api.plan.project_token, **more})

    async def created(self, path: str, body: Json, **more: Any) -> Json:
        answer = await self.call("POST", path, body, **more)
        assert answer.status == 201, answer.text
        made: Json = answer.json
        return made

    async def made_customer(self, **members: Any) -> str:
        return str((await self.created("/v1/customers", members))["id"])

    async def made_connection(self, customer: str, **members: Any) -> Json:
        return await self.created(f"/v1/customers/{customer}/connections", {**MAIL, **members})

    async def made_instance(self, name: str = "bot", **members: Any) -> Runtime:
        made = await self.created("/v1/instances", {"name": name, **members})
        return Runtime(self.api, made["id"], made["proxy_key"])

    async def grant(self, connection: Json, instance: str, *capabilities: str) -> Answer:
        path = f"/v1/customers/{connection['customer_id']}/connections/{connection['id']}/grants"
        return await self.call("POST", path, {"instance_id": instance, "capabilities": list(capabilities)})

    async def made_grant(self, connection: Json, instance: str, *capabilities: str) -> Json:
        answer = await self.grant(connection, instance, *capabilities)
        assert answer.status == 201, answer.text
        made: Json = answer.json
        return made

    async def granted(self, *capabilities: str, **members: Any) -> tuple[Json, Runtime]:
        """A customer's connection, and an instance that has a grant of it."""
        connection = await self.made_connection(await self.made_customer(), **members)
        runtime = await self.made_instance()
        await self.made_grant(connection, runtime.id, *capabilities)
        return connection, runtime

    async def delete(self, connection: Json, more: str = "") -> Answer:
        return await self.call(
            "DELETE", f"/v1/customers/{connection['customer_id']}/connections/{connection['id']}{more}"
        )

    async def connections(self, customer: str) -> list[Json]:
        answer = await self.call("GET", f"/v1/customers/{customer}/connections")
        assert answer.status == 200, answer.text
        assert answer.json["total"] == len(answer.json["connections"])
        found: list[Json] = answer.json["connections"]
        return found


def problems(answer: Answer) -> list[tuple[list[str | int], str]]:
    """Where a 422 says that something is wrong, and of which type."""
    assert answer.status == 422, answer.text
    for one in answer.json["detail"]:
        assert set(one) == {"loc", "msg", "type"} and one["msg"]
    return [(one["loc"], one["type"]) for one in answer.json["detail"]]


def detail(answer: Answer) -> tuple[int, str]:
    """The status and the one text of any other refusal."""
    assert set(answer.json) == {"detail"}, answer.text
    return answer.status, answer.json["detail"]
