-- The one way to write: a whole batch of appends, each stored whole or not at all.
--
-- Lock order: heads by tenant_id first, everything else under them. Outcomes per append: 0 stored, 1 tenant closed,
-- 2 command known, 3 command key of another request, 4 stale, 5 fact taken, 6 fact missing, 7 subject forgotten.
-- The caller keeps appends that could disturb each other out of one batch (append_batch.py: choose), so that the checks may look at
-- the whole batch at once.
--   h_  the tenants, each once, in order, and how many events they get in all
--   a_  an append: whose it is (slot: which h_), how many events of the batch come before it there, and how many it has
--   e_  its events             s_  the streams they extend (one row each)
--   f_  its facts (1 claim, 2 release, 3 require)         k_  new data keys     c_  new credentials
--   x_  subjects to forget     d_  connections whose credentials are destroyed
--   o_  messages to send
create function append_batch(
    h_tenant uuid[], h_events integer[],
    a_tenant uuid[], a_slot integer[], a_before integer[], a_events integer[],
    e_append integer[], e_number integer[], e_stream uuid[], e_version integer[], e_topic text[], e_state bytea[],
    e_metadata bytea[],
    s_append integer[], s_stream uuid[], s_type text[], s_expected integer[], s_version integer[],
    a_opens text[] = '{}', a_closes boolean[] = '{}',
    a_command bytea[] = '{}', a_request bytea[] = '{}', a_result bytea[] = '{}', a_subject uuid[] = '{}',
    f_append integer[] = '{}', f_use smallint[] = '{}', f_kind text[] = '{}', f_key text[] = '{}', f_stream uuid[] = '{}',
    f_subject uuid[] = '{}',
    k_append integer[] = '{}', k_subject uuid[] = '{}', k_wrapped bytea[] = '{}', k_master text[] = '{}',
    c_append integer[] = '{}', c_connection uuid[] = '{}', c_version integer[] = '{}', c_subject uuid[] = '{}',
    c_sealed bytea[] = '{}',
    x_append integer[] = '{}', x_subject uuid[] = '{}',
    d_append integer[] = '{}', d_connection uuid[] = '{}',
    o_append integer[] = '{}', o_message uuid[] = '{}', o_stream uuid[] = '{}', o_version integer[] = '{}', o_kind text[] = '{}',
    o_subject uuid[] = '{}'
) returns table (outcome smallint, result bytea, last_position bigint, recorded_at timestamptz)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    fate smallint[] := array_fill(0::smallint, array[cardinality(a_tenant)]);
    known bytea[] := array_fill(null::bytea, array[cardinality(a_tenant)]);
    opened uuid[];
    held uuid[];
    h_position bigint[];
    h_at timestamptz[];
    lost record;
    theirs uuid[];
