-- What an operator sees of the background worker.

create function jobs_ext.maintenance_status(
  out database name,
  out pid integer,
  out state text,
  out started_at timestamptz,
  out last_round_at timestamptz,
  out last_error_at timestamptz,
  out last_error_sqlstate text,
  out last_error text,
  out last_audit_at timestamptz,
  out next_start_at timestamptz,
  out next_due_at timestamptz,
  out rounds bigint,
  out reaped bigint,
  out retried bigint,
  out failed bigint,
  out cancelled bigint,
  out expired bigint,
  out unblocked bigint,
  out archived bigint,
  out deleted bigint,
  out months_dropped bigint,
  out set_aside bigint,
  out audit_faults bigint,
  out woken bigint,
  out notified bigint,
  out waits_refused bigint,
  out waits_polled bigint
) returns setof record
language c volatile parallel restricted rows 10 as 'MODULE_PATHNAME';
comment on function jobs_ext.maintenance_status() is
'What the worker of each database is doing and has done since the server started. The view jobs_ext.maintenance.';

-- With its owner's rights, as jobs_set_aside: jobs_ext.pauses is granted to nobody else. A queue that is paused is
-- shown though no worker is known of, as where the library is not preloaded.
create view jobs_ext.maintenance as
select *
from jobs_ext.maintenance_status() m
full join (
  select current_database() as database, a.since as paused_since, a.role as paused_by, a.reason as pause_reason
  from jobs_ext.pauses a order by a.since limit 1
) p using (database);
comment on view jobs_ext.maintenance is
'The background worker of each database: whether it is there, what it does, what went wrong, what it has done since '
'the server started';
comment on column jobs_ext.maintenance.pid is 'Of its process; null: there is none';
comment on column jobs_ext.maintenance.state is 'What it is doing, or what it or its database waits for';
comment on column jobs_ext.maintenance.started_at is 'When its process began';
comment on column jobs_ext.maintenance.last_round_at is 'When it last had looked at everything';
comment on column jobs_ext.maintenance.last_error_at is 'When something last went wrong';
comment on column jobs_ext.maintenance.last_error_sqlstate is 'Its SQLSTATE, shown to the same';
comment on column jobs_ext.maintenance.last_error is
'What it was; of another database only for members of pg_read_all_stats';
comment on column jobs_ext.maintenance.last_audit_at is
'When a pass of the audit last ended: see jobs_ext.audit_interval, jobs_ext.check()';
comment on column jobs_ext.maintenance.next_start_at is 'When another process is started, after one that failed';
comment on column jobs_ext.maintenance.next_due_at is
'When something is due for which it will wake; it looks at everything each jobs_ext.maintenance_interval besides';
comment on column jobs_ext.maintenance.rounds is 'How often it has looked at everything';
comment on column jobs_ext.maintenance.reaped is
'Attempts that it ended since their lease or run-time limit had run out';
comment on column jobs_ext.maintenance.retried is 'Of those, jobs that are tried again';
comment on column jobs_ext.maintenance.failed is 'Of those, jobs that had no retry left';
comment on column jobs_ext.maintenance.cancelled is 'Of those, jobs that were to be cancelled';
comment on column jobs_ext.maintenance.expired is 'Jobs that did not start in time';
comment on column jobs_ext.maintenance.unblocked is
'Jobs that it queued again since all their children had ended (job_await_children)';
comment on column jobs_ext.maintenance.archived is 'Jobs that it moved to jobs_archive';
comment on column jobs_ext.maintenance.deleted is 'Jobs that it deleted, since their type keeps them for no time';
comment on column jobs_ext.maintenance.months_dropped is 'Partitions of jobs_archive that it dropped';
comment on column jobs_ext.maintenance.set_aside is 'How often it set a job aside that made it fail';
comment on column jobs_ext.maintenance.audit_faults is
'Rows of the private tables that did not say what jobs says, found and put right by the audit: a defect of jobs_ext, '
'which the server''s log tells with the job''s id';
comment on column jobs_ext.maintenance.woken is 'Sleeping claims that it woke for jobs that became due';
comment on column jobs_ext.maintenance.notified is 'How often it sent NOTIFY jobs';
comment on column jobs_ext.maintenance.waits_refused is
'Calls with wait that answered at once, since waiting would have been wrong, or of job_await earlier than asked, since '
'its session listens: each session was told once why';
comment on column jobs_ext.maintenance.waits_polled is
'Calls with wait that looked ten times a second, since jobs_ext.max_waiters slept already';
comment on column jobs_ext.maintenance.paused_since is
'Since when job_pause_all() holds the whole queue of this database: claims are empty; null: it goes on. Of other '
'databases it is not known';
comment on column jobs_ext.maintenance.paused_by is 'Who paused it';
comment on column jobs_ext.maintenance.pause_reason is 'Why, if that was said';
