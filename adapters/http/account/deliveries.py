"""A project's webhook: its secret, and the log of what was sent, to look at and to send again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from adapters.http.account.callers import member_of_project
from adapters.http.account.paging import PageQuery, paged
from adapters.http.account.projects import PREFIX
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.deliveries.endpoint import DeliveryNotFound, WebhookMissing
from domain.deliveries.ports import DeliveryStatus
from domain.deliveries.use_cases import RotatedSecret
from domain.ids import parse_id
from domain.projects.project import ProjectNotFound
from projections.deliveries import DeliveryRow


class DeliveriesQuery(PageQuery, rename="camel"):
    """``status`` leaves out the others."""

    status: Literal["pending", "delivered", "failed"] | None = None


class RecoverBody(msgspec.Struct):
    """``since``: with an offset, such as 2026-01-31T08:00:00Z."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]


class Recovered(msgspec.Struct):
    """``recovered``: how many messages are sent again."""

    recovered: int


async def list_deliveries(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    query: DeliveriesQuery = call.query()
    status = DeliveryStatus(query.status) if query.status else None
    listing = await services.delivery_queries.list(project_id, status, query.page())
    return paged(listing.items, listing.total, listing.page)


async def resend(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    delivery_id = parse_id(call.segment("delivery_id"))
    if delivery_id is None:
        raise DeliveryNotFound
    await services.deliveries.resend(project_id, await known.caller(), delivery_id)


async def recover(services: Services, call: Call) -> Recovered:
    known, project_id = await member_of_project(services, call)
    body: RecoverBody = await call.body()
    return Recovered(await services.deliveries.recover(project_id, await known.caller(), _in_utc(body.since)))


def _in_utc(moment: datetime) -> datetime:
    """BadRequest where the offset leads out of all years that there are."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadRequest("since is a time that no calendar has.") from None


async def rotate_secret(services: Services, call: Call) -> RotatedSecret:
    known, project_id = await member_of_project(services, call)
    return await services.deliveries.rotate_secret(project_id, await known.caller())


_PROJECT = PREFIX + "/Project/{id}"
_COMMON = (TokenInvalid, ProjectNotFound)
ROUTES = [
    Route(
        method="GET",
        path=_PROJECT + "/Deliveries",
        handler=list_deliveries,
        summary="What was sent to the project's webhook in the last 30 days, newest first",
        query=DeliveriesQuery,
        answer=list[DeliveryRow],
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Delivery/{delivery_id}/Resend",
        handler=resend,
        summary="Send a message again, under the same webhook-id",
        refusals=(*_COMMON, DeliveryNotFound, WebhookMissing),
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Deliveries/Recover",
        handler=recover,
        summary="Send again all that failed since a time, and enable the webhook if it is disabled",
        body=RecoverBody,
        answer=Recovered,
        refusals=(*_COMMON, BadRequest, WebhookMissing),
    ),
    Route(
        method="POST",
        path=_PROJECT + "/WebhookSecret",
        handler=rotate_secret,
        summary="Make a new signing secret, shown once; the old one signs beside it for a day",
        answer=RotatedSecret,
        refusals=_COMMON,
    ),
]
