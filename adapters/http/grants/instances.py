"""Instances: runtimes with a proxy key each, shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from adapters.http.grants.callers import HEADERS, operator
from adapters.http.grants.problems import Unprocessable
from adapters.http.grants.reading import body, path_id
from adapters.http.problems import TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.end_users.end_user import EndUserNotFound
from domain.instances.instance import InstanceNotFound
from domain.projects.project import ProjectNotFound
from projections.instances import InstanceRow

PREFIX = "/v1/instances"


class InstanceBody(msgspec.Struct):
    """``customer_id``: whose instance it is; left out, it is the project's."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    customer_id: UUID | None = None


class Instance(msgspec.Struct, omit_defaults=True):
    """``proxy_key`` is in the answer to its creation, and never again."""

    id: UUID
    name: str
    customer_id: UUID | None
    created_at: datetime
    key_rotated_at: datetime | None
    last_used_at: datetime | None
    proxy_key: str | msgspec.UnsetType = msgspec.UNSET


class Instances(msgspec.Struct):
    instances: list[Instance]
    total: int


class NewKey(msgspec.Struct):
    """``proxy_key`` is in this answer, and never again; the key before opens nothing any more."""

    id: UUID
    proxy_key: str
    key_rotated_at: datetime


async def create_instance(services: Services, call: Call) -> Instance:
    known = await operator(services, call)
    told: InstanceBody = await body(call)
    made, created_at = await services.instances.create(
        known.project_id, await known.caller(), told.name, told.customer_id
    )
    return Instance(made.instance_id, made.name, made.end_user_id, created_at, None, None, made.proxy_key)


async def list_instances(services: Services, call: Call) -> Instances:
    known = await operator(services, call)
    rows = await services.instance_queries.list(known.project_id)
    return Instances([_instance(row) for row in rows], len(rows))


async def get_instance(services: Services, call: Call) -> Instance:
    known = await operator(services, call)
    row = await services.instance_queries.one(known.project_id, path_id(call, "instance_id"))
    if row is None:
        raise InstanceNotFound
    return _instance(row)


async def delete_instance(services: Services, call: Call) -> None:
    known = await operator(services, call)
    instance_id = path_id(call, "instance_id")
    await services.instances.delete(known.project_id, await known.caller(), instance_id)


async def rotate_key(services: Services, call: Call) -> NewKey:
    known = await operator(services, call)
    instance_id = path_id(call, "instance_id")
    rotated, at = await services.instances.rotate_key(known.project_id, await known.caller(), instance_id)
    return NewKey(instance_id, rotated.proxy_key, at)


def _instance(row: InstanceRow) -> Instance:
    return Instance(row.instance_id, row.name, row.end_user_id, row.created_at, row.rotated_at, row.last_used_at)


_ONE = PREFIX + "/{instance_id}"
_COMMON = (TokenInvalid, ProjectNotFound, Unprocessable)
ROUTES = [
    Route(
        method="POST",
        path=PREFIX,
        handler=create_instance,
        summary="Create an instance; its proxy key is shown once",
        status=201,
        body=InstanceBody,
        answer=Instance,
        headers=HEADERS,
        refusals=(*_COMMON, EndUserNotFound),
    ),
    Route(
        method="GET",
        path=PREFIX,
        handler=list_instances,
        summary="The project's instances",
        answer=Instances,
        headers=HEADERS,
        refusals=_COMMON,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_instance,
        summary="An instance",
        answer=Instance,
        headers=HEADERS,
        refusals=(*_COMMON, InstanceNotFound),
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=delete_instance,
        summary="Delete an instance with its grants; its proxy key opens nothing any more",
        status=204,
        headers=HEADERS,
        refusals=(*_COMMON, InstanceNotFound),
    ),
    *(
        Route(
            method="POST",
            path=path,
            handler=rotate_key,
            summary="Replace an instance's proxy key; the new one is shown once",
            answer=NewKey,
            headers=HEADERS,
            refusals=(*_COMMON, InstanceNotFound),
        )
        for path in (_ONE + "/rotate-key", PREFIX + "/admin/{instance_id}/rotate-key")
    ),
]
