-- tests.play(): a random but repeatable life of a queue, written down call by call, so that two ways of writing can be
-- compared. The same seed gives the same calls: all that is random in the answers (ids, leases, jitter) is replaced.
create schema if not exists tests;
grant usage on schema tests to public;

-- Roles outlive the database of a test.
do $$
begin
  if to_regrole('tests_client') is null then
    create role tests_client bypassrls;
  end if;
  perform jobs_ext.grant_role('tests_client', 'operator');
end $$;

create table tests.log (way text, seed int, line int, what text, primary key (way, seed, line));
create table tests.trouble (way text, seed int, what text);

-- Jobs are named by the number in their payload, leases in order of appearance.
create type tests.play as (
  way text,
  seed int,
  calls int,
  clock timestamptz,
  jobs int,          -- how many were thought of
  ids uuid[],        -- by their number; also of those that were rolled back
  leases uuid[],
  log text[],
  trouble text[],
  role name          -- whose calls these are, those that not everybody may make excepted
);

-- A number from 0 to below `range`, always the same at the same place of the same play.
create function tests.draw(p tests.play, what text, range int) returns int
language sql immutable as $$
  select ((hashtextextended(p.seed || ' ' || cardinality(p.log) || ' ' || what, 0) & 1073741823) % range)::int
$$;

create function tests.draw(p tests.play, what text, variadic choices text[]) returns text
language sql immutable as $$ select choices[1 + tests.draw(p, what, cardinality(choices))] $$;

create function tests.number(j public.jobs) returns int
language sql immutable as $$ select (j.input_payload ->> 'n')::int $$;

-- The id of any job that was ever thought of.
create function tests.any_job(p tests.play, what text) returns uuid
language sql immutable as $$
  select coalesce(p.ids[1 + tests.draw(p, what || ' any job', greatest(p.jobs, 1))],
                  '00000000-0000-7000-8000-000000000000')
$$;

-- A job in this state, any job where there is none.
create function tests.job_in(p tests.play, what text, statuses text[]) returns uuid
language sql as $$
  with found as (
    select array_agg(j.id order by tests.number(j)) as ids from public.jobs j where j.status = any (statuses)
  )
  select coalesce(f.ids[1 + tests.draw(p, what || ' job in', greatest(cardinality(f.ids), 1))], tests.any_job(p, what))
  from found f
$$;

-- A job and a lease: mostly what holds.
create function tests.held(p tests.play, what text, out id uuid, out lease_id uuid)
language plpgsql as $$
begin
  id := tests.job_in(p, what, '{in_progress}');
  lease_id := (select j.lease_id from public.jobs j where j.id = held.id);
  if tests.draw(p, what || ' other lease', 8) = 0 or lease_id is null then
    lease_id := coalesce(p.leases[1 + tests.draw(p, what || ' lease', greatest(cardinality(p.leases), 1))],
                         '00000000-0000-4000-8000-000000000000');
  end if;
  if tests.draw(p, what || ' other job', 12) = 0 then
    id := tests.any_job(p, what);
  end if;
end $$;

-- While tests.nothing_past is on, it is now where it would be in the past.
create function tests.some_time(p tests.play, what text, lowest int, highest int) returns timestamptz
language sql stable as $$
  select case when current_setting('tests.nothing_past', true) = 'on' then greatest(t.drawn, p.clock) else t.drawn end
  from (values (p.clock + (lowest + tests.draw(p, what || ' time', highest - lowest)) * interval '1 s')) t (drawn)
$$;

-- Often null, for what comes of itself; else a time near now.
create function tests.perhaps_a_time(p tests.play, what text, one_in int) returns timestamptz
language sql stable as $$
  select tests.some_time(p, what, -5, 30) where tests.draw(p, 'has run_at', one_in) = 0
$$;

-- A job in one of these sets of states.
create function tests.job_of(p tests.play, what text, variadic states text[]) returns uuid
language sql as $$ select tests.job_in(p, what, tests.draw(p, what || ' what', variadic states)::text[]) $$;

-- The two arguments with which a call about a running job begins.
create function tests.held_arguments(p tests.play, what text) returns text
language sql as $$ select format('%L, %L', h.id, h.lease_id) from tests.held(p, what) h $$;

