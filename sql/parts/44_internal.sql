-- What the tables and views themselves call. The trigger functions check which table fires them.

create function jobs_ext.uuid_v7() returns uuid
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.uuid_v7() is
'A new UUID of version 7: sorted by the time it was made.';

create function jobs_ext.rebuild_queue() returns bigint
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.rebuild_queue() is
'Builds the private tables anew from public.jobs, which nobody can write meanwhile. Never needed in normal work: '
'whoever needs them after a restore does it.

Returns how many jobs are queued. Raises 42501 when not allowed, 42804 when public.jobs was altered so that it can''t '
'be used.';

create function jobs_ext.check(mend boolean default false,
  out job uuid, out fault text, out mended boolean) returns setof record
language c volatile parallel unsafe rows 10 as 'MODULE_PATHNAME', 'jobs_check';
comment on function jobs_ext.check(boolean) is
'Compares the private tables jobs_ext.queue, failed, expiring, ended, blocked, children and paused with public.jobs, '
'from which they follow: all of it, under one snapshot, without a lock that anybody notices. The worker does the same '
'little by little (jobs_ext.audit_interval). Takes a few microseconds for each row, and no memory. What it finds is a '
'defect of jobs_ext: please report it.

Returns a row for each fault; none when all is well. job: public.jobs.id. fault: the table, what is wrong (missing: '
'the job is not there under its key; wrong key: it is there under another one; orphan: no such job; not in its index) '
'and the key. mended: with mend => true, whether it was put right; a job that somebody else holds at the moment is '
'left as it is. Where very many are found jobs_ext.rebuild_queue() is quicker.

Without mend it runs in a read-only transaction and on a standby too. It says nothing (NOTICE) while the tables are '
'yet to be built, as after a restore; with mend it builds them. Not to be called from a trigger on public.jobs, which '
'sees half a statement.

Raises 42501 when not allowed or under row security, 42804 when public.jobs was altered so that it can''t be used; '
'with mend 25006 in a read-only transaction, 25001 outside READ COMMITTED.';

create function jobs_ext.active_jobs() returns setof public.job
language c stable parallel unsafe rows 1000 as 'MODULE_PATHNAME';
comment on function jobs_ext.active_jobs() is
'The waiting, running and blocked jobs that the caller may see, by way of the queue and not of the whole table. The '
'view jobs_active.';

create function jobs_ext.running_jobs() returns setof public.job
language c stable parallel unsafe rows 100 as 'MODULE_PATHNAME';
comment on function jobs_ext.running_jobs() is
'The running jobs that the caller may see. The view jobs_running.';

create function jobs_ext.failed_jobs() returns setof public.job
language c stable parallel unsafe rows 1000 as 'MODULE_PATHNAME';
comment on function jobs_ext.failed_jobs() is
'The failed jobs that the caller may see, newest first. The views jobs_failed and jobs_failed_summary.';

create function jobs_ext.jobs_before_row() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_before_row() is
'Trigger on public.jobs: fills in what the server owns and refuses illegal transitions (PT409). '
'Of everybody but the owner, an UPDATE that ends or releases a running job, or writes its result, has to set lease_id '
'or worker to the value that the row has, unless the row has no worker (PT409); what has ended keeps its status, '
'result and error_message (PT409); input_payload, job_type, organisation_id and created_by never change (22023); a '
'parent is another job of the organisation (42501) and no descendant (PT409). Anybody''s UPDATE to in_progress claims '
'only what is due, has not expired and is of no paused type (PT409).';

create function jobs_ext.jobs_after_row() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_after_row() is
'Trigger on public.jobs: keeps the private tables in step with what was really written.';

create function jobs_ext.jobs_after_truncate() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.jobs_after_truncate() is
'Trigger on public.jobs: empties the private tables and public.job_attempts.';

create function jobs_ext.job_types_changed() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.job_types_changed() is
'Trigger on public.job_types: tells every session that it has to read the types again.';

create function jobs_ext.pauses_changed() returns trigger
language c volatile parallel unsafe as 'MODULE_PATHNAME';
comment on function jobs_ext.pauses_changed() is
'Trigger on jobs_ext.pauses, for the rows that a restore brings: tells every session.';

create trigger pauses_changed after insert or update or delete or truncate on jobs_ext.pauses
for each statement execute function jobs_ext.pauses_changed();
-- Also where a restore sets session_replication_role.
alter table jobs_ext.pauses enable always trigger pauses_changed;

-- The policies call these two, once a statement. They read the claims as the functions of the API do
-- (src/job/claims.hpp).
create function jobs_ext.claimed_organisation() returns uuid
language c stable parallel safe as 'MODULE_PATHNAME';
comment on function jobs_ext.claimed_organisation() is
'The organisation that the JWT of the request names: its claim org_id, or else app_metadata.org_id, whichever is a '
'uuid first; null where neither is, or where the claims are no JSON. Raises nothing. For policies: '
'organisation_id = (select jobs_ext.claimed_organisation()).';

create function jobs_ext.claimed_user() returns uuid
language c stable parallel safe as 'MODULE_PATHNAME';
comment on function jobs_ext.claimed_user() is
'The user whom the JWT of the request names: its claim sub; null where that is no uuid, or where the claims are no '
'JSON. Raises nothing. What auth.uid() says, which raises instead.';
