// The database that a cell works in, with so many jobs in it, and whether they are all there afterwards.
import { existsSync } from 'node:fs';
import { PAYLOAD, sizes, systems } from '../cells.mjs';
import { Failed, query, run } from './sql.mjs';
import { install, scriptFile, variables } from './peers.mjs';

// A number, or the name of one.
export const number = (options, value) => sizes[value]?.[options.size] ?? value;

export function valuesOf(options, cell) {
  const values = { payload: PAYLOAD, ...variables[cell.system], has_one: 0 };
  for (const [name, value] of Object.entries(cell.args ?? {})) values[name] = number(options, value);
  if (values.kinds) values.types = `{${Array.from({ length: values.kinds }, (_, n) => `type_${n + 1}`)}}`;
  return values;
}

export const scriptOf = (cell, script = cell.script) => scriptFile(cell.system, script);

// The databases that there are, by server and name.
const databases = new Set();

async function create(server, options, database, cell) {
  const { extension } = systems[cell.system];
  const there = extension ? await query(server, 'postgres',
    `select count(*) from pg_available_extensions where name = '${extension}'`) : '1';
  if (there !== '1') throw new Failed(`the server has no extension ${extension}`, cell.system);
  await query(server, 'postgres', `drop database if exists ${database} with (force)`, `create database ${database}`);
  await install(server, database, cell.system);
  if (cell.scene) await run(server, database, scriptOf(cell, cell.scene), valuesOf(options, cell));
}

function readyFor(options, cell, seconds) {
  if (cell.jobs !== 'second') return number(options, cell.jobs ?? 'ready');
  return options.wal ? 2500 : number(options, 'second') * Math.ceil(seconds);
}

async function fill(server, options, cell, database, jobs) {
  if (jobs === 0) return;
  const before = await count(server, database, cell);
  await run(server, database, scriptOf(cell, cell.fill ?? 'fill'), { ...valuesOf(options, cell), jobs });
  const added = (await count(server, database, cell)).added - before.added;
  if (added !== jobs) throw new Failed(`${added} jobs are ready, not ${jobs}`);
}

async function count(server, database, cell) {
  const answer = await run(server, database, scriptOf(cell, 'count'));
  const [added, ended, running, twice] = answer.split('\n').at(-1).split('|').map(Number);
  return { added, ended, running, twice };
}

// Ready to be measured.
export async function prepare(server, options, cell, seconds) {
  const database = cell.scene ? `${cell.system}_${cell.scene}` : cell.system;
  const key = `${server.name} ${database}`;
  const created = !databases.has(key);
  if (created) await create(server, options, database, cell);
  databases.add(key);
  const fresh = !cell.scene || cell.fresh;
  if (fresh) await run(server, database, scriptOf(cell, 'reset'), valuesOf(options, cell));
  if ((fresh || created) && existsSync(scriptOf(cell, 'fill'))) {
    await fill(server, options, cell, database, readyFor(options, cell, seconds));
  }
  if (options.size < 2) await query(server, database, 'vacuum analyze', 'checkpoint');
  return { database, before: await count(server, database, cell) };
}

// What was added and ended must be in the tables, nothing be running that nobody holds, and no job have run twice.
export async function lost(server, cell, place, { adds, ends, keeps }) {
  const { added, ended, running, twice } = await count(server, place.database, cell);
  const { before } = place;
  return [[added - before.added, adds, 'added'], [ended - before.ended, ends, 'ended'], [running, keeps, 'running'],
    [twice, 0, 'claimed more than once']]
    .filter(([is, should]) => is !== should)
    .map(([is, should, what]) => `${is} jobs ${what}, not ${should}`).join(', ');
}

export async function dropScenes(server) {
  for (const key of databases) {
    const [name, database] = key.split(' ');
    if (name !== server.name || !database.includes('_')) continue;
    await query(server, 'postgres', `drop database ${database} with (force)`);
    databases.delete(key);
  }
}
