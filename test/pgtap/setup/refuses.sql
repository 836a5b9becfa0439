-- tests.refuses(): a call is refused, as it should be and for the right reason, and leaves nothing behind.
create schema if not exists tests;
grant usage on schema tests to public;

-- All that a call of the extension's could change.
create function tests.everything() returns text
language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  select md5(string_agg(t.line, E'\n' order by t.line))
  from (
    select 'job ' || j::text from public.jobs j
    union all select 'type ' || t::text from public.job_types t
    union all select 'attempt ' || a::text from public.job_attempts a
    union all select 'step ' || s::text from public.job_steps s
    union all select 'archived ' || a::text from public.jobs_archive a
    union all select 'queue ' || q::text from jobs_ext.queue q
    union all select 'failed ' || f::text from jobs_ext.failed f
    union all select 'expiring ' || e::text from jobs_ext.expiring e
    union all select 'ended ' || e::text from jobs_ext.ended e
    union all select 'blocked ' || b::text from jobs_ext.blocked b
    union all select 'paused ' || p::text from jobs_ext.paused p
    union all select 'child ' || c::text from jobs_ext.children c
    union all select 'set aside ' || s::text from jobs_ext.set_aside s
    union all select 'lane ' || l::text from jobs_ext.lanes l
    union all select 'erasure ' || e::text from jobs_ext.erasures e
    union all select 'schedule ' || s::text from jobs_ext.schedules s
  ) as t (line);
end;

-- One assertion: `call`, one statement or several, raises `state` with a message like `message`; where `reason` is
-- given, the DETAIL is a JSON object with this "reason"; and nothing changed.
create function tests.refuses(call text, state text, message text, reason text, description text)
returns text language plpgsql as $$
declare
  before constant text := tests.everything();
  got_state text := 'no error';
  got_message text := '';
  got_detail text := '';
  complaints text[] := '{}';
begin
  begin
    execute call;
    raise exception using errcode = 'TEST0'; -- undoes what it did
  exception
    when sqlstate 'TEST0' then null;
    when others then
      get stacked diagnostics got_state = returned_sqlstate, got_message = message_text,
        got_detail = pg_exception_detail;
  end;
  if got_state <> state then
    complaints := complaints || format('SQLSTATE %s instead of %s', got_state, state);
  end if;
  if got_message not like message then
    complaints := complaints || format('message: %s', got_message) || format('not like: %s', message);
  end if;
  if reason is not null and (got_detail !~ '^\{.*\}$' or got_detail::jsonb ->> 'reason' is distinct from reason) then
    complaints := complaints || format('DETAIL is %L, without the reason %s', got_detail, reason);
  end if;
  if tests.everything() is distinct from before then
    complaints := complaints || 'something changed';
  end if;
  return tap.ok(complaints = '{}', description)
      || case when complaints = '{}' then ''
              else E'\n' || tap.diag(call || E'\n' || array_to_string(complaints, E'\n')) end;
end $$;

create function tests.refuses(call text, state text, message text, description text)
returns text language sql as $$ select tests.refuses(call, state, message, null, description) $$;
