-- Webhooks out: messages that wait, written by the appends that announced them. A message is an event's stream and version;
-- what it says is read from there when it is sent. Whoever holds a message has put its due_at off to the end of its lease.
create table outbox (
    tenant_id  uuid not null,
    message_id uuid not null,
    stream_id  uuid not null,
    version    integer not null,
    kind       text not null,
    subject_id uuid,
    created_at timestamptz not null default clock_timestamp(),
    due_at     timestamptz not null default '-infinity',
    held       boolean not null default false,
    attempts   integer not null default 0,
    fence      integer not null default 0,
    primary key (tenant_id, message_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index outbox_by_due on outbox (tenant_id, due_at, message_id);

-- The delivery log: each message that was tried, with its tries; nothing of what receivers answered beyond the status.
create table deliveries (
    tenant_id    uuid not null,
    message_id   uuid not null,
    stream_id    uuid not null,
    version      integer not null,
    kind         text not null,
    subject_id   uuid,
    created_at   timestamptz not null,
    status       text not null,
    attempted_at timestamptz not null,
    tries        jsonb not null,
    primary key (tenant_id, message_id)
) with (fillfactor = 80);
create index deliveries_by_age on deliveries (attempted_at);
create index deliveries_that_failed on deliveries (tenant_id, created_at) where status = 'failed';
create index deliveries_of_subject on deliveries (tenant_id, subject_id) where subject_id is not null;
create index deliveries_of_nobody on deliveries (tenant_id, stream_id) where subject_id is null;

-- Since when nothing but failures came from a project's address (a digest): a mark, not an event; gone with the next success.
create table failing_webhooks (
    tenant_id     uuid primary key,
    address       bytea not null,
    failing_since timestamptz not null
);

-- When a connection was last used, and when the worker should see to its token: marks, not events. Connections that nobody uses
-- have no due_at, so that they cost nothing.
create table connection_marks (
    tenant_id     uuid not null,
    connection_id uuid not null,
    last_used_at  timestamptz not null,
    due_at        timestamptz,
    primary key (tenant_id, connection_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index connection_marks_by_due on connection_marks (due_at) where due_at is not null;

-- Whoever deletes connections holds their head: it waits for us here, or what it has deleted is seen to be gone.
create function note_uses(u_tenant uuid[], u_connection uuid[], u_used timestamptz[], u_due timestamptz[]) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
begin
    perform from tenant_heads h where h.tenant_id = any (u_tenant) order by h.tenant_id for share;
    insert into connection_marks as m (tenant_id, connection_id, last_used_at, due_at)
        select u.tenant_id, u.connection_id, u.used_at, u.due_at
        from unnest(u_tenant, u_connection, u_used, u_due) as u(tenant_id, connection_id, used_at, due_at)
        join tenant_heads h on h.tenant_id = u.tenant_id and h.closed_at is null
        where exists (
            select from credentials c where c.tenant_id = u.tenant_id and c.connection_id = u.connection_id
        )
        order by u.tenant_id, u.connection_id
        on conflict (tenant_id, connection_id) do update
            set last_used_at = greatest(m.last_used_at, excluded.last_used_at),
                due_at = least(m.due_at, excluded.due_at);
end $$;
