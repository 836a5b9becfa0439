-- No message repeats an argument whole, and none is cut in the middle of a character: every function that anybody is
-- granted, with 120 kB of snowmen in each of its arguments, alone and inside of objects and arrays.
\ir setup/begin.psql
\ir setup/refuses.sql
begin;
set local timezone = 'UTC';
select no_plan();

create temp table huge as select repeat('☃', 40000) as text, left('12345678' || repeat('9', 40000), 40000) as digits;

-- MESSAGE, DETAIL, HINT and the parts of CONTEXT that are ours; null when the call went well.
create temp table outcome (call text, state text, message text, detail text, hint text);
create function pg_temp.try(call text) returns void language plpgsql as $$
declare
  o outcome;
begin
  o.call := call;
  begin
    execute call;
    raise exception using errcode = 'TEST0';
  exception
    when sqlstate 'TEST0' then null;
    when others then
      get stacked diagnostics o.state = returned_sqlstate, o.message = message_text, o.detail = pg_exception_detail,
        o.hint = pg_exception_hint;
  end;
  insert into outcome values (o.*);
end $$;

-- The arguments that come before another one have to be right for it to be looked at.
create temp table usual (parameter text, type regtype, value text);
insert into usual values
  ('job_type', 'text', $$'bulk-update'$$),
  ('id', 'uuid', 'gen_random_uuid()'),
  ('lease_id', 'uuid', 'gen_random_uuid()'),
  ('worker', 'text', $$'w'$$),
  ('name', 'text', $$'every'$$),
  ('schedule', 'text', $$'* * * * *'$$),
  ('jobs', 'jsonb', $$'[]'$$),
  ('outcomes', 'jsonb', $$'[]'$$),
  ('leases', 'jsonb', $$'[]'$$),
  ('steps', 'jsonb', $$'[]'$$),
  ('step_number', 'int4', '1'),
  ('decision', 'jsonb', '''1''');

-- What they are put into. %1$s: the text, %2$s: the digits.
create temp table shape (type regtype, value text, is_list boolean); -- null: for every argument of that type
insert into shape values
  ('text', '%1$s'), ('varchar', '%1$s'), ('text[]', 'array[%1$s]'),
  ('jsonb', 'to_jsonb(%1$s)'),
  ('jsonb', 'jsonb_build_array(%1$s)'),
  ('jsonb', 'jsonb_build_object(%1$s, 1)'),
  ('jsonb', 'jsonb_build_object(left(%1$s, 30000), 1)'),
  ('jsonb', 'to_jsonb(left(%1$s, 10000))'),
  ('jsonb', 'jsonb_build_array(jsonb_build_object(%1$s, 1))');
-- Every key that an element or an option has, with them as its value: a string, a number, an object's key.
insert into shape
select 'jsonb', replace(replace(w.whole, 'KEY', quote_literal(k.key)), 'VALUE', v.value),
       w.whole like 'jsonb_build_array%'
from unnest(array['job_type', 'priority', 'run_at', 'max_retries', 'job_id', 'job_category', 'organisation_id',
                  'metadata', 'expires_at', 'options', 'id', 'lease_id', 'complete', 'fail', 'release', 'progress',
                  'expires_in', 'pile_up', 'step_number', 'step_name', 'step_type', 'description']) as k (key),
     unnest(array['%1$s', '%2$s::numeric', 'jsonb_build_object(%1$s, 1)',
                  $$jsonb_build_object('run_at', %1$s)$$, $$jsonb_build_object('permanent', %1$s)$$]) as v (value),
     unnest(array['jsonb_build_array(jsonb_build_object(KEY, VALUE))',
                  $$jsonb_build_array(jsonb_build_object('job_type', 'bulk-update', KEY, VALUE))$$,
                  'jsonb_build_object(KEY, VALUE)']) as w (whole);

-- Nothing is found by both of its names.
create function pg_temp.others(f pg_proc, parameter text) returns text language sql as $$
  select coalesce(string_agg(format('%I => %s, ', u.parameter, u.value), ''), '')
  from usual u
  where u.parameter = any (f.proargnames) and u.parameter <> $2
    and not (u.parameter = 'id' and 'job_id' = any (f.proargnames))
    and f.proname not in ('job_list', 'job_wait_any')
$$;
set local jobs_ext.max_wait = 0; -- job_await waits by default
select pg_temp.try(format('%s %s(%s%I => %s)', case f.prokind when 'p' then 'call' else 'select' end,
                          f.oid::regproc, pg_temp.others(f, a.name), a.name,
                          format(s.value, '(select text from huge)', '(select digits from huge)')))
