// psql and pgbench, on one server.
import { spawn } from 'node:child_process';

// A program that could not do what it was asked for. What is measured is void then, the rest goes on.
// absent: the system, or the cell, for which something is not installed.
export class Failed extends Error {
  constructor(message, absent = undefined) {
    super(message);
    this.absent = absent;
  }
}

function start(server, program, args, settings = '') {
  const options = settings && settings.split(' ').map((setting) => `-c ${setting}`).join(' ');
  const child = spawn(`${server.bin}/${program}`, args, {
    env: { ...process.env, PGHOST: server.host, PGUSER: 'postgres', PGOPTIONS: options, LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { out: '', err: '' };
  child.stdout.on('data', (data) => { output.out += data; });
  child.stderr.on('data', (data) => { output.err += data; });
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ ...output, err: error.message, code: -1 }));
    child.on('close', (code) => resolve({ ...output, code }));
  });
  return { ended, end: () => child.kill() };
}

// psql's variables and pgbench's, by their names.
const defined = (flag, values) => Object.entries(values).flatMap(([name, value]) => [flag, `${name}=${value}`]);

async function psql(server, database, rest, values = {}) {
  const args = ['-XqAt', '-F', '|', '-v', 'ON_ERROR_STOP=1', ...defined('-v', values), '-d', database, ...rest];
  const { out, err, code } = await start(server, 'psql', args).ended;
  if (code !== 0) throw new Failed(`psql ${rest.at(-1)}: ${err.trim().slice(0, 500)}`);
  return out.trim();
}

// What the statements answer; a row a line, its columns apart by "|".
export const query = (server, database, ...statements) =>
  psql(server, database, statements.flatMap((statement) => ['-c', statement]));

export const run = (server, database, file, values) => psql(server, database, ['-f', file], values);

// A session that goes on until it is ended.
export const session = (server, database, statement) =>
  start(server, 'psql', ['-XqAt', '-d', database, '-c', statement]);

export function pgbench(server, database, file, { clients, values, settings, rest }) {
  return start(server, 'pgbench', ['--no-vacuum', '--protocol=prepared', `--client=${clients}`,
    `--jobs=${Math.min(clients, 2)}`, ...defined('-D', values), `--file=${file}`, ...rest, database], settings);
}

// What pgbench says at its end; series: the rate of each second where --progress asked for it.
export function result({ out, err, code }, file) {
  if (code !== 0) throw new Failed(`pgbench ${file}: ${err.trim().slice(-500)}`);
  const number = (pattern) => Number(out.match(pattern)?.[1] ?? NaN);
  if (!number(/^tps = ([\d.]+)/m)) throw new Failed(`pgbench ${file}: no transaction in this time`);
  return {
    transactions: number(/^number of transactions actually processed: (\d+)/m),
    tps: number(/^tps = ([\d.]+)/m),
    latency: number(/^latency average = ([\d.]+)/m),
    series: [...err.matchAll(/^progress: [\d.]+ s, ([\d.]+) tps/gm)].map(([, tps]) => Number(tps)),
  };
}
