-- The table of the seed (test/seed/seed.md), piece by piece: its columns, constraints, indexes, trigger, policies,
-- views and comments. test/seed/requirements.md says which of its requirements each assertion shows.
\ir setup/begin.psql
begin;
\ir setup/tenants.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
select no_plan();
set local timezone = 'UTC';

-- Columns. What is null in the seed and not here could not be told from a default there.
select is(row(format_type(a.atttypid, a.atttypmod), a.attnotnull,
              coalesce(pg_get_expr(d.adbin, d.adrelid), ''))::text,
          row(c.type, c.needed, c.value)::text, 'column ' || c.name)
from (values
  ('id', 'uuid', true, 'jobs_ext.uuid_v7()'),
  ('job_id', 'character varying(100)', true, ''),
  ('job_type', 'character varying(50)', true, ''),
  ('job_category', 'character varying(50)', false, ''),
  ('status', 'character varying(50)', true, '''pending''::character varying'),
  ('input_payload', 'jsonb', false, ''),
  ('result', 'jsonb', false, ''),
  ('error_message', 'text', false, ''),
  ('retries', 'integer', true, '0'),
  ('max_retries', 'integer', true, '3'),
  ('retry_delay_ms', 'integer', true, '1000'),
  ('execution_time_ms', 'integer', false, ''),
  ('created_at', 'timestamp with time zone', true, 'CURRENT_TIMESTAMP'),
  ('started_at', 'timestamp with time zone', false, ''),
  ('completed_at', 'timestamp with time zone', false, ''),
  ('cancelled_at', 'timestamp with time zone', false, ''),
  ('updated_at', 'timestamp with time zone', true, 'CURRENT_TIMESTAMP'),
  ('organisation_id', 'uuid', true, '''00000000-0000-0000-0000-000000000000''::uuid'),
  ('restaurant_id', 'uuid', false, ''),
  ('created_by', 'uuid', false, ''),
  ('parent_job_id', 'uuid', false, ''),
  ('metadata', 'jsonb', true, '''{}''::jsonb'),
  ('priority', 'integer', true, '0')) c (name, type, needed, value)
left join pg_attribute a on a.attrelid = 'public.jobs'::regclass and a.attname = c.name
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum;
select is((select c.relkind from pg_class c where c.oid = 'public.jobs'::regclass), 'r', 'jobs is a table, no view');
select col_is_pk('public', 'jobs', 'id', 'id is the key');
select col_is_unique('public', 'jobs', 'job_id', 'job_id is unique');
select is(pg_get_expr(d.adbin, d.adrelid), null, 'the server makes a job_id by the trigger, not by a default')
from pg_attribute a
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = 'public.jobs'::regclass and a.attname = 'job_id';
insert into jobs (job_type) values ('bulk-update'), ('bulk-update');
select is(count(distinct job_id) filter (where job_id like 'bulk-update-%'), 2::bigint,
          'two of one statement have two job_ids') from jobs;
select is(count(*), 2::bigint, 'what names no organisation is of the nil one')
from jobs where organisation_id = '00000000-0000-0000-0000-000000000000';
delete from jobs;

-- Constraints, under the seed's names.
select ok(pg_get_constraintdef(c.oid) like format('%%''%s''%%', s), 'check_status knows ' || s)
from pg_constraint c,
     unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s
where c.conrelid = 'public.jobs'::regclass and c.conname = 'check_status';
select tests.refuses($$ insert into jobs (job_type, status) values ('bulk-update', 'done') $$, '22023',
                     '%"done"%', 'and no other');
select is((job_enqueue(t)).status, 'queued', 'a type of the seed''s: ' || t)
from unnest('{add-item-tags,add-option-sets,import-csv,image-upload,extract-menu,merge-menus,bulk-update,
              generate-content}'::text[]) t;
select tests.refuses(c, '22023', '%"full_menu"%', 'a type that nobody registered: ' || c)
from unnest(array['select job_enqueue(''full_menu'')',
                  'set local role service_role; insert into jobs (job_type) values (''full_menu'')']) c;
select job_type_set('full_menu') \g /dev/null
select is((job_enqueue('full_menu')).status, 'queued', 'a registered one');
select tests.job_in(s, s) from unnest('{queued,in_progress,paused,completed,failed,cancelled}'::text[]) s
\g /dev/null
-- As the owner, whose direct writes nothing but the constraints stops.
select tests.refuses(format('update jobs set %s where job_id = %L', v.change, v.state), '23514',
                     format('%%"%s"%%', v.name), format('%s: %s, %s', v.name, v.state, v.change))
from (values
  ('check_retries', 'queued', 'retries = max_retries + 1'), ('check_retries', 'queued', 'retries = -1'),
  ('check_completed_timestamp', 'queued', 'completed_at = now()'),
  ('check_completed_timestamp', 'failed', 'completed_at = now()'),
  ('check_completed_timestamp', 'completed', 'completed_at = null'),
  ('check_started_timestamp', 'queued', 'started_at = now()'),
  ('check_started_timestamp', 'in_progress', 'started_at = null'),
  ('check_started_timestamp', 'completed', 'started_at = null'),
  ('check_priority', 'queued', 'priority = 11'),
  ('check_priority', 'queued', 'priority = -11')) v (name, state, change);
select is(row(j.started_at is null, j.completed_at is null, j.finished_at is null)::text,
          case j.status when 'cancelled' then '(t,t,f)' when 'failed' then '(f,t,f)' when 'paused' then '(t,t,t)'
                        when 'completed' then '(f,f,f)' end, 'the times of a job that is ' || j.status)
from jobs j where j.job_id in ('cancelled', 'failed', 'paused', 'completed');

-- Indexes. The table has those that cost no transition a write; what changes with the status is in narrow tables.
select ok(exists (select from pg_indexes i where i.schemaname = 'public' and i.tablename = 'jobs'
                    and i.indexdef ~ ('USING btree \(' || c)), 'an index that leads with ' || c)
from unnest('{job_id,organisation_id,restaurant_id,created_by,created_at,parent_job_id}'::text[]) c;
select ok(not exists (select from pg_indexes i where i.tablename = 'jobs' and i.indexdef ~ '\([^)]*status'),
          'no index on the status, unless it is asked for');
select jobs_ext.bind(status_index => true) \g /dev/null
select ok(exists (select from pg_indexes i where i.indexname = 'idx_jobs_status'), 'asked for, there is one');
select is((select string_agg(a.attname, ' ' order by k.n)
           from pg_index i, unnest(i.indkey) with ordinality k (attnum, n)
           join pg_attribute a on a.attnum = k.attnum and a.attrelid = 'jobs_ext.queue'::regclass
           where i.indrelid = 'jobs_ext.queue'::regclass), 'lane rank due_at job',
          'the waiting jobs stand in the order in which they are claimed');

-- updated_at, whoever changes the row and whatever the statement says of it.
set local jobs_ext.now = '2100-01-01';
set local role service_role;
update jobs set metadata = '{"a": 1}' where job_id = 'queued';
update jobs set metadata = '{"a": 1}', updated_at = '2000-01-01' where job_id = 'paused';
reset role;
select is(array_agg(updated_at), '{2100-01-01 00:00:00+00,2100-01-01 00:00:00+00}',
          'updated_at is when the row last changed, by the server''s clock')
from jobs where job_id in ('queued', 'paused');
reset jobs_ext.now;

-- Row security.
select is(array_agg(p.cmd order by p.cmd), '{INSERT,SELECT,UPDATE}', 'policies to see, make and change, none to delete')
from pg_policies p where p.tablename = 'jobs' and p.schemaname = 'public';
select is(array_agg(distinct p.roles), '{{authenticated}}', 'to authenticated alone')
from pg_policies p where p.tablename in ('jobs', 'jobs_archive', 'job_attempts', 'job_types');
select ok(bool_and(c.relrowsecurity), 'row security is on') from pg_class c
where c.oid in ('jobs'::regclass, 'jobs_archive'::regclass, 'job_attempts'::regclass, 'job_types'::regclass);
select ok(p.with_check is not null, 'what an UPDATE leaves is checked as well')
from pg_policies p where p.tablename = 'jobs' and p.cmd = 'UPDATE';

-- Views: the seed's columns first, in the seed's order.
select is((select array_agg(a.attname::text order by a.attnum)
           from pg_attribute a
           where a.attrelid = v.name::regclass and a.attnum between 1 and cardinality(v.columns)), v.columns,
          'columns of ' || v.name)
from (values
  ('jobs_queue_status', '{job_type,status,count,latest_job,avg_duration_seconds}'::text[]),
  ('jobs_failed_summary', '{id,job_id,job_type,organisation_id,restaurant_id,error_message,retries,max_retries,
                            created_at,started_at}'),
  ('jobs_metrics', '{job_type,total_jobs,completed_count,failed_count,in_progress_count,success_rate_percent,
                     avg_duration_minutes}')) v (name, columns);
select ok(c.reloptions @> '{security_invoker=true}', 'with the rights of who looks: ' || c.relname)
from pg_class c where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace and c.relname like 'jobs%';
-- Jobs that are old and not over are not hidden.
update jobs set created_at = '2000-01-01' where job_id in ('in_progress', 'completed', 'failed');
select is(array_agg(status::text), '{in_progress}', 'jobs_queue_status has no window for what is not over')
from jobs_queue_status where status = 'in_progress' and latest_job = '2000-01-01';
select is(array_agg(job_id::text), '{failed}', 'jobs_failed_summary shows what failed for good, however old')
from jobs_failed_summary;

-- Comments.
select isnt(obj_description('public.jobs'::regclass, 'pg_class'), null, 'a comment on jobs');
select isnt(col_description(a.attrelid, a.attnum), null, 'a comment on ' || a.attname)
from pg_attribute a
where a.attrelid = 'public.jobs'::regclass
  and a.attname in ('job_id', 'job_type', 'status', 'input_payload', 'result', 'error_message', 'retries',
                    'max_retries', 'execution_time_ms', 'priority', 'parent_job_id', 'metadata');
select * from finish();
rollback;