-- Jobs that are made in one instant get ids in any order. That must not decide which one is claimed: their priorities
-- differ, and go on to differ, since only multiples of 3 are ever added. One type in sixteen is misspelled.
create function tests.new_job(p tests.play, place int) returns jsonb
language sql as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'job_type', case tests.draw(p, 'type' || place, 16)
                  when 15 then 'alpah'
                  else (array['alpha', 'beta', 'gamma'])[1 + tests.draw(p, 'type' || place, 16) % 3]
                end,
    'input_payload', jsonb_build_object('n', p.jobs + place),
    'priority', 3 * (tests.draw(p, 'priority' || place, 5) - 2) + place % 3,
    'run_at', case when tests.draw(p, 'has run_at' || place, 3) = 0
                   then tests.some_time(p, 'run_at' || place, -20, 40) end,
    'job_id', case tests.draw(p, 'has job_id' || place, 3)
                when 0 then 'k' || p.jobs + place
                when 1 then 'k' || tests.draw(p, 'job_id' || place, p.jobs + 3)
              end,
    'max_retries', case when tests.draw(p, 'has max_retries' || place, 4) = 0
                        then tests.draw(p, 'max_retries' || place, 2) end,
    'retry_delay_ms', case when tests.draw(p, 'has delay' || place, 4) = 0
                           then tests.draw(p, 'delay' || place, 200) end,
    'expires_at', case when tests.draw(p, 'has expires_at' || place, 4) = 0
                       then tests.some_time(p, 'expires_at' || place, 30, 90) end,
    'parent_job_id', case tests.draw(p, 'has parent' || place, 16)
                       when 0 then tests.any_job(p, 'parent' || place)
                       when 1 then tests.job_in(p, 'parent' || place,
                                                   '{pending, queued, in_progress, blocked, completed}')
                     end))
$$;

-- The arrays of the calls of many. One bad job is refused, and the others with it.
create function tests.new_jobs(p tests.play) returns jsonb
language sql as $$
  select jsonb_agg(tests.new_job(p, i) order by i)
         || case when tests.draw(p, 'bad element', 5) > 0 then '[]'
                 else tests.draw(p, 'which bad element',
                                 '[{"job_type": "alpha", "priority": 11}]',
                                 '[{"job_type": "alpha", "colour": 1}]',
                                 '[7]')::jsonb end
  from generate_series(1, 3) i
$$;

create function tests.outcome(p tests.play, what text) returns jsonb
language sql as $$
  select jsonb_build_object('id', h.id, 'lease_id', h.lease_id) ||
         case tests.draw(p, what || ' outcome', 6)
           when 0 then jsonb_build_object('fail', jsonb_build_object('error_message', what))
           when 1 then jsonb_build_object('fail', jsonb_build_object('permanent', true, 'error_details', array[1]))
           when 2 then jsonb_build_object('release', jsonb_build_object('run_at', tests.some_time(p, what, -5, 20)))
           when 3 then '{"release": null}'
           when 4 then '{"complete": null}'
           else jsonb_build_object('complete', jsonb_build_object('by', what))
         end
  from tests.held(p, what) h
$$;

create function tests.outcomes(p tests.play) returns jsonb
language sql as $$
  select jsonb_agg(tests.outcome(p, 'outcome ' || i) order by i)
  from generate_series(1, 1 + tests.draw(p, 'outcomes', 4)) i
$$;

create function tests.heartbeats(p tests.play) returns jsonb
language sql as $$
  select jsonb_agg(jsonb_build_object('id', h.id, 'lease_id', h.lease_id, 'progress', i) order by i)
  from generate_series(1, 1 + tests.draw(p, 'heartbeats', 3)) i, tests.held(p, 'heartbeat ' || i) h
$$;

-- Named arguments of a call, from an object.
create function tests.arguments(o jsonb) returns text
language sql immutable as $$
  select string_agg(format('%I => %L', m.key, m.value), ', ' order by m.key) from jsonb_each_text(o) m
$$;

