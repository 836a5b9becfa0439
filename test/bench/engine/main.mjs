#!/usr/bin/env node
// Measures the cells of ../cells.mjs on servers that run already, and writes a line of JSON for each measurement.
//
//   main.mjs --server NAME,SOCKETS,PROGRAMS,DATA [--server …] --out FILE [--seconds N] [--rounds N] [--clients N]
//            [--size whole|quick|smoke] [--wal LEVEL] [--change] [--list] [--about JSON] [filter…]
//
// script/bench calls it, and test/tap/bench.pl. --wal: the bytes of WAL of the cells that have `wal`, instead of
// rates. --change: the cells that have `change` where no filter is given, and none longer than others. The exit code
// is 1 where a cell was void, 2 where there is none of that name.
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { cells, groups, systems } from '../cells.mjs';
import { kinds } from './kinds.mjs';
import { dropScenes, number, prepare } from './place.mjs';
import { Failed } from './sql.mjs';

const { values: given, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    server: { type: 'string', multiple: true, default: [] }, out: { type: 'string', default: '/dev/null' },
    seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' }, size: { type: 'string', default: 'whole' }, wal: { type: 'string' },
    change: { type: 'boolean' }, list: { type: 'boolean' }, about: { type: 'string' },
  },
});
const servers = given.server.map((server) => {
  const [name, host, bin, data] = server.split(',');
  return { name, host, bin, data };
});
const options = { seconds: Number(given.seconds), clients: Number(given.clients), wal: given.wal,
  size: ['whole', 'quick', 'smoke'].indexOf(given.size) };
const rounds = given.wal ? 1 : Number(given.rounds);

const named = ({ name, group }) => filters.some((filter) => `${group}/${name}`.includes(filter));
const chosen = cells.filter((cell) => (filters.length > 0 ? named(cell) : !given.change || cell.change)
  && (!given.wal || cell.wal));

const write = (record) => appendFileSync(given.out, `${JSON.stringify(record)}\n`);
const complain = (text) => process.stderr.write(`${text}\n`);

// Systems and cells for which something is not here; told once.
const absent = new Set();
let voids = 0;

const head = (server, { name, group, system, label }, round) =>
  ({ cell: name, group, system, label, server: server.name, round,
    ...(options.wal ? { wal_level: options.wal } : {}) });

async function measure(server, cell, round) {
  const seconds = options.seconds * (given.change ? 1 : number(options, cell.times ?? 1));
  const place = await prepare(server, options, cell, seconds);
  const figures = await kinds[options.wal ? 'rate' : cell.how ?? 'rate']({ server, options, cell, place, seconds });
  return { ...head(server, cell, round), seconds, ...figures };
}

async function attempt(server, cell, round) {
  if (absent.has(cell.system) || absent.has(cell.name)) return;
  const began = Date.now();
  let record;
  try {
    record = await measure(server, cell, round);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    if (error.absent) {
      absent.add(error.absent);
      complain(`${systems[error.absent]?.title ?? error.absent}: left out, ${error.message}`);
      write({ absent: error.absent, reason: error.message });
      return;
    }
    record = { ...head(server, cell, round), void: error.message };
  }
  if (record.void) {
    ++voids;
    complain(`${cell.group}/${cell.name}: void, ${record.void}`);
  }
  write({ ...record, whole_s: Math.round((Date.now() - began) / 100) / 10 });
}

// Each round has all cells of the group once; where there are two servers, who begins changes from round to round.
async function measureGroup(group) {
  const list = chosen.filter((cell) => cell.group === group);
  for (let round = 1; list.length > 0 && round <= rounds; ++round) {
    for (const cell of list.filter(({ once }) => round === 1 || !once)) {
      const turns = round % 2 === 1 ? servers : [...servers].reverse();
      for (const server of turns) await attempt(server, cell, round);
    }
  }
  for (const server of servers) await dropScenes(server);
}

if (chosen.length === 0 && !given.wal) {
  complain(`no cell's name has any of: ${filters.join(', ')}`);
  process.exit(2);
} else if (given.list) {
  for (const { group, name, system, label } of chosen) {
    console.log(`${`${group}/${name}`.padEnd(28)} ${systems[system].title}: ${label}`);
  }
} else {
  if (given.about) write(JSON.parse(given.about));
  for (const group of Object.keys(groups)) await measureGroup(group);
}
process.exit(voids > 0 ? 1 : 0);
