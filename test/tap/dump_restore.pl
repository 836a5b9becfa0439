# A database with jobs, and with what its owner added to the tables, is dumped and restored: nothing is lost, work goes
# on. Then the extension is dropped and created again beneath its jobs.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('dumps', extension => 0, wal_level => 'logical');
$node->safe_psql('postgres', 'create role boss login; create role app login; create role dev login');

# psql as a role; the statements in it must not fail.
sub run_as
{
	my ($role, $database, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, $sql,
		stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role, '-v', 'ON_ERROR_STOP=1' ]);
	is($status, 0, 'statements run') or diag("$sql\n$stderr") if $status;
	return $stdout;
}

sub new_database
{
	my ($name, $owner) = @_;
	$node->safe_psql('postgres', "create database $name owner $owner");
	return;
}

sub make_source
{
	my ($database, $owner) = @_;
	new_database($database, $owner);
	run_as($owner, $database, <<'SQL');
create extension jobs_ext;
create table restaurants (id uuid primary key, name text);
insert into restaurants values ('00000000-0000-0000-0000-000000000001', 'Trattoria');

select job_type_set('custom', description => 'of the user', max_retries => 7);
select job_type_set('import-csv', description => 'changed');
select count(*) from job_enqueue_many(
  (select jsonb_agg(jsonb_build_object('job_id', 'waits-' || n, 'job_type', (array['import-csv', 'custom'])[1 + n % 2],
                                       'priority', n % 5, 'restaurant_id', '00000000-0000-0000-0000-000000000001',
                                       'metadata', jsonb_build_object('n', n)))
   from generate_series(1, 20) n));
select job_enqueue('custom', job_id => 'expires', expires_at => now() + interval '1 day', priority => -9);
select job_enqueue('custom', job_id => 'later', run_at => now() + interval '1 day');
select job_pause(job_id => id) from (select (job_enqueue('custom', job_id => 'paused')).job_id) p (id);
select job_cancel(job_id => id) from (select (job_enqueue('custom', job_id => 'cancelled')).job_id) p (id);
select job_enqueue('bulk-update', job_id => 'completed');
select job_complete(id, lease_id, '{"rows": 3}') from job_claim('{bulk-update}');
select job_enqueue('bulk-update', job_id => 'failed');
select job_fail(id, lease_id, 'no', permanent => true, error_details => '{"code": 1}') from job_claim('{bulk-update}');
select job_enqueue('bulk-update', job_id => 'running');
select job_heartbeat(id, lease_id, '{"half": true}') from job_claim('{bulk-update}', worker => 'w', lease => '1 day');
insert into jobs_archive (id, job_id, finished_at) values (gen_random_uuid(), 'old', now());
-- In a month that is made for it, and in one that stays in the default partition; with attempts that travelled along.
insert into jobs_archive (id, job_id, finished_at) values (gen_random_uuid(), 'older', '2020-03-01');
select job_enqueue('merge-menus', job_id => 'archived ' || n) from generate_series(1, 2) n;
select job_fail(id, lease_id, 'no', permanent => true, error_details => '{"code": 2}')
from job_claim('{merge-menus}', 2);
update jobs set finished_at = case job_id
                                when 'archived 1' then '2020-02-02'
                                else '2020-03-03' end::timestamptz where job_id like 'archived%';
SQL
	# The worker's: a job_maintain() of ours could leave it what it has begun.
	$node->poll_query_until($database, "select count(*) = 0 from jobs where job_id like 'archived%'")
	  or die 'the two jobs that ended long ago are not archived';
	run_as($owner, $database, <<'SQL');
alter table jobs add column mine text default 'x';
create policy mine on jobs for select to app using (true);
alter table jobs enable row level security;
create index mine on jobs (mine);
alter table jobs add constraint mine foreign key (restaurant_id) references restaurants;
create table items (job uuid references jobs, name text);
insert into items select id, 'item' from jobs where job_id = 'waits-1';
create table log (job_id text, status text);
create function log() returns trigger language plpgsql as $$
begin
  insert into public.log values (new.job_id, new.status);
  return new;
end $$;
create trigger mine after update on jobs for each row execute function log();
create view by_status as select status, count(*) from jobs group by 1;
create publication mine for table jobs;
select jobs_ext.grant_role('app', 'worker');
select jobs_ext.grant_role('dev', 'operator');
grant select on jobs_archive to public;
grant update (mine) on jobs to dev;
revoke execute on function job_cancel from app;
SQL
	return;
}

