// Drives Emmett's PostgreSQL event store: reads JSON lines of what to do, answers JSON lines, as bench/worker.py does.
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { getPostgreSQLEventStore, postgreSQLRawBatchSQLProjection } from '@event-driven-io/emmett-postgresql';
import { rawSql, sql } from '@event-driven-io/dumbo';
import pg from 'pg';

const EVENTS_PER_STREAM = 10;
const BATCH = 5_000;
const TEXT = 'An end user has connected an account; this sentence stands for what such an event says. '.repeat(2).slice(0, 154);
const READ_TABLE = `
  CREATE TABLE IF NOT EXISTS public.read_model (
    stream uuid PRIMARY KEY, events bigint NOT NULL, last_value bigint NOT NULL, updated_at_ms bigint NOT NULL);
  TRUNCATE public.read_model;`;

let connectionString, pool, store;
const seeded = [];

const event = (value) => ({ type: 'Measured', data: { value, at_ms: 1_700_000_000_000 + value, text: TEXT } });
const streamName = (tenant, stream) => `tenant${tenant}-${stream}`;
const appendTo = (name, events, version) => store.appendToStream(name, events, { expectedStreamVersion: BigInt(version) });

const connect = (dsn, connections) => {
  connectionString = dsn;
  pool = new pg.Pool({ connectionString, max: connections });
  store = getPostgreSQLEventStore(connectionString, { connectionOptions: { pool }, schema: { autoMigration: 'None' } });
};

const measuring = (warmUp, seconds) => {
  const begin = performance.now() + warmUp * 1000;
  const end = begin + seconds * 1000;
  const answer = { latencies_us: [], calls: 0 };
  return {
    answer,
    running: () => performance.now() < end,
    done: (started) => {
      const now = performance.now();
      answer.calls += 1;
      if (begin <= now && now <= end) answer.latencies_us.push(Math.round((now - started) * 1000));
    },
  };
};

const caller = async (tenant, calls) => {
  let stream = randomUUID();
  let version = 0;
  while (calls.running()) {
    const events = [event(version)];
    const started = performance.now();
    await appendTo(streamName(tenant, stream), events, version);
    calls.done(started);
    version += 1;
    if (version === EVENTS_PER_STREAM) [stream, version] = [randomUUID(), 0];
  }
};

// Emmett hands its projector one event at a time inside one transaction per pulled batch, and stores the checkpoint itself.
const counters = (name) =>
  postgreSQLRawBatchSQLProjection({
    name,
    canHandle: ['Measured'],
    evolve: (events) =>
      events.map(({ data, metadata }) =>
        sql(
          `INSERT INTO public.read_model AS r (stream, events, last_value, updated_at_ms) VALUES (%L, 1, %s, %s)
           ON CONFLICT (stream) DO UPDATE SET
             events = r.events + 1, last_value = excluded.last_value, updated_at_ms = excluded.updated_at_ms`,
          metadata.streamName.slice(metadata.streamName.indexOf('-') + 1), data.value, data.at_ms,
        ),
      ),
    init: () => rawSql('SELECT 1'),
  });

const actions = {
  install: async ({ dsn }) => {
    connect(dsn, 1);
    await store.schema.migrate();
    await pool.end();
    return {};
  },
  open: async ({ dsn, connections }) => {
    connect(dsn, connections);
    return {};
  },
  append: async ({ callers, first_caller, tenants, warm_up, seconds }) => {
    const calls = measuring(warm_up, seconds);
    await Promise.all(Array.from({ length: callers }, (_, n) => caller((first_caller + n) % tenants, calls)));
    return calls.answer;
  },
  seed: async ({ tenant, streams, events }) => {
    const names = Array.from({ length: streams }, () => streamName(tenant, randomUUID()));
    await Promise.all(names.map((name) => appendTo(name, Array.from({ length: events }, (_, n) => event(n)), 0)));
    seeded.push(...names);
    return {};
  },
  load: async ({ events, warm_up, seconds }) => {
    const calls = measuring(warm_up, seconds);
    for (let turn = 0; calls.running(); turn += 1) {
      const name = seeded[turn % seeded.length];
      const started = performance.now();
      const found = await store.readStream(name);
      calls.done(started);
      if (found.events.length !== events) throw new Error(`stream ${name} answered ${found.events.length} of ${events} events`);
    }
    return calls.answer;
  },
  project: async ({ seconds }) => {
    await pool.query(READ_TABLE);
    const name = `counters_${randomUUID().replaceAll('-', '')}`;
    const consumer = store.consumer({
      stopWhen: { noMessagesLeft: true },
      pulling: { batchSize: BATCH, pullingFrequencyInMs: 0 },
    });
    const projector = consumer.projector({ processorId: name, projection: counters(name) });
    const started = performance.now();
    const alarm = setTimeout(() => consumer.stop(), seconds * 1000);
    await consumer.start();
    clearTimeout(alarm);
    const elapsed = (performance.now() - started) / 1000;
    const { rows } = await pool.query('SELECT coalesce(sum(events), 0)::bigint AS events FROM public.read_model');
    return { events: Number(rows[0].events), seconds: elapsed, projector: projector.id };
  },
  close: async () => {
    await pool.end();
    return {};
  },
};

console.log = console.error; // standard output belongs to the answers
for await (const line of createInterface({ input: process.stdin })) {
  const { do: action, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = await actions[action](request);
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
