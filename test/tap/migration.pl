# The two queues that the seed's application had move into jobs, as doc/migration.md says: its statements are run as
# they stand, in their order, in a project of Supabase's shape, with 10 000 jobs of every status and of none, while the
# old code goes on writing.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

# Phase by phase, the blocks of SQL of the page.
my %phase = map { /\APhase (\d)/ ? ($1 => $_) : () } split /^## /m, slurp_file("$FindBin::Bin/../../doc/migration.md");
my %blocks = map { my $n = $_; ($n => [ $phase{$n} =~ /^```sql\n(.*?)^```/msg ]) } keys %phase;
is(join(' ', map { $_ . ':' . @{ $blocks{$_} } } sort keys %blocks), '1:1 2:2 3:1 4:2', 'phases and their blocks');

# As on the platform: postgres is no superuser.
local $ENV{PGUSER} = 'supabase_admin';
my $node = new_node('migration', extension => 0, initdb => [ '--username', 'supabase_admin' ]);
$node->safe_psql('postgres', 'create database project');
$node->safe_psql('project', slurp_file("$FindBin::Bin/../supabase/shim.sql"));

sub try
{
	my ($role, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql('project', $sql,
		stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-U', 'postgres', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-c', "set role $role",
			'-f', '-' ]);
	return ($status, $stdout, $stderr);
}

sub as_role
{
	my ($role, $sql) = @_;
	my ($status, $stdout, $stderr) = try($role, $sql);
	is($status, 0, 'statements run') or diag("$sql\n$stderr") if $status;
	return $stdout;
}
sub as_owner { return as_role('postgres', $_[0]) }

# The old queues: 10 000 jobs, of 70 days. Of each status there are some that lack what they should have.
as_owner(<<'SQL');
set timezone = 'UTC';
select setseed(0.5) \g /dev/null
insert into organisations select md5('o' || n)::uuid, 'o' || n from generate_series(1, 3) n;
insert into restaurants select md5('r' || n)::uuid, 'r' || n, 'r' || n, md5('o' || n % 3 + 1)::uuid
from generate_series(1, 400) n;
insert into platforms select md5('p' || n)::uuid, 'p' || n from generate_series(1, 3) n;
insert into auth.users (id) values (md5('u')::uuid);
insert into extraction_jobs (id, job_id, restaurant_id, platform_id, url, job_type, status, progress, config, error,
  started_at, completed_at, created_at, updated_at, organisation_id)
select md5('e' || n)::uuid, 'extraction-' || n, case when n % 7 > 0 then md5('r' || n % 400 + 1)::uuid end,
       case when n % 5 > 0 then md5('p' || n % 3 + 1)::uuid end, 'https://example.com/' || n,
       (array['full_menu', 'full_menu', 'extract_menu', 'extract-menu'])[n % 4 + 1], s.status,
       case when n % 3 > 0 then jsonb_build_object('percent', n % 100) when n % 2 > 0 then '{}' end,
       case when n % 4 > 0 then jsonb_build_object('n', n, 'nothing', null) end,
       case when s.status = 'failed' and n % 9 > 0 then 'failed ''' || n end,
       -- a completed, a failed one without a start, a pending one with one
       case when s.status in ('in_progress', 'completed', 'failed') and n % 11 > 0 or n % 97 = 0
            then t.at + interval '1 s' end,
       case when s.status in ('completed', 'failed') and n % 13 > 0 or n % 101 = 0 then t.at + interval '61.5 s' end,
       case when n % 89 > 0 then t.at end, case when n % 83 > 0 then t.at + interval '2 min' end,
       case when n % 6 > 0 then md5('o' || n % 3 + 1)::uuid end
from generate_series(1, 8000) n,
  lateral (select (array['pending', 'in_progress', 'completed', 'completed', 'failed', 'cancelled', 'paused',
                         'queued'])[n % 8 + 1]) s (status),
  lateral (select now() - n * interval '756 s') t (at);
