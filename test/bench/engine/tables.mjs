// The tables of a report, each a list of rows of texts, whose first are the heads.
import { systems } from '../cells.mjs';
import { beside, figures } from '../figures.mjs';

// With as many digits as mean anything.
export function figure(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '';
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 3;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ' ');
}

const percent = (share) => (Number.isNaN(share) ? '' : `${figure(share * 100)} %`);

// What each cell cost. Beside a rate stands its ratio to T_ins.
export function costs(results, { only = () => true } = {}) {
  const insert = results.median('insert.8');
  const rows = [['', 'clients', 'a second', 'T_ins = 1', 'CPU, µs', 'WAL, bytes', 'at logical', 'heap-only',
    '99 % of claims, ms']];
  for (const { cell, system, label } of results.cells().filter(only)) {
    if (Number.isNaN(results.median(cell))) continue;
    const f = (name) => results.median(cell, name);
    rows.push([system === 'bare' ? label : `${systems[system].title}: ${label}`, String(f('clients') || ''),
      figure(f('per_second')), figure(f('per_second') / insert), figure(f('cpu_us')), figure(f('wal_replica')),
      figure(f('wal_logical')), percent(f('hot')), figure(f('claim_p99_ms'))]);
  }
  return rows;
}

export function bounds(results) {
  const f = (cell, name) => results.median(cell, name);
  const rows = [['', 'bound', 'measured', '']];
  for (const [what, sense, bound, compute] of figures) {
    const value = compute(f);
    const kept = sense === '≥' ? value >= bound : value <= bound;
    if (!Number.isNaN(value)) rows.push([what, `${sense} ${figure(bound)}`, figure(value), kept ? 'kept' : 'missed']);
  }
  for (const [what, compute] of beside) {
    const value = compute(f);
    if (!Number.isNaN(value)) rows.push([what, '', figure(value), '']);
  }
  return rows;
}

// This tree against another revision, by turns.
export function changes(results) {
  const rows = [['this tree against ' + results.about.against, 'before', 'after', 'ratio']];
  const kinds = [['per_second', 'a second'], ['cpu_us', 'µs of CPU'], ['wal_replica', 'bytes of WAL']];
  for (const [name, unit] of kinds) {
    for (const { cell, label } of results.cells()) {
      const [before, after] = ['against', 'this'].map((server) => results.median(cell, name, server));
      if (!Number.isNaN(after / before)) {
        rows.push([`${label}, ${unit}`, figure(before), figure(after), (after / before).toFixed(3)]);
      }
    }
  }
  return rows;
}

// What was void, is not here, or disturbed: sentences.
export function remarks(results) {
  const { other, worst, steal } = results.load();
  return [
    ...results.voids.map(({ cell, group, void: why }) => `Void: ${group}/${cell}, ${why.split('\n')[0]}.`),
    ...results.absent.map(({ absent, reason }) => `Left out: ${systems[absent]?.title ?? absent}, ${reason}.`),
    `Of the machine's CPU time others took ${percent(other)} (median; at most ${percent(worst)}), `
      + `its host at most ${percent(steal)}.`,
  ];
}
