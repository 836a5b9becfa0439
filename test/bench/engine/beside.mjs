// What else goes on while a cell is measured. Each is started, and ended with what it added, ended and found.
import { setTimeout as pause } from 'node:timers/promises';
import { Failed, pgbench, query, result, session } from './sql.mjs';
import { scriptOf, valuesOf } from './place.mjs';
import { consumer } from './pgq.mjs';

const SAMPLES = 50; // a second

async function until(what, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (!await condition()) {
    if (Date.now() > end) throw new Failed(`not within ${seconds} s: ${what}`);
    await pause(50);
  }
}

const sessions = (server, database, pattern) => query(server, database,
  `select count(*) from pg_stat_activity
    where datname = '${database}' and pid <> pg_backend_pid() and backend_type = 'client backend'
      and wait_event_type in ('Timeout', 'Extension') and query like '%${pattern}%'`);

async function terminate(server, database, pattern, child) {
  await query(server, database, `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = '${database}' and pid <> pg_backend_pid() and query like '%${pattern}%'`);
  child.end();
  await child.ended;
  return {};
}

// A statement that keeps vacuum from all that dies after it.
async function snapshot({ server, place }) {
  const child = session(server, place.database, 'select count(*), pg_sleep(7200) from pg_class');
  await until('a snapshot is held', async () => await sessions(server, place.database, 'pg_sleep') === '1');
  return { end: () => terminate(server, place.database, 'pg_sleep', child) };
}

const SLEEPERS = 4;

async function asleep({ server, options, cell, place }) {
  const child = pgbench(server, place.database, scriptOf(cell, 'asleep'),
    { clients: SLEEPERS, values: valuesOf(options, cell), rest: ['--time=7200'] });
  await until('they sleep', async () => await sessions(server, place.database, 'idle}') === String(SLEEPERS));
  return { end: () => terminate(server, place.database, 'idle}', child) };
}

// One more client, of whose claims the server's time is taken.
async function sample({ server, options, cell, place, seconds }) {
  const file = scriptOf(cell, 'sample');
  const child = pgbench(server, place.database, file,
    { clients: 1, values: valuesOf(options, cell), rest: [`--rate=${SAMPLES}`, `--time=${seconds}`] });
  const end = async () => {
    const { transactions } = result(await child.ended, file);
    const p99 = await query(server, place.database,
      `select round(1000 * extract(epoch from percentile_disc(0.99) within group (order by took)), 3) from samples`);
    return { adds: transactions, ends: transactions, figures: { claim_p99_ms: Number(p99), samples: transactions } };
  };
  return { end };
}

const all = { snapshot, asleep, sample, consumer };

// Starts all of them; the answer ends them, the last one first.
export async function beside(context) {
  const running = [];
  for (const name of context.cell.beside ?? []) running.unshift(await all[name](context));
  return async () => {
    const sum = { adds: 0, ends: 0, figures: {} };
    for (const one of running) {
      const { adds = 0, ends = 0, figures = {} } = await one.end();
      sum.adds += adds;
      sum.ends += ends;
      Object.assign(sum.figures, figures);
    }
    return sum;
  };
}
