# The seed's migration and the extension meet, as doc/seed.md says: the extension first and each statement of the
# migration on top; or the seed's table first, with rows, which adopt() makes the queue. Statements and queries are
# those of the user's own document, test/seed/seed.md, as they stand.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = slurp_file("$FindBin::Bin/../seed/seed.md");
my $page = slurp_file("$FindBin::Bin/../../doc/seed.md");

# The statements of the block of SQL that has this text.
sub statements
{
	my ($text) = @_;
	my ($block) = grep { index($_, $text) >= 0 } $seed =~ /^```sql\n(.*?)^```/msg;
	$block =~ s/^--.*\n//mg;
	return map { s/\A\s+//r } grep { /\S/ } split /(?<=;)\s*?\n/, $block;
}
my @migration = statements('CREATE GENERIC ASYNC JOBS TABLE');
my @queries = statements('Test 1: Verify table exists');
is(scalar @migration, 35, 'statements of the migration');
is(scalar @queries, 9, 'the seven queries: the fifth is in a transaction that is rolled back');

# The verdicts of the page: the beginning of a statement, run or skip, and what comes if it is run.
my @verdicts = map { [ /^\| `(.+?)` \| (run|skip) \| (passes|\w{5}) \|/ ] } grep { /^\| `[A-Z]/ } split /\n/, $page;

sub verdict_on
{
	my ($statement) = @_;
	my $flat = $statement =~ s/\s+/ /gr;
	my @found = grep { defined $_->[0] && $flat =~ /\A\Q$_->[0]\E(?:\W|\z)/ } @verdicts;
	is(scalar @found, 1, 'the page has one verdict on: ' . substr($flat, 0, 60));
	return $found[0];
}

my $node = new_node('seeded', extension => 0);
# As in a Supabase project: a non-superuser who owns the application's tables, the roles of the API, and default
# privileges that give them everything.
$node->safe_psql('postgres', <<'SQL');
create role app_owner login;
create role stranger login;
create role reporter login;
create role anon;
create role authenticated;
create role service_role bypassrls;
grant anon, authenticated, service_role to app_owner;
SQL

sub make_database
{
	my ($name, $also) = @_;
	$node->safe_psql('postgres', "create database $name");
	$node->safe_psql($name, <<"SQL");
grant create on database $name to app_owner, stranger;
create schema auth;
create table auth.users (id uuid primary key);
create function auth.uid() returns uuid language sql stable as \$\$
  select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid \$\$;
grant usage on schema auth to public;
grant all on auth.users to app_owner;
grant create on schema public to app_owner, stranger;
alter default privileges for role app_owner in schema public grant all on tables to anon, authenticated, service_role;
set role app_owner;
create table public.organisations (id uuid primary key default gen_random_uuid(), name text);
create table public.restaurants (id uuid primary key default gen_random_uuid(), name text);
create table public.profiles (id uuid primary key references auth.users (id),
							  organisation_id uuid references public.organisations (id),
							  role text not null default 'user');
insert into public.organisations values ('00000000-0000-0000-0000-000000000000', 'default'),
  ('00000000-0000-0000-0000-00000000000a', 'A');
create function public.update_updated_at_column() returns trigger language plpgsql set search_path = '' as
  \$\$ begin new.updated_at = pg_catalog.now(); return new; end \$\$;
SQL
	as_role('app_owner', $name, $also) if defined $also;
	return;
}

# What psql does with statements as a role: status, output, messages.
sub try
{
	my ($role, $database, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, $sql,
		stdout => \$stdout, stderr => \$stderr,
		extra_params => [ '-U', $role, '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose' ]);
	return ($status, $stdout, $stderr);
}

sub as_role
{
	my ($role, $database, $sql) = @_;
	my ($status, $stdout, $stderr) = try($role, $database, $sql);
	is($status, 0, 'statements run') or diag("$sql\n$stderr") if $status;
	return $stdout;
}

# That it fails with this SQLSTATE and says this.
sub refuses
{
	my ($role, $database, $sql, $state, $says, $name) = @_;
	my ($status, $stdout, $stderr) = try($role, $database, $sql);
	like($stderr, qr/ERROR:  $state: .*$says/s, $name);
	return;
}

# Everything that is in the schema public of the database: definitions, grants and rows.
sub dump_of
{
	my ($database) = @_;
	my $out;
	IPC::Run::run([ 'pg_dump', '-d', $node->connstr($database), '--schema=public' ], '>', \$out) or die 'pg_dump fails';
	$out =~ s/^(?:--.*|\\(?:un)?restrict.*)?\n//mg;
	return $out;
}

sub run_queries
{
	my ($database, $name) = @_;
	my ($status, $stdout, $stderr) = try('app_owner', $database, join "\n", @queries);
	is($status, 0, "the seed's seven testing queries run $name") or diag($stderr);
	like($stdout, qr/\|test-job-.*\|pending$/m, '… and insert a pending job');
	return;
}

# A life of jobs, directly and by way of SQL.
sub works
{
	my ($database, $name) = @_;
	for my $path ('off', 'on')
	{
		my $result = $node->safe_psql($database, <<"SQL");
set track_functions = 'all';
set jobs_ext.force_statement_path = $path;
set role service_role;
select (job_enqueue('merge-menus', jsonb_build_object('n', n), priority => 10)).status
from generate_series(1, 3) n \\g /dev/null
begin;
select coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0) as before \\gset
select id, lease_id, input_payload from job_claim('{merge-menus}') \\gset
select status from job_complete(:'id', :'lease_id', '{"done": true}');
-- Our trigger fires where a call writes by way of SQL.
select coalesce(pg_stat_get_xact_function_calls('jobs_ext.jobs_after_row()'::regprocedure), 0) - :before;
commit;
select id, lease_id from job_claim('{merge-menus}') \\gset
select status from job_heartbeat(:'id', :'lease_id', '{"half": true}');
select status, retries from job_fail(:'id', :'lease_id', 'not yet');
select id, lease_id from job_claim('{merge-menus}') \\gset
select status from job_fail(:'id', :'lease_id', 'never', permanent => true);
select count(*) > 0 from job_list('failed');
select count(*) > 0 from jobs_failed_summary;
select count(*) > 0 from jobs_active;
reset role;
delete from jobs where job_type = 'merge-menus';
SQL
		my $fired = $path eq 'on' ? 2 : 0;
		is($result, "completed\n$fired\nin_progress\npending|1\nfailed\nt\nt\nt",
			"$name: jobs live, statement path $path");
	}
	in_step($node, $database, "$name: derived tables in step");
	return;
}

# 1. The extension first.

make_database('first', 'create extension jobs_ext');
for my $statement (@migration)
{
	my $verdict = verdict_on($statement) or next;
	my ($begin, $run, $state) = @$verdict;
	my ($status, $stdout, $stderr) =
	  try('app_owner', 'first', $run eq 'run' ? $statement : "begin; $statement rollback;");
	like($stderr, $state eq 'passes' ? qr/\A(?:(?!ERROR:).)*\z/s : qr/ERROR:  $state:/, "$run, $state: $begin");
}
is(as_role('app_owner', 'first', q{select step, detail from jobs_ext.adopt('public.jobs')}),
	'nothing|public.jobs is adopted already: nothing was changed',
	'what is to be run costs nothing that adopt() knows of');
run_queries('first', 'on the extension first');
works('first', 'extension first');

# The whole of it: nothing opens to anon, and adopt() puts it right.
for my $statement (@migration)
{
	my ($status, $stdout, $stderr) = try('app_owner', 'first', $statement);
}
refuses('postgres', 'first', 'set role anon; select * from jobs', '42501', 'permission denied',
	'policies to everybody open nothing to anon');
is(as_role('app_owner', 'first', q{select step, detail from jobs_ext.adopt('public.jobs') where step <> 'advice'}),
	join("\n",
		'trigger|dropped "update_jobs_updated_at": jobs_ext keeps updated_at itself',
		map { "policy|dropped \"Enable $_ for org members\": it is for every role" } 'read access', 'insert', 'update'),
	'adopt() takes trigger and policies of a migration that ran whole');
works('first', 'whole migration on top');

# 2. The seed first.

# All that the seed's constraints allow, and what its author added.
my $rows = <<'SQL';
insert into auth.users values ('00000000-0000-0000-0000-0000000000cc');
insert into restaurants values ('00000000-0000-0000-0000-0000000000bb', 'Trattoria');
insert into jobs (job_id, job_type, status, organisation_id, restaurant_id, created_by, started_at, completed_at,
				  cancelled_at, retries, max_retries, metadata, priority, created_at, updated_at, input_payload, result)
select s || '-' || n, (array['add-item-tags', 'import-csv', 'extract-menu'])[n], s,
	   '00000000-0000-0000-0000-00000000000a',
	   case when n = 1 then '00000000-0000-0000-0000-0000000000bb'::uuid end,
	   case when n = 2 then '00000000-0000-0000-0000-0000000000cc'::uuid end,
	   case when s in ('in_progress', 'completed', 'failed', 'cancelled') then '2025-12-01 10:00+00'::timestamptz end,
	   case when s = 'completed' then '2025-12-01 10:05+00'::timestamptz end,
	   case when s = 'cancelled' and n > 1 then '2025-12-01 10:06+00'::timestamptz end,
	   case n when 1 then 0 when 2 then 3 end, case n when 1 then 3 when 2 then 3 else 5 end,
	   case n when 1 then '{"a": 1}'::jsonb when 2 then '{}' end, case n when 1 then 7 when 2 then 40 end,
	   '2025-12-01 09:00+00'::timestamptz + n * interval '1 minute', '2025-12-01 10:10+00', '{"n": 1}',
	   case when s = 'completed' then '{"ok": true}'::jsonb end
from unnest('{pending,queued,in_progress,paused,completed,failed,cancelled}'::text[]) s, generate_series(1, 3) n;
insert into jobs (job_id, job_type, status, organisation_id, created_at, updated_at, max_retries, parent_job_id)
select 'nulls', 'bulk-update', 'pending', '00000000-0000-0000-0000-000000000000', null, null, null, id
from jobs where job_id = 'pending-1';
SQL
my $of_the_author = <<'SQL';
alter table jobs add column mine text default 'x';
create table items (job uuid references jobs (id) on delete cascade, name text);
insert into items select id, job_id from jobs;
create view my_failures as select job_type, count(*) from jobs_failed_summary group by 1;
create view my_jobs as select id, status, mine from jobs;
grant select on jobs, jobs_metrics to reporter;
create policy mine on jobs for select to reporter using (mine = 'x');
create index mine on jobs (mine);
create table seen (what text);
create function note() returns trigger language plpgsql as
  $$ begin insert into public.seen values (tg_name); return new; end $$;
create trigger mine before update on jobs for each row execute function note();
alter table jobs enable always trigger mine;
create trigger off after update on jobs for each row execute function note();
alter table jobs disable trigger off;
create rule mine as on update to jobs where new.mine = 'never' do instead nothing;
SQL

sub make_seeded { my ($database) = @_; return make_database($database, join("\n", @migration, $rows, $of_the_author)) }

# Until it is adopted: nothing is made, the table is as it was, and each call says what is to be done.
sub create_extension_over
{
	my ($database) = @_;
	my $before = dump_of($database);
	my ($status, $stdout, $stderr) = try('app_owner', $database, 'create extension jobs_ext');
	like($stderr, qr/NOTICE: .* is there already: select jobs_ext\.adopt\('public\.jobs'\)/,
		"CREATE EXTENSION over the seed's table gives the statement ($database)");
	is($status, 0, '… and succeeds');
	# pg_dump has grants on the functions.
	is(dump_of($database) =~ s/^(?:GRANT|REVOKE) .* (?:FUNCTION|TYPE) .*\n//mgr,
		$before, '… and nothing is made in public');
	return;
}
make_seeded('seeded');
create_extension_over('seeded');
my $id = '00000000-0000-0000-0000-000000000001';
refuses('app_owner', 'seeded', "select $_", '42804', q{HINT:  .*select jobs_ext\.adopt\('public\.jobs'\)},
	"not adopted: $_ says so")
  for "job_enqueue('import-csv')", q{job_enqueue_many('[{"job_type": "import-csv"}]')}, 'job_claim()',
  "job_heartbeat('$id', '$id')", qq{job_heartbeat_many('[{"id": "$id", "lease_id": "$id"}]')},
  "job_complete('$id', '$id')", "job_fail('$id', '$id')", "job_release('$id', '$id')", "job_release_worker('w')",
  "job_next('$id', '$id')", qq{job_finish_many('[{"id": "$id", "lease_id": "$id", "complete": null}]')},
  "job_cancel(job_id => 'x')", "job_retry(job_id => 'x')", "job_pause(job_id => 'x')", "job_resume(job_id => 'x')",
  "job_get(job_id => 'x')", 'job_list()', "job_wait(job_id => 'x', wait => '0 s')", "job_type_set('x')",
  'job_maintain()', 'jobs_ext.rebuild_queue()', 'jobs_ext.check()';
refuses('app_owner', 'seeded', 'select jobs_ext.install()', '55000',
	q{HINT:  .*select jobs_ext\.adopt\('public\.jobs'\)}, '… and install()');
as_role('app_owner', 'seeded', q{drop extension jobs_ext});
create_extension_over('seeded');

# Who may.
refuses('app_owner', 'seeded', "begin isolation level repeatable read; select jobs_ext.adopt('public.jobs')", '25001',
	'READ COMMITTED', 'adopt() with a snapshot that may be older than its lock');
refuses($_->[0], 'seeded', "select jobs_ext.adopt($_->[1])", $_->[2], $_->[3], "adopt($_->[1]) by $_->[0]")
  for [ 'postgres', q{'public.jobs'}, '42501', 'HINT:  set role app_owner' ],
  [ 'stranger', q{'public.jobs'}, '42501', 'permission denied' ],
  [ 'app_owner', q{'public.items'}, '22023', 'only the table public.jobs' ],
  [ 'app_owner', 'null', '22023', 'only the table public.jobs' ];
$node->safe_psql('seeded', 'alter table jobs owner to stranger');
refuses('app_owner', 'seeded', q{select jobs_ext.adopt('public.jobs')}, '42501',
	'alter table public.jobs owner to app_owner', "adopt() of another's table");
$node->safe_psql('seeded', 'alter table jobs owner to app_owner');

# By a superuser over the table of another role: the hint leads out.
make_database('created_by_superuser', join("\n", @migration));
my (undef, undef, $hint) = try('postgres', 'created_by_superuser', 'create extension jobs_ext');
like($hint, qr/NOTICE: .* belongs to "app_owner", not to "postgres".*HINT:  drop extension .* set role app_owner/s,
	'CREATE EXTENSION says that the owners differ');
(undef, undef, $hint) =
  try('postgres', 'created_by_superuser', q{set role app_owner; select jobs_ext.adopt('public.jobs')});
like($hint, qr/ERROR:  42501/, "the superuser's extension is not the owner's to use");
(undef, undef, $hint) = try('postgres', 'created_by_superuser', q{select jobs_ext.adopt('public.jobs')});
like($hint, qr/ERROR:  42501: .* belongs to "app_owner", not to "postgres"/, '… nor the table to the superuser');
$node->safe_psql('created_by_superuser', $hint =~ /^HINT:  (.*)$/m);
like(as_role('app_owner', 'created_by_superuser', q{select step from jobs_ext.adopt('public.jobs')}), qr/^table$/m,
	'… whose hint leads to one that adopts it');

# 3. What can't be adopted changes nothing.
my $adopt = q{select jobs_ext.adopt('public.jobs')};
for my $case (
	[ 'a job_id that is too long', q{drop view my_failures, jobs_failed_summary;
		alter table jobs alter job_id type varchar(200);
		update jobs set job_id = repeat('x', 101) where job_id = 'failed-2'}, '22001',
		'is longer than 100 characters' ],
	[ 'a type that is empty', q{alter table jobs drop constraint check_job_type;
		update jobs set job_type = '' where job_id = 'failed-2'}, '23514', 'the job_type of job' ],
	[ 'a status that is none', q{alter table jobs drop constraint check_status, drop constraint check_started_timestamp;
		update jobs set status = 'lost' where job_id = 'failed-2'}, '23514', 'is no status of a job: "lost"' ],
	[ 'a column of another type', q{alter table jobs alter execution_time_ms type bigint}, '42804',
		'has the type bigint, not integer' ],
	[ 'a column of ours that is generated', q{alter table jobs add attempt integer generated always as (1) stored},
		'42804', '"attempt" of table "jobs" is generated' ],
	[ 'no job_type', q{alter table jobs drop job_type cascade}, '55000', 'lacks the column "job_type' ],
	[ 'two jobs of one job_id', q{alter table jobs drop constraint jobs_job_id_key; update jobs set job_id = 'failed-1'
		where job_id = 'failed-2'}, '23505', 'could not create unique index' ],
	[ 'a trigger with a name of ours', q{create trigger jobs_ext_before_row before insert on jobs
		for each row execute function note()}, '42710', 'is not the one of jobs_ext' ],
	[ 'a table with a name of ours', 'create table job_types (name text)', '55000', 'lacks the column' ],
	[ 'a table in place of a view of ours', 'create table jobs_active (name text)', '42710', 'not of the kind' ],
	[ 'a child', 'create table child () inherits (jobs)', '42809', 'is not an ordinary table' ],
	[ 'no table', 'drop table jobs cascade; create view jobs as select 1 as id', '42710', 'not of the kind' ])
{
	my ($name, $change, $state, $says) = @$case;
	$node->safe_psql('postgres', 'create database unfit template seeded');
	as_role('app_owner', 'unfit', $change);
	my $before = dump_of('unfit');
	refuses('app_owner', 'unfit', $adopt, $state, $says, "$name: refused");
	is(dump_of('unfit'), $before, '… and nothing is changed');
	$node->safe_psql('postgres', 'drop database unfit');
}

# What it does.
my $as_before = <<'SQL';
select job_id, job_type, status, result, created_at, updated_at, started_at, completed_at, parent_job_id is null,
	   restaurant_id, organisation_id, mine from jobs where job_id <> 'nulls' order by 1
SQL
my $before = as_role('app_owner', 'seeded', $as_before);
my $names = q{select string_agg(attname, ',' order by attnum) from pg_attribute
	where attrelid = 'jobs'::regclass and attnum between 1 and 24};
my $order = as_role('app_owner', 'seeded', $names);
my $did = as_role('app_owner', 'seeded', q{select step, detail, statement from jobs_ext.adopt('public.jobs')});
like($did, $_, "it says: $_")
  for qr/^view\|made public\.jobs_active\|$/m,
  qr/^rows\|"retries" of 7: null became 0\|$/m, qr/^rows\|22 in all were updated\|vacuum/m,
  qr/^rows\|"priority" of 14: /m, qr/^constraint\|dropped "check_job_type"/m,
  qr/^table\|made public\.jobs_archive\|$/m, qr/^view\|replaced "jobs_failed_summary"/m,
  qr/^type\|ended jobs stay .* takes rows of public\.items, public\.jobs along.*\|update /m,
  qr/^policy\|dropped "Enable read access for org members"/m;
like($did, qr/^advice\|index public\.$_ is over what each move .*\|drop index public\.$_$/m, "it advises against $_")
  for qw(idx_jobs_status idx_jobs_queue idx_jobs_completed_at idx_jobs_failed idx_jobs_retryable);
unlike($did, qr/^advice\|index public\.(?:mine|idx_jobs_created_at|idx_jobs_parent_job_id) /m,
	'… not against those that cost nothing');
like($did, qr/drop constraint jobs_parent_job_id_fkey$/m, "… but against the seed's foreign key to the parent");
like($did, qr/^advice\|trigger "mine" is kept, and costs/m, '… and says what a trigger costs');
is(as_role('app_owner', 'seeded', $as_before), $before, 'jobs are what they were');
is(as_role('app_owner', 'seeded', $names), $order, 'columns keep their order');
is(as_role('app_owner', 'seeded', <<'SQL'), <<'RESULT' =~ s/\n\z//r, 'what was missing is filled in');
set timezone = 'UTC';
select status, string_agg(concat_ws(' ', retries, max_retries, priority, metadata, attempt, lease_id is not null,
	   lease_expires_at - statement_timestamp() between interval '30 s' and interval '1 min',
	   to_char(run_at, 'HH24:MI'), to_char(cancelled_at, 'HH24:MI'), to_char(finished_at, 'HH24:MI')),
	   ', ' order by job_id)
from jobs where job_id <> 'nulls' group by 1 order by 1;
select retries, max_retries, created_at > now() - interval '1 hour', run_at <= now(), parent_job_id is not null
from jobs where job_id = 'nulls';
SQL
cancelled|0 3 7 {"a": 1} 1 f 09:01 10:10 10:10, 3 3 10 {} 4 f 09:02 10:06 10:06, 0 5 0 {} 1 f 09:03 10:06 10:06
completed|0 3 7 {"a": 1} 1 f 09:01 10:05, 3 3 10 {} 4 f 09:02 10:05, 0 5 0 {} 1 f 09:03 10:05
failed|0 3 7 {"a": 1} 1 f 09:01 10:10, 3 3 10 {} 4 f 09:02 10:10, 0 5 0 {} 1 f 09:03 10:10
in_progress|0 3 7 {"a": 1} 1 t t 09:01, 3 3 10 {} 4 t t 09:02, 0 5 0 {} 1 t t 09:03
paused|0 3 7 {"a": 1} 0 f 09:01, 3 3 10 {} 3 f 09:02, 0 5 0 {} 0 f 09:03
pending|0 3 7 {"a": 1} 0 f 09:01, 3 3 10 {} 3 f 09:02, 0 5 0 {} 0 f 09:03
queued|0 3 7 {"a": 1} 0 f 09:01, 3 3 10 {} 3 f 09:02, 0 5 0 {} 0 f 09:03
0|3|t|t|t
RESULT
is(as_role('app_owner', 'seeded', q{select count(*) from seen}), 0, "no trigger of the author's saw it");
is(as_role('app_owner', 'seeded', <<'SQL'), "mine|A\noff|D\nO", '… and they are as they were');
select tgname, tgenabled from pg_trigger where tgrelid = 'jobs'::regclass and tgname in ('mine', 'off') order by 1;
select ev_enabled from pg_rewrite where ev_class = 'jobs'::regclass and rulename = 'mine';
SQL
is(as_role('reporter', 'seeded', 'select count(*) from jobs; select count(*) > 0 from jobs_metrics'), "22\nt",
	"the author's policy and grants work on");
is( as_role('app_owner', 'seeded',
		'select count(*) from my_failures; select count(*) from my_jobs; select count(*) from items'),
	"3\n22\n22", "… and views, also over a view of the seed's, and foreign keys");
refuses('postgres', 'seeded', "set role anon; select * from $_", '42501', 'permission denied', "anon has lost $_")
  for qw(jobs jobs_metrics jobs_failed_summary);
refuses('postgres', 'seeded', 'set role authenticated; update jobs set status = $$completed$$', '42501',
	'permission denied', 'and authenticated what it does not have on a new table');
is($node->safe_psql('seeded', <<'SQL'), 'f|21', 'a member by claim sees the jobs of the organisation, and no other');
set role authenticated;
set request.jwt.claims = '{"org_id": "00000000-0000-0000-0000-00000000000a"}';
select bool_or(organisation_id <> '00000000-0000-0000-0000-00000000000a'), count(*) from jobs;
SQL

# Its advice, and what the page says, for members by profiles as before.
my ($bind) = $did =~ /^advice\|members were those of public\.profiles; .*\|(select .*)$/m;
is($bind . ';', ($page =~ /^(select jobs_ext\.bind\(.*)$/m)[0], 'adopt() advises the bind() of the page');
$node->safe_psql('postgres', 'create database bound template seeded');
as_role('app_owner', 'bound', <<"SQL");
insert into profiles values ('00000000-0000-0000-0000-0000000000cc', '00000000-0000-0000-0000-00000000000a');
grant select on profiles to authenticated;
$bind;
SQL
is($node->safe_psql('bound', <<'SQL'), 21, '… and then they see their jobs');
set role authenticated;
set request.jwt.claims = '{"sub": "00000000-0000-0000-0000-0000000000cc"}';
select count(*) from jobs;
SQL
$node->safe_psql('postgres', 'drop database bound');

my $adopted = dump_of('seeded');
is(as_role('app_owner', 'seeded', q{select step from jobs_ext.adopt('public.jobs') where step <> 'advice'}),
	'nothing', 'a second call says that there is nothing to do');
is(dump_of('seeded'), $adopted, '… and does nothing');
in_step($node, 'seeded', '… derived tables in step');

# What the advice says, done.
as_role('app_owner', 'seeded', join ';', $did =~ /^advice\|index.*\|(.*)$/mg);
unlike(as_role('app_owner', 'seeded', q{select step, detail from jobs_ext.adopt('public.jobs')}), qr/^advice\|index/m,
	'its statements put an end to what it advises against');

# The running jobs of old: one is reported by its worker, the others are reaped.
as_role('app_owner', 'seeded', <<'SQL');
drop trigger mine on jobs;
drop rule mine on jobs;
update jobs set status = 'completed', result = '{"by": "old"}', completed_at = now() where job_id = 'in_progress-1';
update jobs set lease_expires_at = now() where status = 'in_progress';
SQL
eventually($node, 'seeded', <<'SQL', "in_progress-1|completed|1|0\nin_progress-2|failed|4|3\nin_progress-3|pending|1|1",
select job_id, status, attempt, retries from jobs where job_id like 'in_progress%' order by 1
SQL
	'running jobs of old: done by their worker, failed for want of retries, or tried again');
is(as_role('app_owner', 'seeded', <<'SQL'), 'queued-2,pending-2,queued-1', 'the waiting are claimed in their order');
select string_agg(c.job_id, ',') from (select job_id from job_claim(max_jobs => 4) where job_id <> 'never'
  order by priority desc, run_at, job_id desc limit 3) c;
SQL
run_queries('seeded', 'on an adopted table');
works('seeded', 'seed first');

# 4. Dumped and restored: the same.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, '-d', $node->connstr('seeded') ], 'dumped');
$node->safe_psql('postgres', 'create database restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('restored') ],
	'restored');
is(dump_of('restored'), dump_of('seeded'), 'a dump of the restored database is the same');
is(as_role('app_owner', 'restored', q{select step from jobs_ext.adopt('public.jobs') where step <> 'advice'}),
	'nothing', '… and there is nothing to adopt');
works('restored', 'restored');

# Dropped and created again: taken up as it is.
my ($status, $stdout, $stderr) =
  try('app_owner', 'seeded', 'drop extension jobs_ext cascade; create extension jobs_ext');
is($status, 0, 'the extension is created again over an adopted table') or diag($stderr);
unlike($stderr, qr/adopt/, '… without a word of adopting');
is(as_role('app_owner', 'seeded', q{select step from jobs_ext.adopt('public.jobs') where step <> 'advice'}),
	'nothing', '… which is whole');
works('seeded', 'created again');

# A view of the author's under a name of ours stays; policies of the author's own decide alone.
make_database('others', join("\n", @migration));
as_role('app_owner', 'others', <<'SQL');
drop view jobs_metrics;
create view jobs_metrics as select count(*) as mine from jobs;
drop policy "Enable read access for org members" on jobs;
drop policy "Enable insert for org members" on jobs;
drop policy "Enable update for org members" on jobs;
create policy mine on jobs for select to authenticated using (created_by = auth.uid());
alter table jobs force row level security;
insert into auth.users values ('00000000-0000-0000-0000-0000000000cc');
alter table jobs no force row level security;
insert into jobs (job_id, job_type, organisation_id)
select 'job ' || n, 'import-csv', '00000000-0000-0000-0000-000000000000' from generate_series(1, 3) n;
alter table jobs force row level security;
create extension jobs_ext;
SQL
$did = as_role('app_owner', 'others', q{select step, detail from jobs_ext.adopt('public.jobs')});
like($did, qr/^advice\|view "jobs_metrics" is of your own making and stays/m,
	'a view of another shape stays, and it says so');
is(as_role('app_owner', 'others', <<'SQL'),
select string_agg(polname, ',') from pg_policy where polrelid = 'jobs'::regclass;
select relforcerowsecurity from pg_class where oid = 'jobs'::regclass;
alter table jobs no force row level security;
select count(*) from jobs where run_at = created_at;
SQL
	"mine\nt\n3", "policies of the author's own stay alone, and FORCE; rows under FORCE are seen");
works('others', 'with policies of the author\'s');

# To the archive and back to a reader, whatever the order of the columns.
is($node->safe_psql('others', <<'SQL'), "t\nt", 'a job of an adopted table is archived as it is');
select id, lease_id from job_claim('{import-csv}') \gset
select id from job_complete(:'id', :'lease_id', '{"rows": 3}') \g /dev/null
update jobs set finished_at = '2020-02-02 00:00+00' where id = :'id';
select to_jsonb(j) as job from job_get(:'id') j \gset
do $$ begin perform public.job_maintain(); end $$;
select not exists (select from jobs where id = :'id');
select to_jsonb(j) = :'job'::jsonb from job_get(:'id') j;
SQL

log_is_clean($node, 'log is clean');
done_testing();
