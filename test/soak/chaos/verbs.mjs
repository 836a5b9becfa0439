// The verbs of a client. Each runs its statements and returns what becomes true once they are acknowledged, as a list
// of effects; so one verb serves by itself, in a transaction, in a savepoint that is rolled back and in two phases.
import { Session, isCutOff } from './session.mjs';
import { sleep } from './random.mjs';

export const TYPES = ['soak-plain', 'soak-brief', 'soak-slow', 'soak-linear'];

// What a verb may meet while tables are altered, locked and rebuilt, leases run out and others steer the same jobs.
// Whatever else it meets is a fault; above all an internal error, a statement that hangs, and a job that is not found.
const ALLOWED = new Set(['PT409', '42804', '42P01', '40001', '40P01', '55P03']);
// Plain SQL and views name columns, which may be away, and our triggers may be off: then only the checks are there.
export const ALLOWED_IN_SQL = new Set(['42703', '0A000', '23514']);

export class Verbs {
  constructor(number, random, ledger) {
    this.name = `client-${number}`;
    this.random = random;
    this.ledger = ledger;
    this.leases = [];                          // { id, attempt, lease_id } that were given to us
    this.keys = 0;
    this.snapshotStays = false;                // in a transaction that is not READ COMMITTED
    this.undecided = [];                       // ids of jobs whose second step waits for us to decide
    this.unanswered = null;                    // the key of an enqueue whose reply was lost
    this.session = new Session(this.name, [
      `set statement_timeout = '90s'`,
      `set jobs_ext.force_statement_path = ${number % 4 === 3 ? 'on' : 'off'}`,
    ]);
  }

  // A snapshot may be older than the job, or than an ALTER TABLE that wrote the table anew: to such a one it looks
  // empty.
  isAllowed(code) {
    return ALLOWED.has(code) || (code === 'PT404' && this.snapshotStays);
  }

  // ---- effects

