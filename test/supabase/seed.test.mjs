// The seed's own JavaScript and its seven testing queries, as written, out of test/seed/seed.md, against the extension:
// what each does, and what its code loses where it can't know better.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { NIL, OTHER, OWN, open, require } from './project.mjs';
import * as seed from './seed_document.mjs';

const NAMES = ['createJob', 'getJob', 'getJobs', 'getNextQueuedJob', 'updateJobStatus', 'updateJobResult'];
const RESTAURANT = '33333333-3333-3333-3333-333333333331';

let project, service;

// createJob and getNextQueuedJob stand in the seed twice; markJobFailed in the example alone, which calls getJob.
const ofIntegration = (options) =>
  seed.service([seed.integration], NAMES, { require, process, client: project.service, ...options });
const ofExample = (options) => seed.service([seed.integration, seed.example], [...NAMES, 'markJobFailed'],
  { require, process, client: project.service, ...options });

before(async () => {
  project = await open();
  service = ofIntegration();
});
beforeEach(() => project.sql('truncate jobs, job_attempts'));
after(() => project.close());

const newJob = async (more) => {
  const job = await service.createJob(
    { jobType: 'import-csv', jobCategory: 'import', inputPayload: { file: 'a' }, ...more }, OWN);
  // Its job_id has the time in ms, and must not be that of the next one.
  while (Date.now() === Number(job.job_id.match(/\d+$/)[0]));
  return job;
};
const row = async (jobId) => (await project.sql('select * from jobs where job_id = $1', [jobId]))[0];
const statusOf = async (jobId) => (await row(jobId)).status;

test('createJob, as the seed integrates it: the row, by the server\'s clock', async () => {
  const job = await newJob({ restaurantId: RESTAURANT, createdBy: project.ann, priority: 4, maxRetries: 5 });
  assert.match(job.job_id, /^import-csv-\d+$/);
  assert.deepEqual(
    [job.job_type, job.job_category, job.status, job.input_payload, job.restaurant_id, job.created_by, job.priority,
      job.max_retries, job.organisation_id, job.retries, job.started_at],
    ['import-csv', 'import', 'pending', { file: 'a' }, RESTAURANT, project.ann, 4, 5, OWN, 0, null]);
  const nil = await service.createJob({ jobType: 'merge-menus', inputPayload: {} });
  assert.equal(nil.organisation_id, NIL);
});

test('createJob, as the seed exemplifies it', async () => {
  const job = await ofExample().createJob({ jobType: 'import-csv', inputPayload: {}, restaurantId: RESTAURANT }, OWN);
  assert.match(job.job_id, /^import-csv-33333333-\d+$/);
  const generic = await ofExample().createJob({ jobType: 'import-csv', inputPayload: {} }, OWN);
  assert.match(generic.job_id, /^import-csv-generic-\d+$/);
});

test('createJob: of ten calls within a millisecond the seed loses nine, job-service.js none', async () => {
  const now = Date.now();
  class Still extends Date { static now() { return now; } }
  for (const { createJob } of [ofIntegration({ Date: Still }), ofExample({ Date: Still })]) {
    const made = await Promise.all(Array.from({ length: 10 }, () =>
      createJob({ jobType: 'import-csv', inputPayload: {} }, OWN)));
    assert.equal(made.filter((job) => job === null).length, 9);
  }
  const jobs = require('./job-service.js');
  const made = await Promise.all(Array.from({ length: 10 }, () =>
    jobs.createJob({ jobType: 'merge-menus', inputPayload: {} }, OWN)));
  assert.equal(made.filter((job) => job.created).length, 10);
  assert.equal((await project.sql(`select from jobs where job_type = 'merge-menus'`)).length, 10);
});

test('createJob says null to whatever is refused', async () => {
  assert.equal(await service.createJob({ jobType: 'no-such-type', inputPayload: {} }, OWN), null);
  assert.equal(await service.createJob({ jobType: 'import-csv', inputPayload: {}, priority: 11 }, OWN), null);
});

