#!/usr/bin/env node
// Clients that work with mixed verbs while somebody rebuilds, alters, ends and kills what they work with. A ledger
// outside of the server holds what was acknowledged; at the end all of it must be there, ended once, and nothing be
// out of step.
//
//   chaos.mjs MINUTES SEED LOG DIRECTORY     script/soak calls it, with a server of its own (PGHOST and the like)
//
// LOG is the server's log, whose lines have their SQLSTATE after "[pid] "; the ledger goes into DIRECTORY. The exit
// code is 1 when there is a fault.
import { Client } from './chaos/client.mjs';
import { Disturber } from './chaos/disturber.mjs';
import { Ledger } from './chaos/ledger.mjs';
import { Random } from './chaos/random.mjs';
import { Session } from './chaos/session.mjs';
import { TYPES } from './chaos/verbs.mjs';
import { Verdict } from './chaos/verdict.mjs';

const CLIENTS = 8;
const LAST_BACKLOG = 1000;

const [minutes, seed, log, directory] = process.argv.slice(2);
const random = new Random(Number(seed));
const ledger = new Ledger(`${directory}/ledger`);
const disturber = new Disturber(random.fork(1000), ledger);
const verdict = new Verdict(ledger);
const began = Date.now();

const say = (text) => console.log(`${String(Math.round((Date.now() - began) / 1000)).padStart(5)} s  ${text}`);

// 'soak-brief' is archived after a second, the others stay.
async function prepare() {
  const session = new Session('prepare');
  await session.query('create extension jobs_ext');
  for (const type of [...TYPES, 'soak-old']) {
    await session.query(`select job_type_set($1, max_retries => 3, backoff => $2, retry_delay_ms => 50,
        retry_delay_max => '2 s', lease => '5 s', timeout => $3::interval, keep_completed => $4::interval,
        keep_failed => $4::interval)`,
      [type, type === 'soak-linear' ? 'linear' : 'exponential', type === 'soak-slow' ? '6 s' : null,
        type === 'soak-brief' || type === 'soak-old' ? '1 s' : null]);
  }
  await session.close();
  await disturber.prepare();
}

async function disturbed() {
  const until = began + minutes * 60_000;
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Client(i, random.fork(i), ledger));
  await Promise.all([disturber.run(until), ...clients.map((client) => client.run(until))]);
}

const table = (counts) =>
  [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, n]) => `${what} ${n}`).join(', ');

async function main() {
  await prepare();
  say(`${CLIENTS} clients and one who disturbs them, ${minutes} minutes, seed ${seed}`);
  await disturbed();
  say(`acknowledged: ${ledger.jobs.size} jobs. ${table(ledger.calls)}`);
  say(`errors: ${table(ledger.errors)}`);
  say(`disturbances: ${table(disturber.counts)}`);
  await verdict.release();
  await verdict.drain();
  say('all have ended');
  await verdict.backlog(LAST_BACKLOG);
  await verdict.drain();
  say(`a last backlog of ${LAST_BACKLOG} has ended`);
  const { jobs, archived } = await verdict.account();
  say(`there are ${jobs} jobs, ${archived} of them archived`);
  await verdict.inspect(new URL('../pgtap/setup', import.meta.url).pathname);
  verdict.readLog(log, disturber.killed);
  for (const fault of ledger.faults.slice(0, 50)) say(`FAULT: ${fault}`);
  say(`${ledger.faults.length} faults`);
  await disturber.session.close();
  await ledger.close();
  process.exitCode = ledger.faults.length > 0 ? 1 : 0;
}

await main();
