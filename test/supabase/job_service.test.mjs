// examples/supabase/job-service.js: its twelve operations as the service, as a member of an organisation with and
// without claims, of another one, and as anon.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { NIL, OTHER, OWN, open, require, withCode } from './project.mjs';

let project, jobs;

before(async () => {
  project = await open();
  jobs = require('./job-service.js');
});
after(() => project.close());

const OPERATIONS = ['createJob', 'updateJobStatus', 'updateJobProgress', 'updateJobResult', 'markJobFailed', 'getJob',
  'getJobs', 'getNextQueuedJob', 'retryFailedJob', 'cancelJob', 'getJobMetrics', 'getFailedJobsSummary'];
const statusOf = async (jobId) => (await jobs.getJob(jobId)).status;
const newJob = (more) => jobs.createJob({ jobType: 'import-csv', inputPayload: { n: 1 }, ...more }, OWN);
const newRunning = async (more) => {
  const { id } = await newJob({ priority: 10, ...more });
  const job = await jobs.getNextQueuedJob(['import-csv'], { worker: 'tester' });
  assert.equal(job.id, id);
  return job;
};

test('the twelve operations of the seed, for require and for import', async () => {
  for (const name of OPERATIONS) assert.equal(typeof jobs[name], 'function', name);
  for (const name of OPERATIONS) assert.equal(typeof jobs.asUser('x')[name], 'function', name);
  const imported = await import('../../examples/supabase/job-service.js');
  assert.equal(imported.createJob, jobs.createJob);
  assert.equal(imported.default, jobs);
});

test('createJob gives the job, with what was said and the defaults', async () => {
  const state = await jobs.createJob({ jobType: 'import-csv', jobCategory: 'mine', inputPayload: { from: 'shop' },
    restaurantId: NIL, createdBy: project.ann, priority: 3, maxRetries: 7, metadata: { a: 1 } }, OWN);
  assert.equal(state.created, true);
  assert.match(state.job_id, /^import-csv-/);
  const job = await jobs.getJob(state.job_id);
  assert.deepEqual(
    [job.id, job.job_type, job.job_category, job.input_payload, job.restaurant_id, job.created_by, job.priority,
      job.max_retries, job.metadata, job.organisation_id],
    [state.id, 'import-csv', 'mine', { from: 'shop' }, NIL, project.ann, 3, 7, { a: 1 }, OWN]);
  const least = await jobs.getJob((await jobs.createJob({ jobType: 'import-csv' })).job_id);
  assert.deepEqual([least.priority, least.max_retries, least.input_payload, least.organisation_id], [0, 3, {}, NIL]);
  await jobs.cancelJob(state.job_id);
  await jobs.cancelJob(least.job_id);
});

test('createJob with a jobId again gives the job that is there', async () => {
  const first = await newJob({ jobId: 'once' });
  const again = await newJob({ jobId: 'once' });
  assert.deepEqual([again.id, first.created, again.created], [first.id, true, false]);
  await jobs.cancelJob('once');
});

test('createJob with a jobKey again gives the job that is there, in its organisation', async () => {
  const [{ known }] = await project.sql(`
    select 'job_key' = any (proargnames) as known from pg_proc where oid = 'job_enqueue'::regproc`);
  if (!known) return assert.rejects(newJob({ jobKey: 'key' }), withCode('PGRST202'));
  const first = await newJob({ jobKey: 'key' });
  const again = await newJob({ jobKey: 'key' });
  const elsewhere = await jobs.createJob({ jobType: 'import-csv', jobKey: 'key' }, OTHER);
  assert.deepEqual([again.id, first.created, again.created, elsewhere.created], [first.id, true, false, true]);
  for (const { job_id } of [first, elsewhere]) await jobs.cancelJob(job_id);
});

test('of many concurrent calls of createJob none is lost', async () => {
  const made = await Promise.all(Array.from({ length: 40 }, () => newJob()));
  assert.equal(new Set(made.map((job) => job.job_id)).size, 40);
  assert.ok(made.every((job) => job.created));
  for (const { job_id } of made) await jobs.cancelJob(job_id);
});

test('getNextQueuedJob claims: two workers never get the same job', async () => {
  const made = await Promise.all(Array.from({ length: 5 }, () => newJob()));
  const claimed = await Promise.all(Array.from({ length: 8 }, () => jobs.getNextQueuedJob(['import-csv'])));
  assert.deepEqual(claimed.filter(Boolean).map((job) => job.id).sort(), made.map((job) => job.id).sort());
  assert.ok(claimed.filter(Boolean).every((job) => job.lease_id && job.status === 'in_progress'));
  for (const job of claimed.filter(Boolean)) await jobs.updateJobResult(job, {});
  assert.equal(await jobs.getNextQueuedJob(['import-csv']), null);
});