from pg_proc f, unnest(f.proargnames, f.proargtypes::regtype[]) as a (name, type), shape s
where f.prokind in ('f', 'p')
  and a.type = s.type and (s.is_list is null or s.is_list = (a.name in ('jobs', 'outcomes', 'leases', 'steps')))
  and f.pronamespace = 'public'::regnamespace and f.proname like 'job\_%'
  and exists (select from pg_depend d where d.objid = f.oid and d.deptype = 'e');

-- Direct writes, what comes from tables that somebody else fills, what the request says of itself.
do $$ begin
  perform job_enqueue('bulk-update', job_id => 'a');
  perform job_claim(worker => 'w');
end $$;
select pg_temp.try(call)
from unnest(
  array[
    $$insert into jobs (job_type, status) select text, 'pending' from huge$$,
    $$insert into jobs (job_type, status) select 'bulk-update', text from huge$$,
    $$insert into jobs (job_type, status, job_id) select 'bulk-update', 'pending', text from huge$$,
    $$update jobs set status = (select text from huge)$$,
    $$update jobs set job_type = (select text from huge)$$,
    $$update jobs set status = 'pending', worker = (select text from huge)$$,
    $$ alter table jobs alter job_type type text, alter job_id type text, alter status type text,
         drop constraint check_status $$,
    $$select set_config('request.jwt.claim.org_id', (select text from huge), true), job_enqueue('bulk-update')$$,
    $$set jobs_ext.auto_register_types = on; select job_enqueue(text) from huge$$,
    $$ alter table job_types alter job_type type text, drop constraint check_backoff;
       insert into job_types (job_type, backoff) select 'bulk', text from huge;
       select job_enqueue('bulkx') $$,
    $$ alter table jobs disable trigger user;
       alter table jobs drop constraint check_status, alter status type text, alter worker type text;
       update jobs set status = (select text from huge);
       alter table jobs enable trigger user;
       select job_cancel(job_id => 'a') $$,
    $$ alter table jobs disable trigger user;
       update jobs set worker = (select text from huge);
       alter table jobs enable trigger user;
       select job_complete(id, gen_random_uuid()) from jobs $$,
    $$ create function pg_temp.fail() returns trigger language plpgsql as
         'begin raise using message = (select text from huge), errcode = ''22000''; end';
       create trigger fail before insert on jobs for each row execute function pg_temp.fail();
       select job_enqueue_many('[{"job_type": "bulk-update"}]') $$]) as call;

-- Not those of Postgres's own, raised before we are called or by a statement of the caller's.
create function pg_temp.is_valid(given text) returns boolean language plpgsql as $$
begin
  return convert_from(convert_to(given, 'UTF8'), 'UTF8') = given;
exception when character_not_in_repertoire then
  return false;
end $$;
select cmp_ok((select count(*) from outcome where state ~ '^(22|PT)'),
              '>', 400::bigint, 'most of the calls are refused');
select is_empty($$ select left(o.call, 300), o.state, octet_length(o.message), octet_length(o.detail),
                          octet_length(o.hint)
                   from outcome o where greatest(length(o.message), length(o.detail), length(o.hint)) > 700 $$,
                'no message repeats a value whole');
select is_empty($$ select left(o.call, 300), o.state
                   from outcome o
                   where not (pg_temp.is_valid(o.message)
                                and pg_temp.is_valid(o.detail) and pg_temp.is_valid(o.hint)) $$,
                'every message is valid in the encoding');
select is_empty($$ select left(o.call, 300), o.message
                   from outcome o
                   where length(regexp_replace(o.message, '[^☃]', '', 'g')) > case
                                                                                when o.message like 'element%' then 500
                                                                                else 100 end $$,
                'a value is cut at 100 characters');
select is_empty($$ select left(o.call, 300), o.message from outcome o where o.state like 'XX%' $$,
                'none of them is an internal error');

select tests.refuses($$ select job_enqueue(repeat('☃', 100)) $$,
                     '22023', 'unknown job type "' || repeat('☃', 100) || '"', 'not cut: 100 characters');
select tests.refuses($$ select job_enqueue(repeat('☃', 101)) $$,
                     '22023', 'unknown job type "' || repeat('☃', 100) || '..."', 'cut: 101 characters');

select finish();
rollback;
