// What must hold when all is quiet again. Everything that does not is a fault of the ledger's.
import { readFileSync } from 'node:fs';
import { Session } from './session.mjs';
import { TYPES } from './verbs.mjs';
import { sleep } from './random.mjs';

const STALLED = 60_000;                        // milliseconds in which no job ends: then none will

export class Verdict {
  constructor(ledger) {
    this.ledger = ledger;
    this.session = new Session('verdict', [`set statement_timeout = '300s'`]);
  }

  async #ask(sql, values) {
    return this.session.query(sql, values);
  }

  async #number(sql) {
    return Number((await this.#ask(sql))[0].number);
  }

  // Each row of the answer is a fault.
  async #nothing(what, sql) {
    const rows = await this.#ask(sql);
    for (const row of rows.slice(0, 20)) this.ledger.fault(`${what}: ${JSON.stringify(row)}`);
    if (rows.length > 20) this.ledger.fault(`${what}: ${rows.length} in all`);
  }

  // Nothing is held back any more, and what two clients left half done is undone.
  async release() {
    await this.#ask(`update job_types set paused = false where paused`);
    for (const { gid } of await this.#ask('select gid from pg_prepared_xacts')) {
      await this.#ask(`rollback prepared '${gid}'`);
    }
    await this.#ask(`select job_resume(id) from jobs where status = 'paused'`);
  }

  // Workers that only complete, until no job is left. Late ones, retries and lost leases come by themselves.
  async drain(workers = 4) {
    const unfinished = `select count(*) as number from jobs where finished_at is null`;
    let left = await this.#number(unfinished);
    let progress = Date.now();
    const working = Array.from({ length: workers }, (_, i) => this.#work(i, () => left > 0));
    while (left > 0 && Date.now() - progress < STALLED) {
      await sleep(200);
      const now = await this.#number(unfinished);
      if (now !== left) progress = Date.now();
      left = now;
    }
    if (left > 0) {
      await this.#nothing('nobody claims', `select id, status, job_type, attempt, run_at, lease_expires_at
        from jobs where finished_at is null order by created_at limit 10`);
      this.ledger.fault(`${left} jobs do not end`);
      left = 0;
    }
    await Promise.all(working);
  }

  async #work(number, wanted) {
    const session = new Session(`drain-${number}`);
    while (wanted()) {
      const jobs = await session.query(`select id, lease_id from job_claim(max_jobs => 50, wait => '200 ms')`);
      if (jobs.length === 0) continue;
      const outcomes = jobs.map((job) => ({ ...job, complete: null }));
      const rows = await session.query('select * from job_finish_many($1)', [JSON.stringify(outcomes)]);
      for (const row of rows.filter(({ sqlstate }) => sqlstate)) this.ledger.fault(`drain: ${JSON.stringify(row)}`);
    }
    await session.close();
  }

  async backlog(count) {
    const jobs = Array.from({ length: count }, (_, i) => ({ job_type: TYPES[i % TYPES.length] }));
    for (const { id } of await this.#ask('select id from job_enqueue_many($1)', [JSON.stringify(jobs)])) {
      this.ledger.enqueued(id);
    }
  }

  // Each acknowledged job is there once and has ended, as it was acknowledged; what was rolled back is not there.
  async account() {
    const rows = await this.#ask(`select id, status, lease_id, false as archived from jobs union all
      select id, status, lease_id, true from jobs_archive`);
    const found = new Map();
    for (const row of rows) {
      if (found.has(row.id)) this.ledger.fault(`${row.id} is there twice`);
      found.set(row.id, row);
      if (this.ledger.undone.has(row.id)) this.ledger.fault(`${row.id} was rolled back and is there`);
    }
    for (const [id, { completed }] of this.ledger.jobs) {
      const row = found.get(id);
      if (!row) this.ledger.fault(`${id} was acknowledged and is lost`);
      else if (!['completed', 'failed', 'cancelled'].includes(row.status)) this.ledger.fault(`${id} is ${row.status}`);
      else if (completed && (row.status !== 'completed' || row.lease_id !== completed.lease_id)) {
        const { status, lease_id } = row;
        this.ledger.fault(`${id} was completed under ${completed.lease_id} and is ${status} under ${lease_id}`);
      }
    }
    await this.#accountSteps();
    return { jobs: rows.length, archived: rows.filter(({ archived }) => archived).length };
  }

  async #accountSteps() {
    const rows = await this.#ask(`
      select id, step ->> 'result' as result from (
        select job as id, to_jsonb(s) as step from job_steps s
        union all select id, jsonb_array_elements(steps) from jobs_archive) s
      where step ->> 'step_number' = '1' and step ->> 'status' = 'completed'`);
    const found = new Map(rows.map(({ id, result }) => [id, result]));
    for (const [id, result] of this.ledger.steps) {
      if (found.get(id) !== result) {
        this.ledger.fault(`${id}: its step was completed under ${result} and is under ${found.get(id)}`);
      }
    }
  }

  async inspect(setup) {
    await this.#nothing('an attempt without its record', `
      select a.id, a.status, a.attempt, a.recorded from (
        select id, status, attempt, (select count(*) from job_attempts t where t.job = j.id) as recorded from jobs j
        union all
        select id, status, attempt, coalesce(jsonb_array_length(attempts), 0) from jobs_archive) a
      where a.recorded <> a.attempt - (a.status = 'completed')::int and a.attempt < 100`);
    await this.#nothing('left in the queue', 'select * from jobs_ext.queue');
    await this.#nothing('left expiring', 'select * from jobs_ext.expiring');
    await this.#nothing('a step without its job',
      'select job, step_number from job_steps s where not exists (select from jobs j where j.id = s.job)');
    await this.#nothing('left blocked', 'select * from jobs_ext.blocked');
    await this.#nothing('left of children', 'select * from jobs_ext.children');
    await this.#nothing('an index that is not valid',
      'select indexrelid::regclass from pg_index where not indisvalid');
    for (const file of ['amcheck.sql', 'in_step.sql']) await this.#ask(readFileSync(`${setup}/${file}`, 'utf8'));
    await this.#nothing('amcheck', 'select * from tests.corruption()');
    // Under one snapshot, since jobs are still being archived.
    await this.#ask('begin isolation level repeatable read');
    await this.#nothing('out of step', 'select * from tests.out_of_step()');
    await this.#ask('commit');
    await this.#nothing('jobs_ext.check', 'select * from jobs_ext.check()');
    await this.session.close();
  }

  // Killed by us, or nothing.
  readLog(path, killed) {
    const log = readFileSync(path, 'utf8').split('\n');
    const signals = log.filter((line) => /was terminated by signal/.test(line));
    const others = signals.filter((line) => !/by signal 9:/.test(line));
    if (signals.length > killed) this.ledger.fault(`${signals.length} processes fell, ${killed} were killed`);
    for (const line of [...others, ...log.filter((text) => /PANIC: |TRAP:|\] XX\w{3} /.test(text))].slice(0, 20)) {
      this.ledger.fault(`the server's log: ${line}`);
    }
  }
}
