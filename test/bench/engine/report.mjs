#!/usr/bin/env node
// Prints what a file of measurements says: report.mjs FILE
import { Results } from './results.mjs';
import { bounds, changes, costs, remarks } from './tables.mjs';

const width = (text) => [...text].length;

// The first column to the left, the others to the right; those that are empty are left out.
function print(rows) {
  const columns = rows[0].map((_, i) => i).filter((i) => i === 0 || rows.slice(1).some((row) => row[i] !== ''));
  const widths = columns.map((i) => Math.max(...rows.map((row) => width(row[i]))));
  for (const row of rows) {
    console.log(columns.map((i, n) => (n === 0 ? row[i] + ' '.repeat(widths[n] - width(row[i]))
      : ' '.repeat(widths[n] - width(row[i])) + row[i])).join('  '));
  }
  console.log();
}

const results = new Results(process.argv[2]);
const { about } = results;
console.log(`PostgreSQL ${about.postgres}, ${about.cores} cores, ${about.date}, ${about.revision}: ${about.command}`);
console.log(`${about.seconds} s each, median of ${about.rounds}${about.size === 'whole' ? '' : ', smaller tables'}\n`);
print(costs(results));
const figures = bounds(results);
if (figures.length > 1) print(figures);
if (about.against) print(changes(results));
for (const remark of remarks(results)) console.log(remark);