test('getNextQueuedJob: best first, of these types or of any, and it may wait', async () => {
  await newJob({ jobId: 'low' });
  await newJob({ jobId: 'high', priority: 5 });
  assert.equal(await jobs.getNextQueuedJob(['merge-menus']), null);
  const first = await jobs.getNextQueuedJob(['import-csv']);
  const second = await jobs.getNextQueuedJob([]);
  assert.deepEqual([first.job_id, second.job_id], ['high', 'low']);
  const waiting = jobs.getNextQueuedJob(null, { wait: '5s', worker: 'waiter', lease: '30s' });
  await newJob({ jobId: 'waited-for' });
  const got = await waiting;
  assert.deepEqual([got.job_id, got.worker], ['waited-for', 'waiter']);
  for (const job of [first, second, got]) await jobs.updateJobResult(job, null);
});

test('updateJobProgress keeps the lease and tells of a cancel', async () => {
  const job = await newRunning();
  const state = await jobs.updateJobProgress(job, { done: 1 });
  assert.equal(state.cancel_requested_at, null);
  assert.deepEqual((await jobs.getJob(job.job_id)).progress, { done: 1 });
  assert.deepEqual((await jobs.getJob(job.job_id)).input_payload, { n: 1 });
  assert.equal((await jobs.cancelJob(job.job_id, 'enough')).status, 'in_progress');
  assert.notEqual((await jobs.updateJobProgress(job, { done: 2 })).cancel_requested_at, null);
  assert.equal((await jobs.markJobFailed(job, 'stopped')).status, 'cancelled');
});

test('updateJobResult completes; again it is the same, with another lease PT409', async () => {
  const job = await newRunning();
  assert.equal((await jobs.updateJobResult(job, { rows: 3 })).status, 'completed');
  assert.equal((await jobs.updateJobResult(job, { rows: 3 })).status, 'completed');
  const ended = await jobs.getJob(job.job_id);
  assert.deepEqual([ended.result, typeof ended.execution_time_ms], [{ rows: 3 }, 'number']);
  await assert.rejects(jobs.updateJobResult({ ...job, lease_id: NIL }, { rows: 4 }), (error) =>
    error.code === 'PT409' && JSON.parse(error.details).reason === 'lease_lost' && error instanceof Error);
  assert.deepEqual((await jobs.getJob(job.job_id)).result, { rows: 3 });
});

test('markJobFailed retries while a retry is left, then fails; permanent at once', async () => {
  const job = await newRunning({ maxRetries: 1, jobId: 'failing' });
  const runAt = new Date(Date.now() - 1000).toISOString();
  assert.equal((await jobs.markJobFailed(job, 'first', { runAt })).status, 'pending');
  const again = await jobs.getNextQueuedJob(['import-csv']);
  assert.deepEqual([again.job_id, again.attempt, again.error_message], ['failing', 2, 'first']);
  assert.equal((await jobs.markJobFailed(again, 'second', { details: { at: 7 } })).status, 'failed');
  const other = await newRunning({ jobId: 'hopeless' });
  assert.equal((await jobs.markJobFailed(other, 'never', { permanent: true })).status, 'failed');
});

test('retryFailedJob brings it back, by its job_id', async () => {
  assert.equal((await jobs.retryFailedJob('failing', { runAt: '2100-01-01T00:00:00Z' })).status, 'queued');
  assert.equal((await jobs.cancelJob('failing')).status, 'cancelled');
  await assert.rejects(jobs.retryFailedJob('nobody'), withCode('PT404'));
});

test('cancelJob: a waiting one at once, a running one with force at once', async () => {
  await newJob({ jobId: 'cancel-me' });
  assert.equal((await jobs.cancelJob('cancel-me', 'no longer wanted')).status, 'cancelled');
  assert.equal((await jobs.getJob('cancel-me')).error_message, 'no longer wanted');
  const job = await newRunning();
  assert.equal((await jobs.cancelJob(job.job_id, 'now', { force: true })).status, 'cancelled');
  await assert.rejects(jobs.updateJobResult(job, {}), withCode('PT409'));
});

test('updateJobStatus is the move, by job_id or by the worker', async () => {
  await newJob({ jobId: 'moved' });
  assert.equal((await jobs.updateJobStatus('moved', 'paused')).status, 'paused');
  assert.match((await jobs.updateJobStatus('moved', 'queued')).status, /^(queued|pending)$/);
  assert.equal((await jobs.updateJobStatus('moved', 'cancelled', { reason: 'why' })).status, 'cancelled');
  assert.equal((await jobs.getJob('moved')).error_message, 'why');
  const [a, b, c] = [await newRunning(), await newRunning(), await newRunning()];
  assert.equal((await jobs.updateJobStatus(a, 'completed', { result: { ok: 1 } })).status, 'completed');
  assert.equal((await jobs.updateJobStatus(b, 'failed', { error_message: 'no' })).status, 'failed');
  const released = await jobs.updateJobStatus(c, 'pending', { run_at: '2100-01-01T00:00:00Z' });
  assert.equal(released.status, 'pending');
  await jobs.cancelJob(c.job_id);
});

