// The ways in which a cell is measured. Each returns figures: what the record of a measurement has beside its name.
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { systems } from '../cells.mjs';
import { beside } from './beside.mjs';
import { between, look, nanoseconds } from './meter.mjs';
import { lost, number, scriptOf, valuesOf } from './place.mjs';
import { Failed, pgbench, query, result, run } from './sql.mjs';
import { wake } from './wake.mjs';

const clientsOf = (options, cell) => (cell.clients === undefined ? options.clients : number(options, cell.clients));

const UNFLUSHED = 'synchronous_commit=off';

const round = (value, digits = 1) => Number(value.toFixed(digits));

// How long: seconds, or a number of transactions of each client.
function extent({ options, cell, seconds }) {
  if (options.wal) return [`--transactions=${transactionsOf(options, cell)}`];
  if (options.size === 2) return ['--transactions=5'];
  return [`--time=${seconds}`, ...(seconds >= 5 ? ['--progress=1'] : [])];
}

// Of the one client whose WAL is measured.
const transactionsOf = (options, cell) => Math.ceil((options.size === 2 ? 20 : 2000) / jobsOf(cell));

const jobsOf = ({ effect: { adds, ends, jobs } }) => jobs ?? adds ?? ends;

// What the tables must say after so many transactions.
function expected(cell, transactions, clients, others) {
  const { adds = 0, ends = 0, keeps = 0 } = cell.effect;
  return { adds: adds * transactions + others.adds, ends: ends * transactions - keeps * clients + others.ends,
    keeps: keeps * clients };
}

// The rate of the last fifth, where there are enough seconds of it: what grows with time shows there.
function tail(series) {
  if (series.length < 5) return {};
  const last = series.slice(-Math.ceil(series.length / 5));
  return { series, end_per_second: round(last.reduce((a, b) => a + b) / last.length) };
}

// pgbench, between two looks.
async function load(context, clients) {
  const { server, cell, options, place } = context;
  const { tables } = systems[cell.system];
  const file = scriptOf(cell);
  const before = await look(server, place.database, tables);
  const child = pgbench(server, place.database, file,
    { clients, values: valuesOf(options, cell), settings: options.wal ? UNFLUSHED : cell.set, rest: extent(context) });
  const output = await child.ended;
  return { before, after: await look(server, place.database, tables), ...result(output, file) };
}

async function rate(context) {
  const { server, options, cell, place } = context;
  const clients = options.wal ? 1 : clientsOf(options, cell);
  const end = await beside(context);
  let others;
  let loaded;
  try {
    loaded = await load(context, clients);
  } finally {
    others = await end();
  }
  const { before, after, transactions, tps, latency, series } = loaded;
  const jobs = transactions * jobsOf(cell);
  return {
    clients, jobs, per_second: round(tps * jobsOf(cell)), latency_ms: latency, ...tail(series), ...others.figures,
    ...between(before, after, jobs + others.adds),
    void: await lost(server, cell, place, expected(cell, transactions, clients, others)) || undefined,
  };
}

// A script of psql's whose answers are figures, "name|value"; one named void says what is wrong.
async function sql({ server, options, cell, place }) {
  const file = `/tmp/jobs_ext_bench.${process.pid}.copy`;
  const jobs = number(options, Object.values(cell.args)[0]);
  const before = await look(server, place.database, systems[cell.system].tables);
  let answer;
  try {
    answer = await run(server, place.database, scriptOf(cell), { ...valuesOf(options, cell), file });
  } finally {
    rmSync(file, { force: true }); // what copy.sql has the server write
  }
  const figures = Object.fromEntries(answer.split('\n').map((line) => line.split('|'))
    .filter(([name]) => /^[a-z_]+$/.test(name))
    .map(([name, value]) => [name, name === 'void' ? value : Number(value)]));
  const after = await look(server, place.database, systems[cell.system].tables);
  const effect = { adds: number(options, cell.adds ?? 0), ends: number(options, cell.ends ?? 0), keeps: 0 };
  const wrong = cell.script === 'copy' ? '' : await lost(server, cell, place, effect);
  return { jobs, ...between(before, after, jobs), ...figures, void: figures.void || wrong || undefined };
}

const ARCHIVING = 600; // seconds, at most

async function untilArchived(server, database) {
  const end = Date.now() + ARCHIVING * 1000;
  while (await query(server, database,
    `select exists (select from jobs where finished_at < now() - interval '31 days')`) !== 'f') {
    if (Date.now() > end) throw new Failed(`the worker has not archived all within ${ARCHIVING} s`);
    await pause(500);
  }
}

// What the worker of a database takes while nothing happens, after it has archived what the cell's script adds.
async function idle(context) {
  const { server, options, cell, place } = context;
  const end = await beside(context);
  try {
    await run(server, place.database, scriptOf(cell), valuesOf(options, cell));
    const worker = await query(server, place.database, `select pid from pg_stat_activity
       where backend_type like 'jobs_ext%' and datname = current_database()`);
    if (!/^\d+$/.test(worker)) throw new Failed(`the database has no worker, or several: ${worker}`);
    await untilArchived(server, place.database);
    await pause(options.size === 2 ? 100 : 5000);
    const seconds = options.size === 2 ? 0.5 : options.seconds * 6;
    const before = nanoseconds(worker);
    await pause(seconds * 1000);
    return { percent_of_a_core: round((nanoseconds(worker) - before) / seconds / 1e7, 3) };
  } finally {
    await end();
  }
}

export const kinds = { rate, sql, wake, idle };
