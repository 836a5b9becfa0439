// Claims that sleep in sessions of their own, each job enqueued by one more: how long after its COMMIT the answer is at
// a sleeping client. From the arrival of COMMIT's own answer, which is how late the sleeper is: negative where it heard
// before the enqueuer did, since the server wakes it first. And from the sending of COMMIT, with the disk's flush.
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import { PAYLOAD } from '../cells.mjs';
import { lost, number } from './place.mjs';
import { Failed } from './sql.mjs';

const require = createRequire(new URL('../../../examples/', import.meta.url));

function library() {
  try {
    return require('pg');
  } catch {
    throw new Failed('node finds no library pg', 'wake');
  }
}

async function connect(pg, server, database, setting) {
  const options = setting && `-c ${setting}`;
  const client = new pg.Client({ host: server.host, user: 'postgres', database, options });
  await client.connect();
  return client;
}

// Sleeps, takes a job, notes when its answer came, completes it; until no job comes any more.
async function sleep(client, answers, state) {
  while (!state.ended) {
    const { rows: [job] } = await client.query({ name: 'claim',
      text: `select id, lease_id from job_claim('{bench}', wait => '1 min')` });
    if (!job) continue;
    answers.set(job.id, performance.now());
    await client.query({ name: 'complete', text: 'select id from job_complete($1, $2)',
      values: [job.id, job.lease_id] });
  }
}

async function enqueue(producer) {
  await producer.query('begin');
  const { rows: [{ id }] } = await producer.query({ name: 'enqueue', text: `select id from job_enqueue('bench', $1)`,
    values: [PAYLOAD] });
  const sent = performance.now();
  await producer.query('commit');
  return { id, sent, committed: performance.now() };
}

async function answered(answers, id) {
  const end = performance.now() + 10_000;
  while (!answers.has(id) && performance.now() < end) await pause(0.5);
  return answers.get(id) ?? NaN;
}

const quantile = (sorted, part) =>
  Number(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))].toFixed(3));

async function allAsleep(watcher, sleepers) {
  const end = performance.now() + 60_000;
  while (performance.now() < end) {
    const { rows: [{ count }] } = await watcher.query(`select count(*)::integer from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Extension' and query like '%bench%'`);
    if (count === sleepers) return;
    await pause(50);
  }
  throw new Failed(`${sleepers} claims do not sleep within a minute`);
}

// Of each job the milliseconds from COMMIT's answer, and from its sending, until the sleeper's answer came, and those
// between the two.
async function lateness(producer, answers, jobs) {
  const late = { sent: [], committed: [], commit: [] };
  for (let n = 0; n < jobs; ++n) {
    const { id, sent, committed } = await enqueue(producer);
    const answer = await answered(answers, id);
    late.sent.push(answer - sent);
    late.committed.push(answer - committed);
    late.commit.push(committed - sent);
    await pause(10 + 10 * Math.random());
  }
  for (const list of Object.values(late)) list.sort((a, b) => a - b);
  return late;
}

async function withSleepers(pg, { server, cell, place: { database } }, sleepers, act) {
  const answers = new Map();
  const state = { ended: false };
  const producer = await connect(pg, server, database, cell.set);
  const clients = await Promise.all(Array.from({ length: sleepers }, () => connect(pg, server, database)));
  const sleeping = Promise.allSettled(clients.map((client) => sleep(client, answers, state)));
  try {
    await allAsleep(producer, sleepers);
    return await act(producer, answers);
  } finally {
    state.ended = true;
    await producer.query(`select pg_cancel_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`);
    await sleeping;
    await Promise.all([producer, ...clients].map((client) => client.end()));
  }
}

export async function wake(context) {
  const { server, options, cell, place } = context;
  const sleepers = number(options, cell.clients);
  const jobs = options.size === 2 ? 10 : options.seconds * 40;
  const { sent, committed, commit } = await withSleepers(library(), context, sleepers,
    (producer, answers) => lateness(producer, answers, jobs));
  const missing = sent.filter(Number.isNaN).length;
  return {
    clients: sleepers, jobs, p50_ms: quantile(committed, 0.5), p99_ms: quantile(committed, 0.99),
    sent_p50_ms: quantile(sent, 0.5), sent_p99_ms: quantile(sent, 0.99), commit_p50_ms: quantile(commit, 0.5),
    before_commits_answer: Number((committed.filter((late) => late < 0).length / jobs).toFixed(3)),
    void: missing ? `${missing} jobs came to no sleeper`
      : await lost(server, cell, place, { adds: jobs, ends: jobs, keeps: 0 }) || undefined,
  };
}