test('updateJobStatus refuses what nobody can mean', async () => {
  await newJob({ jobId: 'steady', runAt: '2100-01-01T00:00:00Z' });
  await assert.rejects(jobs.updateJobStatus('steady', 'in_progress'), RangeError);
  await assert.rejects(jobs.updateJobStatus('steady', 'done'), RangeError);
  await assert.rejects(jobs.updateJobStatus('steady', 'completed'), TypeError);
  await assert.rejects(jobs.updateJobStatus({ id: NIL, lease_id: NIL }, 'cancelled'), TypeError);
  await assert.rejects(jobs.updateJobStatus('steady', 'cancelled', { no_such: 1 }), withCode('PGRST202'));
  assert.match(await statusOf('steady'), /^(pending|queued)$/);
  await jobs.cancelJob('steady');
});

test('getJob and getJobs: one, newest first, filtered, paged', async () => {
  assert.equal(await jobs.getJob('nobody'), null);
  for (const n of [1, 2, 3]) await newJob({ jobId: `list-${n}`, jobType: 'merge-menus', restaurantId: OWN });
  const ids = async (filters) => (await jobs.getJobs(filters)).map((job) => job.job_id).join();
  assert.equal(await ids({ jobType: 'merge-menus' }), 'list-3,list-2,list-1');
  assert.equal(await ids({ jobType: 'merge-menus', limit: 1, offset: 1 }), 'list-2');
  assert.equal(await ids({ restaurantId: OWN, organisationId: OWN }), 'list-3,list-2,list-1');
  assert.equal(await ids({ restaurantId: OWN, status: 'failed' }), '');
  assert.equal(await ids({ restaurantId: OWN, organisationId: OTHER }), '');
  for (const n of [1, 2, 3]) await jobs.cancelJob(`list-${n}`);
});

test('getJobMetrics and getFailedJobsSummary', async () => {
  const metrics = (await jobs.getJobMetrics()).find((row) => row.job_type === 'import-csv');
  assert.ok(metrics.total_jobs > 0 && metrics.completed_count > 0);
  const failed = await jobs.getFailedJobsSummary();
  assert.ok(failed.some((job) => job.job_id === 'hopeless' && job.error_message === 'never'));
  assert.equal((await jobs.getFailedJobsSummary({ limit: 1 })).length, 1);
});

test('what the server refuses is thrown, never swallowed', async () => {
  await assert.rejects(newJob({ jobType: 'no-such-type' }), withCode('22023'));
  await assert.rejects(newJob({ priority: 11 }), withCode('22023'));
  await assert.rejects(newJob({ inputPayload: { big: 'x'.repeat(300_000) } }), withCode('PT413'));
  await assert.rejects(jobs.cancelJob('nobody'), withCode('PT404'));
  await assert.rejects(jobs.getJobs({ limit: -1 }), withCode('22023'));
  await assert.rejects(jobs.getJob(''), TypeError);
  await assert.rejects(jobs.updateJobResult('a-job-id', {}), TypeError);
  await assert.rejects(jobs.updateJobProgress(null, {}), TypeError);
});

test('what the README shows runs as it stands', async () => {
  const readme = readFileSync(new URL('../../examples/supabase/README.md', import.meta.url), 'utf8');
  const [, code] = /^```js\n([^]*?)^```/m.exec(readme);
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction('require', 'organisationId', 'accessToken', `${code}; return { job, mine };`);
  const { job, mine } = await run(require, OWN, project.tokens.member);
  assert.equal((await mine.getJob(job.job_id)).status, 'completed');
});

test('a key that is missing is an error, not another key', async () => {
  for (const name of ['SUPABASE_URL', 'SUPABASE_SERVICE_ROLE_KEY', 'SUPABASE_ANON_KEY']) {
    const value = process.env[name];
    delete process.env[name];
    try {
      if (name !== 'SUPABASE_ANON_KEY') await assert.rejects(jobs.getJobs(), new RegExp(name));
      if (name !== 'SUPABASE_SERVICE_ROLE_KEY')
        await assert.rejects(jobs.asUser(project.tokens.member).getJobs(), new RegExp(name));
    } finally {
      process.env[name] = value;
    }
  }
  assert.throws(() => jobs.asUser(undefined), TypeError);
});