begin
    if array_remove(a_opens, null) <> '{}' then
        with made as (
            insert into tenant_heads (tenant_id, kind)
            select distinct o.tenant_id, o.kind from unnest(a_tenant, a_opens) as o(tenant_id, kind)
            where o.kind is not null order by o.tenant_id
            on conflict do nothing
            returning tenant_id
        )
        select array_agg(m.tenant_id) into opened from made m;
    end if;

    -- What was held is what was asked for, in the same order, unless a tenant is closed or was never opened.
    select array_agg(h.tenant_id), array_agg(h.position), array_agg(greatest(h.last_recorded_at, clock_timestamp()))
        into held, h_position, h_at
        from (
            select * from tenant_heads h
            where h.tenant_id = any (h_tenant) and h.closed_at is null order by h.tenant_id for update
        ) h;
    if held is distinct from h_tenant then
        select array_agg(h_position[t.place] order by t.i), array_agg(h_at[t.place] order by t.i) into h_position, h_at
            from (select array_position(held, m.id) as place, m.i from unnest(h_tenant) with ordinality as m(id, i)) t;
        for lost in select a.i from unnest(a_slot) with ordinality as a(slot, i) where h_position[a.slot] is null loop
            fate[lost.i] := 1;
        end loop;
    end if;

    if array_remove(a_command, null) <> '{}' then
        for lost in
            select a.i, c.request_hash = a.request as same, c.result
            from unnest(a_tenant, a_command, a_request) with ordinality as a(tenant_id, command, request, i)
            join commands c on c.tenant_id = a.tenant_id and c.command_id = a.command
            where c.expires_at > clock_timestamp() and fate[a.i] = 0
        loop
            fate[lost.i] := case when lost.same then 2 else 3 end;
            known[lost.i] := case when lost.same then lost.result end;
        end loop;
    end if;

    for lost in
        select s.append from unnest(s_append, s_stream, s_expected) as s(append, stream_id, expected)
        left join streams t on t.tenant_id = a_tenant[s.append] and t.stream_id = s.stream_id
        where fate[s.append] = 0 and (coalesce(t.version, 0) <> s.expected or t.archived_at is not null)
    loop
        fate[lost.append] := 4;
    end loop;

    if cardinality(f_append) > 0 then
        for lost in
            select f.append, f.use from unnest(f_append, f_use, f_kind, f_key, f_stream) as f(append, use, kind, key, stream_id)
            left join uniques u on u.tenant_id = a_tenant[f.append] and u.kind = f.kind and u.key = f.key
                and (f.use = 1 or f.stream_id is null or u.stream_id = f.stream_id)
            where fate[f.append] = 0 and (f.use = 1) = (u.tenant_id is not null) and f.use <> 2
        loop
            fate[lost.append] := case when lost.use = 1 or fate[lost.append] = 5 then 5 else 6 end;
        end loop;
    end if;

    if cardinality(k_append) > 0 then
        for lost in
            select k.append from unnest(k_append, k_subject) as k(append, subject_id)
            join data_keys t on t.tenant_id = a_tenant[k.append] and t.subject_id = k.subject_id
            where fate[k.append] = 0
        loop
            fate[lost.append] := 4;
        end loop;
    end if;

    if cardinality(c_append) > 0 then
        for lost in
            select c.append, t.connection_id is not null as there
            from unnest(c_append, c_connection, c_version, c_subject) as c(append, connection_id, version, subject_id)
            left join credentials t
                on t.tenant_id = a_tenant[c.append] and t.connection_id = c.connection_id and t.version = c.version
            left join data_keys k on k.tenant_id = a_tenant[c.append] and k.subject_id = c.subject_id and k.shredded_at is null
            where fate[c.append] = 0
            and (
                t.connection_id is not null
                or (k.subject_id is null and (c.append, c.subject_id) not in (
                    select n.append, n.subject_id from unnest(k_append, k_subject) as n(append, subject_id)
                ))
            )
        loop
            fate[lost.append] := case when lost.there or fate[lost.append] = 4 then 4 else 7 end;
        end loop;
    end if;

    if array_remove(a_subject || f_subject, null) <> '{}' then
        for lost in
            select o.append
            from (
                select f.append, f.subject_id from unnest(f_append, f_use, f_subject) as f(append, use, subject_id) where f.use = 1
                union all
                select a.i, a.subject_id from unnest(a_subject) with ordinality as a(subject_id, i)
            ) o
            join data_keys k on k.tenant_id = a_tenant[o.append] and k.subject_id = o.subject_id
            where fate[o.append] = 0 and k.shredded_at is not null
        loop
            fate[lost.append] := 7;
        end loop;
    end if;

    -- A tenant that only losers would have opened was never there.
    if opened is not null then
        delete from tenant_heads h
            where h.tenant_id = any (opened)
            and not exists (
                select from unnest(a_tenant) with ordinality as a(tenant_id, i) where a.tenant_id = h.tenant_id and fate[a.i] = 0
            );
    end if;

    -- Whoever is left is stored.
    if cardinality(k_append) > 0 then
        insert into data_keys (tenant_id, subject_id, wrapped_key, master_key_id)
            select a_tenant[k.append], k.subject_id, k.wrapped, k.master
            from unnest(k_append, k_subject, k_wrapped, k_master) as k(append, subject_id, wrapped, master)
            where fate[k.append] = 0;
    end if;

    if cardinality(f_append) > 0 then
        delete from uniques u using unnest(f_append, f_use, f_kind, f_key) as f(append, use, kind, key)
            where fate[f.append] = 0 and f.use = 2 and u.tenant_id = a_tenant[f.append] and u.kind = f.kind and u.key = f.key;
        insert into uniques (tenant_id, kind, key, stream_id, subject_id)
            select a_tenant[f.append], f.kind, f.key, f.stream_id, f.subject_id
            from unnest(f_append, f_use, f_kind, f_key, f_stream, f_subject) as f(append, use, kind, key, stream_id, subject_id)
            where fate[f.append] = 0 and f.use = 1;
    end if;

    if cardinality(c_append) > 0 then
        insert into credentials (tenant_id, connection_id, version, subject_id, sealed)
            select a_tenant[c.append], c.connection_id, c.version, c.subject_id, c.sealed
            from unnest(c_append, c_connection, c_version, c_subject, c_sealed)
                as c(append, connection_id, version, subject_id, sealed)
            where fate[c.append] = 0;
        -- Of what is renewed for years a few versions are kept: whoever still reads one has read it long before.
        if 8 < any (c_version) then
            delete from credentials t using unnest(c_append, c_connection, c_version) as c(append, connection_id, version)
                where fate[c.append] = 0 and t.tenant_id = a_tenant[c.append] and t.connection_id = c.connection_id
                and t.version <= c.version - 8;
        end if;
    end if;

    if cardinality(o_append) > 0 then
        insert into outbox (tenant_id, message_id, stream_id, version, kind, subject_id)
            select a_tenant[o.append], o.message_id, o.stream_id, o.version, o.kind, o.subject_id
            from unnest(o_append, o_message, o_stream, o_version, o_kind, o_subject)
                as o(append, message_id, stream_id, version, kind, subject_id)
            where fate[o.append] = 0
            on conflict (tenant_id, message_id) do update
                set due_at = excluded.due_at, held = false, attempts = 0, fence = outbox.fence + 1;
    end if;

    if array_remove(a_command, null) <> '{}' then
        insert into commands (tenant_id, command_id, request_hash, result, subject_id, expires_at)
            select a.tenant_id, a.command, a.request, a.result, a.subject_id, clock_timestamp() + interval '24 hours'
            from unnest(a_tenant, a_command, a_request, a_result, a_subject)
                with ordinality as a(tenant_id, command, request, result, subject_id, i)
            where a.command is not null and fate[a.i] = 0
            on conflict (tenant_id, command_id) do update
                set request_hash = excluded.request_hash, result = excluded.result, subject_id = excluded.subject_id,
                    expires_at = excluded.expires_at;
    end if;

    if cardinality(d_append) > 0 then
        delete from credentials t using unnest(d_append, d_connection) as d(append, connection_id)
            where fate[d.append] = 0 and t.tenant_id = a_tenant[d.append] and t.connection_id = d.connection_id;
        delete from connection_marks t using unnest(d_append, d_connection) as d(append, connection_id)
            where fate[d.append] = 0 and t.tenant_id = a_tenant[d.append] and t.connection_id = d.connection_id;
    end if;

    if cardinality(x_append) > 0 then
        for lost in
            select a_tenant[x.append] as tenant_id, x.subject_id from unnest(x_append, x_subject) as x(append, subject_id)
            where fate[x.append] = 0
        loop
            update data_keys t set wrapped_key = null, shredded_at = clock_timestamp()
                where t.tenant_id = lost.tenant_id and t.subject_id = lost.subject_id and t.shredded_at is null;
            theirs := array(
                select lost.subject_id
                union all
                select c.connection_id from credentials c where c.tenant_id = lost.tenant_id and c.subject_id = lost.subject_id
                union all
                select u.stream_id from uniques u where u.tenant_id = lost.tenant_id and u.subject_id = lost.subject_id
            );
            delete from snapshots t where t.tenant_id = lost.tenant_id and t.stream_id = any (theirs);
            -- The queue before the log: an attempt that ends just now is then found in the log.
            delete from outbox t
                where t.tenant_id = lost.tenant_id and (t.subject_id = lost.subject_id or t.stream_id = any (theirs));
            delete from deliveries t where t.tenant_id = lost.tenant_id and t.subject_id = lost.subject_id;
            delete from deliveries t
                where t.tenant_id = lost.tenant_id and t.subject_id is null and t.stream_id = any (theirs);
            delete from connection_marks t where t.tenant_id = lost.tenant_id and t.connection_id = any (theirs);
            delete from credentials t where t.tenant_id = lost.tenant_id and t.subject_id = lost.subject_id;
            delete from uniques t where t.tenant_id = lost.tenant_id and t.subject_id = lost.subject_id;
            delete from commands t where t.tenant_id = lost.tenant_id and t.subject_id = lost.subject_id;
        end loop;
    end if;

    -- Its own key goes at once, with its head; all else that it has may be much, and goes in steps (empty_some).
    if true = any (a_closes) then
        for lost in
            select a.tenant_id, a.slot from unnest(a_tenant, a_slot, a_closes) with ordinality as a(tenant_id, slot, closes, i)
            where a.closes and fate[a.i] = 0
        loop
            update tenant_heads h set closed_at = h_at[lost.slot] where h.tenant_id = lost.tenant_id;
            update data_keys t set wrapped_key = null, shredded_at = clock_timestamp()
                where t.tenant_id = lost.tenant_id and t.subject_id = lost.tenant_id and t.shredded_at is null;
            insert into emptying (tenant_id) values (lost.tenant_id);
        end loop;
    end if;

    -- One for the whole batch, with a constant payload: NOTIFY takes a cluster-wide lock at commit.
    if 0 = any (fate) then
        perform pg_notify('causeway_events', '');
    end if;

    -- Whoever lost takes no position.
    if 0 <> any (fate) then
        h_events := array_fill(0, array[cardinality(h_tenant)]);
        for i in 1 .. cardinality(a_slot) loop
            continue when fate[i] <> 0;
            a_before[i] := h_events[a_slot[i]];
            h_events[a_slot[i]] := h_events[a_slot[i]] + a_events[i];
        end loop;
    end if;

    update tenant_heads h set position = h.position + m.events, last_recorded_at = m.at
        from unnest(h_tenant, h_events, h_at) as m(tenant_id, events, at) where m.events > 0 and h.tenant_id = m.tenant_id;

    insert into events (tenant_id, stream_id, version, position, topic, state, metadata, recorded_at)
        select a_tenant[e.append], e.stream_id, e.version, h_position[a_slot[e.append]] + a_before[e.append] + e.number,
            e.topic, e.state, e.metadata, h_at[a_slot[e.append]]
        from unnest(e_append, e_number, e_stream, e_version, e_topic, e_state, e_metadata)
            as e(append, number, stream_id, version, topic, state, metadata)
        where fate[e.append] = 0;

    insert into streams (tenant_id, stream_id, stream_type, version)
        select a_tenant[s.append], s.stream_id, s.type, s.version
        from unnest(s_append, s_stream, s_type, s_version) as s(append, stream_id, type, version)
        where fate[s.append] = 0
        on conflict (tenant_id, stream_id) do update set version = excluded.version;

    insert into dirty (tenant_id, position)
        select m.tenant_id, m.position + m.events from unnest(h_tenant, h_position, h_events) as m(tenant_id, position, events)
        where m.events > 0;

    return query
        select fate[a.i], known[a.i], h_position[a.slot] + a.before + a.events, h_at[a.slot]
        from unnest(a_slot, a_before, a_events) with ordinality as a(slot, before, events, i) order by a.i;