insert into menus (restaurant_id, extraction_job_id)
select restaurant_id, id from extraction_jobs where status = 'completed';
insert into lead_scrape_jobs (id, name, platform, city, cuisine, leads_limit, status, current_step, total_steps,
  leads_extracted, leads_passed, leads_failed, organisation_id, created_by, started_at, completed_at, cancelled_at,
  created_at, updated_at, metadata)
select md5('l' || n)::uuid, 'leads ' || n, 'ubereats', 'Auckland', case when n % 2 > 0 then 'thai' end, n % 900 + 1,
       s.status, n % 4, case when n % 10 > 0 then 3 end, n, n / 2, n / 3, case when n % 6 > 0 then md5('o1')::uuid end,
       case when n % 4 > 0 then md5('u')::uuid end,
       case when s.status in ('in_progress', 'completed', 'failed') and n % 11 > 0 then t.at + interval '1 s' end,
       case when s.status = 'completed' and n % 13 > 0 then t.at + interval '60 s' end,
       case when s.status = 'cancelled' and n % 13 > 0 then t.at + interval '30 s' end,
       t.at, case when n % 83 > 0 then t.at + interval '2 min' end,
       case when n % 3 > 0 then jsonb_build_object('n', n) when n % 2 > 0 then '["no object"]' end
from generate_series(1, 2000) n,
  lateral (select (array['draft', 'pending', 'in_progress', 'in_progress', 'completed', 'cancelled', 'failed'])
                    [n % 7 + 1]) s (status),
  lateral (select now() - n * interval '50 min') t (at);
insert into lead_scrape_job_steps (id, job_id, step_number, step_name, step_type, status, leads_received, metadata,
  error_message)
select md5(j.id::text || n)::uuid, j.id, n, 'step ' || n, case n when 2 then 'action_required' else 'automatic' end,
       case when j.status = 'completed' or n = 1 and j.status <> 'draft' then 'completed'
            when n = 2 and j.status = 'in_progress' and j.current_step > 1 then 'action_required'
            when n = 2 and j.status = 'failed' then 'failed'
            else 'pending' end, n, '{"k": 1}', case when n = 2 and j.status = 'failed' then 'no luck' end
from lead_scrape_jobs j, generate_series(1, 3) n where j.leads_extracted % 20 > 0;
-- What can't be a job.
insert into extraction_jobs (job_id, url, job_type, status, created_at, config) values
  ('odd type', 'u', 'telepathy', 'pending', now(), '{}'), ('odd status', 'u', 'full_menu', 'DONE', now(), '{}'),
  ('taken', 'u', 'full_menu', 'pending', now(), '{}'), ('no time', 'u', 'full_menu', 'completed', 'infinity', '{}'),
  ('too much', 'u', 'full_menu', 'pending', now(), jsonb_build_object('x', repeat('x', 300000)));
SQL

# What became of each row, said once more: rows that are not there as they should be.
my $all = <<'SQL';
create temp view copies as
select j.id, j.job_id, j.job_type, j.status, j.input_payload, j.progress, j.error_message, j.started_at, j.completed_at,
       j.finished_at, j.cancelled_at, j.created_at, j.organisation_id, j.restaurant_id, j.created_by, j.metadata,
       j.worker, j.lease_expires_at, j.retries, j.result,
       (select jsonb_agg(to_jsonb(s)) from job_steps s where s.job = j.id) as steps
from jobs j
union all
select j.id, j.job_id, j.job_type, j.status, j.input_payload, j.progress, j.error_message, j.started_at, j.completed_at,
       j.finished_at, j.cancelled_at, j.created_at, j.organisation_id, j.restaurant_id, j.created_by, j.metadata,
       j.worker, j.lease_expires_at, j.retries, j.result, j.steps
