-- job_pause_all and job_resume_all: the whole queue stands still, and only that. Dumps are in tap/dump_restore.pl.
\ir setup/begin.psql
\ir setup/in_step.sql
\ir setup/refuses.sql
\ir setup/job_in.sql
begin;
select no_plan();

select job_enqueue('import-csv', job_id => 'runs') \g /dev/null
select id, lease_id from job_claim(worker => 'w') \gset
select job_enqueue('import-csv', job_id => 'first') \g /dev/null

select is(job_resume_all(), false, 'nothing is paused, nothing is resumed');
select is(job_pause_all('the menus are wrong'), true, 'paused');
select is(job_pause_all('another reason'), false, 'it is paused already');
select is((select concat_ws('; ', paused_since is not null, paused_by, pause_reason)
           from jobs_ext.maintenance where database = current_database()),
          concat_ws('; ', true, current_user, 'the menus are wrong'),
          'the maintenance view says since when, who and why; the first reason stays');

-- What is held back.
select is_empty('select from job_claim()', 'claims are empty');
select is_empty($$select from job_claim('{import-csv,merge-menus}', max_jobs => 10)$$, 'by type as well');
select is_empty($$select from job_claim(job_category => 'import')$$, 'and by category');
select is_empty(format('select from job_next(%L, %L)', :'id', :'lease_id'), 'job_next completes and claims none');
select is((select status from jobs where job_id = 'runs'), 'completed', 'so it did');

-- What goes on.
select is((select created from job_enqueue('import-csv', job_id => 'second')), true, 'enqueueing');
select is((select status from job_cancel(job_id => 'second')), 'cancelled', 'steering');
select tests.in_step('the queue goes on standing in step');
select is((select paused from job_types where job_type = 'import-csv'), false, 'no type is paused by it');
select throws_like($$ update jobs set status = 'in_progress' where status in ('queued', 'pending') $$,
                   'the queue is paused: job %', 'an UPDATE claims nothing, and says why');

-- A pause ends where it was rolled back, and a resume as well.
savepoint before;
select is(job_resume_all(), true, 'resumed');
select is((select count(*) from job_claim()), 1::bigint, 'claims find the job');
rollback to before;
select is_empty('select from job_claim()', 'after ROLLBACK TO SAVEPOINT it is paused again');
select is(job_resume_all(), true, 'resumed');
select is((select paused_since from jobs_ext.maintenance where database = current_database()), null,
          'the view says nothing any more');
savepoint before;
select is(job_pause_all(), true, 'a pause without a reason');
select is_empty('select from job_claim()', 'holds as well');
rollback to before;
select is((select job_id from job_claim()), 'first', 'after ROLLBACK TO SAVEPOINT it goes on');

-- A type that is paused by itself stays so.
select job_type_set('import-csv', paused => true), job_enqueue('import-csv', job_id => 'of a paused type') \g /dev/null
select job_pause_all(), job_resume_all() \g /dev/null
select is_empty('select from job_claim()', 'job_resume_all() resumes no type');

-- Who may.
select has_function_privilege('public', 'job_pause_all(text)', 'execute') as anybody \gset
select is(:'anybody'::boolean, false, 'not everybody may pause the queue');
create role pause_worker;
create role pause_operator;
select jobs_ext.grant_role('pause_worker', 'worker'), jobs_ext.grant_role('pause_operator', 'operator') \g /dev/null
grant usage on schema tap, tests to pause_worker, pause_operator;
set local role pause_worker;
select throws_ok('select job_pause_all()', '42501', null, 'a worker may not');
select throws_ok('select job_resume_all()', '42501', null, 'nor resume');
select throws_ok($$insert into jobs_ext.pauses values (now(), 'me')$$, '42501', null, 'nor write the table');
reset role;
set local role pause_operator;
select is(job_pause_all(), true, 'an operator may');
select throws_ok('select from jobs_ext.pauses', '42501', null, 'the table itself is not shown');
select is((select paused_by from jobs_ext.maintenance where database = current_database()), 'pause_operator',
          'the view is');
select is(job_resume_all(), true, 'and resume');
reset role;
select tests.refuses('set local transaction_read_only = on; select ' || c, '25006', '%read-only%', c)
from unnest('{job_pause_all(),job_resume_all()}'::text[]) c;

select finish();
rollback;
