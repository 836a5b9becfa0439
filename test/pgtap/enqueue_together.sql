-- Jobs without a key of the caller's, which job_enqueue_many() writes 64 at a time: what each is, its place in the
-- answer, and which one an error names, is as if they were written one by one.
\ir setup/begin.psql
\ir setup/in_step.sql
select no_plan();

create table organisations (id uuid primary key);
insert into organisations values ('aaaaaaaa-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000000');
create function tests.elements(count int, bad int default null, fault jsonb default '{}') returns jsonb
language sql as $$
  select jsonb_agg(jsonb_build_object('job_type', 'import-csv', 'input_payload', jsonb_build_object('n', n))
                   || case when n = bad then fault else '{}' end order by n)
  from generate_series(1, count) n
$$;
create function tests.context_of(call text) returns text language plpgsql as $$
declare
  context text;
begin
  execute call;
  return 'nothing was raised';
exception when others then
  get stacked diagnostics context = pg_exception_context;
  return sqlstate || ' ' || coalesce(substring(context from 'element \d+ of jobs'), 'without an element');
end $$;

-- The order of the answer, of ids and of times, where keys stand between.
create temp table answered as
select a.*, row_number() over () as place
from job_enqueue_many((
  select jsonb_agg(e || case when n % 50 = 7 then jsonb_build_object('job_key', 'k' || n) else '{}' end order by n)
  from jsonb_array_elements(tests.elements(200)) with ordinality as e (e, n))) a;
select is((select count(*) from answered), 200::bigint, 'each element has its answer');
select is_empty($$ select a.place, j.input_payload from answered a left join jobs j using (id)
                   where (j.input_payload ->> 'n')::bigint is distinct from a.place $$, 'in the order of the array');
select is_empty($$ select from (select id, lag(id) over (order by place) as before from answered) a
                   where id <= before $$, 'and ids in that order');
select results_eq($$ select count(*), count(distinct status::text) from answered where created and status = 'queued' $$,
                  $$ values (200::bigint, 1::bigint) $$, 'all are new and wait');
select tests.in_step('the queue has all of them');

-- Around the number that is written at once, and where one alone fills the memory for them.
select results_eq(
  $$ select c, (select count(*) from job_enqueue_many(tests.elements(c)))
     from unnest('{1,2,63,64,65,128,129}'::int[]) c $$,
  $$ select c, c::bigint from unnest('{1,2,63,64,65,128,129}'::int[]) c $$, 'as many as were given');
create temp table sized as
select m.id, row_number() over () as place
from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'import-csv',
                                      'input_payload', jsonb_build_object('x', repeat('x', size))))
  from unnest('{10,70000,10,250000,40000,40000,10}'::int[]) size)) m;
select results_eq($$ select length(j.input_payload ->> 'x') from sized s join jobs j using (id) order by s.place $$,
                  $$ select * from unnest('{10,70000,10,250000,40000,40000,10}'::int[]) $$,
                  'large ones between small ones');
select tests.in_step('large ones are in the queue as well');

-- Errors that only the write can find name the element, and nothing stays.
create temp table before as select count(*) from jobs;
alter table jobs add constraint of_organisation foreign key (organisation_id) references organisations (id);
select is(tests.context_of($$ select job_enqueue_many(tests.elements(100, 70,
                                '{"organisation_id": "bbbbbbbb-0000-0000-0000-000000000001"}')) $$),
          '23503 element 70 of jobs', 'a foreign key that refers to nothing');
create unique index one_of_each on jobs ((input_payload ->> 'once'));
select is(tests.context_of($$ select job_enqueue_many(tests.elements(100, 68, '{"input_payload": {"once": "a"}}')
                                                      || tests.elements(60, 9, '{"input_payload": {"once": "a"}}')) $$),
          '23505 element 109 of jobs', 'a unique index of the user''s');
select is(tests.context_of($$ select job_enqueue_many(tests.elements(100, 66, '{"priority": 11}')) $$),
          '22023 element 66 of jobs', 'a value that no job can have');
select results_eq('select count(*) from jobs', 'select * from before', 'no job of these calls stays');
select tests.in_step('nor a row of the queue');
drop index one_of_each;
alter table jobs drop constraint of_organisation;

-- A trigger of the user's sees the job before, since jobs are written one by one then.
create function tests.number_in_order() returns trigger language plpgsql as $$
begin
  new.metadata := jsonb_build_object('before', (select count(*) from public.jobs));
  return new;
end $$;
create trigger number_in_order before insert on jobs for each row execute function tests.number_in_order();
create temp table numbered as select m.id, row_number() over () as place from job_enqueue_many(tests.elements(70)) m;
select is_empty($$ select j.metadata, n.place from numbered n join jobs j using (id)
                   where (j.metadata ->> 'before')::bigint <> n.place - 1 + (select count from before) $$,
                'a trigger finds the job before there');
drop trigger number_in_order on jobs;

-- Nor is the next one judged before: a trigger may have made what it needs.
create function tests.make_type() returns trigger language plpgsql security definer as $$
begin
  if new.input_payload ? 'makes' then
    perform public.job_type_set(new.input_payload ->> 'makes');
  end if;
  return null;
end $$;
create trigger make_type after insert on jobs for each row execute function tests.make_type();
select is((select count(*) from job_enqueue_many(
             '[{"job_type": "import-csv", "input_payload": {"makes": "new-one"}}, {"job_type": "new-one"}]')),
          2::bigint, 'a type that the trigger on the job before has made');
drop trigger make_type on jobs;

-- Code of the user's in an index, which runs when all rows are written, cannot rebuild or drop an index that is still
-- to get an entry.
create function tests.runs(command text) returns text language plpgsql as $$
begin
  execute command;
  return command;
end $$;
create function tests.meddle(payload jsonb) returns text immutable language plpgsql as $$
begin
  return case when payload ? 'runs' then tests.runs(payload ->> 'runs') end;
end $$;
create index meddling on jobs (tests.meddle(input_payload));
select throws_ok(format($$ select job_enqueue_many(
                             '[{"job_type": "import-csv", "input_payload": {"runs": "%s"}},
                               {"job_type": "import-csv",
                                "restaurant_id": "aaaaaaaa-0000-0000-0000-000000000002"}]') $$, c), '55006', null, c)
from unnest('{reindex index idx_jobs_restaurant_id,drop index idx_jobs_restaurant_id}'::text[]) c;
drop index meddling;

-- Children of one parent, which waits for all of them.
create temp table parent as select * from job_enqueue('import-csv');
create temp table born as
select m.id from job_enqueue_many(tests.elements(70) || (
  select jsonb_agg(jsonb_build_object('job_type', 'extract-menu', 'parent_job_id', (select id from parent)))
  from generate_series(1, 70))) m;
select is((select count(*) from job_children((select id from parent))), 70::bigint, 'all children are their parent''s');
select tests.in_step('and in the table of children');
select * from finish();
