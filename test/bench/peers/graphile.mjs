// What graphile-worker sends for a job: add_job, a worker's look for one, its completion.
import { setTimeout as pause } from 'node:timers/promises';
import { gathered, sent, statement } from '../engine/peers.mjs';

const SIZE = 100;
const claims = /skip locked/i;
const completes = /^delete from/i;

// It warns of a pool that has nobody to hear of its errors.
function poolOf(pg, connection) {
  const pool = new pg.Pool(connection);
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

// A worker that runs until all jobs are done.
async function work({ run, Logger }, pg, connection, worker) {
  const quiet = new Logger(() => () => {});
  const pool = poolOf(pg, connection);
  let left = 1;
  const runner = await run({ pgPool: pool, noHandleSignals: true, logger: quiet, parsedCronItems: [],
    taskList: { bench: async () => {} }, preset: { worker } });
  for (let look = 0; left > 0 && look < 200; ++look) {
    await pause(20);
    left = Number((await pool.query('select count(*) from graphile_worker._private_jobs')).rows[0].count);
  }
  await runner.stop();
  await pool.end();
}


export async function record(library, pg, connection, payload) {
  const pool = poolOf(pg, connection);
  const utils = await library.makeWorkerUtils({ pgPool: pool });
  await utils.migrate();
  const added = await sent(pg, () => utils.addJob('bench', payload), /add_job\(/);
  let claim;
  const complete = await sent(pg, async () => {
    claim = await sent(pg, () => work(library, pg, connection, { concurrentJobs: 1 }), claims);
  }, completes);
  const specs = Array.from({ length: SIZE }, () => ({ identifier: 'bench', payload }));
  const addedMany = await sent(pg, () => utils.addJobs(specs), /add_jobs\(/);
  let claimMany;
  const completeMany = await sent(pg, async () => {
    claimMany = await sent(pg, () => work(library, pg, connection,
      { concurrentJobs: SIZE, localQueue: { size: SIZE }, completeJobBatchDelay: 100 }), claims);
  }, /^delete from[\s\S]*unnest/i);
  await utils.release();
  await pool.end();
  const enqueue = `${statement(added, [[JSON.stringify(payload), ':payload']])};`;
  return {
    values: { specs: addedMany.values[0] },
    enqueue: [enqueue],
    life: [enqueue, `${statement(claim, [])} \\gset`, `${statement(complete, [[complete.values[0], ':id']])};`],
    batch: [`${statement(addedMany, [[addedMany.values[0], ':specs']])};`,
      `${gathered(statement(claimMany, []), 'array_agg(id) as ids, array_agg(payload::text) as payloads')} \\gset`,
      `${statement(completeMany, [[completeMany.values[0], ':ids']])};`],
  };
}