  #enqueued(id) {
    return { happened: () => this.ledger.enqueued(id), undone: () => this.ledger.rolledBack(id) };
  }

  #claimed(rows, era) {
    return rows.map((row) => ({
      happened: () => {
        this.ledger.claimed(row, era);
        this.leases.push(row);
      },
      undone: () => {},
    }));
  }

  // Whatever became of the job, the lease is used up; if it was undone, it will run out.
  #finished(state) {
    return { happened: () => { if (state?.status === 'completed') this.ledger.completed(state); }, undone: () => {} };
  }

  // ---- producing

  // An enqueue that waited behind an ALTER TABLE until its job had expired is refused, rightly.
  #mayHaveExpired(error, jobs) {
    error.isOfTime = error.code === '22023' && jobs.some((job) => new Date(job.expires_at) <= new Date());
    return error;
  }

  #newJob() {
    const { random } = this;
    const job = { job_type: random.of(TYPES), priority: random.weighted([[6, 0], [2, 5], [1, -10], [1, 10]]) };
    if (random.chance(0.4)) job.job_key = `${this.name}-${++this.keys}`;
    if (random.chance(0.2)) job.job_id = `${this.name}-${++this.keys}`;
    if (random.chance(0.2)) job.run_at = new Date(Date.now() + random.between(-1000, 4000)).toISOString();
    if (random.chance(0.1)) job.expires_at = new Date(Date.now() + random.between(5000, 9000)).toISOString();
    if (random.chance(0.3)) job.max_retries = random.between(0, 5);
    if (random.chance(0.3)) job.input_payload = { text: 'x'.repeat(random.between(0, 3000)) };
    return job;
  }

  async enqueue() {
    const job = this.unanswered ?? this.#newJob();
    if (job.job_id ?? job.job_key) this.unanswered = job;
    try {
      const [state] = await this.session.query(
        `select * from job_enqueue($1, coalesce($2, '{}')::jsonb, $3, $4, $5, 50, $6, $7, expires_at => $8)`,
        [job.job_type, job.input_payload, job.priority, job.run_at, job.max_retries, job.job_id, job.job_key,
          job.expires_at]);
      this.unanswered = null;
      return [this.#enqueued(state.id)];
    } catch (error) {
      if (!isCutOff(error)) this.unanswered = null;
      throw this.#mayHaveExpired(error, [job]);
    }
  }

  async enqueue_many() {
    const jobs = Array.from({ length: this.random.between(1, 60) }, () => this.#newJob());
    const rows = await this.session.query('select * from job_enqueue_many($1)', [JSON.stringify(jobs)])
      .catch((error) => { throw this.#mayHaveExpired(error, jobs); });
    if (rows.length !== jobs.length) {
      this.ledger.fault(`job_enqueue_many: ${rows.length} answers for ${jobs.length} jobs`);
    }
    return rows.map((row) => this.#enqueued(row.id));
  }

  async insert() {
    const job = this.#newJob();
    const [row] = await this.session.query(
      `insert into jobs (job_type, job_id, priority, max_retries, retry_delay_ms)
       values ($1, $2, $3, 2, 50) returning id`,
      [job.job_type, job.job_id ?? `${this.name}-${++this.keys}`, job.priority]);
    return [this.#enqueued(row.id)];
  }

  // ---- working

  async #claim(jobs, wait) {
    const { era } = this.ledger;
    const types = this.random.chance(0.3) ? [this.random.of(TYPES)] : null;
    return this.#claimed(await this.session.query(
      'select id, attempt, lease_id from job_claim($1, $2, $3, $4, $5)',
      [types, jobs, this.name, `${this.random.between(2, 8)} s`, wait]), era);
  }

  claim() { return this.#claim(1, null); }

  claim_many() { return this.#claim(this.random.between(2, 50), null); }

  claim_waiting() { return this.#claim(this.random.between(1, 3), `${this.random.between(100, 2000)} ms`); }

  async await_jobs() {
    const { era } = this.ledger;
    const [{ jobs }] = await this.session.query(
      'call job_await(max_jobs => $1, worker => $2, lease => $3, wait => $4)',
      [this.random.between(1, 3), this.name, `${this.random.between(2, 8)} s`, `${this.random.between(100, 4000)} ms`]);
    return this.#claimed(jobs.map(({ id, attempt, lease_id }) => ({ id, attempt, lease_id })), era);
  }

  // Calls the code with a lease of ours, if there is one. It is used up, or kept.
  async #withLease(code, { keep = false } = {}) {
    if (this.leases.length === 0) return this.claim_many();
    const at = this.random.between(0, this.leases.length - 1);
    const lease = keep ? this.leases[at] : this.leases.splice(at, 1)[0];
    return code(lease.id, lease.lease_id, lease.attempt);
  }

  complete() {
    return this.#withLease(async (id, lease) => {
      const [state] = await this.session.query(`select * from job_complete($1, $2, '{"done": 1}')`, [id, lease]);
      return [this.#finished(state)];
    });
  }

  fail() {
    return this.#withLease(async (id, lease) => {
      const [state] = await this.session.query(
        `select * from job_fail($1, $2, 'as planned', permanent => $3, error_details => '{"soak": true}')`,
        [id, lease, this.random.chance(0.2)]);
      return [this.#finished(state)];
    });
  }

  release() {
    return this.#withLease(async (id, lease) =>
      [this.#finished((await this.session.query('select * from job_release($1, $2)', [id, lease]))[0])]);
  }

  // With one more child, so that it mostly has something to wait for. The job may have left `jobs` meanwhile, and be no
  // parent any more.
  await_children() {
    return this.#withLease(async (id, lease) => {
      const [row] = await this.session.query(
        `select c.id, s.status from job_enqueue($3, parent_job_id => $1) c, job_await_children($1, $2) s`,
        [id, lease, this.random.of(TYPES)]).catch((error) => {
        error.isOfTime = error.code === '22023';
        throw error;
      });
      return [this.#enqueued(row.id)];
    });
  }

  #setSteps(id, lease) {
    return this.session.query('select from job_steps_set($1, $2, $3)',
      [id, JSON.stringify([{ step_name: 'work' }, { step_name: 'look', step_type: 'action_required' }]), lease]);
  }

  // The first step is done by whoever has the job first, and by nobody after that.
  steps() {
    return this.#withLease(async (id, lease) => {
      await this.#setSteps(id, lease);
      const known = this.ledger.steps.get(id);
      const [{ status, result }] = await this.session.query(
        `select status, result #>> '{}' as result from job_step_start($1, $2, 1)`, [id, lease]);
      if (known && (status !== 'completed' || result !== known)) {
        this.ledger.fault(`${id}: its step was completed under ${known} and is ${status} under ${result}`);
      }
      if (status === 'completed') return [];
      await this.session.query('select job_step_complete($1, $2, 1, to_jsonb($3::text))', [id, lease, lease]);
      return [{ happened: () => this.ledger.stepCompleted(id, lease), undone: () => {} }];
    }, { keep: true });
  }

  await_decision() {
    return this.#withLease(async (id, lease) => {
      await this.#setSteps(id, lease);
      await this.session.query('select job_step_await($1, $2, 2)', [id, lease]);
      return [{ happened: () => this.undecided.push(id), undone: () => {} }];
    });
  }

  async decide() {
    if (this.undecided.length === 0) return this.await_decision();
    await this.session.query(`select job_step_resolve($1, 2, '"go on"')`, [this.undecided.shift()]);
    return [];
  }

  heartbeat() {
    return this.#withLease(async (id, lease) => {
      await this.session.query(`select * from job_heartbeat($1, $2, '{"at": 1}', '5 s')`, [id, lease]);
      return [];
    }, { keep: true });
  }

  async heartbeat_many() {
    await this.session.query(`select * from job_heartbeat_many($1, '5 s')`,
      [JSON.stringify(this.leases.slice(-50).map(({ id, lease_id }) => ({ id, lease_id })))]);
    return [];
  }

  next() {
    return this.#withLease(async (id, lease, attempt) => {
      const { era } = this.ledger;
      const rows = await this.session.query(
        `select id, attempt, lease_id from job_next($1, $2, worker => $3, lease => '5 s')`, [id, lease, this.name]);
      return [this.#finished({ id, lease_id: lease, attempt, status: 'completed' }),
        ...this.#claimed(rows, era)];
    });
  }

  async finish_many() {
    const leases = this.leases.splice(0, this.random.between(1, 60));
    const outcomes = leases.map(({ id, lease_id }) => ({
      id,
      lease_id,
      ...this.random.weighted([[8, { complete: { many: true } }], [1, { fail: { error_message: 'as planned' } }],
        [1, { release: {} }]]),
    }));
    const rows = await this.session.query('select * from job_finish_many($1)', [JSON.stringify(outcomes)]);
    // In the order of what was given, which may hold two leases of one job.
    return rows.map(({ id, sqlstate, status }, at) => {
      if (sqlstate && !this.isAllowed(sqlstate)) this.ledger.fault(`job_finish_many: ${id} ${sqlstate}`);
      if (sqlstate || status !== 'completed') return this.#finished(null);
      return this.#finished({ id, lease_id: leases[at].lease_id, attempt: leases[at].attempt, status });
    });
  }

  async release_worker() {
    await this.session.query('select job_release_worker($1)', [this.name]);
    return [];
  }

  update_to_completed() {
    return this.#withLease(async (id, lease) => {
      const [row] = await this.session.query(
        `update jobs set status = 'completed', lease_id = $2 where id = $1 and lease_id = $2 and status = 'in_progress'
         returning id, attempt, lease_id, status`, [id, lease]);
      return row ? [this.#finished(row)] : [];
    });
  }

  // ---- steering and looking

  // Any job of the ledger, newer ones rather than older ones.
  #someJob() {
    const ids = this.ledger.recent;
    return ids.length ? this.random.of(ids) : '00000000-0000-0000-0000-000000000000';
  }

  async #steer(sql) {
    if (this.ledger.recent.length === 0) return [];
    await this.session.query(sql, [this.#someJob()]);
    return [];
  }

  cancel() {
    return this.#steer(`select job_cancel($1, reason => 'as planned', force => ${this.random.chance(0.3)})`);
  }

  retry() { return this.#steer('select job_retry($1)'); }

  pause() { return this.#steer('select job_pause($1)'); }

  resume() { return this.#steer('select job_resume($1)'); }

  wait() { return this.#steer(`select status from job_wait($1, wait => '300 ms')`); }

  async get() {
    if (this.ledger.recent.length === 0) return [];
    const id = this.#someJob();
    const get = async () => (await this.session.query('select id from job_get($1)', [id])).length;
    let found = await get();
    // A reader that waited while ALTER TABLE wrote the table anew sees an empty one, as any function's query does: but
    // once.
    if (found === 0) {
      this.ledger.error('an empty look');
      found = this.snapshotStays ? 1 : await get();
    }
    if (found !== 1) this.ledger.fault(`${this.name}: job_get finds ${found} times ${id}`);
    return [];
  }

  async list() {
    const status = this.random.of([null, 'queued', 'failed', 'in_progress', 'completed']);
    await this.session.query('select id from job_list($1)', [status]);
    await this.session.query('select * from job_stats()');
    return [];
  }

  async view() {
    const view = this.random.of(['jobs_queue_status', 'jobs_failed_summary', 'jobs_metrics', 'jobs_active',
      'jobs_running', 'jobs_failed', 'jobs_ext.maintenance', 'jobs_ext.jobs_set_aside']);
    await this.session.query(`select * from ${view} limit 100`);
    return [];
  }

  async maintain() {
    await this.session.query('select job_maintain()');
    return [];
  }

  async pause_type() {
    const type = this.random.of(TYPES);
    await this.session.query('select job_type_set($1, paused => true)', [type]);
    await sleep(this.random.between(0, 100));
    await this.session.insist('select job_type_set($1, paused => false)', [type]);
    return [];
  }
}

// In transactions nothing that waits, and nothing that all others would wait for.
export const VERBS_IN_TRANSACTIONS = [
  [20, 'enqueue'], [3, 'enqueue_many'], [3, 'insert'],
  [10, 'claim'], [4, 'claim_many'], [24, 'complete'], [5, 'fail'], [3, 'release'], [2, 'await_children'],
  [3, 'steps'], [1, 'await_decision'], [2, 'decide'],
  [4, 'heartbeat'], [6, 'next'], [4, 'finish_many'], [2, 'update_to_completed'],
  [2, 'cancel'], [1, 'retry'], [1, 'pause'], [2, 'resume'], [1, 'get'], [1, 'list'], [1, 'view'],
];

export const VERBS = [
  ...VERBS_IN_TRANSACTIONS,
  [3, 'claim_waiting'], [3, 'await_jobs'], [2, 'heartbeat_many'], [0.2, 'release_worker'], [1, 'wait'],
  [0.5, 'maintain'], [0.1, 'pause_type'],
];

export const PLAIN_SQL = new Set(['insert', 'update_to_completed', 'view']);
