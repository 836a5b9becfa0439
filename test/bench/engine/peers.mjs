// Other queues, driven by the SQL that their own clients send: the client library is run once, what it sends is
// written down, and pgbench repeats it. Nothing of theirs is kept here.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { PAYLOAD, sequences, systems } from '../cells.mjs';
import { Failed, run } from './sql.mjs';
import { record as boss } from '../peers/boss.mjs';
import { record as graphile } from '../peers/graphile.mjs';

const HERE = new URL('..', import.meta.url).pathname;
const INSTALLED = new URL('../../../build/bench/peers/', import.meta.url).pathname;
const recorders = { boss, graphile };

// Variables of a system's scripts.
export const variables = { boss: {}, graphile: {} };

// Folder of the scripts that are made of others; it goes with this process.
let combined;

function combine(system, scripts) {
  if (!combined) {
    combined = mkdtempSync(`${tmpdir()}/jobs_ext_bench.`);
    process.on('exit', () => rmSync(combined, { recursive: true }));
  }
  const file = `${combined}/${system}.${scripts.join('.')}.sql`;
  writeFileSync(file, scripts.map((script) => readFileSync(scriptFile(system, script), 'utf8')).join(''));
  return file;
}

// Ours, or else one that was written down.
export function scriptFile(system, script) {
  const sequence = sequences[`${system}/${script}`];
  if (sequence) return combine(system, sequence);
  const file = `${HERE}${system}/${script}.sql`;
  return existsSync(file) ? file : `${INSTALLED}sql/${system}/${script}.sql`;
}

// A place for a number of $1, $2, …: an expression of a pgbench script, or a constant.
function placed(value, places) {
  const known = places.find(([what]) => JSON.stringify(what) === JSON.stringify(value));
  if (known) return known[1];
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return `array[${value.map((element) => placed(element, places))}]`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value)
    : `'${String(value).replaceAll('\'', '\'\'')}'`;
}

// The statement, with what its values stand for: pairs of a value and its place.
export const statement = ({ text, values = [] }, places) =>
  text.trim().replace(/;$/, '').replace(/\$(\d+)/g, (_, n) => placed(values[n - 1], places));

// Several rows as one, which is what pgbench can take: the UPDATE that is a statement's last becomes one more part of
// its WITH, which must be outermost where it changes anything.
export function gathered(sql, columns) {
  const last = sql.toLowerCase().lastIndexOf('update ');
  const claimed = `claimed as (${sql.slice(last).replace(/returning \*$/i, 'returning jobs.*')})`;
  return `${sql.slice(0, last).trimEnd()}, ${claimed} select ${columns} from claimed`;
}

// Runs what calls the library; returns what it sent that fits.
export async function sent(pg, act, fits) {
  const seen = [];
  const { query } = pg.Client.prototype;
  pg.Client.prototype.query = function recorded(text, values, ...rest) {
    const asked = typeof text === 'string' ? { text, values: Array.isArray(values) ? values : [] } : text;
    if (asked?.text) seen.push({ text: asked.text, values: asked.values ?? [] });
    return query.call(this, text, values, ...rest);
  };
  try {
    await act();
  } finally {
    pg.Client.prototype.query = query;
  }
  const found = seen.find(({ text }) => fits.test(text));
  if (!found) throw new Failed(`the client sent nothing like ${fits}`);
  return found;
}

const library = (name, system) => {
  try {
    return createRequire(INSTALLED)(name);
  } catch (error) {
    throw new Failed(`${name} is not there: ${error.message.split('\n')[0]}`, system);
  }
};

// Makes a system's tables in a database, and its scripts.
export async function install(server, database, system) {
  const { npm } = systems[system];
  if (!npm) {
    await run(server, database, scriptFile(system, 'schema'));
    return;
  }
  const connection = { host: server.host, user: 'postgres', database };
  const { values, ...scripts } = await recorders[system](library(npm, system), library('pg', system), connection,
    JSON.parse(PAYLOAD));
  variables[system] = values;
  mkdirSync(`${INSTALLED}sql/${system}`, { recursive: true });
  for (const [name, lines] of Object.entries(scripts)) {
    writeFileSync(`${INSTALLED}sql/${system}/${name}.sql`, lines.map((line) => `${line}\n`).join(''));
  }
}