test('getJob', async () => {
  const job = await newJob();
  assert.deepEqual(await service.getJob(job.job_id), job);
  assert.equal(await service.getJob('nobody'), null);
});

test('getJobs: newest first, filtered, paged', async () => {
  for (const priority of [1, 2, 3]) await newJob({ priority });
  await newJob({ jobType: 'merge-menus', restaurantId: RESTAURANT });
  const priorities = async (filters) => (await service.getJobs(filters)).map((job) => job.priority).join();
  assert.equal(await priorities(), '0,3,2,1');
  assert.equal(await priorities({ jobType: 'import-csv', limit: 2, offset: 1 }), '2,1');
  assert.equal(await priorities({ restaurantId: RESTAURANT }), '0');
  assert.equal(await priorities({ organisationId: OTHER }), '');
  assert.equal(await priorities({ status: 'pending', organisationId: OWN }), '0,3,2,1');
  assert.deepEqual(await service.getJobs({ restaurantId: 'no uuid' }), []);
});

test('getNextQueuedJob, both bodies: the best one, by priority, then age; it claims nothing', async () => {
  await newJob({ priority: 1 });
  const best = await newJob({ priority: 2 });
  await newJob({ priority: 2 });
  const paused = await newJob({ priority: 9 });
  await service.updateJobStatus(paused.job_id, 'paused');
  for (const { getNextQueuedJob } of [ofIntegration(), ofExample()]) {
    assert.equal((await getNextQueuedJob()).id, best.id);
    assert.equal((await getNextQueuedJob(['import-csv'])).id, best.id);
    assert.equal(await getNextQueuedJob(['merge-menus']), null);
  }
});

test('updateJobStatus to in_progress is a claim: of many who try one gets it', async () => {
  const { job_id } = await newJob();
  const tried = await Promise.all(Array.from({ length: 8 }, () => service.updateJobStatus(job_id, 'in_progress')));
  const got = tried.filter(Boolean);
  assert.equal(got.length, 1);
  assert.ok(got[0].lease_id && got[0].lease_expires_at && got[0].started_at && got[0].attempt === 1);
  assert.equal(await service.updateJobStatus(job_id, 'in_progress'), null);
});

test('updateJobStatus: every move that is legal, with its time by the server; null for any other', async () => {
  const { job_id } = await newJob();
  const to = async (status) => (await service.updateJobStatus(job_id, status))?.status ?? null;
  assert.equal(await to('completed'), null);
  assert.equal(await to('paused'), 'paused');
  assert.equal(await to('in_progress'), null);
  assert.equal(await to('queued'), 'queued');
  assert.equal(await to('in_progress'), 'in_progress');
  assert.equal(await to('completed'), 'completed');
  for (const status of ['pending', 'queued', 'in_progress', 'paused', 'failed', 'cancelled'])
    assert.equal(await to(status), null, status);
  assert.equal(await to('no such status'), null);
  const ended = await row(job_id);
  assert.ok(ended.completed_at && ended.finished_at && ended.started_at);
  assert.equal(ended.status, 'completed');
  const other = await newJob();
  const cancelled = await service.updateJobStatus(other.job_id, 'cancelled');
  assert.ok(cancelled.cancelled_at && cancelled.finished_at && cancelled.started_at === null);
});

test('updateJobResult completes a job in progress and no other', async () => {
  const { job_id } = await newJob();
  assert.equal(await service.updateJobResult(job_id, { n: 1 }), null);
  await service.updateJobStatus(job_id, 'in_progress');
  const job = await service.updateJobResult(job_id, { n: 1 }, 999_999_999);
  assert.deepEqual([job.status, job.result], ['completed', { n: 1 }]);
  assert.ok(job.execution_time_ms < 60_000, 'the server measures the time');
  assert.notEqual(job.completed_at, null);
  const cancelled = await newJob();
  await service.updateJobStatus(cancelled.job_id, 'cancelled');
  assert.equal(await service.updateJobResult(cancelled.job_id, { n: 2 }), null);
  assert.equal(await statusOf(cancelled.job_id), 'cancelled');
});

