-- Written by the C++ code alone; granted to nobody and never dumped, but for jobs_ext.pauses. The first four are
-- derived from public.jobs: jobs_ext.rebuild_queue() makes them anew. All stay members of the extension and belong to
-- the superuser who runs this script.

-- All columns are in the key, so that no update of a row is a heap-only one and room left on a page would serve
-- nothing: fillfactor stays at 100. What keeps the table small is vacuum, early and at full speed. Truncating its end
-- would take an exclusive lock on the hottest table there is, to give back pages that are needed again at once.
create table jobs_ext.queue (
  lane integer not null,
  rank smallint not null,
  due_at timestamptz not null,
  job uuid not null,
  primary key (lane, rank, due_at, job)
) with (
  fillfactor = 100,
  autovacuum_vacuum_threshold = 500,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = -1,
  autovacuum_analyze_threshold = 5000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
comment on table jobs_ext.queue is
'One narrow row for each job that waits or runs, in the order in which it is due. Derived from public.jobs.';
comment on column jobs_ext.queue.lane is 'Waiting: the lane of its type (jobs_ext.lanes). Running: 0.';
comment on column jobs_ext.queue.rank is 'Waiting: minus the priority. Running: 0.';
comment on column jobs_ext.queue.due_at is
'Waiting: run_at. Running: when the lease or the run-time limit ends, whichever is first.';
comment on column jobs_ext.queue.job is 'public.jobs.id';

create table jobs_ext.failed (
  created_at timestamptz not null,
  job uuid not null,
  primary key (created_at, job)
) with (autovacuum_vacuum_scale_factor = 0.05);
comment on table jobs_ext.failed is
'The failed jobs by age: what an index on status would answer, without its price for each transition. Derived from '
'public.jobs.';

create table jobs_ext.expiring (
  expires_at timestamptz not null,
  job uuid not null,
  primary key (expires_at, job)
) with (autovacuum_vacuum_scale_factor = 0.05);
comment on table jobs_ext.expiring is
'The waiting jobs that must have started by a certain time. Derived from public.jobs.';

-- Rows come once, when a job ends, and go when it leaves public.jobs: at one end of each run and at the other. Vacuum
-- comes after the archive has taken many; for freezing, as everywhere.
create table jobs_ext.ended (
  lane integer not null,
  rank smallint not null,
  ended_at timestamptz not null,
  job uuid not null,
  primary key (lane, rank, ended_at, job)
) with (
  fillfactor = 100,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_insert_scale_factor = 0.5,
  autovacuum_analyze_scale_factor = 0.2,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
comment on table jobs_ext.ended is
'One narrow row for each job that has ended, in the order in which they leave public.jobs. Derived from public.jobs.';
comment on column jobs_ext.ended.lane is 'The lane of its type (jobs_ext.lanes)';
comment on column jobs_ext.ended.rank is 'How it ended: completed 0, failed 1, cancelled 2';
comment on column jobs_ext.ended.ended_at is 'finished_at';
comment on column jobs_ext.ended.job is 'public.jobs.id';

create table jobs_ext.blocked (
  created_at timestamptz not null,
  job uuid not null,
  primary key (created_at, job)
) with (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.05);
comment on table jobs_ext.blocked is
'The jobs that wait for their children (job_await_children). Derived from public.jobs.';

-- A row comes with a child and goes at its end, one for each child and none for the parent: so children that end at
-- once have no row in common.
create table jobs_ext.children (
  parent uuid not null,
  job uuid not null,
  primary key (parent, job)
) with (
  fillfactor = 100,
  autovacuum_vacuum_threshold = 500,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0,
  vacuum_truncate = false
);
comment on table jobs_ext.children is
'The jobs that have a parent and have not ended: whether any child of a job is left costs one look. Derived from '
'public.jobs.';
comment on column jobs_ext.children.parent is 'parent_job_id';
comment on column jobs_ext.children.job is 'public.jobs.id';

create table jobs_ext.paused (
  created_at timestamptz not null,
  job uuid not null,
  primary key (created_at, job)
) with (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.05);
comment on table jobs_ext.paused is
'The paused jobs by age: job_list(''paused'') reads them, and not all jobs. Derived from public.jobs.';

create table jobs_ext.lanes (
  lane integer primary key check (lane > 0),
  job_type text not null unique
);
-- A number must be known to nobody else while its transaction is open: no greatest number plus one.
create sequence jobs_ext.lane_numbers as integer;
comment on sequence jobs_ext.lane_numbers is 'The numbers of jobs_ext.lanes; what a rollback takes back is left out';
comment on table jobs_ext.lanes is
'The number under which a job type stands in jobs_ext.queue. Given once, never used for another type.';

create table jobs_ext.state (
  mark text primary key,
  number oid not null,
  version bigint not null
);
comment on table jobs_ext.state is
'Under what the derived tables were built: the triggers on public.jobs (name; oid and version of the row in '
'pg_trigger), its columns (their numbers; the versions of their rows in pg_attribute), its storage (relfilenode), each '
'folded into one number. While a trigger is no longer the enabled one, as after a restore, or a column was given other '
'values, as by ALTER TABLE ... TYPE ... USING, the derived tables count as not built.';

-- Not derived: what a schedule was last run for is known nowhere else.
create table jobs_ext.schedules (
  role oid not null,
  name text collate "C" not null,
  job uuid,
  enqueued_at timestamptz,
  skipped bigint not null,
  primary key (role, name)
);
comment on table jobs_ext.schedules is
'What the runs of a schedule (job_schedule) remember for the next one. The schedules themselves are in cron.job.';
comment on column jobs_ext.schedules.role is 'As whom it is run: pg_authid.oid';
comment on column jobs_ext.schedules.job is 'The last job that it enqueued: public.jobs.id';
comment on column jobs_ext.schedules.enqueued_at is 'When that was';
comment on column jobs_ext.schedules.skipped is 'How many runs were left out because the job before still waited';

-- Not derived either. Not in a dump: who restores one into which an erasure has not come asks for it again.
create table jobs_ext.erasures (
  organisation uuid not null,
  archived_until timestamptz not null,
  asked_at timestamptz not null,
  primary key (organisation, archived_until)
);
comment on table jobs_ext.erasures is
'The organisations that are being erased, by jobs_ext.erase_organisation() or because they were deleted.';
comment on column jobs_ext.erasures.organisation is 'public.jobs.organisation_id';
comment on column jobs_ext.erasures.archived_until is
'Of a deleted one: when it was deleted. What was archived till then goes; its jobs went with it. infinity: all goes, '
'for jobs_ext.erase_organisation()';
comment on column jobs_ext.erasures.asked_at is 'Since when';

-- Written by the worker alone, what has changed each jobs_ext.statistics_interval, and at a shutdown. Not in a dump:
-- what is counted is what this server did.
create table jobs_ext.statistics (
  lane integer primary key,
  since timestamptz not null,
  counts bigint[] not null,
  waits integer[] not null,
  runs integer[] not null
) with (fillfactor = 50);
comment on table jobs_ext.statistics is
'The statistics of job types as they were when the worker wrote them down last, for the next start of the server. '
'job_stats() shows those in shared memory.';
comment on column jobs_ext.statistics.lane is 'The lane of the type (jobs_ext.lanes)';
comment on column jobs_ext.statistics.since is 'Since when its jobs are counted';
comment on column jobs_ext.statistics.counts is
'How many were enqueued, claimed, completed, failed, cancelled, retried, released, reaped, expired';
comment on column jobs_ext.statistics.waits is
'How long jobs were due before they were claimed, of late, by the buckets of src/logic/histogram.hpp';
comment on column jobs_ext.statistics.runs is 'How long attempts ran, likewise';

create table jobs_ext.set_aside (
  job uuid primary key,
  task text not null,
  failures integer not null,
  since timestamptz not null,
  retry_at timestamptz not null,
  sqlstate text not null,
  message text not null
) with (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
comment on table jobs_ext.set_aside is
'The jobs that made maintenance fail, until it succeeds with them or they no longer need it. Shown by '
'jobs_ext.jobs_set_aside.';

-- With its owner's rights: who may look at it is told all of it.
create view jobs_ext.jobs_set_aside as
select s.job, s.task, s.failures, s.since, s.retry_at, s.sqlstate, s.message
from jobs_ext.set_aside s;
comment on view jobs_ext.jobs_set_aside is
'The jobs that maintenance could not deal with, since something of the user''s stood in its way: a trigger, a foreign '
'key, a constraint. The others go on; these are tried again, ever more seldom, at least once an hour. Looked at after '
'retry_at, a job that no longer needs it disappears.';
comment on column jobs_ext.jobs_set_aside.job is 'public.jobs.id';
comment on column jobs_ext.jobs_set_aside.task is
'What was to be done: reap (its lease or run-time limit ran out), expire, unblock (its children have ended), remove, '
'archive';
comment on column jobs_ext.jobs_set_aside.failures is 'How often it was tried';
comment on column jobs_ext.jobs_set_aside.since is 'When it failed first';
comment on column jobs_ext.jobs_set_aside.retry_at is 'When it is tried again';
comment on column jobs_ext.jobs_set_aside.sqlstate is 'SQLSTATE of the last failure';
comment on column jobs_ext.jobs_set_aside.message is 'Message of the last failure';

-- In a dump, unlike the others: a queue that was stopped must not start in the restored copy. Whoever dumps has to read
-- it, and whoever restores to fill it: the owner (70_install.sql grants both). A restore may also find the row of
-- jobs_ext.pause_after_restore here.
create table jobs_ext.pauses (
  since timestamptz primary key,
  role text not null,
  reason text
);
comment on table jobs_ext.pauses is
'While this has a row the whole queue is paused. Written by job_pause_all() and job_resume_all(), shown by '
'jobs_ext.maintenance.';
comment on column jobs_ext.pauses.since is 'Since when';
comment on column jobs_ext.pauses.role is 'Who paused it';
comment on column jobs_ext.pauses.reason is 'Why, if that was said';
select pg_extension_config_dump('jobs_ext.pauses'::regclass, '');
