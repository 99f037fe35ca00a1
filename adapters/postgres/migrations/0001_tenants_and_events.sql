-- Tenants, their streams and events, and what is written in the same breath.
-- tenant_id leads every key; no sequence and no foreign key, so that the same schema is distributed as it is.

create table tenant_heads (
    tenant_id        uuid primary key,
    kind             text not null,
    position         bigint not null default 0,
    last_recorded_at timestamptz not null default '-infinity',
    closed_at        timestamptz
) with (fillfactor = 50);

-- Closed tenants that still hold more than their history: which of their tables is being emptied, and up to which row.
create table emptying (
    tenant_id uuid primary key,
    place     integer not null default 1,
    up_to     text[]
);

create table streams (
    tenant_id   uuid not null,
    stream_id   uuid not null,
    stream_type text not null,
    version     integer not null,
    archived_at timestamptz,
    primary key (tenant_id, stream_id)
) with (fillfactor = 80);

create table events (
    tenant_id   uuid not null,
    stream_id   uuid not null,
    version     integer not null,
    position    bigint not null,
    topic       text not null,
    state       bytea not null,
    metadata    bytea not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, stream_id, version),
    unique (tenant_id, position)
);

create table events_archive (like events including all);

-- An event leaves its table only when its copy stands in the archive (archive_stream puts it there).
create function refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and tg_table_name = 'events' then
        perform 1 from events_archive a
            where a.tenant_id = old.tenant_id and a.position = old.position and a.stream_id = old.stream_id
            and a.version = old.version and a.topic = old.topic and a.state = old.state and a.metadata = old.metadata
            and a.recorded_at = old.recorded_at;
        if found then return old; end if;
    end if;
    raise exception 'events are never changed: % on % is refused', tg_op, tg_table_name using errcode = 'restrict_violation';
end $$;

create trigger events_are_final before update or delete on events
    for each row execute function refuse_change();
create trigger events_stay before truncate on events
    for each statement execute function refuse_change();
create trigger archived_events_are_final before update or delete on events_archive
    for each row execute function refuse_change();
create trigger archived_events_stay before truncate on events_archive
    for each statement execute function refuse_change();

create view all_events as
    select * from events union all select * from events_archive;

-- What the eventsourcing library's own recorder reads, per tenant: where tenant_id = ...
create view stored_events as
    select tenant_id, stream_id as originator_id, version as originator_version, topic, state, position as notification_id
    from all_events;

create table uniques (
    tenant_id  uuid not null,
    kind       text not null,
    key        text not null,
    stream_id  uuid not null,
    subject_id uuid,
    primary key (tenant_id, kind, key)
);
create index uniques_of_subject on uniques (tenant_id, subject_id) where subject_id is not null;

create table snapshots (
    tenant_id uuid not null,
    stream_id uuid not null,
    version   integer not null,
    topic     text not null,
    state     bytea not null,
    code_hash bytea not null,
    primary key (tenant_id, stream_id)
);

create table commands (
    tenant_id    uuid not null,
    command_id   bytea not null,
    request_hash bytea not null,
    result       bytea not null,
    subject_id   uuid,
    expires_at   timestamptz not null,
    primary key (tenant_id, command_id)
);
create index commands_by_expiry on commands (expires_at);

create table data_keys (
    tenant_id     uuid not null,
    subject_id    uuid not null,
    wrapped_key   bytea,
    master_key_id text not null,
    shredded_at   timestamptz,
    primary key (tenant_id, subject_id),
    check ((wrapped_key is null) = (shredded_at is not null))
);
create index data_keys_by_master on data_keys (master_key_id, tenant_id, subject_id) where wrapped_key is not null;

create table credentials (
    tenant_id     uuid not null,
    connection_id uuid not null,
    version       integer not null,
    subject_id    uuid not null,
    sealed        bytea not null,
    recorded_at   timestamptz not null default clock_timestamp(),
    primary key (tenant_id, connection_id, version)
);
create index credentials_of_subject on credentials (tenant_id, subject_id);

-- One row per append batch and tenant until its read models have followed; insert-only, so that nobody waits here.
create table dirty (
    tenant_id uuid not null,
    position  bigint not null,
    marked_at timestamptz not null default clock_timestamp(),
    primary key (tenant_id, position)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index dirty_by_age on dirty (marked_at);

-- A projection's generations: the code that feeds them, the tables they lie in, and which one new tenants begin with.
create table projection_generations (
    projection text not null,
    generation integer not null,
    code_hash  bytea not null,
    tables     text[] not null,
    status     text not null check (status in ('building', 'live', 'kept', 'dropped')),
    created_at timestamptz not null default clock_timestamp(),
    primary key (projection, generation)
);
create unique index one_live_generation on projection_generations (projection) where status = 'live';

create table checkpoints (
    tenant_id  uuid not null,
    projection text not null,
    generation integer not null,
    position   bigint not null default 0,
    live       boolean not null,
    stopped    text,
    primary key (tenant_id, projection, generation)
) with (fillfactor = 50);
create unique index one_live_checkpoint on checkpoints (tenant_id, projection) where live;
create index stopped_checkpoints on checkpoints (projection) where stopped is not null;

-- How far readers that use the eventsourcing library have come, per application that they read.
create table tracking (
    tenant_id        uuid not null,
    application_name text not null,
    notification_id  bigint not null,
    primary key (tenant_id, application_name)
) with (fillfactor = 50);

-- Which master keys this database was ever sealed under: a fingerprint each, never the key.
create table master_keys (
    master_key_id text primary key,
    fingerprint   bytea not null,
    first_seen_at timestamptz not null default clock_timestamp()
);

-- When a token was last used: a mark, not an event.
create table token_marks (
    tenant_id    uuid not null,
    token_id     uuid not null,
    last_used_at timestamptz not null,
    primary key (tenant_id, token_id)
) with (fillfactor = 50);
