# As whom the worker works, what a trigger that fails or never ends costs the others, and how few processes serve many
# databases.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

# It looks at everything once an hour only: what else it does in time, it does since it is due.
my $node = new_node('failing', extension => 0, autovacuum => 'off', 'jobs_ext.maintenance_interval' => "'1h'");
$node->safe_psql('postgres', <<'SQL');
create role boss login;
create role victim superuser;
create database d owner boss;
alter database d set role = 'victim';
SQL
my @as_boss = (extra_params => [ '-U', 'boss' ]);
my $sql = sub { return $node->safe_psql('d', @_) };
$node->safe_psql('d', 'reset role; create extension jobs_ext', @as_boss);
worker_serves($node, 'd', 'there is a worker');

# Jobs under these names whose lease ends at once; those that are retried are due in an hour.
sub lose
{
	my (@keys) = @_;
	my $keys = join ', ', map { "'$_'" } @keys;
	$node->safe_psql('d', <<"SQL", @as_boss);
reset role;
select job_enqueue('import-csv', job_id => key, retry_delay_ms => 3600000) from unnest(array[$keys]) key;
select count(*) from job_claim('{import-csv}', max_jobs => 100, lease => '100 ms');
SQL
	return;
}

sub reaped
{
	my ($pattern, $count, $name) = @_;
	return eventually($node, 'd', "select count(*) from jobs where job_id like '$pattern' and status = 'pending'",
		$count, $name, 60);
}

# The owner's trigger runs with the owner's rights, whatever the database's settings say of roles.
$node->safe_psql('d', <<'SQL', @as_boss);
reset role;
create table seen (who text, path text, super text);
create function spy() returns trigger language plpgsql as $$
declare
  outcome text := 'became superuser';
begin
  begin
    alter role boss superuser;
  exception when insufficient_privilege then
    outcome := 'refused';
  end;
  insert into public.seen values (current_user, current_setting('search_path'), outcome);
  return new;
end $$;
create trigger spy before update on jobs for each row when (new.status = 'pending') execute function spy();
SQL
lose('spied');
reaped('spied', 1, 'a lease is reaped past a trigger of the owner\'s');
is($sql->('select distinct who, path, super from seen'),
	'boss|pg_catalog, pg_temp|refused', '… which runs as the owner, confined');
is($sql->("select rolsuper from pg_roles where rolname = 'boss'"), 'f', '… who is no superuser by that');
$node->safe_psql('d', 'reset role; drop trigger spy on jobs', @as_boss);

# So does what Postgres runs when it only looks at a table: the constants of a partial index, of a partition key.
$node->safe_psql('d', <<'SQL', @as_boss);
reset role;
set client_min_messages = error;
create function look(what text) returns void language plpgsql as $$
begin
  if current_setting('application_name') <> 'jobs_ext worker' then return; end if; -- a superuser's own session
  insert into public.seen values (current_user, current_setting('search_path'), what);
  begin
    alter role boss superuser;
  exception when insufficient_privilege then null;
  end;
end $$;
create function looked_at(what text)
returns boolean language plpgsql immutable as $$ begin perform public.look(what); return true; end $$;
create unique index evil on jobs (id) where looked_at('an index');
alter table jobs drop constraint jobs_pkey;
alter table jobs add primary key (id);
alter table jobs_archive rename to jobs_archive_before;
create table jobs_archive (like jobs_archive_before including defaults) partition by range (
  (job_id || looked_at('a partition key')::text));
alter table jobs add constraint evil check (looked_at('a check'));
truncate seen;
SQL
lose('looked');
reaped('looked', 1, 'a lease is reaped past functions that are run when a table is looked at');
my $rounds = status_of($node, 'd', 'rounds');
$node->reload;
$node->poll_query_until('d', "select rounds > $rounds from jobs_ext.maintenance where database = 'd'");
is($sql->("select string_agg(distinct who, ', ') from seen"), 'boss', '… which nobody runs but the owner');
is($sql->("select rolsuper from pg_roles where rolname = 'boss'"), 'f', '… who is no superuser by that');
$node->safe_psql('d',
	'reset role;
		drop index evil;
		alter table jobs drop constraint evil;
		drop table jobs_archive;
		alter table jobs_archive_before rename to jobs_archive',
	@as_boss);

# More than it takes at once: one piece follows the other.
$sql->("select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv',
			'job_id', 'many-' || n,
			'retry_delay_ms', 3600000))
			from generate_series(1, 2000) n))");