create function tests.type_list(p tests.play) returns text
language sql immutable as $$
  select tests.draw(p, 'types', null, null, '{alpha}', '{beta, gamma}', '{gamma}', '{alpha, beta, gamma}', '{}')
$$;

-- What a client writes in SQL of its own: the rows of an INSERT, the SET of an UPDATE, a WHERE for many rows or one.
create function tests.new_rows(p tests.play) returns text
language sql as $$
  select string_agg(format('(%L, %L, %L, %L, %L, %L, %L)',
                           tests.draw(p, 'type' || i, 'alpha', 'beta', 'gamma'),
                           jsonb_build_object('n', p.jobs + i),
                           tests.draw(p, 'status' || i,
                                      'pending', 'pending', 'queued', 'paused', 'failed', 'unheard-of'),
                           3 * tests.draw(p, 'priority' || i, 3) + i,
                           tests.some_time(p, 'insert' || i, -20, 40),
                           p.clock, p.clock), ', ')
  from generate_series(1, 1 + tests.draw(p, 'rows', 2)) i
$$;

create function tests.change(p tests.play) returns text
language sql as $$
  select case tests.draw(p, 'set', 8)
           when 0 then 'priority = priority + 3'
           when 1 then 'priority = priority - 3'
           when 2 then format('run_at = %L', tests.some_time(p, 'update', -30, 30))
           when 3 then format('cancel_requested_at = %L', p.clock)
           when 4 then 'metadata = ''{"m": 1}'''
           when 5 then format('lease_expires_at = %L', tests.some_time(p, 'update', 5, 300))
           when 6 then format('job_type = %L', tests.draw(p, 'type', 'alpha', 'beta', 'gamma'))
           when 7 then format('expires_at = %L', tests.some_time(p, 'update', 5, 300))
         end
$$;

create function tests.one_or_many(p tests.play, one uuid, many_in int, many text, modulus int) returns text
language sql as $$
  select case tests.draw(p, 'where', many_in)
           when 0 then format('%s(input_payload ->> ''n'')::int %% %s = %s',
                              many, modulus, tests.draw(p, 'rest', modulus))
           else format('id = %L', one)
         end
$$;

-- One of the looks, in an order that is the same in each play.
create function tests.look(p tests.play) returns text
language plpgsql as $$
declare
  by_number constant text := ' order by (j.input_payload ->> ''n'')::int';
begin
  return (array[
    'select j.input_payload, j.status, j.lease_id from jobs_active j' || by_number,
    'select j.job_id, r.worker, r.attempt, r.timeout_at from jobs_running r join jobs j using (id) '
    'order by tests.number(j)',
    'select j.input_payload, j.error_message from jobs_failed j' || by_number,
    'select j.input_payload, j.status from job_list(max_rows => 1000) j' || by_number,
    'select j.input_payload, j.status from job_list(''failed'', max_rows => 1000) j' || by_number,
    'select j.input_payload, j.status from job_list(''in_progress'', max_rows => 1000) j' || by_number,
    format('select * from job_get(%L)', tests.any_job(p, 'get')),
    'select j.input_payload, j.status from job_list(''blocked'', max_rows => 1000) j' || by_number,
    format('select j.input_payload, j.status from job_children(%L) j', tests.any_job(p, 'children')) || by_number
  ])[1 + tests.draw(p, 'look', 9)];
end $$;