my @rows = map { "select '$_', t::text from $_ t order by t::text" }
	qw(jobs job_types job_attempts jobs_archive restaurants items);
my @shape = ('select tablename, policyname, cmd, roles, qual, with_check from pg_policies order by 1, 2',
	q{select c.relname, c.relkind, c.relowner::regrole, c.relrowsecurity, c.reloptions
		from pg_class c where c.relnamespace = 'public'::regnamespace order by 1},
	q{select a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
			   (select pg_get_expr(d.adbin, d.adrelid)
				from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum)
		from pg_attribute a join pg_class c on c.oid = a.attrelid
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'p') and a.attnum > 0
		order by 1, a.attnum},
	q{select indexdef from pg_indexes where schemaname in ('public', 'jobs_ext') order by 1},
	q{select t.tgrelid::regclass, t.tgname, t.tgenabled, t.tgfoid::regproc
		from pg_trigger t where not t.tgisinternal order by t.tgrelid::regclass::text, 2},
	q{select c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid)
		from pg_constraint c
		where c.connamespace in ('public'::regnamespace, 'jobs_ext'::regnamespace)
		order by c.conrelid::regclass::text, 2},
	q{select viewname, definition from pg_views where schemaname = 'public' order by 1},
	q{select * from pg_publication_tables},
	q{select d.objoid::regclass, d.objsubid, d.description
		from pg_description d
		join pg_class c on c.oid = d.objoid
		where d.classoid = 'pg_class'::regclass and c.relnamespace = 'public'::regnamespace
		order by 1, 2});
my $grants = q{select n.nspname, c.relname, a.grantee::regrole, a.privilege_type, a.is_grantable
	from pg_class c
	join pg_namespace n on n.oid = c.relnamespace, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
	where n.nspname in ('public', 'jobs_ext') and c.relkind in ('r', 'v', 'p') and a.grantee <> c.relowner
	union all
	select n.nspname, c.relname || '.' || t.attname, a.grantee::regrole, a.privilege_type, a.is_grantable
	from pg_attribute t join pg_class c on c.oid = t.attrelid
	join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
	where n.nspname = 'public'};
my $function_grants = q{
	union all
	select n.nspname, p.oid::regprocedure::text, a.grantee::regrole, a.privilege_type, a.is_grantable
	from pg_proc p
	join pg_namespace n on n.oid = p.pronamespace, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
	where (n.nspname = 'jobs_ext' or n.nspname = 'public' and p.proname ~ '^job_') and a.grantee <> p.proowner
	union all
	select 'type', t.oid::regtype::text, a.grantee::regrole, a.privilege_type, a.is_grantable
	from pg_type t, aclexplode(coalesce(t.typacl, acldefault('T', t.typowner))) a
	where t.oid in ('job'::regtype, 'job_state'::regtype, 'job_type_settings'::regtype, 'job_type_stats'::regtype)
	and a.grantee <> t.typowner
	union all
	select 'schema', n.nspname, a.grantee::regrole, a.privilege_type, a.is_grantable
	from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
	where n.nspname = 'jobs_ext' and a.grantee <> n.nspowner};

# Everything that must be the same after as before, as text.
sub content
{
	my ($database, @queries) = @_;
	return $node->safe_psql($database, join(";\n", @queries, ''));
}

sub is_same
{
	my ($got, $wanted, $name) = @_;
	my %wanted = map { $_ => 1 } split /\n/, $wanted;
	my %got = map { $_ => 1 } split /\n/, $got;
	my @lost = grep { !$got{$_} } sort keys %wanted;
	my @new = grep { !$wanted{$_} } sort keys %got;
	return ok(!@lost && !@new, $name)
	  || diag(join("\n", (map { "lost: $_" } @lost), (map { "new: $_" } @new)));
}