from jobs_archive j;
SQL
my $disagree = $all . <<'SQL';
select 'extraction', s.job_id, s.status, j.status
from extraction_jobs s left join copies j on j.id = s.id
where s.job_id !~ '^(odd|taken|no|too)' and not coalesce(
  j.status = s.status and j.job_id = s.job_id and j.job_type = 'extract-menu'
  and j.input_payload ->> 'url' = s.url and (j.input_payload ->> 'platform_id')::uuid is not distinct from s.platform_id
  and j.input_payload -> 'config' = coalesce(s.config, '{}') and coalesce(j.progress, '{}') = coalesce(s.progress, '{}')
  and j.error_message is not distinct from s.error and j.restaurant_id is not distinct from s.restaurant_id
  and j.organisation_id = coalesce(s.organisation_id, '00000000-0000-0000-0000-000000000000')
  and j.created_at = coalesce(s.created_at, least(s.started_at, s.completed_at, s.updated_at), j.created_at)
  and (s.started_at is null or s.status in ('pending', 'queued') or j.started_at = s.started_at)
  and (s.status not in ('completed', 'failed', 'cancelled') or j.finished_at = coalesce(s.completed_at, j.finished_at))
  and (s.status <> 'in_progress' or j.worker = 'extraction_jobs' and j.lease_expires_at > now() + interval '29 days')
  and j.metadata #>> '{legacy,job_type}' = s.job_type and j.metadata #>> '{legacy,id}' = s.id::text
  and j.retries = 0, false)
union all
select 'lead', s.name, s.status, j.status
from lead_scrape_jobs s left join copies j on j.id = s.id
left join lateral (select count(*) as n, bool_or(t.status = 'action_required') as awaited,
                          string_agg(t.step_number || t.step_name || t.step_type || t.status || t.leads_received, ','
                                     order by t.step_number) as said
                   from lead_scrape_job_steps t where t.job_id = s.id) t on true
left join lateral (select string_agg(concat(e ->> 'step_number', e ->> 'step_name', e ->> 'step_type', e ->> 'status',
                                            e ->> 'received'), ',' order by (e ->> 'step_number')::int) as said
                   from jsonb_array_elements(j.steps) e) c on true
