"""The statements of the delivery queue."""

from __future__ import annotations

from domain.deliveries.letter import BEFORE

KEPT_TRIES = 20
"""How many of a message's tries the log keeps, the newest."""

_HURRY = "hurry as materialized (select set_config('synchronous_commit', 'off', true))"

# Steps from tenant to tenant through the index, so that a long queue of one costs no more than a short one.
WAITING = """
with recursive tenants as (
    (select o.tenant_id, 1 as number from outbox o where o.tenant_id > $2 order by o.tenant_id limit 1)
    union all
    select n.tenant_id, t.number + 1 from tenants t cross join lateral (
        select o.tenant_id from outbox o where o.tenant_id > t.tenant_id order by o.tenant_id limit 1
    ) n
    where t.number < $3
)
select t.tenant_id, exists (select from outbox o where o.tenant_id = t.tenant_id and o.due_at <= $1) as is_due, f.failing_since
from tenants t left join failing_webhooks f on f.tenant_id = t.tenant_id order by t.tenant_id
"""

CLAIM = f"""
with {_HURRY}, picked as materialized (
    select o.tenant_id, o.message_id from unnest($1::uuid[], $2::integer[]) as w(tenant_id, wanted)
    cross join lateral (
        select m.tenant_id, m.message_id from outbox m where m.tenant_id = w.tenant_id and m.due_at <= $3
        order by m.due_at, m.message_id limit w.wanted for update skip locked
    ) o
)
update outbox o set due_at = $4, held = true, fence = o.fence + 1 from picked p cross join hurry
where o.tenant_id = p.tenant_id and o.message_id = p.message_id
returning o.tenant_id, o.message_id, o.stream_id, o.version, o.kind, o.attempts, o.fence
"""

HISTORY = f"""
select q.i, e.tenant_id, e.stream_id, e.version, e.position, e.recorded_at, e.topic, e.state, e.metadata
from unnest($1::uuid[], $2::uuid[], $3::integer[]) with ordinality as q(tenant_id, stream_id, version, i)
cross join lateral (
    select * from all_events a
    where a.tenant_id = q.tenant_id and a.stream_id = q.stream_id and a.version <= q.version
    and (a.version = q.version or a.topic = any ('{{{",".join(sorted(BEFORE))}}}'::text[]))
) e
order by q.i, e.version
"""

_LOG = f"""
on conflict (tenant_id, message_id) do update
set kind = excluded.kind, subject_id = excluded.subject_id, status = excluded.status, attempted_at = excluded.attempted_at,
    tries = case when jsonb_array_length(l.tries) >= {KEPT_TRIES} then l.tries - 0 else l.tries end || excluded.tries
"""

FINISH = f"""
with {_HURRY}, done as materialized (
    select d.* from unnest(
        $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::text[], $7::uuid[], $8::timestamptz[], $9::text[]
    ) as d(tenant_id, message_id, fence, status, at, kind, subject_id, retry_at, entry)
    cross join hurry
), gone as (
    delete from outbox o using done d
    where o.tenant_id = d.tenant_id and o.message_id = d.message_id and o.fence = d.fence and o.held
    and d.retry_at is null
    returning o.tenant_id, o.message_id, o.fence, o.stream_id, o.version, o.created_at
), later as (
    update outbox o set due_at = d.retry_at, held = false, attempts = o.attempts + 1, kind = d.kind, subject_id = d.subject_id
    from done d
    where o.tenant_id = d.tenant_id and o.message_id = d.message_id and o.fence = d.fence and o.held
    and d.retry_at is not null
    returning o.tenant_id, o.message_id, o.fence, o.stream_id, o.version, o.created_at
), working as (
    delete from failing_webhooks f using done d where f.tenant_id = d.tenant_id and d.status = 'delivered'
)
insert into deliveries as l (
    tenant_id, message_id, stream_id, version, kind, subject_id, created_at, status, attempted_at, tries
)
select m.tenant_id, m.message_id, m.stream_id, m.version, d.kind, d.subject_id, m.created_at, d.status, d.at,
    jsonb_build_array(d.entry::jsonb)
from (select * from gone union all select * from later) m
join done d on d.tenant_id = m.tenant_id and d.message_id = m.message_id and d.fence = m.fence
{_LOG}"""

SET_ASIDE = f"""
with {_HURRY}, picked as materialized (
    select o.tenant_id, o.message_id from outbox o cross join hurry
    where o.tenant_id = $1 and (not o.held or o.due_at <= $4)
    and $3 = coalesce((select s.version from streams s where s.tenant_id = $1 and s.stream_id = $2), 0)
    order by o.message_id limit $7 for update of o skip locked
), gone as (
    delete from outbox o using picked p where o.tenant_id = p.tenant_id and o.message_id = p.message_id
    returning o.tenant_id, o.message_id, o.stream_id, o.version, o.kind, o.subject_id, o.created_at
), logged as (
    insert into deliveries as l (
        tenant_id, message_id, stream_id, version, kind, subject_id, created_at, status, attempted_at, tries
    )
    select g.tenant_id, g.message_id, g.stream_id, g.version, g.kind, g.subject_id, g.created_at, 'failed', $4,
        jsonb_build_array($6::text::jsonb)
    from gone g where $5::text <> ''
    {_LOG}
)
select count(*) from gone
"""

MARK_FAILING = """
insert into failing_webhooks as f (tenant_id, address, failing_since)
select $1, $2, $3 from tenant_heads where tenant_id = $1 and closed_at is null for share
on conflict (tenant_id) do update set address = excluded.address,
    failing_since = case when f.address = excluded.address then f.failing_since else excluded.failing_since end
returning failing_since
"""

OPEN = "select true from tenant_heads where tenant_id = $1 and closed_at is null for share"

RECOVER = """
with again as (
    insert into outbox (tenant_id, message_id, stream_id, version, kind, subject_id, created_at)
    select d.tenant_id, d.message_id, d.stream_id, d.version, d.kind, d.subject_id, d.created_at from deliveries d
    where d.tenant_id = $1 and d.status = 'failed' and d.created_at >= $2
    on conflict do nothing
    returning 1
), sooner as (
    update outbox o set due_at = '-infinity', attempts = 0
    where o.tenant_id = $1 and not o.held and o.attempts > 0 and o.created_at >= $2
    returning 1
)
select (select count(*) from again) + (select count(*) from sooner)
"""

RECORD = """
select coalesce(o.message_id, d.message_id), coalesce(o.stream_id, d.stream_id), coalesce(o.version, d.version),
    coalesce(o.kind, d.kind), coalesce(o.subject_id, d.subject_id),
    case when o.message_id is not null then 'pending' else d.status end as status, coalesce(o.attempts, 0) as attempts
from (select * from outbox where tenant_id = $1 and message_id = $2) o
full join (select * from deliveries where tenant_id = $1 and message_id = $2) d on d.message_id = o.message_id
"""

REMOVE_OLD = """
delete from deliveries d using (
    select tenant_id, message_id from deliveries where attempted_at < statement_timestamp() - interval '30 days'
    order by attempted_at limit $1 for update skip locked
) old where d.tenant_id = old.tenant_id and d.message_id = old.message_id returning 1
"""
