#!/usr/bin/env node
// Puts what a file of measurements says into README.md and doc/benchmark.md, between the lines
// <!-- bench --> and <!-- end of bench -->, and draws doc/bench-*.svg:  publish.mjs FILE ROOT
import { readFileSync, writeFileSync } from 'node:fs';
import { flat, held, lives } from './plots.mjs';
import { Results } from './results.mjs';
import { bounds, costs, remarks } from './tables.mjs';

const [file, root] = process.argv.slice(2);
const results = new Results(file);
const { about } = results;

// What README's readers ask for first.
const SHORT = ['insert.8', 'enqueue.8', 'three.8', 'life.8', 'plain.life.8', 'boss.life', 'graphile.life', 'claim.8',
  'next.8', 'batch.4', 'plain.batch', 'boss.batch', 'graphile.batch', 'pgq.batch', 'tenant.life', 'bound.life', 'bulk',
  'held', 'asleep'];

// Without the columns in which no row has anything.
function markdown(rows) {
  const columns = rows[0].map((_, i) => i).filter((i) => i === 0 || rows.slice(1).some((row) => row[i] !== ''));
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const [heads, ...body] = rows.map((row) => columns.map((i) => row[i]));
  return [line(heads), `|${'---|'.repeat(columns.length)}`, ...body.map(line)].join('\n');
}

const run = `PostgreSQL ${about.postgres}, ${about.clients} clients where no other number stands, ${about.cores} cores,
${about.memory_gib} GiB, fsync on, ${about.date}, \`${about.command}\``;

function put(name, text) {
  const page = readFileSync(`${root}/${name}`, 'utf8');
  const parts = page.match(/^([\s\S]*<!-- bench -->\n)[\s\S]*(<!-- end of bench -->[\s\S]*)$/);
  if (!parts) throw new Error(`${name} has no lines <!-- bench --> and <!-- end of bench -->`);
  writeFileSync(`${root}/${name}`, `${parts[1]}${text}\n${parts[2]}`);
}

const image = (name, says) => `![${says}](${name})`;

lives(results, `${root}/doc/bench-lives.svg`);
flat(results, `${root}/doc/bench-flat.svg`);
const drawn = held(results, `${root}/doc/bench-held.svg`);
put('README.md', `${run}:

${markdown(costs(results, { only: ({ cell }) => SHORT.includes(cell) }))}

${image('doc/bench-lives.svg', 'Whole lives of a job a second')}
${image('doc/bench-flat.svg', 'What is left of the rate')}`);
put('doc/benchmark.md', `Measured at ${about.revision}: ${run}.

## What was to be reached

${markdown(bounds(results))}

${image('bench-flat.svg', 'What is left of the rate')}
${drawn ? image('bench-held.svg', 'Lives a second while a snapshot is held') : ''}

## Everything that was measured

${markdown(costs(results))}

${remarks(results).join('\n')}`);
