// What operators, nightly jobs and bad days do to a database while it works: rebuilds, alterations that are taken
// back, months that come and go, processes that are ended or killed.
import { kill } from 'node:process';
import { Session, isCutOff } from './session.mjs';
import { sleep } from './random.mjs';

const TABLES = ['public.jobs', 'public.job_types', 'public.job_attempts', 'public.job_steps', 'jobs_ext.queue',
  'jobs_ext.failed', 'jobs_ext.expiring', 'jobs_ext.ended', 'jobs_ext.blocked', 'jobs_ext.children', 'jobs_ext.lanes',
  'jobs_ext.state', 'jobs_ext.set_aside', 'jobs_ext.schedules'];
const CLUSTERED = ['public.jobs using jobs_pkey', 'public.job_attempts using job_attempts_pkey',
  'public.job_steps using job_steps_pkey',
  'jobs_ext.queue using queue_pkey', 'jobs_ext.failed using failed_pkey', 'jobs_ext.expiring using expiring_pkey',
  'jobs_ext.ended using ended_pkey', 'jobs_ext.blocked using blocked_pkey', 'jobs_ext.children using children_pkey'];

// [what is done, what takes it back]. Whoever works meanwhile meets 42804 or works rightly.
const ALTERATIONS = [
  ['alter table jobs rename worker to worker_away', 'alter table jobs rename worker_away to worker'],
  ['alter table jobs rename lease_id to lease_away', 'alter table jobs rename lease_away to lease_id'],
  ['alter table jobs alter progress type text', 'alter table jobs alter progress type jsonb using progress::jsonb'],
  ['alter table jobs alter error_message type varchar(70000)', 'alter table jobs alter error_message type text'],
  ['alter table jobs alter restaurant_id type text',
    'alter table jobs alter restaurant_id type uuid using restaurant_id::uuid'],
  ['alter table jobs alter attempt type bigint', 'alter table jobs alter attempt type integer'],
  ['alter table jobs alter retries drop not null', 'alter table jobs alter retries set not null'],
  ['alter table jobs add soak integer default 7', 'alter table jobs drop soak'],
  ['alter table jobs add soak integer generated always as (priority + 1) stored', 'alter table jobs drop soak'],
  ['alter table jobs set (fillfactor = 90)', 'alter table jobs set (fillfactor = 30)'],
  ['alter table jobs rename to jobs_away', 'alter table jobs_away rename to jobs'],
  ['create index concurrently soak on jobs (status)', 'drop index concurrently soak'],
  ['create index soak on jobs_ext.queue (job)', 'drop index jobs_ext.soak'],
  ['create trigger soak before update on jobs for each row execute function soak_trigger()',
    'drop trigger soak on jobs'],
  ['alter table jobs disable trigger user', 'alter table jobs enable trigger user'],
  ['alter table job_types alter description type varchar(5000)', 'alter table job_types alter description type text'],
  ['alter table job_types rename backoff to backoff_away', 'alter table job_types rename backoff_away to backoff'],
  ['alter table job_types add soak text', 'alter table job_types drop soak'],
  ['alter table job_attempts alter error_details type text',
    'alter table job_attempts alter error_details type jsonb using error_details::jsonb'],
  ['alter table job_attempts rename outcome to outcome_away',
    'alter table job_attempts rename outcome_away to outcome'],
  ['alter table job_attempts add soak text default 1', 'alter table job_attempts drop soak'],
  ['alter table job_steps rename result to result_away', 'alter table job_steps rename result_away to result'],
  ['alter table job_steps add soak text default 1', 'alter table job_steps drop soak'],
  ['alter table jobs_archive rename worker to worker_away', 'alter table jobs_archive rename worker_away to worker'],
  ['alter table jobs_archive alter progress type text',
    'alter table jobs_archive alter progress type jsonb using progress::jsonb'],
  ['alter table jobs_archive add soak numeric', 'alter table jobs_archive drop soak'],
  [`create table jobs_ext.soak_month partition of jobs_archive for values from ('2001-01-01') to ('2001-02-01')`,
    'drop table jobs_ext.soak_month'],
];

// 55P03: somebody works there, 57014: for too long. The others: Postgres refuses that alteration while a view reads
// the column, a rebuild while somebody else makes one, and VACUUM a table that is gone.
const REFUSED = new Set([
  '55P03', '57014', '0A000', '55006', '40P01', '42P01', '42P07', '42701', '55000', '42704', '42703']);

// What is to be taken back was never done, or has been taken back already.
const NOTHING_OWED = new Set(['42703', '42P01', '42704']);

export class Disturber {
  constructor(random, ledger) {
    this.random = random;
    this.ledger = ledger;
    this.counts = new Map();
    this.killed = 0;                           // processes that were sent SIGKILL
    this.owed = null;                          // what takes the last alteration back
    this.session = new Session('disturber', [`set lock_timeout = '2s'`, `set statement_timeout = '30s'`,
      `set client_min_messages = error`]);
  }

