// Plots of the figures, by gnuplot, as SVG.
import { execFileSync } from 'node:child_process';
import { systems } from '../cells.mjs';

const OURS = '#336791';
const OTHERS = '#b0b8c1';

// In gnuplot's quotes, and with its own signs taken literally.
const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&').replace(/[_^{}@&~]/g, '\\\\$&')}"`;

function draw({ about }, file, height, title, commands, data) {
  const blocks = Object.entries(data).map(([name, rows]) =>
    `$${name} << END\n${rows.map((row) => row.join(' ')).join('\n')}\nEND\n`);
  execFileSync('gnuplot', ['-'], { input: `${blocks.join('')}
set terminal svg size 720,${height} dynamic enhanced font "sans-serif,13" background "#ffffff"
set output "${file}"
set label 1 ${quoted(title)} at screen 0.015, screen 1 offset 0,-1.2 font ",14" textcolor "#111111"
set label 2 ${quoted(caption(about))} at screen 0.015, screen 0 offset 0,0.8 font ",10" textcolor "#777777"
set tmargin 3
set bmargin 3.5
set border 0
set tics nomirror scale 0 textcolor "#333333"
set grid xtics lc "#e4e4e4" lt 1
${commands}
`, stdio: ['pipe', 'ignore', 'inherit'] });
}

const caption = ({ postgres, cores, date, command }) => `PostgreSQL ${postgres}, ${cores} cores, ${date}: ${command}`;

// A bar for each, from the top; its value stands at its end.
function bars(results, file, title, list) {
  const rows = list.map(({ label, value, colour }, i) =>
    [list.length - i, value, parseInt(colour.slice(1), 16), quoted(label), quoted(value.toFixed(2))]);
  draw(results, file, 100 + list.length * 24, title, `
set lmargin 36
set xrange [0:${Math.max(...list.map(({ value }) => value)) * 1.15}]
set yrange [0.3:${list.length + 0.7}]
unset key
set style fill solid 1 noborder
plot $data using (0.5 * $2):1:(0.5 * $2):(0.36):3:ytic(4) with boxxyerror lc rgb variable, \\
     $data using 2:1:5 with labels left offset 0.6,0 textcolor "#333333"`, { data: rows });
}

const sound = (list) => list.filter(({ value }) => Number.isFinite(value))
  .map(({ label, value, ours }) => ({ label, value, colour: ours ? OURS : OTHERS }));

// Whole lives, as multiples of the bare inserts of the same run.
export function lives(results, file) {
  const insert = results.median('insert.8');
  const list = [
    ['three.8', 'F: an INSERT, two UPDATEs by key'], ['life.8', 'jobs_ext: enqueue, claim, complete'],
    ['next.8', 'jobs_ext: enqueue, job_next'], ['plain.life.8', 'a plain SKIP LOCKED table'],
    ['boss.life', 'pg-boss'], ['graphile.life', 'graphile-worker (deletes)'],
    ['batch.4', 'jobs_ext, batches of 100'], ['plain.batch', 'a plain table, batches of 100'],
    ['boss.batch', 'pg-boss, batches of 100'], ['graphile.batch', 'graphile-worker, batches of 100'],
  ];
  bars(results, file, 'Whole lives of a job a second, a bare INSERT being 1', sound(list.map(([cell, label]) =>
    ({ label, value: results.median(cell) / insert, ours: label.startsWith('jobs_ext') }))));
}

// What should cost nothing: what is left of the rate.
export function flat(results, file) {
  const f = (cell, figure) => results.median(cell, figure);
  const end = (cell) => f(cell, 'end_per_second') || f(cell);
  const list = [
    ['a snapshot held', end('held') / f('calm'), true], ['… a plain table', end('plain.held') / f('plain.calm')],
    ['sleepers of another type', end('asleep') / f('calm'), true],
    ['1 000 000 delayed jobs in the way', f('delayed') / f('now'), true],
    ['… a plain table', f('plain.delayed') / f('plain.now')],
    ['3 000 000 jobs ready', f('many') / f('few'), true], ['… a plain table', f('plain.many') / f('plain.few')],
    ['any of 1 000 types', f('types.any') / f('types.one'), true],
    ['1 000 types by name', f('types.named') / f('types.one'), true],
    ['256 clients', end('crowd.claim') / f('crowd.claim.8'), true],
    ['… a plain table', end('crowd.plain') / f('crowd.plain.8')],
    ['… bare INSERTs', end('crowd.insert') / f('crowd.insert.8')],
  ];
  bars(results, file, 'What is left of the rate, without it being 1',
    sound(list.map(([label, value, ours]) => ({ label, value, ours }))));
}

// The rate of each second while a snapshot is held, the rate without it being 1; means of so many seconds.
export function held(results, file) {
  const data = {};
  const lines = [];
  for (const [cell, calm, colour] of [['held', 'calm', OURS], ['plain.held', 'plain.calm', OTHERS]]) {
    const series = results.series(cell);
    const width = Math.max(1, Math.round(series.length / 60));
    const points = Array.from({ length: Math.floor(series.length / width) }, (_, i) => [(i + 0.5) * width,
      series.slice(i * width, (i + 1) * width).reduce((a, b) => a + b, 0) / width / results.median(calm)]);
    if (points.length < 3 || points.some(([, value]) => Number.isNaN(value))) continue;
    const name = cell.replace('.', '_');
    data[name] = points;
    const title = systems[results.records.find((record) => record.cell === cell).system].title;
    lines.push(`$${name} with lines lw 2 lc rgb "${colour}" title ${quoted(title)}`);
  }
  if (lines.length === 0) return false;
  draw(results, file, 320, 'Lives a second while a snapshot is held, the rate without it being 1', `
set xlabel "seconds" offset 0,0.6 textcolor "#333333"
set bmargin 4.5
set yrange [0:*]
set grid ytics lc "#e4e4e4" lt 1
set key bottom left
plot ${lines.join(", ")}`, data);
  return true;
}
