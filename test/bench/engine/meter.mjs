// What the server has used so far, and what else the machine did.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { query } from './sql.mjs';

const HZ = Number(execFileSync('getconf', ['CLK_TCK']));

// Of a process: its parent, its own ticks of CPU, and those of its children that have ended and been waited for.
function usage(pid) {
  try {
    const field = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ').map(Number);
    return { parent: field[1], own: field[11] + field[12], children: field[13] + field[14] };
  } catch {
    return { parent: 0, own: 0, children: 0 }; // it has ended
  }
}

const postmaster = (server) => Number(readFileSync(`${server.data}/postmaster.pid`, 'utf8').split('\n')[0]);

function ticksAtALook(server) {
  const pid = postmaster(server);
  const { own, children } = usage(pid);
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(usage);
  return processes.reduce((sum, { parent, own: theirs }) => (parent === pid ? sum + theirs : sum), own + children);
}

// A child that is waited for between the looks at it and at its parent is in neither: so until two looks agree, or
// for two seconds, in which what still works is small beside what was measured.
async function ticks(server) {
  let before = -1;
  let now = ticksAtALook(server);
  for (let look = 0; look < 100 && now !== before; ++look) {
    await pause(20);
    before = now;
    now = ticksAtALook(server);
  }
  return now;
}

// Of all processors: busy, stolen by other machines, all.
function machine() {
  const cpu = readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1, 9).map(Number);
  const [user, nice, system, idle, iowait, irq, softirq, steal] = cpu;
  return { busy: user + nice + system + irq + softirq, steal, all: user + nice + system + idle + iowait + irq
    + softirq + steal };
}

// Of this process and of the clients that it has waited for.
function ours() {
  const { own, children } = usage(process.pid);
  return own + children;
}

async function writes(server, database) {
  const [wal, images] = (await query(server, database,
    `select pg_current_wal_insert_lsn() - '0/0', wal_fpi from pg_stat_wal`)).split('|').map(Number);
  return { wal, images };
}

async function updates(server, database, tables) {
  if (tables.length === 0) return { updates: 0, hot: 0 };
  const answer = await query(server, database,
    `select sum(n_tup_upd), sum(n_tup_hot_upd) from pg_stat_user_tables where relname in ('${tables.join('\', \'')}')`);
  const [all, hot] = answer.split('|').map(Number);
  return { updates: all, hot };
}

export async function look(server, database, tables) {
  const written = { ...await writes(server, database), ...await updates(server, database, tables) };
  return { ...written, ticks: await ticks(server), ours: ours(), ...machine(), at: process.hrtime.bigint() };
}

// Between two looks, for each of so many jobs; and of the machine the share that neither we nor the server had.
export function between(before, after, jobs) {
  const d = (what) => after[what] - before[what];
  const round = (number, digits) => Number(number.toFixed(digits));
  const share = (what) => round(Math.max(0, what) / d('all'), 3);
  return {
    cpu_us: round((d('ticks') * 1e6) / HZ / jobs, 2),
    wal_bytes: round(d('wal') / jobs, 1),
    page_images: round(d('images') / jobs, 4),
    hot: d('updates') > 0 ? round(d('hot') / d('updates'), 4) : null,
    other_load: share(d('busy') - d('ticks') - d('ours')),
    steal: share(d('steal')),
    load: loadavg()[0],
  };
}

// Nanoseconds of CPU of one process, finer than ticks.
export const nanoseconds = (pid) => Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