-- What is called, how often in a hundred calls, and by whom: the player, whose play it is; the server, who may do all;
-- a client, who is the server or not. The statement of a call in the play p is what this SQL makes.
create table tests.calls (
  place int generated always as identity primary key,
  weight int,
  name text,
  by_whom text,
  statement text
);
insert into tests.calls (weight, name, by_whom, statement) values
  (13, 'enqueue', 'player', $$
     format('select * from job_enqueue(%s)', tests.arguments(tests.new_job(p, 1))) $$),
  (4, 'enqueue_many', 'player', $$
     format('select * from job_enqueue_many(%L)', tests.new_jobs(p)) $$),
  (14, 'claim', 'server', $$
     format('select * from job_claim(%L, %s, %L, %L, job_category => %L)',
            tests.type_list(p),
            tests.draw(p, 'max_jobs', '1', '1', '2', '3', '5', '0'),
            tests.draw(p, 'worker', 'w1', 'w2', 'w3', null),
            tests.draw(p, 'lease', null, null, '10 s', '200 s'),
            tests.draw(p, 'category', null, null, null, 'letters')) $$),
  (5, 'heartbeat', 'player', $$
     format('select * from job_heartbeat(%s, %L, %L)',
            tests.held_arguments(p, 'heartbeat'),
            tests.draw(p, 'progress', null, null, '{"done": 1}', '7'),
            tests.draw(p, 'lease', null, null, null, '5 s', '15 min')) $$),
  (7, 'complete', 'player', $$
     format('select * from job_complete(%s, %L)',
            tests.held_arguments(p, 'complete'),
            tests.draw(p, 'result', null, '{"r": 1}', '[]')) $$),
  (8, 'fail', 'player', $$
     format('select * from job_fail(%s, %L, %L, %L, %L)',
            tests.held_arguments(p, 'fail'),
            tests.draw(p, 'message', null, 'broken', 'worse'),
            tests.perhaps_a_time(p, 'fail', one_in => 4),
            tests.draw(p, 'permanent', 8) = 0,
            tests.draw(p, 'details', null, null, '{"d": [1, 2]}')) $$),
  (4, 'release', 'player', $$
     format('select * from job_release(%s, %L)',
            tests.held_arguments(p, 'release'),
            tests.perhaps_a_time(p, 'release', one_in => 2)) $$),
  (3, 'await_children', 'player', $$
     format('select * from job_await_children(%s)', tests.held_arguments(p, 'await')) $$),
  (5, 'next', 'server', $$
     format('select * from job_next(%s, %L, %L, %L)',
            tests.held_arguments(p, 'next'),
            tests.draw(p, 'result', null, '{"r": 2}'),
            tests.type_list(p),
            tests.draw(p, 'worker', 'w1', 'w2', 'w3', null)) $$),
  (4, 'finish_many', 'player', $$
     format('select * from job_finish_many(%L)', tests.outcomes(p)) $$),
  (2, 'release_worker', 'player', $$
     format('select * from job_release_worker(%L)',
            tests.draw(p, 'worker', 'w1', 'w1', 'w2', 'w3', 'w3', 'nobody')) $$),
  (4, 'cancel', 'player', $$
     format('select * from job_cancel(%L, reason => %L, force => %L)',
            tests.job_of(p, 'cancel', '{pending, queued}', '{in_progress}', '{in_progress}', '{paused, blocked}',
                         '{failed, completed, cancelled}'),
            tests.draw(p, 'reason', null, 'unwanted'),
            tests.draw(p, 'force', 3) = 0) $$),
  (1, 'cancel, by key', 'player', $$
     format('select * from job_cancel(job_id => %L)', 'k' || tests.draw(p, 'key', p.jobs + 1)) $$),
  (3, 'retry', 'player', $$
     format('select * from job_retry(%L, run_at => %L)',
            tests.job_of(p, 'retry', '{failed}', '{failed, cancelled}', '{cancelled}',
                         '{completed, in_progress, pending}'),
            -- Not in the past, which is as good as now for a tenant.
            (select greatest(t, p.clock) from tests.perhaps_a_time(p, 'retry', one_in => 2) t
             where t is not null)) $$),
  (2, 'pause', 'player', $$
     format('select * from job_pause(%L)',
            tests.job_of(p, 'pause', '{pending, queued}', '{pending, queued}', '{in_progress}')) $$),
  (2, 'resume', 'player', $$
     format('select * from job_resume(%L, run_at => %L)',
            tests.job_of(p, 'resume', '{paused}', '{paused}', '{queued, pending, failed, blocked}'),
            tests.perhaps_a_time(p, 'resume', one_in => 2)) $$),
  (1, 'type_set', 'server', $$
     format('select job_type, paused from job_type_set(''beta'', paused => %L)',
            tests.draw(p, 'paused', 3) = 0) $$),
  (3, 'maintain', 'server', $$
     'select * from job_maintain()' $$),
  (2, 'heartbeat_many', 'player', $$
     format('select * from job_heartbeat_many(%L, %L)',
            tests.heartbeats(p),
            tests.draw(p, 'lease', null, '20 s')) $$),

  -- SQL of the client's own.
  (3, 'insert', 'client', $$
     format('insert into jobs (job_type, input_payload, status, priority, run_at, created_at, updated_at) values %s',
            tests.new_rows(p)) $$),
  (4, 'update of the status', 'client', $$
     format('update jobs set status = %L%s where id = %L',
            tests.draw(p, 'status', 'pending', 'queued', 'in_progress', 'in_progress', 'paused', 'completed', 'failed',
                       'cancelled', 'unheard-of'),
            tests.draw(p, 'also', '', '', ', error_message = ''by hand''', ', worker = ''w2''',
                       ', result = ''{"r": 3}''', ', retries = retries + 1', ', lease_id = lease_id',
                       ', worker = worker', ', result = ''{"r": 4}'', worker = ''w1''',
                       ', error_message = ''by hand'', lease_id = lease_id'),
            tests.job_of(p, 'update', '{pending, queued}', '{in_progress}', '{in_progress}', '{paused}',
                         '{failed, completed, cancelled}')) $$),
  (3, 'update of another column', 'client', $$
     format('update jobs set %s where %s',
            tests.change(p),
            tests.one_or_many(p, tests.job_of(p, 'update', '{pending, queued}', '{pending, queued, paused}',
                                              '{in_progress}'),
                              many_in => 4, many => '', modulus => 5)) $$),
  (2, 'delete', 'client', $$
     format('delete from jobs where %s',
            tests.one_or_many(p, tests.job_of(p, 'delete', '{pending, queued, in_progress}',
                                              '{completed, failed, cancelled}', '{}'),
                              many_in => 3, many => 'status = ''completed'' and ', modulus => 3)) $$),

  -- Several in one statement.
  (1, 'claim and complete', 'server', $$
     'select s.* from job_claim(max_jobs => 2, worker => ''w3'') c, job_complete(c.id, c.lease_id) s' $$),
  (1, 'claim, heartbeat and fail', 'server', $$
     'select s.*, h.lease_expires_at as h from job_claim(max_jobs => 2, worker => ''w3'') c, '
     'job_heartbeat(c.id, c.lease_id, lease => ''1 h'') h, job_fail(c.id, c.lease_id, ''at once'') s' $$),

  (1, 'look', 'player', $$
     tests.look(p) $$),
  (1, 'truncate or rebuild', 'server', $$
     case tests.draw(p, 'all', 4) when 0 then 'truncate jobs' else 'select * from jobs_ext.rebuild_queue()' end $$);

