create function jobs_ext.install_job_attempts() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.job_attempts'::text, 'r'::"char", null::regtype) then
    perform jobs_ext.add_organisation('public.job_attempts'::regclass, false);
    return;
  end if;

  -- No foreign key: it would cost each attempt a look at jobs. With its job an attempt is deleted, or moves to the
  -- archive.
  create table public.job_attempts (
    job uuid,
    attempt integer,
    worker text,
    started_at timestamptz,
    ended_at timestamptz not null,
    outcome text not null,
    error_message text,
    error_details jsonb,
    primary key (job, attempt),
    constraint check_outcome check (
      outcome in ('failed', 'lease_expired', 'timed_out', 'released', 'cancelled', 'completed', 'blocked'))
  );

  comment on table public.job_attempts is
    'Each attempt that did not succeed, and each that did where its type says keep_attempts = all. The last success is '
    'told by jobs itself';
  comment on column public.job_attempts.job is 'jobs.id';
  comment on column public.job_attempts.attempt is 'The number of the attempt, from 1';
  comment on column public.job_attempts.worker is 'Who tried';
  comment on column public.job_attempts.started_at is 'When the attempt began';
  comment on column public.job_attempts.ended_at is 'When it ended';
  comment on column public.job_attempts.outcome is
    'How it ended: failed (the worker said so), lease_expired (the worker was not heard of), timed_out (it took too '
    'long), released (given back unspent), cancelled, completed, blocked (until its children have ended)';
  comment on column public.job_attempts.error_message is 'What went wrong, for people';
  comment on column public.job_attempts.error_details is 'What went wrong, for programs';

  perform jobs_ext.add_organisation('public.job_attempts'::regclass, true);
  perform jobs_ext.put_policies('public.job_attempts'::text, jobs_ext.members_by_claim());
  perform jobs_ext.hand_over('public.job_attempts'::regclass);
end $$;
comment on function jobs_ext.install_job_attempts() is
'Makes public.job_attempts where it is missing, and its column organisation_id. Part of jobs_ext.install().';
