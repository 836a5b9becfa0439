// examples/supabase/worker.mjs, called as an Edge Function is.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { NIL, OWN, open, require } from './project.mjs';
import { Permanent, createWorker } from '../../examples/supabase/worker.mjs';

let project, jobs;

before(async () => {
  project = await open();
  jobs = require('./job-service.js');
});
beforeEach(() => project.sql('truncate jobs, job_attempts'));
after(() => project.close());

const newJob = (more) => jobs.createJob({ jobType: 'import-csv', inputPayload: { n: 2 }, ...more }, OWN);
const call = async (options) => {
  const handle = createWorker({ url: project.url, key: project.serviceKey, wait: 0, ...options });
  const response = await handle(new Request('http://edge/worker', { method: 'POST' }));
  return { status: response.status, ...await response.json() };
};
const untilAborted = (signal) => new Promise((_, reject) =>
  signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

test('works on what is there, the best first, and says what became of it', async () => {
  await newJob({ jobId: 'one' });
  await newJob({ jobId: 'two', priority: 5 });
  await newJob({ jobId: 'three', jobType: 'merge-menus' });
  const answer = await call({ jobTypes: ['import-csv'], work: (job) => ({ doubled: job.input_payload.n * 2 }) });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.outcomes,
    [{ job_id: 'two', status: 'completed' }, { job_id: 'one', status: 'completed' }]);
  const job = await jobs.getJob('one');
  assert.deepEqual([job.result, job.worker], [{ doubled: 4 }, answer.worker]);
  assert.equal((await jobs.getJob('three')).attempt, 0);
});

test('nothing to do: an answer at once', async () => {
  assert.deepEqual((await call({ work: () => assert.fail() })).outcomes, []);
});

test('what fails is retried later; what is permanent is not', async () => {
  await newJob({ jobId: 'again' });
  await newJob({ jobId: 'never', jobType: 'merge-menus' });
  const { outcomes } = await call({ work: (job) => {
    throw job.job_id === 'never' ? new Permanent('pointless') : new Error('not yet');
  } });
  assert.deepEqual(outcomes, [{ job_id: 'again', status: 'pending' }, { job_id: 'never', status: 'failed' }]);
  assert.deepEqual([(await jobs.getJob('again')).error_message, (await jobs.getJob('never')).error_message],
    ['not yet', 'pointless']);
});

test('heartbeats keep the lease and bring the progress', async () => {
  await newJob({ jobId: 'long' });
  const { outcomes } = await call({ lease: 30, heartbeat: 0.02, work: async (job, { progress }) => {
    const { lease_expires_at } = await jobs.getJob('long');
    progress({ half: true });
    let seen;
    do seen = await jobs.getJob('long'); while (!seen.progress || seen.lease_expires_at <= lease_expires_at);
    return seen.progress;
  } });
  assert.deepEqual(outcomes, [{ job_id: 'long', status: 'completed' }]);
  assert.deepEqual((await jobs.getJob('long')).result, { half: true });
});

test('a cancel reaches the work by its signal, and the job ends as cancelled', async () => {
  await newJob({ jobId: 'unwanted' });
  const { outcomes } = await call({ heartbeat: 0.02, work: async (job, { signal }) => {
    await jobs.cancelJob('unwanted');
    await untilAborted(signal);
  } });
  assert.deepEqual(outcomes, [{ job_id: 'unwanted', status: 'cancelled' }]);
});

test('before its time is over it gives the job back, with no retry spent', async () => {
  await newJob({ jobId: 'endless' });
  await newJob({ jobId: 'untouched', priority: -1 });
  const { outcomes } = await call({ timeLimit: 400, reserve: 100, work: (job, { signal }) => untilAborted(signal) });
  assert.deepEqual(outcomes, [{ job_id: 'endless', status: 'pending' }]);
  const job = await jobs.getJob('endless');
  assert.deepEqual([job.attempt, job.retries, job.started_at], [1, 0, null]);
  assert.equal((await jobs.getJob('untouched')).attempt, 0);
  assert.equal((await jobs.getNextQueuedJob()).job_id, 'endless');
});

test('work that does not listen is given back all the same', async () => {
  await newJob({ jobId: 'deaf' });
  const { outcomes } = await call({ timeLimit: 200, reserve: 100, work: () => new Promise(() => {}) });
  assert.deepEqual(outcomes, [{ job_id: 'deaf', status: 'pending' }]);
});

test('work that ends in the time that is left is kept', async () => {
  await newJob({ jobId: 'just' });
  const stop = new AbortController();
  const { outcomes } = await call({ signal: stop.signal, work: async (job, { signal }) => {
    stop.abort();
    assert.ok(signal.aborted);
    return { kept: true };
  } });
  assert.deepEqual(outcomes, [{ job_id: 'just', status: 'completed' }]);
  assert.deepEqual((await jobs.getJob('just')).result, { kept: true });
});

test('one that is stopped already takes no job', async () => {
  await newJob({ jobId: 'left' });
  assert.deepEqual((await call({ signal: AbortSignal.abort(), work: () => assert.fail() })).outcomes, []);
  assert.equal((await jobs.getJob('left')).attempt, 0);
});

test('a lost lease is told by PT409, and the work stops', async () => {
  await newJob({ jobId: 'lost' });
  const { outcomes } = await call({ heartbeat: 0.02, work: async (job, { signal }) => {
    await jobs.cancelJob('lost', 'taken away', { force: true });
    await untilAborted(signal);
  } });
  assert.deepEqual(outcomes.map(({ job_id, code }) => [job_id, code]), [['lost', 'PT409']]);
  assert.equal((await jobs.getJob('lost')).error_message, 'taken away');
});

test('a reply that was lost is asked for again', async () => {
  await newJob({ jobId: 'repeated' });
  const plain = globalThis.fetch;
  let lost = 0;
  globalThis.fetch = async (resource, options) => {
    const response = await plain(resource, options);
    if (String(resource).includes('job_complete') && lost++ === 0) throw new TypeError('fetch failed');
    return response;
  };
  try {
    const { outcomes } = await call({ work: () => ({ once: 1 }) });
    assert.deepEqual(outcomes, [{ job_id: 'repeated', status: 'completed' }]);
  } finally {
    globalThis.fetch = plain;
  }
  assert.ok(lost > 1);
});

test('a server that does not answer, or refuses, is an error of the call', async () => {
  const nowhere = await call({ url: 'http://127.0.0.1:9', work: () => {} });
  assert.equal(nowhere.status, 500);
  assert.ok(nowhere.error);
  const refused = await call({ key: project.anonKey, work: () => {} });
  assert.deepEqual([refused.status, refused.code], [500, '42501']);
});

test('long waits and missing keys are refused', () => {
  assert.throws(() => createWorker({ url: project.url, key: '', work: () => {} }));
  assert.throws(() => createWorker({ url: project.url, key: NIL, wait: 20, work: () => {} }), RangeError);
});