  async prepare() {
    await this.session.query(`create function soak_trigger() returns trigger language plpgsql as
      'begin return new; end'`);
  }

  async run(until) {
    const kinds = [
      [4, 'reindex'], [4, 'reindex_concurrently'], [3, 'cluster'], [3, 'vacuum_full'], [3, 'vacuum'], [3, 'analyze'],
      [8, 'alter'], [2, 'old_jobs'], [1, 'rebuild_queue'],
      [4, 'end_client'], [2, 'end_worker'], [0.5, 'end_launcher'], [0.5, 'kill_one'],
    ];
    while (Date.now() < until) {
      await this.#disturb(this.random.weighted(kinds));
      await sleep(this.random.between(0, 400));
    }
    await this.restore();
  }

  #count(kind) {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  async #disturb(kind) {
    try {
      await this[kind]();
      this.#count(kind);
    } catch (error) {
      if (isCutOff(error)) {
        await sleep(200);
      } else if (REFUSED.has(error.code)) {
        this.#count(`${kind}: ${error.code}`);
      } else {
        this.ledger.fault(`disturber: ${kind}: ${error.code} ${error.message}`);
      }
    }
    await this.restore();
  }

  // Everything is as it was: the last alteration taken back, no rebuild left half done.
  async restore() {
    for (const end = Date.now() + 120_000; this.owed; ) {
      try {
        await this.session.query(this.owed);
        this.owed = null;
      } catch (error) {
        // A cut may have hidden that it was done, or that there was nothing to take back.
        if (NOTHING_OWED.has(error.code)) this.owed = null;
        else if (Date.now() > end) throw error;
        await sleep(50);
      }
    }
    const invalid = await this.session.insist(`select i.indexrelid::regclass::text as index from pg_index i
      where not i.indisvalid and i.indrelid::regclass::text ~ '^(jobs|job_|jobs_ext)'`);
    for (const { index } of invalid) {
      await this.session.query(`drop index ${index}`).catch((error) => this.ledger.error(`drop index: ${error.code}`));
    }
  }

  // ---- rebuilds

  reindex() { return this.session.query(`reindex table ${this.random.of([...TABLES, 'public.jobs_archive'])}`); }

  reindex_concurrently() { return this.session.query(`reindex table concurrently ${this.random.of(TABLES)}`); }

  cluster() { return this.session.query(`cluster ${this.random.of(CLUSTERED)}`); }

  vacuum_full() { return this.session.query(`vacuum full ${this.random.of(TABLES)}`); }

  vacuum() { return this.session.query(`vacuum (analyze, skip_locked off) ${this.random.of(TABLES)}`); }

  analyze() { return this.session.query(`analyze ${this.random.of([...TABLES, 'public.jobs_archive'])}`); }

  rebuild_queue() { return this.session.query('select jobs_ext.rebuild_queue()'); }

  // ---- alterations

  async alter() {
    const [change, back] = this.random.of(ALTERATIONS);
    this.owed = back;
    try {
      await this.session.query(change);
    } catch (error) {
      // Half a concurrent index is there all the same.
      if (!isCutOff(error) && !change.includes('concurrently')) this.owed = null;
      throw error;
    }
    await sleep(this.random.between(50, 700));
  }

  // Jobs that ended long ago: their month is made, they are archived, and the month is dropped with them.
  old_jobs() {
    return this.session.query(`
      insert into jobs (job_type, job_id, status, created_at, started_at, completed_at, finished_at, attempt, lease_id)
      select 'soak-old', gen_random_uuid(), 'completed', t, t, t, t, 1, gen_random_uuid()
      from (select now() - make_interval(months => $1) as t from generate_series(1, 20)) old`,
      [this.random.between(3, 24)]);
  }

  // ---- processes

  async #pid(condition) {
    const rows = await this.session.query(`select pid from pg_stat_activity where ${condition} order by pid`);
    return rows.length ? this.random.of(rows).pid : null;
  }

  async #end(condition) {
    const pid = await this.#pid(condition);
    if (pid) await this.session.query('select pg_terminate_backend($1)', [pid]);
  }

  end_client() { return this.#end(`application_name like 'client-%'`); }

  end_worker() { return this.#end(`backend_type in ('jobs_ext worker', 'autovacuum worker')`); }

  end_launcher() { return this.#end(`backend_type = 'jobs_ext launcher'`); }

  // The whole server restarts: nobody knows what the dead process left in shared memory.
  async kill_one() {
    const pid = await this.#pid(`application_name like 'client-%' or backend_type = 'jobs_ext worker'`);
    if (!pid) return;
    this.ledger.crashed();
    this.killed++;
    kill(pid, 'SIGKILL');
    await sleep(300);
    await this.session.insist('select 1');
    this.ledger.crashed();
  }
}
