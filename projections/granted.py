"""What a credential fetch has to know, in one question: the instance's key, its grant, the connection, and its newest secret."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from domain.batching import SharedQuery
from domain.connections.fetching import Granted, Looked, SealedSecret
from projections.reading import Pool, live


def _looking(arguments: str, names: str, condition: str) -> str:
    """The newest grant that fits, then what belongs to it, each by its key; nothing of an erased end user or a closed project."""
    return f"""
select q.i, n.digest, x.connection_id, x.capabilities, c.auth_type, c.scopes, c.renewable, c.ended, c.message,
    s.version, s.subject_id, s.sealed, s.wrapped_key, s.master_key_id
from unnest({arguments}) with ordinality as q({names}, i)
join tenant_heads h on h.tenant_id = q.tenant_id and h.closed_at is null
{live("end_users", "g", "q.tenant_id")}
join read_instances_1 n on n.tenant_id = q.tenant_id and n.generation = g.generation and n.instance_id = q.instance_id
left join lateral (
    select a.connection_id, a.capabilities from read_grants_1 a
    where a.tenant_id = q.tenant_id and a.generation = g.generation and a.instance_id = q.instance_id
    and a.app_key = q.provider {condition} order by a.granted_at desc, a.grant_id desc limit 1
) x on true
left join lateral (
    select k.auth_type, k.scopes, k.renewable, k.ended, k.message from read_connections_1 k
    where k.tenant_id = q.tenant_id and k.generation = g.generation and k.connection_id = x.connection_id limit 1
) c on true
left join lateral (
    select r.version, r.subject_id, r.sealed, k.wrapped_key, k.master_key_id from credentials r
    join data_keys k on k.tenant_id = r.tenant_id and k.subject_id = r.subject_id and k.wrapped_key is not null
    where r.tenant_id = q.tenant_id and r.connection_id = x.connection_id order by r.version desc limit 1
) s on true
"""


_texts = msgspec.json.Decoder(list[str]).decode
_ANY = _looking("$1::uuid[], $2::uuid[], $3::text[]", "tenant_id, instance_id, provider", "")
_NAMED = _looking(
    "$1::uuid[], $2::uuid[], $3::text[], $4::text[]", "tenant_id, instance_id, provider, name", "and a.name = q.name"
)


class GrantLooks:
    """GrantReader: concurrent fetches share a question, and every fetch has its rights looked up."""

    def __init__(self, pool: Pool) -> None:
        self._any = SharedQuery(pool.fetch, _ANY)
        self._named = SharedQuery(pool.fetch, _NAMED)

    async def look(self, project_id: UUID, instance_id: UUID, provider: str, name: str | None) -> Looked | None:
        if name is None:
            rows = await self._any.ask(project_id, instance_id, provider)
        else:
            rows = await self._named.ask(project_id, instance_id, provider, name)
        return _looked(*rows[0]) if rows else None


def _looked(
    _: int,
    digest: bytes,
    connection_id: UUID | None,
    capabilities: str,
    auth_type: str | None,
    scopes: str,
    renewable: bool,
    ended: str,
    message: str,
    *secret: Any,
) -> Looked:
    if connection_id is None or auth_type is None or secret[0] is None:
        return Looked(digest, None)
    found = Granted(
        connection_id,
        _texts(capabilities),
        auth_type,
        _texts(scopes),
        renewable,
        ended,
        message,
        SealedSecret(*secret),
    )
    return Looked(digest, found)
