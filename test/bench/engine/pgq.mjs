// PgQ's daemon, which ticks, and one consumer that takes batch after batch as a consumer of PgQ's does.
import { setTimeout as pause } from 'node:timers/promises';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Failed, pgbench, query } from './sql.mjs';
import { scriptOf, valuesOf } from './place.mjs';

// A tenth of a second is the shortest time between ticks at which PgQ works as it is meant to.
function settings(server, database, folder) {
  const lines = { pidfile: `${folder}/pid`, logfile: `${folder}/log`, base_connstr: `host=${server.host} user=postgres`,
    initial_database: database, database_list: database, ticker_period: 0.1 };
  return `[pgqd]\n${Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`).join('')}`;
}

function ticker(server, database) {
  const folder = mkdtempSync('/tmp/jobs_ext_pgqd.');
  writeFileSync(`${folder}/ini`, settings(server, database, folder));
  const child = spawn('pgqd', ['-q', `${folder}/ini`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => {
    child.on('error', resolve);
    child.on('close', (code) => resolve(new Error(`it ended with ${code}`)));
  });
  return { ended, async end() {
    child.kill();
    await ended;
    rmSync(folder, { recursive: true });
  } };
}

const behind = (server, database) =>
  query(server, database, 'select coalesce(max(pending_events), 0) from pgq.get_consumer_info()');

async function caughtUp(server, database, ended) {
  const end = Date.now() + 60_000;
  while (Number(await behind(server, database)) > 0) {
    const error = await Promise.race([ended, pause(50)]);
    if (error) throw new Failed(`pgqd: ${error.message}`);
    if (Date.now() > end) throw new Failed('the consumer is more than a minute behind');
  }
}

// How long the consumer goes on after the last insert is a figure.
export async function consumer({ server, options, cell, place }) {
  const daemon = ticker(server, place.database);
  const child = pgbench(server, place.database, scriptOf(cell, 'consume'),
    { clients: 1, values: valuesOf(options, cell), rest: ['--time=7200'] });
  const stopped = child.ended.then(({ err }) => new Error(err));
  const end = async () => {
    const from = Date.now();
    try {
      await caughtUp(server, place.database, Promise.race([daemon.ended, stopped]));
      return { figures: { behind_s: (Date.now() - from) / 1000 } };
    } finally {
      child.end();
      await child.ended;
      await daemon.end();
    }
  };
  return { end };
}
