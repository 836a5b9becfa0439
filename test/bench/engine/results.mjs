// What a file of measurements says.
import { readFileSync } from 'node:fs';

export function median(values) {
  const sorted = values.filter((value) => typeof value === 'number' && Number.isFinite(value)).sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : sorted[Math.floor((sorted.length - 1) / 2)];
}

export class Results {
  constructor(file) {
    const records = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    this.about = records.find(({ about }) => about)?.about ?? {};
    this.absent = records.filter(({ absent }) => absent);
    this.records = records.filter(({ cell }) => cell);
    this.sound = this.records.filter((record) => !record.void);
    this.voids = this.records.filter((record) => record.void);
  }

  // The cells of which a server has a rate, in order: name, group, system, label.
  cells(server = 'this') {
    const seen = new Map();
    for (const record of this.records) {
      if (record.server === server && !record.wal_level && !seen.has(record.cell)) seen.set(record.cell, record);
    }
    return [...seen.values()];
  }

  // wal_replica and wal_logical are the bytes of WAL that were measured at that level.
  median(cell, figure = 'per_second', server = 'this') {
    const level = figure.startsWith('wal_') && figure !== 'wal_bytes' ? figure.slice(4) : undefined;
    return median(this.sound
      .filter((record) => record.cell === cell && record.server === server && record.wal_level === level)
      .map((record) => record[level ? 'wal_bytes' : figure]));
  }

  // The rates of each second of a cell's first measurement.
  series(cell) {
    return this.sound.find((record) => record.cell === cell && record.series)?.series ?? [];
  }

  // What else the machine did, while anything was measured: median and worst of the shares.
  load() {
    const worst = (figure) => Math.max(0, ...this.records.map((record) => record[figure] ?? 0));
    return { other: median(this.records.map(({ other_load: other }) => other)), worst: worst('other_load'),
      steal: worst('steal') };
  }
}