test('markJobFailed retries until no retry is left, then fails', async () => {
  const { markJobFailed } = ofExample();
  const { job_id } = await newJob({ maxRetries: 1 });
  await service.updateJobStatus(job_id, 'in_progress');
  assert.equal(await markJobFailed(job_id, 'once'), true);
  const waiting = await row(job_id);
  assert.deepEqual([waiting.status, waiting.retries, waiting.error_message, waiting.started_at, waiting.completed_at],
    ['pending', 1, 'once', null, null]);
  assert.ok(waiting.run_at > waiting.updated_at, 'with backoff');
  await project.sql('update jobs set run_at = now()');
  await service.updateJobStatus(job_id, 'in_progress');
  assert.equal(await markJobFailed(job_id, 'twice'), true);
  const ended = await row(job_id);
  assert.deepEqual([ended.status, ended.retries, ended.error_message], ['failed', 1, 'twice']);
  assert.equal(await markJobFailed('nobody', 'x'), false);
});

test('a worker loop of the seed\'s functions works everything off', async () => {
  for (const priority of [1, 2, 3]) await newJob({ priority });
  const order = [];
  for (let job; (job = await service.getNextQueuedJob()); ) {
    if (!await service.updateJobStatus(job.job_id, 'in_progress')) continue;
    order.push(job.priority);
    assert.equal((await service.updateJobResult(job.job_id, { ok: true }, 1)).status, 'completed');
  }
  assert.deepEqual(order, [3, 2, 1]);
});

test('the seed\'s client for a user becomes everybody\'s, that of job-service.js nobody else\'s', async () => {
  const { initializeDatabase, setUserSupabaseClient, getJobs } = seed.service(
    ['let userSupabaseClient = null;', seed.initialization, seed.userClient, seed.integration],
    ['initializeDatabase', 'setUserSupabaseClient', 'getJobs'], { require, process });
  assert.equal(initializeDatabase(), true);
  await newJob();
  assert.equal((await getJobs()).length, 1);
  setUserSupabaseClient(project.tokens.other);
  assert.deepEqual(await getJobs(), [], 'a request of the service, with a token of another one');
  const jobs = require('./job-service.js');
  await jobs.asUser(project.tokens.other).getJobs();
  assert.equal((await jobs.getJobs()).length, 1);
});

test('without its service key the seed goes on as anon, job-service.js does not', async () => {
  const { SUPABASE_URL, SUPABASE_ANON_KEY } = process.env;
  const { initializeDatabase, getJobs } = seed.service(
    ['let userSupabaseClient = null;', seed.initialization, seed.userClient, seed.integration],
    ['initializeDatabase', 'getJobs'], { require, process: { env: { SUPABASE_URL, SUPABASE_ANON_KEY } } });
  await newJob();
  assert.equal(initializeDatabase(), true);
  assert.deepEqual(await getJobs(), [], 'as if there were none');
  const key = process.env.SUPABASE_SERVICE_ROLE_KEY;
  delete process.env.SUPABASE_SERVICE_ROLE_KEY;
  try {
    await assert.rejects(require('./job-service.js').getJobs(), /SUPABASE_SERVICE_ROLE_KEY is not set/);
  } finally {
    process.env.SUPABASE_SERVICE_ROLE_KEY = key;
  }
});

