create function jobs_ext.install_job_steps() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if jobs_ext.is_there('public.job_steps'::text, 'r'::"char", 'public.job_step'::regtype) then
    perform jobs_ext.add_organisation('public.job_steps'::regclass, false);
    return;
  end if;

  -- No foreign key, as for job_attempts. With its job a step is deleted, or moves to the archive.
  create table public.job_steps (
    like public.job_step,
    primary key (job, step_number),
    constraint check_step_type check (step_type in ('automatic', 'action_required')),
    constraint check_step_status check (
      status in ('pending', 'in_progress', 'action_required', 'completed', 'failed'))
  );
  alter table public.job_steps
    alter column step_name set not null,
    alter column step_type set not null,
    alter column status set not null;

  comment on table public.job_steps is
    'The steps of jobs that have some, and what came of each. Written by job_steps_set and the verbs on a step alone';
  comment on column public.job_steps.job is 'jobs.id';
  comment on column public.job_steps.step_number is 'The number of the step in its job, 1 to 1000';
  comment on column public.job_steps.step_name is 'What it is called';
  comment on column public.job_steps.description is 'What is done in it, for people';
  comment on column public.job_steps.step_type is
    'automatic (the worker does it), action_required (a person decides: its worker awaits that, and cannot complete '
    'it). An automatic one may be awaited as well';
  comment on column public.job_steps.status is
    'pending (not begun), in_progress, action_required (waits for a decision, and the job with it), completed, failed '
    '(may be begun again)';
  comment on column public.job_steps.received is 'How many records came in';
  comment on column public.job_steps.processed is 'How many of them were worked on';
  comment on column public.job_steps.passed is 'How many of them go on to the next step';
  comment on column public.job_steps.failed is 'How many of them failed';
  comment on column public.job_steps.result is 'What came of it, for the steps after it and for later attempts';
  comment on column public.job_steps.decision is 'What the person decided';
  comment on column public.job_steps.decided_by is 'Who did: sub of the JWT; null: somebody without one';
  comment on column public.job_steps.error_message is 'What went wrong, of a failed one';
  comment on column public.job_steps.metadata is 'Whatever else belongs to it';
  comment on column public.job_steps.started_at is 'When it was last begun';
  comment on column public.job_steps.completed_at is 'When it was completed';

  perform jobs_ext.add_organisation('public.job_steps'::regclass, true);
  perform jobs_ext.put_policies('public.job_steps'::text, jobs_ext.members_by_claim());
  perform jobs_ext.hand_over('public.job_steps'::regclass);
end $$;
comment on function jobs_ext.install_job_steps() is
'Makes public.job_steps where it is missing, and its column organisation_id. Part of jobs_ext.install().';