-- One of those with such a name, by their weights.
create function tests.draw_call(p tests.play, what text, names text default '') returns tests.calls
language sql stable as $$
  with among as (
    select c, sum(c.weight) over (order by c.place)::int as up_to from tests.calls c where c.name ~ names
  )
  select (a.c).*
  from among a where a.up_to > tests.draw(p, what, (select max(up_to) from among))
  order by a.up_to limit 1
$$;

-- The statement of this call, and as whom to make it.
create function tests.compose(p tests.play, out call text, out role name)
language plpgsql as $$
declare
  drawn tests.calls := tests.draw_call(p, 'what');
begin
  -- Without jobs there is nothing to do to them.
  if tests.draw(p, 'more jobs', 2) = 0 and (select count(*) < 8 from public.jobs j where j.finished_at is null) then
    drawn := tests.draw_call(p, 'how to make jobs', '^enqueue');
  end if;
  execute format('select %s from unnest(array[$1]) p', drawn.statement) into call using p;
  role := case drawn.by_whom
            when 'player' then p.role
            when 'client' then tests.draw(p, 'who', null, 'tests_client')
          end;
end $$;

-- Ids, leases, the server's job_ids and the jitter replaced by what is the same each time.
create function tests.named(p tests.play, said text) returns text
language plpgsql as $$
declare
  uuid text;