test('as a member the seed\'s functions make and see the jobs of its organisation, and steer none', async () => {
  const ann = ofIntegration({ client: project.as('member') });
  const mine = await ann.createJob({ jobType: 'import-csv', inputPayload: {} }, OWN);
  assert.equal(mine.organisation_id, OWN);
  assert.equal(await ann.createJob({ jobType: 'merge-menus', inputPayload: {} }, OTHER), null);
  const theirs = await service.createJob({ jobType: 'merge-menus', inputPayload: {} }, OTHER);
  assert.deepEqual((await ann.getJobs()).map((job) => job.id), [mine.id]);
  assert.equal((await ann.getJob(mine.job_id)).id, mine.id);
  assert.equal(await ann.getJob(theirs.job_id), null);
  assert.equal((await ann.getNextQueuedJob()).id, mine.id);
  for (const { job_id } of [mine, theirs]) {
    assert.equal(await ann.updateJobStatus(job_id, 'in_progress'), null);
    assert.equal(await ann.updateJobResult(job_id, {}), null);
    assert.equal(await statusOf(job_id), 'pending');
  }
});

test('without an organisation in the token, and as anon, they see and make nothing', async () => {
  const { job_id } = await newJob();
  for (const client of [project.as('unclaimed'), project.as('other'), project.anon]) {
    const nobody = ofIntegration({ client });
    assert.equal(await nobody.createJob({ jobType: 'merge-menus', inputPayload: {} }, OWN), null);
    assert.deepEqual(await nobody.getJobs(), []);
    assert.equal(await nobody.getJob(job_id), null);
    assert.equal(await nobody.getNextQueuedJob(), null);
    assert.equal(await nobody.updateJobStatus(job_id, 'cancelled'), null);
    assert.equal(await nobody.updateJobResult(job_id, {}), null);
  }
  assert.equal(await statusOf(job_id), 'pending');
});

test('the seed\'s functions for extraction_jobs, with what is embedded', async () => {
  await project.sql(`delete from extraction_jobs; delete from platforms;
    insert into platforms values ('${OTHER}', 'eats'); insert into restaurants (id, name, slug)
    values ('${RESTAURANT}', 'Alba', 'alba') on conflict (id) do nothing`);
  // They are cut short: what they got they do not return.
  const got = [];
  const client = { from: (table) => keep(project.service.from(table), got) };
  const { createExtractionJob, updateExtractionJob, getExtractionJob } = seed.service(
    [`const orgId = '${OWN}';`, seed.extractionJobs],
    ['createExtractionJob', 'updateExtractionJob', 'getExtractionJob'], { client });
  await createExtractionJob({ jobId: 'x-1', restaurantId: RESTAURANT, platformId: OTHER, url: 'https://example.org' });
  await updateExtractionJob('x-1', { status: 'in_progress' });
  await getExtractionJob('x-1');
  assert.deepEqual(got.map(({ error }) => error), [null, null, null]);
  assert.equal(got[1].data.status, 'in_progress');
  assert.deepEqual([got[2].data.restaurants, got[2].data.platforms, got[2].data.job_type],
    [{ name: 'Alba', slug: 'alba' }, { name: 'eats' }, 'full_menu']);
});

// A builder, whose answer is kept as well.
function keep(builder, got) {
  return new Proxy(builder, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      if (name === 'then')
        return (resolve, reject) => target.then((answer) => { got.push(answer); return answer; }).then(resolve, reject);
      return (...args) => keep(value.apply(target, args), got);
    },
  });
}

test('select of jobs with its restaurant needs a foreign key', async () => {
  await project.sql(`insert into restaurants (id, name, slug) values ('${RESTAURANT}', 'Alba', 'alba')
    on conflict (id) do nothing`);
  const { job_id } = await newJob({ restaurantId: RESTAURANT });
  const select = () => project.service.from('jobs').select('*, restaurants (name, slug)').eq('job_id', job_id).single();
  assert.equal((await select()).error.code, 'PGRST200');
  await project.ddl('alter table jobs add constraint jobs_restaurant_id_fkey foreign key (restaurant_id) ' +
    'references restaurants (id) on delete set null');
  try {
    assert.deepEqual((await select()).data.restaurants, { name: 'Alba', slug: 'alba' });
    const made = await newJob({ restaurantId: RESTAURANT });
    assert.equal(made.restaurant_id, RESTAURANT);
  } finally {
    await project.ddl('alter table jobs drop constraint jobs_restaurant_id_fkey');
  }
});