where not coalesce(
  j.status = case when s.status = 'draft' or s.status = 'in_progress' and t.awaited then 'paused' else s.status end
  and (s.status = 'draft') = coalesce((j.metadata ->> 'draft')::boolean, false) and j.job_type = 'lead-scrape'
  and j.input_payload @> jsonb_strip_nulls(jsonb_build_object(
        'name', s.name, 'city', s.city, 'cuisine', s.cuisine, 'leads_limit', s.leads_limit))
  and (j.progress ->> 'leads_passed')::int = s.leads_passed and j.created_by is not distinct from s.created_by
  and (s.status <> 'completed' or (j.result ->> 'leads_extracted')::int = s.leads_extracted)
  and j.organisation_id = coalesce(s.organisation_id, '00000000-0000-0000-0000-000000000000')
  and j.created_at = s.created_at
  and (j.metadata @> s.metadata or j.metadata #> '{legacy,metadata}' is not distinct from s.metadata)
  and (s.status <> 'cancelled' or j.cancelled_at = coalesce(s.cancelled_at, j.cancelled_at))
  and (s.status <> 'failed' or t.n = 0 or j.error_message = 'no luck')
  and c.said is not distinct from t.said, false)
union all
select 'too much', j.job_id, null, j.status from copies j
where j.id not in (select id from extraction_jobs union all select id from lead_scrape_jobs) and j.job_id <> 'taken'
order by 1, 2 limit 5;
SQL
my $refused = <<'RESULT' =~ s/\n\z//r;
DONE||1|refused: its status is none of a job
completed|completed|1|refused: one of its times is infinite
pending|pending|1|refused: another job has its job_id
pending|pending|1|refused: its input_payload is larger than jobs_ext.max_payload
pending|pending|1|refused: job type "telepathy" is not registered; name one in types, or: select job_type_set(…)
RESULT

# Phase 1. The dry run says what the run does, and does nothing: also where nothing can be done.
my $report = as_owner($blocks{1}[0]);
is(as_owner('select count(*) from jobs'), 0, 'phase 1 imports nothing');
as_owner(q{insert into jobs (job_id, job_type) values ('taken', 'import-csv')});
my $import = q{jobs_ext.import_extraction_jobs('public.extraction_jobs', lease => '30 days', };
my $leads = q{jobs_ext.import_lead_scrape_jobs('public.lead_scrape_jobs', 'public.lead_scrape_job_steps',
  lease => '30 days', };
my $columns = 'source_status, status, count, remark';
my $dry = as_owner("begin read only; select $columns from $import dry_run => true); commit");
my ($dry_refused, $dry_taken) = map { join "\n", @$_ } [ grep { /refused/ } split /\n/, $dry ],
  [ grep { !/refused/ } split /\n/, $dry ];
is($dry_refused =~ s/, e\.g\. [-\w]{36}$//mgr, $refused, 'the dry run names what it can\'t take, and why');
is($dry_taken, join("\n", map { "$_|new" } 'cancelled|cancelled|1000', 'completed|completed|2000', 'failed|failed|1000',
		'in_progress|in_progress|1000', 'paused|paused|1000', 'pending|pending|1000', 'queued|queued|1000'),
	'… and what the rest becomes');
is(as_owner("select $columns from jobs_ext.import_extraction_jobs('public.extraction_jobs')
	where remark ~ '^in progress'"),
	'in_progress|in_progress|1000|in progress: the old worker has it; comes when it has ended, or with a lease',
	'without a lease those in progress are left out');
my $dry_leads = as_owner("select $columns from $leads dry_run => true)");
unlike($dry_leads, qr/refused/, 'lead scrape jobs can all be taken');
like($dry_leads, qr/^draft\|paused\|285\|new$/m, '… drafts as paused ones');
like($dry_leads, qr/^in_progress\|paused\|\d\d+\|new$/m, '… and those that wait for a person');

my $count = q{select (select count(*) from jobs where job_id ~ '^extraction')
	+ (select count(*) from jobs_archive)};

# An import that is interrupted has done nothing of its batch, and the next goes on.
as_owner(<<"SQL");
select sum(count) from $import dry_run => false, max_rows => 700) where remark = 'new' \\g /dev/null
create function stumble() returns trigger language plpgsql as
  \$\$ begin raise query_canceled; end \$\$;
create trigger stumble before insert on jobs for each row when (new.job_id = 'extraction-4711')
execute function stumble();
SQL
is(as_owner($count), 700, 'a batch is as large as asked for');
my ($status, $stdout, $stderr) = try('postgres', "select * from $import dry_run => false, max_rows => 10000)");
like($stderr, qr/57014/, 'a batch is cancelled in its middle');
($status, $stdout, $stderr) =
  try('postgres', "set statement_timeout = '20 ms'; select * from $import dry_run => false, max_rows => 10000)");
like($stderr, qr/57014/, 'another runs into its time limit');
as_owner('drop trigger stumble on jobs; drop function stumble()');
is(as_owner($count), 700, '… nothing of them is there');
is(as_owner("select sum(count) from $import dry_run => true) where remark = 'there already'"), 700,
	'… what was there is known');

# A row that a session of the old system has locked is not waited for.
my $holder = hold($node, 'project', q{update extraction_jobs set url = url where job_id ~ '^extraction-80'});
is(as_owner("set lock_timeout = '1 s'; select sum(count), remark from $import dry_run => false, max_rows => 20000)
	where remark !~ 'refused' group by 2 order by 2"), "11|left for the next call\n7289|new\n700|there already",
	'locked rows are left');
let_go($holder);
is(as_owner("select sum(count) from $import dry_run => false) where remark = 'new'"), 11, '… for the next call');
as_owner(q{create table before as select md5(j::text) from jobs j order by id});
is(as_owner("select source_status, status, count, remark from $import dry_run => false) where remark !~ '^refused'"),
	$dry_taken =~ s/new$/there already/mgr, 'once more: as many as the dry run said are there');
is(as_owner('select md5(j::text) from jobs j where status not in ($$completed$$, $$failed$$, $$cancelled$$)
	except table before'), '', '… and none was changed');

# Phase 2. The old code goes on meanwhile: service_role inserts, updates and deletes, in two sessions. At first without
# the triggers, so that copies are outdated when the second import comes.
as_role('service_role', <<'SQL');
update extraction_jobs set status = 'completed', completed_at = now() where job_id ~ '^extraction-1[0-9]2';
update extraction_jobs set status = 'pending', error = null where job_id ~ '^extraction-.*4$' and status = 'failed'
  and completed_at > now() - interval '20 days';
SQL
as_owner(q{alter table extraction_jobs disable trigger update_extraction_jobs_updated_at});
my @writers = map {
	my $n = $_;
	my $writes = join ';', map { my $job = $n + 2 * $_; (
		"update extraction_jobs set status = 'in_progress', started_at = now() where job_id = 'extraction-$job'
			and status in ('pending', 'queued')",
		"update extraction_jobs set progress = '{\"percent\": 99}' where job_id = 'extraction-$job'",
		"update extraction_jobs set status = 'completed', completed_at = now() where job_id = 'extraction-$job'
			and status = 'in_progress' and $job % 3 > 0",
		"insert into extraction_jobs (job_id, url, job_type) values ('new-$job', 'https://new/$job', 'full_menu')",
		"update lead_scrape_jobs set leads_passed = leads_passed + 1 where name = 'leads $job'",
		"update lead_scrape_job_steps s set status = 'completed', completed_at = now() from lead_scrape_jobs j
			where j.name = 'leads $job' and s.job_id = j.id and s.status = 'action_required'"
	  ) } 1 .. 40;
	start_session($node, 'project', 'set role service_role', split /;/, $writes)
} 0, 1;
as_owner($blocks{2}[0]);
end_session($_) for @writers;
is(join('', map { $_->{err} } @writers), '', 'the old code meets no error');
is(as_owner(q{select count(*) from extraction_jobs where job_id ~ '^new'}), 80, '… and has written');
as_role('service_role', <<'SQL');
delete from extraction_jobs where job_id in ('new-3', 'extraction-6');
delete from lead_scrape_jobs where name in ('leads 5', 'leads 6');
update lead_scrape_jobs set status = 'pending' where status = 'draft' and leads_extracted < 100;
update lead_scrape_jobs set metadata = null where leads_extracted between 100 and 110;
SQL
as_owner(q{delete from restaurants where name = 'r400'});
my ($odd) = as_owner($blocks{2}[1]);
is($odd =~ s/, e\.g\. [-\w]{36}\|$//mgr, $refused, 'at the end of phase 2 all are in step, but for what was refused');
is(as_owner($disagree), '', '… row by row');
in_step($node, 'project', '… and so are the private tables');
eventually($node, 'project', "select count(*) from jobs where finished_at < now() - interval '31 days'", 0,
	'old copies go to the archive');
is(as_owner($disagree), '', '… and are found there');
is(as_owner("select sum(count) from $import dry_run => false) where remark in ('new', 'changed')"), '',
	'… so that they are not imported again');
is(as_role('service_role', 'select count(*) from job_claim(max_jobs => 100)'), 1, 'workers take none but their own');

# What is refused is mended and comes; what the new system does with a copy is its own.
as_owner(<<'SQL');
select job_type_set('telepathy', paused => true) \g /dev/null
delete from extraction_jobs where job_id in ('no time', 'too much', 'odd status', 'taken');
update extraction_jobs set url = 'v' where job_id = 'odd type';
SQL
is(as_owner(q{select job_type, status, input_payload ->> 'url' from jobs where job_id = 'odd type'}),
	'telepathy|pending|v', 'a type that is registered brings its rows');
as_owner(q{delete from extraction_jobs where job_id = 'odd type'});
my $mine = as_owner(q{
	select job_id from jobs where job_type = 'extract-menu' and status = 'pending' order by id limit 1});
as_role('service_role', "select job_cancel(job_id => '$mine');
	update extraction_jobs set status = 'in_progress' where job_id = '$mine'");
is(as_owner("select status from jobs where job_id = '$mine'"), 'cancelled', 'a copy that was cancelled here stays so');
like(as_owner($blocks{2}[1]), qr/^in_progress\|in_progress\|1\|there already, and went on here/, '… which is said');

# Phase 3.
my $waiting = as_owner(<<"SQL");
select count(*) from (
  select id from extraction_jobs where status in ('pending', 'queued', 'in_progress') and job_id <> '$mine'
  union all
  select id from lead_scrape_jobs s where status in ('pending', 'in_progress') and not (
    status = 'in_progress' and exists (select from lead_scrape_job_steps t
                                       where t.job_id = s.id and t.status = 'action_required'))) w;
SQL
my $old_rows = as_owner(q{select count(*) from extraction_jobs});
as_owner(q{insert into extraction_jobs (job_id, url, job_type) values ('late', 'u', 'odd')});
($status, $stdout, $stderr) = try('postgres', $blocks{3}[0]);
like($stderr, qr/ERROR: .* rows of old are refused/, 'phase 3 leaves nobody behind');
is(as_owner(q{select relkind from pg_class where oid = 'extraction_jobs'::regclass}), 'r', '… and is not begun');
as_owner(q{delete from extraction_jobs where job_id = 'late'});
as_owner($blocks{3}[0]);
is(as_role('service_role', 'select count(*) from extraction_jobs'), $old_rows, 'old readers find all rows in the view');
is(as_owner(<<'SQL'), '', '… with what they had');
select o.job_id from extraction_jobs_old o join extraction_jobs v using (id)
where o.status in ('completed', 'failed', 'paused') and
  (o.job_id, o.url, o.job_type, o.status, coalesce(o.progress, '{}'), coalesce(o.config, '{}'), coalesce(o.error, ''))
  is distinct from (v.job_id, v.url, v.job_type, v.status, v.progress, v.config, coalesce(v.error, ''))
limit 3
SQL
my $work = <<'SQL';
create temp table ran as select id, lease_id from job_claim('{extract-menu,lead-scrape}', max_jobs => 500) limit 0;
do $$
begin
  loop
    insert into ran select c.id, c.lease_id from public.job_claim('{extract-menu,lead-scrape}', max_jobs => 500) c;
    exit when not found;
    perform public.job_complete(j.id, j.lease_id, '{"by": "new"}') from public.jobs j join ran r using (id, lease_id)
      where j.status = 'in_progress';
    commit;
  end loop;
end $$;
select count(*), count(distinct id) from ran;
SQL
is(as_role('service_role', $work), "$waiting|$waiting", 'each job that had not ended runs once, and no other');
is(as_owner(q{select count(*) from jobs where job_type in ('extract-menu', 'lead-scrape')
	and status in ('pending', 'queued', 'in_progress')}), 0, '… none is left');
is(as_owner(q{select count(*) from menus m where not exists (select from jobs j where j.id = m.extraction_job_id)
	and not exists (select from jobs_archive j where j.id = m.extraction_job_id)}), 0,
	"menus find their jobs by the old id");

# Phase 4.
my $last = as_owner($blocks{4}[0]);
as_owner($blocks{4}[1]);
unlike($last, qr/new\|$|changed\|$|refused/m, 'nothing is left to import');
is(as_owner(q{select count(*) from pg_class where relname ~ '^(extraction_jobs|lead_scrape)'
	and relkind in ('r', 'v')}), 0, 'and the old tables are gone');
in_step($node, 'project', 'private tables in step');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
