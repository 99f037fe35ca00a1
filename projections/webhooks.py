"""Webhooks: whether a project's is disabled and why, and when its secret was last changed."""

from __future__ import annotations

from domain.deliveries.endpoint import WebhookDisabled, WebhookEnabled, WebhookSecretRotated
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from projections.projection import Projection, unknown
from projections.rows import Rows
from projections.tables import Table

WEBHOOKS_TABLE = Table(
    "read_webhooks_1",
    key={},
    columns={
        "secret_version": "integer",
        "secret_at": "timestamptz",
        "disabled_at": "timestamptz",
        "message": "text",
    },
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case WebhookSecretRotated():
            values = {"secret_version": event.credential_version, "secret_at": event.at}
            if recorded.version == 1:
                rows.put(WEBHOOKS_TABLE, (), **values)
            else:
                rows.change(WEBHOOKS_TABLE, (), **values)
        case WebhookDisabled():
            rows.change(WEBHOOKS_TABLE, (), disabled_at=event.at, message=event.message)
        case WebhookEnabled():
            rows.change(WEBHOOKS_TABLE, (), disabled_at=None, message=None)
        case ProjectCreated() | ProjectChanged():
            pass
        case ProjectDeleted():
            rows.remove_where(WEBHOOKS_TABLE)
        case _:
            raise unknown(recorded)


WEBHOOKS = Projection(
    name="webhooks",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"webhook", "project"}),
    tables=(WEBHOOKS_TABLE,),
    fold=fold,
)