// The testing queries, as postgres, who runs migrations.

const query = async (number) => {
  await project.sql('set role postgres');
  try {
    return await project.sql(seed.testingQueries[number - 1]);
  } finally {
    await project.sql('reset role');
  }
};

const SEEDS_COLUMNS = {
  id: 'uuid', job_id: 'character varying', job_type: 'character varying', job_category: 'character varying',
  status: 'character varying', input_payload: 'jsonb', result: 'jsonb', error_message: 'text', retries: 'integer',
  max_retries: 'integer', retry_delay_ms: 'integer', execution_time_ms: 'integer',
  created_at: 'timestamp with time zone', started_at: 'timestamp with time zone',
  completed_at: 'timestamp with time zone', cancelled_at: 'timestamp with time zone',
  updated_at: 'timestamp with time zone', organisation_id: 'uuid', restaurant_id: 'uuid', created_by: 'uuid',
  parent_job_id: 'uuid', metadata: 'jsonb', priority: 'integer',
};

test('the seed has seven testing queries', () => assert.equal(seed.testingQueries.length, 7));

test('testing query 1: the table exists', async () => assert.deepEqual(await query(1), [{ table_name: 'jobs' }]));

test('testing query 2: its columns are the seed\'s, in an order of their own, and more', async () => {
  const columns = await query(2);
  assert.deepEqual(Object.fromEntries(columns.filter((column) => column.column_name in SEEDS_COLUMNS)
    .map((column) => [column.column_name, column.data_type])), SEEDS_COLUMNS);
  for (const name of ['job_id', 'job_type', 'status', 'organisation_id'])
    assert.equal(columns.find((column) => column.column_name === name).is_nullable, 'NO', name);
});

test('testing query 3: its indexes', async () => {
  const names = (await query(3)).map((index) => index.indexname);
  for (const name of ['jobs_pkey', 'jobs_job_id_key', 'idx_jobs_created_at', 'idx_jobs_organisation_id',
    'idx_jobs_restaurant_id', 'idx_jobs_created_by', 'idx_jobs_job_type', 'idx_jobs_parent_job_id'])
    assert.ok(names.includes(name), name);
});

test('testing query 4: its constraints', async () => {
  const constraints = new Map((await query(4)).map((row) => [row.constraint_name, row.constraint_type]));
  assert.equal(constraints.get('jobs_pkey'), 'PRIMARY KEY');
  assert.equal(constraints.get('jobs_job_id_key'), 'UNIQUE');
  for (const name of ['check_status', 'check_retries', 'check_completed_timestamp', 'check_started_timestamp'])
    assert.equal(constraints.get(name), 'CHECK', name);
});

test('testing query 5: an INSERT, rolled back', async () => {
  await project.sql('set role postgres');
  const results = await project.sqlAll(seed.testingQueries[4]);
  await project.sql('reset role');
  const [inserted] = results.find((result) => result.command === 'INSERT').rows;
  assert.match(inserted.job_id, /^test-job-\d{4}-/);
  assert.equal(inserted.status, 'pending');
  assert.deepEqual(await project.sql('select from jobs'), []);
});

test('testing query 6: the queue is monitored', async () => {
  await newJob();
  await newJob();
  const [status, ...more] = await query(6);
  assert.deepEqual([status.job_type, status.status, Number(status.count)], ['import-csv', 'pending', 2]);
  assert.deepEqual(more, []);
});

test('testing query 7: the next job', async () => {
  await newJob();
  const best = await newJob({ priority: 1 });
  assert.deepEqual((await query(7)).map((job) => job.id), [best.id]);
});