end $$;

-- One step in emptying a closed tenant; answers how many rows it took. Fewer than it might: nothing is left but the history.
-- Whoever takes a step waits for the one who is taking one, and goes on from there: what is removed stays in the indexes for
-- as long as anybody reads an older state, and is not gone through again. What becomes rows of another place is emptied before it.
create function empty_some(of_tenant uuid, at_most integer) returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
    places constant text[] := array[
        'data_keys', 'credentials', 'uniques', 'commands', 'snapshots', 'token_marks',
        'outbox', 'deliveries', 'failing_webhooks', 'connection_marks'
    ];
    keys constant text[] := array[
        'subject_id', 'connection_id, version', 'kind, key', 'command_id', 'stream_id', 'token_id',
        'message_id', 'message_id', 'address', 'connection_id'
    ];
    mark emptying;
    key text;
    taken integer := 0;
    found_there integer;
begin
    select m.* into mark from emptying m where m.tenant_id = of_tenant for update;
    if not found then
        return 0;
    end if;
    while mark.place <= cardinality(places) loop
        key := keys[mark.place];
        -- Data keys stay, without what they were. What others take away meanwhile is counted too: few are left, or none.
        execute format(
            'with step as materialized (select %2$s from %1$I where tenant_id = $1%3$s order by %2$s limit $2), '
            'removed as (%4$s and t.tenant_id = $1 and (%5$s) = (%6$s)) '
            'select count(*), (select array[%7$s] from step order by (%2$s) desc limit 1) from step',
            places[mark.place],
            key,
            (select format(' and (%s) > (%s)', key, string_agg(quote_literal(u.part), ', ' order by u.i))
                from unnest(mark.up_to) with ordinality as u(part, i) having count(*) > 0),
            case places[mark.place]
                when 'data_keys' then 'update data_keys t set wrapped_key = null, shredded_at = clock_timestamp() from step s '
                    'where t.shredded_at is null'
                else format('delete from %I t using step s where true', places[mark.place])
            end,
            regexp_replace(key, '\w+', 't.\&', 'g'),
            regexp_replace(key, '\w+', 's.\&', 'g'),
            regexp_replace(key, '\w+', '\&::text', 'g')
        ) into found_there, mark.up_to using of_tenant, at_most - taken;
        taken := taken + found_there;
        exit when taken = at_most;
        mark.place := mark.place + 1;
        mark.up_to := null;
    end loop;
    if taken = at_most then
        update emptying m set place = mark.place, up_to = mark.up_to where m.tenant_id = of_tenant;
    else
        delete from emptying m where m.tenant_id = of_tenant;
    end if;
    return taken;
end $$;

-- Moves a whole stream out of the way; positions stay where they are, rebuilds read both tables.
create function archive_stream(of_tenant uuid, of_stream uuid) returns integer language plpgsql as $$
declare
    moved integer;
begin
    perform 1 from tenant_heads where tenant_id = of_tenant for update;
    insert into events_archive select * from events where tenant_id = of_tenant and stream_id = of_stream;
    get diagnostics moved = row_count;
    delete from events where tenant_id = of_tenant and stream_id = of_stream;
    update streams set archived_at = clock_timestamp() where tenant_id = of_tenant and stream_id = of_stream;
    return moved;
end $$;