test('users at the same time: each request has its own token, and the service its key', async () => {
  const [ann, bob] = [jobs.asUser(project.tokens.member), jobs.asUser(project.tokens.other)];
  const mine = await ann.createJob({ jobType: 'import-csv', jobId: 'of-ann' });
  const theirs = await bob.createJob({ jobType: 'import-csv', jobId: 'of-bob' });
  assert.ok(mine.created && theirs.created);
  const seen = await Promise.all(Array.from({ length: 12 }, (_, i) => [ann, bob, jobs][i % 3].getJobs({ limit: 500 })));
  seen.forEach((list, i) => {
    const organisations = new Set(list.map((job) => job.organisation_id));
    if (i % 3 === 0) assert.deepEqual([...organisations], [OWN]);
    if (i % 3 === 1) assert.deepEqual([...organisations], [OTHER]);
    if (i % 3 === 2) assert.ok(organisations.has(OWN) && organisations.has(OTHER));
  });
});

test('a member makes, sees and cancels the jobs of its organisation', async () => {
  const ann = jobs.asUser(project.tokens.member);
  const job = await ann.getJob('of-ann');
  assert.deepEqual([job.organisation_id, job.created_by], [OWN, project.ann]);
  assert.ok((await ann.getJobMetrics()).length > 0);
  assert.ok((await ann.getFailedJobsSummary()).every((failed) => failed.organisation_id === OWN));
  assert.equal((await ann.cancelJob('of-ann')).status, 'cancelled');
});

test('a member of another organisation meets nothing of it', async () => {
  const bob = jobs.asUser(project.tokens.other);
  await newJob({ jobId: 'of-own' });
  assert.equal(await bob.getJob('of-own'), null);
  assert.deepEqual(await bob.getJobs({ organisationId: OWN }), []);
  const seen = await bob.getJobs();
  assert.ok(seen.some((job) => job.job_id === 'of-bob'));
  assert.ok(seen.every((job) => job.organisation_id === OTHER));
  assert.ok((await bob.getFailedJobsSummary()).every((job) => job.organisation_id === OTHER));
  assert.equal((await bob.getJobMetrics()).reduce((sum, row) => sum + Number(row.total_jobs), 0), seen.length);
  await assert.rejects(bob.cancelJob('of-own'), withCode('PT404'));
  await assert.rejects(bob.createJob({ jobType: 'import-csv' }, OWN), withCode('42501'));
  assert.match(await statusOf('of-own'), /^(pending|queued)$/);
});

test('a member whose token names no organisation sees nothing and makes nothing', async () => {
  const nobody = jobs.asUser(project.tokens.unclaimed);
  assert.deepEqual(await nobody.getJobs(), []);
  assert.equal(await nobody.getJob('of-own'), null);
  assert.deepEqual(await nobody.getJobMetrics(), []);
  assert.deepEqual(await nobody.getFailedJobsSummary(), []);
  await assert.rejects(nobody.createJob({ jobType: 'import-csv' }), withCode('42501'));
  await assert.rejects(nobody.createJob({ jobType: 'import-csv' }, OWN), withCode('42501'));
  await assert.rejects(nobody.cancelJob('of-own'), withCode('PT404'));
});

// All that work and steering need, as a job that is held would be passed.
const heldOperations = (user, job) => [() => user.getNextQueuedJob(), () => user.updateJobProgress(job, {}),
  () => user.updateJobResult(job, {}), () => user.markJobFailed(job, 'x'), () => user.updateJobStatus(job, 'pending'),
  () => user.updateJobStatus(job.job_id, 'paused')];

test('working is for the service: a member is refused, and nothing changes', async () => {
  const job = await newRunning({ jobId: 'held' });
  for (const who of ['member', 'other', 'unclaimed'])
    for (const operation of heldOperations(jobs.asUser(project.tokens[who]), job))
      await assert.rejects(operation(), withCode('42501'), `${who}: ${operation}`);
  assert.deepEqual(await jobs.getJob('held'), job);
  await jobs.updateJobResult(job, {});
});

test('anon is refused whatever it asks', async () => {
  const anon = jobs.asUser(project.anonKey);
  const job = await newRunning();
  for (const operation of [...heldOperations(anon, job), () => anon.createJob({ jobType: 'import-csv' }),
    () => anon.getJob('held'), () => anon.getJobs(), () => anon.retryFailedJob('hopeless'),
    () => anon.cancelJob('held'), () => anon.getJobMetrics(), () => anon.getFailedJobsSummary()])
    await assert.rejects(operation(), withCode('42501'), String(operation));
  assert.equal((await jobs.updateJobResult(job, {})).status, 'completed');
});