# The first thing after a restore is a claim: nothing has built the queue before.
sub work_goes_on
{
	my ($name, $database, $owner, $user_trigger) = @_;
	my $got = run_as($owner, $database, <<'SQL');
select count(*), max(attempt) from (select * from job_claim(max_jobs => 100, worker => 'new')) c;
select count(*) from jobs_running;
select string_agg(job_id, ',') from jobs_failed;
select s.status, s.attempt from jobs j, job_complete(j.id, j.lease_id) s where j.job_id = 'running';
select count(s) from jobs j, job_complete(j.id, j.lease_id) s where j.worker = 'new';
select created from job_enqueue('custom', job_id => 'later');
select created from job_enqueue('custom', job_id => 'one more');
select job_id from job_claim();
insert into jobs (job_id, job_type) values ('direct', 'custom');
update jobs set priority = 3 where job_id = 'direct';
select job_id from job_claim();
SQL
	is($got, "21|1\n22\nfailed\ncompleted|1\n21\nf\nt\none more\ndirect", "$name: work goes on");
	cmp_ok(run_as($owner, $database, 'select count(*) from log'), '>', 40, "$name: the user's trigger fires")
	  if $user_trigger;
	in_step($node, $database, "$name: in step");
	return;
}

sub dump_and_restore
{
	my ($from, $to, $role, $format, %with) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$to.dump";
	my @options = @{ $with{options} // [] };
	my @dump = ('pg_dump', '-U', $role, '-F', $format, '-f', $file, @options, $node->connstr($from));
	my @restore =
		$format eq 'p'
	  ? ('psql', '-X', '-q', '-U', $role, '-v', 'ON_ERROR_STOP=1', '-f', $file, '-o', '/dev/null', '-d',
		  $node->connstr($to))
	  : ('pg_restore', '-U', $role, '--exit-on-error', (grep { $_ eq '--enable-row-security' } @options), '-d',
		  $node->connstr($to), $file);
	my ($dump_says, $restore_says) = ('', '');
	ok(IPC::Run::run(\@dump, '&>', \$dump_says), "$to: dumped") or diag($dump_says);
	local $ENV{PGOPTIONS} = $with{restoring} ? '-c jobs_ext.restoring=on' : '';
	ok(IPC::Run::run(\@restore, '&>', \$restore_says), "$to: restored") or diag($restore_says);
	is("$dump_says$restore_says", '', "$to: without a warning");
	return;
}

my %owner = (boss_source => 'boss', super_source => 'postgres');
my $superuser = $node->safe_psql('postgres', 'select current_user');
$owner{super_source} = $superuser;
my %source;
for my $from (sort keys %owner)
{
	make_source($from, $owner{$from});
	is(content($from,
		   q{select string_agg(concat_ws(' ', tableoid::regclass, job_id, attempts -> 0 -> 'error_details'), ', '
				order by finished_at)
		from jobs_archive where job_id <> 'old'}),
		'jobs_ext.jobs_archive_2020_02 archived 1 {"code": 2}, jobs_ext.jobs_archive_default older, '
		  . 'jobs_ext.jobs_archive_default archived 2 {"code": 2}',
		"$from: months of the archive, and what travelled along");
	$source{$from} = content($from, @rows, @shape, $grants . $function_grants);
}

for my $case (
	[ 'boss_source', 'boss', 'boss' ],
	[ 'boss_source', $superuser, 'super' ],
	[ 'super_source', $superuser, 'super' ])
{
	my ($from, $role, $by) = @$case;
	for my $format ('p', 'c')
	{
		my $to = "${from}_by_${by}_$format";
		new_database($to, $owner{$from});
		dump_and_restore($from, $to, $role, $format);
		is_same(content($to, @rows, @shape, $grants . $function_grants),
			$source{$from}, "$to: nothing is lost, nothing new");
		work_goes_on($to, $to, $owner{$from}, 1);

		next if $from eq 'super_source';
		$to .= '_row_security';
		new_database($to, $owner{$from});
		dump_and_restore($from, $to, $role, $format, options => ['--enable-row-security'], restoring => 1);
		is_same(content($to, @rows, @shape, $grants . $function_grants),
			$source{$from}, "$to: nothing is lost, nothing new");
		work_goes_on($to, $to, $owner{$from}, 1);
	}

	# Into a database where CREATE EXTENSION has just made the tables.
	my $to = "${from}_by_${by}_data";
	new_database($to, $owner{$from});
	run_as($owner{$from}, $to, <<'SQL');
create extension jobs_ext;
create table restaurants (id uuid primary key, name text);
alter table jobs add column mine text;
create table items (job uuid, name text);
create table log (job_id text, status text);
SQL
	dump_and_restore($from, $to, $role, 'p', options => ['--data-only', '--load-via-partition-root']);
	is_same(content($to, @rows), content($from, @rows), "$to: nothing is lost, nothing new");
	work_goes_on($to, $to, $owner{$from}, 0);
}

# A restored database is one like any other: dumped once more, it is the same.
new_database('twice', 'boss');
new_database('once', 'boss');
dump_and_restore('boss_source', 'once', 'boss', 'c');
dump_and_restore('once', 'twice', 'boss', 'c');
is_same(content('twice', @rows, @shape, $grants . $function_grants),
	$source{boss_source}, 'restored twice: nothing is lost, nothing new');
work_goes_on('restored twice', 'twice', 'boss', 1);

# The extension goes and comes back; what the user owns stays. Views upon its functions go with them: those are made
# anew, for the default roles.
for my $from (sort keys %owner)
{
	my @kept = (@rows,
		@shape,
		"select * from ($grants) g
			where relname !~ '^(maintenance|jobs_(active|running|failed|failed_summary|schedules|set_aside))\$'");
	my $before = content($from, @kept);
	my ($stdout, $stderr) = ('', '');
	isnt($node->psql($from, 'drop extension jobs_ext', extra_params => [ '-U', $owner{$from} ], stderr => \$stderr), 0,
		"$from: DROP EXTENSION alone is refused");
	run_as($owner{$from}, $from, 'set client_min_messages = error; drop extension jobs_ext cascade');
	is(content($from, 'select count(*) from jobs', 'select count(*) from job_types',
		   'select count(*) from jobs_archive'),
		"27\n9\n4", "$from: the rows outlive DROP EXTENSION CASCADE");
	run_as($owner{$from}, $from, "update jobs set metadata = metadata || '{\"without\": 1}' where job_id = 'waits-2'");
	run_as($owner{$from},
		$from, "update jobs set metadata = metadata - 'without' where job_id = 'waits-2'; truncate log");
	run_as($owner{$from}, $from, 'create extension jobs_ext');
	is_same(content($from, @kept), $before, "$from: CREATE EXTENSION adopts it all");
	work_goes_on("$from, created again", $from, $owner{$from}, 1);
}

# A pause of the whole queue is in the dump; and a server may have every restored queue start paused.
sub paused_by
{
	return run_as('boss', $_[0], 'select pause_reason from jobs_ext.maintenance where database = current_database()');
}
new_database('paused_source', 'boss');
run_as('boss', 'paused_source', q{create extension jobs_ext; select job_enqueue('import-csv', job_id => 'one')});
new_database('stays_on', 'boss');
dump_and_restore('paused_source', 'stays_on', 'boss', 'c');
is(run_as('boss', 'stays_on', 'select job_id from job_claim()'), 'one', 'a copy works at once');

new_database('set_still', 'boss');
$node->safe_psql('postgres', 'alter database set_still set jobs_ext.pause_after_restore = on');
dump_and_restore('paused_source', 'set_still', 'boss', 'c');
is(run_as('boss', 'set_still', 'select job_id from job_claim()'), '', 'under pause_after_restore it does not');
like(paused_by('set_still'), qr/pause_after_restore/, '… and the view says why');
is(run_as('boss', 'set_still', 'select job_resume_all(); select job_id from job_claim()'),
	"t\none", '… until it is resumed');

run_as('boss', 'paused_source', q{select job_pause_all('night')});
new_database('still_paused', 'boss');
dump_and_restore('paused_source', 'still_paused', 'boss', 'p');
is(run_as('boss', 'still_paused', 'select job_id from job_claim()'), '', 'the copy of a paused queue is paused');
is(paused_by('still_paused'), 'night', '… for the same reason');

new_database('data_only', 'boss');
run_as('boss', 'data_only', 'create extension jobs_ext');
$node->safe_psql('postgres', 'alter database data_only set jobs_ext.pause_after_restore = on');
run_as('boss', 'paused_source', 'select job_resume_all()');
dump_and_restore('paused_source', 'data_only', 'boss', 'c', options => ['--data-only']);
is(run_as('boss', 'data_only', 'select job_id from job_claim()'), '', 'data alone: paused as well');
like(paused_by('data_only'), qr/pause_after_restore/, '… by the setting');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