$sql->("select count(*) from job_claim('{import-csv}', max_jobs => 2000, lease => '1 s')");
reaped('many-%', 2000, 'two thousand leases that run out together');
$sql->("select count(*) from (select (job_cancel(id)).status from jobs where job_id like 'many-%') c;
	alter system set jobs_ext.archive_after = 0;
	select pg_reload_conf()");
eventually($node, 'd', "select count(*) from jobs_archive where job_id like 'many-%'",
	'2000', 'and are archived together', 60);
$sql->('alter system reset jobs_ext.archive_after; select pg_reload_conf()');

# Somebody has the archive, where a job is to go: whoever waits for another job has it in time all the same.
$sql->("alter system set jobs_ext.archive_after = 0; alter system set jobs_ext.maintenance_interval = '100ms'");
for my $mode ('access exclusive', 'share')
{
	my $locker = $node->background_psql('d');
	$locker->query_safe("begin; lock table jobs_archive in $mode mode");
	$sql->("select job_cancel(job_id => (job_enqueue('import-csv', job_id => 'to archive, $mode')).job_id);
		select pg_reload_conf()");
	eventually($node, 'd',
		"select last_error is null and state = 'waiting for a lock on the tables'
			from jobs_ext.maintenance where database = 'd'",
		't', "$mode: the worker waits for the archive");
	my @late = sort { $a <=> $b } map {
		$sql->("select job_enqueue('bulk-update', run_at => now() + interval '300 ms') \\g /dev/null
			select round(1000 * extract(epoch from clock_timestamp() - run_at))
			from job_claim('{bulk-update}', wait => '20 s')")
	} 1 .. 9;
	cmp_ok($late[4], '<=', 50, "$mode: … while sleepers are woken in time: @late ms late");
	$locker->query_safe('rollback');
	$locker->quit;
	eventually($node, 'd', "select count(*) from jobs_archive where job_id = 'to archive, $mode'",
		'1', "$mode: … then the job is archived", 60);
}
# Somebody has one month of it: the jobs of the others go, and those of that month are at no fault.
{
	my $month = $sql->("select format('jobs_ext.jobs_archive_%s', to_char(now() at time zone 'utc', 'YYYY_MM'))");
	my $locker = $node->background_psql('d');
	$locker->query_safe("begin; lock table $month in access exclusive mode");
	$sql->("select count(job_cancel(id))
		from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv',
																   'job_id', 'this month ' || n))
							   from generate_series(1, 150) n))");
	$sql->("insert into jobs (id, job_id, job_type, status, created_at, run_at, finished_at)
		values ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'another month', 'import-csv', 'cancelled', '1969-02-02',
				'1969-02-02', '1969-02-02')");
	eventually($node, 'd',
		"select count(*) from jobs_archive where job_id = 'another month' and finished_at = '1969-02-02'",
		'1', 'one month is locked: the job of another one is archived');
	is($sql->("select state = 'waiting for a lock on the tables' from jobs_ext.maintenance where database = 'd'"),
		'f', '… and the worker goes on');
	is($sql->('select count(*) from jobs_ext.jobs_set_aside'), '0', '… and none is set aside');
	$locker->query_safe('rollback');
	$locker->quit;
	eventually($node, 'd', "select count(*) from jobs_archive where job_id like 'this month %'",
		'150', '… then those of that month are', 60);
}
$sql->("alter system reset jobs_ext.archive_after; alter system set jobs_ext.maintenance_interval = '1h';
	select pg_reload_conf()");

$node->safe_psql('d', <<'SQL', @as_boss);
reset role;
create function trip() returns trigger language plpgsql as $$
begin
  if old.job_id = 'poison' then raise exception 'no' using errcode = 'P0007'; end if;
  if old.job_id = 'corrupt' then raise exception 'no' using errcode = 'XX001'; end if;
  if old.job_id = 'victim' then raise exception 'no' using errcode = '40P01'; end if;
  if old.job_id = 'stuck' then perform pg_advisory_xact_lock(42); end if;
  if old.job_id = 'endless' then perform pg_sleep(1000); end if;
  return new;
end $$;
create trigger trip before update on jobs for each row when (new.status = 'pending') execute function trip();
SQL
my $log = -s $node->logfile;
# One that waits for a lock.
my $advisory = $node->background_psql('d');
$advisory->query_safe('select pg_advisory_lock(42)');
lose('stuck', map { "free-$_" } 1 .. 20);
reaped('free-%', 20, 'a trigger that waits for a lock keeps no others from being reaped');
# Those that fail, each in its way, and one that never ends.
my @bad = qw(corrupt endless poison stuck victim);
lose(qw(corrupt endless poison victim), map { "good-$_" } 1 .. 20);
reaped('good-%', 20, 'the others are reaped');
eventually($node, 'd',
	q{select string_agg(j.job_id || ' ' || a.sqlstate, ', ' order by j.job_id)
		from jobs j join jobs_ext.jobs_set_aside a on a.job = j.id},
	'corrupt XX001, endless 57014, poison P0007, stuck 55P03, victim 40P01',
	'they are set aside, with what went wrong', 60);
lose('later');
reaped('later', 1, 'and the worker goes on');
cmp_ok(scalar(log_lines($node, qr/was left as it is/, $log)), '<=', scalar @bad, 'the log says so once for each');
$node->safe_psql('d', 'reset role; drop trigger trip on jobs', @as_boss);
$advisory->quit;
reaped($_, 1, "$_: reaped once nothing is in its way") for @bad;
is($sql->('select count(*) from jobs_ext.jobs_set_aside'), '0', 'nothing is set aside any more');
in_step($node, 'd', 'in step');
is(join("\n", log_lines($node, qr/PANIC:|TRAP:|terminated by signal|\] XX000 /)), '', 'no crash, no internal error');
$node->stop;

# Twenty databases, and processes for half a dozen of them.
$node = new_node('few', extension => 0, autovacuum => 'off', max_worker_processes => 8);
my @databases = map { "d$_" } 1 .. 20;
$node->safe_psql('template1', 'create extension jobs_ext');
$node->safe_psql('postgres', "create database $_") for @databases;
for my $database (@databases)
{
	$node->safe_psql($database, <<'SQL');
select job_enqueue('import-csv', retry_delay_ms => 3600000);
select count(*) from job_claim(lease => '100 ms');
SQL
}
eventually($node, $_, "select status from jobs", 'pending', "$_ is served in its turn", 120) for @databases;
is(scalar(log_lines($node, qr/no process is free for the jobs of/)), 1, 'a warning, once');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