begin
  for uuid in select distinct m[1] from regexp_matches(said, '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'g') m loop
    said := replace(said, uuid, coalesce('job ' || array_position(p.ids, uuid::uuid),
                                         'lease ' || array_position(p.leases, uuid::uuid), 'unknown'));
  end loop;
  said := regexp_replace(said, '(alpha|beta|gamma)-[0-9a-z]{26}', '\1-made', 'g');
  return regexp_replace(said, '(\d\d:\d\d:\d\d)\.\d+', '\1', 'g');
end $$;

-- The jitter of backoffs, which are below one second here, is looked at and taken away.
create procedure tests.round_retries(inout p tests.play)
language plpgsql as $$
declare
  j public.jobs;
  t public.job_types;
  ceiling float;
begin
  for j in select * from public.jobs where run_at <> date_trunc('second', run_at) order by tests.number(jobs) loop
    select * into t from public.job_types where job_type = j.job_type;
    ceiling := least(extract(epoch from t.retry_delay_max) * 1000,
                     j.retry_delay_ms * case t.backoff
                                          when 'exponential' then 2 ^ (j.retries - 1)
                                          when 'linear' then j.retries
                                          else 1
                                        end);
    if extract(epoch from j.run_at - p.clock) * 1000 not between floor(ceiling / 2) and ceiling then
      p.trouble := p.trouble || format('call %s: retry %s of job %s after %s, the backoff is %s ms',
                                       p.calls, j.retries, tests.number(j), j.run_at - p.clock, ceiling);
    end if;
  end loop;
  update public.jobs set run_at = date_trunc('second', run_at) where run_at <> date_trunc('second', run_at);
end $$;

-- A row without columns of the user's.
create function tests.as_jsonb(j public.jobs) returns jsonb
language sql as $$ select to_jsonb(jsonb_populate_record(null::public.job, to_jsonb(j))) $$;

-- One call; what came of it; what it wrote; whether the private tables followed.
create procedure tests.call(inout p tests.play)
language plpgsql as $$
declare
  c record;
  answer jsonb;
  rows bigint;
  error text := '';
  detail text;
  different text;
  j public.jobs;
begin
  p.calls := p.calls + 1;
  p.clock := p.clock + interval '1 s' * (1 + case tests.draw(p, 'pause', 30)
                                               when 0 then 700
                                               when 1 then 70
                                               else tests.draw(p, 'seconds', 6)
                                             end);
  perform set_config('jobs_ext.now', p.clock::text, false);
  select * into c from tests.compose(p);
  if c.call ~ 'job_enqueue|^insert' then
    p.jobs := p.jobs + 3;
  end if;
  begin
    perform set_config('role', coalesce(c.role, 'none'), true);
    if c.call ~ '^select' then
      execute format('select jsonb_agg(to_jsonb(x)) from (%s) x', c.call) into answer;
    else
      execute c.call;
      get diagnostics rows = row_count;
      answer := to_jsonb(rows);
    end if;
    perform set_config('role', 'none', true);
  exception when others then
    get stacked diagnostics detail = pg_exception_detail;
    error := concat_ws(' ', sqlstate, sqlerrm, case when sqlstate like 'PT%' then detail end);
    -- What a client may meet.
    if sqlstate not in ('PT404', 'PT409', '22023', '23514') then
      p.trouble := p.trouble || format('call %s: %s: %s', p.calls, c.call, error);
    end if;
  end;

  call tests.round_retries(p);
  for j in select * from public.jobs where updated_at = p.clock order by tests.number(jobs) loop
    p.ids[tests.number(j)] := j.id;
    if j.lease_id is not null and array_position(p.leases, j.lease_id) is null then
      p.leases := p.leases || j.lease_id;
    end if;
  end loop;
  p.log := p.log || tests.named(p, concat_ws(E'\n',
    p.calls || ': ' || c.call || coalesce(' as ' || nullif(c.role, p.role), ''),
    '  error: ' || nullif(error, ''),
    '  answer: ' || answer::text,
    (select string_agg('  wrote: ' || tests.as_jsonb(w)::text, E'\n' order by tests.number(w))
     from public.jobs w where w.updated_at = p.clock)));
  for different in select tests.out_of_step() loop
    p.trouble := p.trouble || format('call %s: %s: %s', p.calls, c.call, different);
  end loop;
end $$;

-- All rows, without what is random.
create function tests.all_rows(p tests.play) returns text
language sql as $$
  select md5(concat(
    (select string_agg((tests.as_jsonb(j) - '{id, lease_id, job_id, parent_job_id}'::text[])::text
                       || array_position(p.ids, j.parent_job_id) || (j.lease_id is null)
                       || regexp_replace(j.job_id, '-[0-9a-z]{26}$', ''),
                       E'\n' order by tests.number(j))
     from public.jobs j),
    (select string_agg((to_jsonb(a) - 'job')::text || array_position(p.ids, a.job),
                       E'\n' order by array_position(p.ids, a.job), a.attempt)
     from public.job_attempts a),
    (select string_agg(t::text, E'\n' order by t.job_type) from public.job_types t)))
$$;

-- Some calls in a savepoint, which is rolled back or not; savepoints in it.
create procedure tests.savepoint(inout p tests.play, depth int)
language plpgsql as $$
declare
  count constant int := 1 + tests.draw(p, 'calls in savepoint', 4);
  back constant boolean := tests.draw(p, 'savepoint back', 2) = 0;
begin
  begin
    p.log := p.log || 'savepoint'::text;
    for i in 1..count loop
      if depth < 3 and tests.draw(p, 'nested', 4) = 0 then
        call tests.savepoint(p, depth + 1);
      else
        call tests.call(p);
      end if;
    end loop;
    if back then
      raise exception using errcode = 'TEST0';
    end if;
    p.log := p.log || 'release savepoint'::text;
  exception when sqlstate 'TEST0' then
    p.log := p.log || ('rollback to savepoint: ' || tests.all_rows(p));
  end;
end $$;

-- Transactions of some calls each, committed or rolled back, until so many calls were made.
create procedure tests.play(way text, seed int, calls int, role name default null)
language plpgsql as $$
declare
  p tests.play := row(way, seed, 0, '2030-01-01 00:00:00+00', 0, '{}', '{}', '{}', '{}', role);
  count int;
begin
  truncate public.jobs, public.job_attempts;
  delete from public.job_types where job_type in ('alpha', 'beta', 'gamma');
  perform public.job_type_set('alpha', job_category => 'letters', retry_delay_ms => 40, retry_delay_max => '900 ms',
                              lease => '60 s', timeout => '5 min'),
          public.job_type_set('beta', backoff => 'linear', max_retries => 2, retry_delay_ms => 150,
                              retry_delay_max => '800 ms'),
          public.job_type_set('gamma', backoff => 'fixed', max_retries => 1, retry_delay_ms => 1, lease => '30 s');
  commit;
  while p.calls < calls loop
    count := 1 + tests.draw(p, 'calls in transaction', 4);
    for i in 1..count loop
      if tests.draw(p, 'savepoint', 3) = 0 then
        call tests.savepoint(p, 1);
      else
        call tests.call(p);
      end if;
    end loop;
    perform set_config('default_transaction_isolation',
                       tests.draw(p, 'isolation', 'read committed', 'read committed', 'read committed',
                                  'repeatable read', 'serializable'), false);
    if tests.draw(p, 'commit', 4) > 0 then
      commit;
      p.log := p.log || ('commit: ' || tests.all_rows(p));
    else
      rollback;
      p.log := p.log || ('rollback: ' || tests.all_rows(p));
    end if;
  end loop;
  perform set_config('default_transaction_isolation', 'read committed', false);
  insert into tests.log select p.way, p.seed, l.line, l.what from unnest(p.log) with ordinality as l (what, line);
  insert into tests.trouble select p.way, p.seed, t from unnest(p.trouble) t;
  commit;
end $$;

-- Where two ways part: nothing, or the first lines that are not the same.
create function tests.parting(one text, other text, seed int) returns text
language sql as $$
  select format(E'line %s\n%s: %s\n%s: %s', l.line, one, a.what, other, b.what)
  from (select distinct line from tests.log where log.seed = parting.seed and way in (one, other)) l
  left join tests.log a on a.way = one and a.seed = parting.seed and a.line = l.line
  left join tests.log b on b.way = other and b.seed = parting.seed and b.line = l.line
  where a.what is distinct from b.what
  order by l.line limit 1
$$;
