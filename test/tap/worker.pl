# The worker of one database: when it comes and goes, what it survives, what it costs, what it says.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('worker', extension => 0, max_prepared_transactions => 10, autovacuum => 'off',
	log_min_messages => 'info');
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $status = sub { return status_of($node, 'postgres', @_) };
my $launcher = sub { return $sql->("select coalesce(max(pid), 0)
	from pg_stat_activity where backend_type = 'jobs_ext launcher'") };
my $log_end = sub { return -s $node->logfile };
# Until the worker has looked at everything once more.
my $round = sub {
	my $rounds = $status->('rounds');
	$node->poll_query_until('postgres',
		"select rounds > $rounds + 1 from jobs_ext.maintenance where database = 'postgres'") or die 'no round';
};
my $is_reaped = sub {
	my ($name, $seconds) = @_;
	my ($job) = $sql->("select id from job_enqueue('import-csv', retry_delay_ms => 0)");
	# Of the others, which may hold it up, none is due.
	$sql->("select id from job_claim('{import-csv}', max_jobs => 100, lease => '300 ms')");
	return eventually($node, 'postgres', "select status from jobs where id = '$job'",
		'pending', $name, $seconds // 20);
};

subtest 'comes and goes' => sub {
	# At start one looks for the extension, and leaves.
	eventually($node, 'postgres', "select count(*) from pg_stat_activity where backend_type = 'jobs_ext worker'",
		'0', 'without the extension there is none');
	$sql->('begin; create extension jobs_ext; rollback');
	$sql->('begin; savepoint s; create extension jobs_ext; rollback to s; commit');
	my $began = time;
	$sql->('create extension jobs_ext');
	my $pid = worker_serves($node, 'postgres', 'it comes when the extension is made', seconds => 5);
	note(sprintf 'after %.2f s', time - $began);
	$round->();
	$sql->('begin; drop extension jobs_ext cascade; rollback');
	$sql->('begin; drop extension jobs_ext cascade; create extension jobs_ext; rollback');
	$round->();
	is(worker_of($node, 'postgres'), $pid, 'a DROP EXTENSION that is rolled back leaves it');
	$began = time;
	$sql->('drop extension jobs_ext cascade');
	worker_leaves($node, 'postgres', 'it goes when the extension is dropped', 5);
	note(sprintf 'after %.2f s', time - $began);
	is_deeply([ sql_states($node, 'postgres', 'table jobs_ext.maintenance') ], ['42P01'], '… and the view with it');

	# Dropped and made at once, again and again.
	$sql->("create extension jobs_ext; drop extension jobs_ext cascade; create extension jobs_ext;") for 1;
	$sql->("drop extension jobs_ext cascade; create extension jobs_ext; select pg_sleep(random() * 0.05)") for 1 .. 8;
	worker_serves($node, 'postgres', 'made again, it is back');
	$is_reaped->('… and works');
	$sql->('begin; drop extension jobs_ext cascade; create extension jobs_ext; commit');
	$is_reaped->('dropped and made in one transaction: it works');

	$sql->('drop extension jobs_ext cascade');
	worker_leaves($node, 'postgres', 'gone');
	$sql->("begin; create extension jobs_ext; prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	worker_serves($node, 'postgres', 'it comes when a prepared CREATE EXTENSION is committed');
	$is_reaped->('… and works');
	is($sql->("select count(*) from pg_stat_activity where backend_type = 'jobs_ext worker'"), '1', 'there is one');
};

# Meanwhile, somebody has the tables of another database for a minute.
$sql->('create database locked');
$node->safe_psql('locked', 'create extension jobs_ext');
my $locked_pid = worker_serves($node,
	'locked', 'there is a worker for a database whose tables are going to be locked');
my $locked_job = $node->safe_psql('locked', "select id from job_enqueue('import-csv', retry_delay_ms => 0)");
$node->safe_psql('locked', "select job_claim('{import-csv}', lease => '1 s')");
my $locker = $node->background_psql('locked');
my ($locked_since, $locked_from) = (time, -s $node->logfile);
$locker->query_safe('begin; lock table jobs, job_types, job_attempts, jobs_ext.queue in access exclusive mode');

subtest 'what it says' => sub {
	my $pid = worker_of($node, 'postgres');
	eventually($node, 'postgres',
		"select application_name, datname, usename = current_user, state, query
			from pg_stat_activity where pid = $pid",
		'jobs_ext worker|postgres|t|idle|asleep until something is due', 'in pg_stat_activity');
	is($sql->("select application_name, datname is null, count(*)
		from pg_stat_activity where backend_type = 'jobs_ext launcher' group by 1, 2"),
		'jobs_ext launcher|t|1', '… the launcher too');
	is($status->("pid = $pid, started_at <= last_round_at, last_round_at > now() - interval '30 s',
		last_error_at is null, last_error is null, next_start_at is null"),
		't|t|t|t|t|t', 'in jobs_ext.maintenance');
	$sql->("select job_enqueue('import-csv', run_at => now() + interval '10 min');
		select job_claim(lease => '5 min')");
	my $expected = $sql->("select job_enqueue('import-csv') \\g /dev/null
		select lease_expires_at from job_claim(lease => '2 min')");
	eventually($node, 'postgres',
		"select next_due_at = '$expected' from jobs_ext.maintenance where database = 'postgres'",
		't', 'when it is due next');

	my @before = split /\|/, $status->('reaped, retried, failed, cancelled, expired');
	$sql->(<<'SQL');
select job_enqueue('bulk-update', max_retries => r, retry_delay_ms => 3600000) from unnest('{1, 0, 1}'::int[]) r;
select job_enqueue('image-upload', expires_at => now() + interval '300 ms');
select job_cancel(id) from job_claim('{bulk-update}', max_jobs => 3, lease => '300 ms') where max_retries = 1 limit 1;
SQL
	my $cancelled = $sql->("select count(*) from jobs
		where job_type = 'bulk-update' and cancel_requested_at is not null");
	is($cancelled, '1', 'of three jobs one is to be cancelled');
	eventually($node, 'postgres', <<"SQL", '3|1|1|1|1', 'what it did is counted');
select reaped - $before[0], retried - $before[1], failed - $before[2], cancelled - $before[3], expired - $before[4]
from jobs_ext.maintenance where database = 'postgres'
SQL
	like(join("\n", log_lines($node, qr/leases ran out/)), qr/jobs_ext: .*leases ran out/, 'and written in the log');
	set_config($node, 'jobs_ext.maintenance_interval' => "'1h'");
	$sql->("select pg_stat_reset_single_table_counters('job_attempts'::regclass)");
	$is_reaped->('with a maintenance_interval of an hour, a lease ends when it ends');
	eventually($node, 'postgres',
		"select n_tup_ins >= 1 from pg_stat_user_tables where relid = 'job_attempts'::regclass",
		't', 'what it wrote is in the statistics');
	set_config($node, 'jobs_ext.maintenance_interval' => "'1s'");

	# Who may see it.
	$sql->(<<'SQL');
create role sees login;
create role produces login;
create role watches login;
select jobs_ext.grant_role('sees', 'monitor'), jobs_ext.grant_role('produces', 'producer');
grant pg_read_all_stats to watches;
SQL
	my $look = "select count(*) > 0 from jobs_ext.maintenance";
	is($sql->("set role sees; $look"), 't', 'a monitor may see it');
	is((sql_states($node, 'postgres', 'set role produces', $look))[1], '42501', 'a producer may not');
};

subtest 'its own errors' => sub {
	set_config($node, 'jobs_ext.maintenance_interval' => "'200ms'");
	$round->();
	for my $damage ([ 'a column of jobs renamed',
						'alter table jobs rename column lease_id to other',
						'alter table jobs rename column other to lease_id' ],
		[ 'a trigger disabled',
			'alter table jobs disable trigger jobs_ext_after_row',
			'alter table jobs enable trigger jobs_ext_after_row' ],
		[ 'the index of the queue gone',
			'alter table jobs_ext.queue drop constraint queue_pkey',
			'alter table jobs_ext.queue add primary key (lane, rank, due_at, job)' ])
	{
		my ($name, $break, $mend) = @$damage;
		my $from = $log_end->();
		my $pid = worker_of($node, 'postgres');
		my $before = $status->("coalesce(last_error_at, '-infinity')");
		$sql->("select job_enqueue('import-csv'); select job_claim('{import-csv}', lease => '500 ms')");
		$sql->($break);
		eventually($node, 'postgres',
			"select last_error_at > '$before' from jobs_ext.maintenance where database = 'postgres'",
			't', "$name: the view says that something went wrong");
		my ($message, $state) = split /\|/, $status->('last_error, state');
		note("$name: $message; $state");
		sleep 3;    # for lines that should not come
		cmp_ok(scalar(log_lines($node, qr/ WARNING:  .*jobs_ext| ERROR: /, $from)), '<=', 6, '… no flood in the log');
		like(join("\n", log_lines($node, qr/WARNING:.*jobs_ext: .* failed/, $from)), qr/failed: /, '… but a line');
		$sql->($mend);
		$is_reaped->('… and it recovers', 60);
		is(worker_of($node, 'postgres'), $pid, '… without another process');
	}

	# A trigger of the user's that refuses one job.
	$sql->(<<'SQL');
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'never %', old.job_id; end $$;
create trigger refuse before update on jobs
  for each row when (old.job_id = 'refused' and new.status <> 'in_progress') execute function refuse();
select job_enqueue('import-csv', job_id => 'refused');
select job_claim('{import-csv}', lease => '300 ms');
SQL
	my $from = $log_end->();
	$sql->("select pg_sleep(0.3)");
	$is_reaped->('a job that a trigger refuses keeps no other from its end');
	sleep 2;
	my $lines = log_lines($node, qr/never refused/, $from);
	cmp_ok($lines, '<=', 4, "… and fills no log: $lines lines");
	cmp_ok($lines, '>', 0, '… but is in it');
	$sql->('drop trigger refuse on jobs');
	eventually($node, 'postgres', "select status <> 'in_progress' from jobs where job_id = 'refused'",
		't', '… and has its turn when the trigger is gone', 120);
	in_step($node, 'postgres', 'in step');
};

subtest 'a worker that dies' => sub {
	my $sleeper = start_session($node, 'postgres', "select count(*) from job_claim('{import-csv}', max_jobs => 100)",
		"select job_id, attempt, round(1000 * extract(epoch from clock_timestamp() - run_at))
			from job_claim('{image-upload}', wait => '40 s')");
	$sql->("select job_type_set('image-upload', retry_delay_ms => 0);
		select job_enqueue('image-upload', job_id => 'of a dead worker')");
	gets($sleeper, qr/of a dead worker\|1\|/, 'one is given the job');
	$sql->("select count(*) from jobs j, job_heartbeat(j.id, j.lease_id, lease => '500 ms')
		where j.job_id = 'of a dead worker'");
	my $expires = $sql->("select lease_expires_at from jobs where job_id = 'of a dead worker'");
	my $next = start_session($node,
		'postgres',
		"select job_id, attempt, round(1000 * extract(epoch from clock_timestamp() - '$expires'))
			from job_claim('{image-upload}', wait => '40 s')");
	gets($next, qr/^of a dead worker\|2\|/, 'another one is given it when the lease has ended');
	my ($late) = $next->{out} =~ /(-?\d+)$/;
	note("$late ms after the end of the lease");
	cmp_ok($late, '<', 1000, '… within a second');
};

# The minute is over.
sleep 0.5 while time - $locked_since < 60;
is(worker_of($node, 'locked'), $locked_pid, 'tables are locked for a minute: the worker stays');
is(join("\n", log_lines($node, qr/ locked (?:WARNING|ERROR|FATAL):/, $locked_from)), '', '… quietly');
$locker->query_safe('commit');
$locker->quit;
eventually($node, 'locked', "select status from jobs where id = '$locked_job'",
	'pending', '… and then does what is due', 10);

subtest 'locked rows' => sub {
	set_config($node, 'jobs_ext.maintenance_interval' => "'1h'");
	my $id = $sql->("select id from job_enqueue('import-csv', retry_delay_ms => 0)");
	$sql->("select job_claim('{import-csv}', max_jobs => 100, lease => '500 ms')");
	$sql->("begin; select 1 from jobs where id = '$id' for update; select pg_sleep(2); commit");
	eventually($node, 'postgres', "select status from jobs where id = '$id'",
		'pending', 'a job that was locked at the end of its lease is reaped soon after', 15);

	# More than a piece: all of them locked.
	$sql->("select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'bulk-update'))
				from generate_series(1, 1200)))");
	my $locker = $node->background_psql('postgres');
	$sql->("select count(*) from job_claim('{bulk-update}', max_jobs => 10000, lease => '1 s')");
	$locker->query_safe("begin;
		select count(*) from (select 1
							  from jobs where job_type = 'bulk-update' and status = 'in_progress' for update) l");
	$sql->('select pg_sleep(1.5)');
	my $cpu = cpu_of(worker_of($node, 'postgres'));
	my $other = $is_reaped->('many jobs that are locked keep no other from its end');
	sleep 3;
	$cpu = cpu_of(worker_of($node, 'postgres')) - $cpu;
	cmp_ok($cpu, '<', 1.5, "… nor does it look for them all the time: $cpu s of processor");
	$locker->query_safe('commit');
	$locker->quit;
	eventually($node, 'postgres',
		"select count(*) from jobs
			where job_type = 'bulk-update' and status = 'in_progress' and lease_expires_at < now()",
		'0', '… and they have their turn');
	set_config($node, 'jobs_ext.maintenance_interval' => "'1s'");
};

subtest 'signals' => sub {
	my $pid = worker_of($node, 'postgres');
	my $of_launcher = $launcher->();
	my $from = $log_end->();
	for (1 .. 5)
	{
		$sql->("select pg_cancel_backend($pid), pg_cancel_backend($of_launcher)");
		sleep 0.1;
	}
	$is_reaped->('a cancel is harmless: it goes on');
	is(worker_of($node, 'postgres'), $pid, '… the same process');
	is($launcher->(), $of_launcher, '… and the same launcher');
	is(scalar(log_lines($node, qr/ERROR|FATAL|exit code/, $from)), 0, '… and nothing in the log');

	$sql->("select pg_terminate_backend($pid)");
	$pid = worker_serves($node, 'postgres', 'terminated, another one comes', not => $pid);
	$is_reaped->('… and works');
	$sql->("select pg_terminate_backend($of_launcher)");
	eventually($node, 'postgres',
		"select count(*) from pg_stat_activity where backend_type = 'jobs_ext launcher' and pid <> $of_launcher",
		'1', 'the launcher comes back');
	is(worker_of($node, 'postgres'), $pid, '… and leaves the worker alone');
	# Both, and again at once.
	for (1 .. 3)
	{
		$sql->("select pg_terminate_backend(pid) from pg_stat_activity where backend_type like 'jobs_ext%'");
		sleep 0.2;
	}
	worker_serves($node, 'postgres', 'both terminated, again and again: it comes back', seconds => 60);
	$is_reaped->('… and works');
	eventually($node, 'postgres',
		"select count(*) from pg_stat_activity where backend_type = 'jobs_ext worker' and datname = 'postgres'",
		'1', '… and there is one');
};

# The library is newer than its SQL.
my $from = -s $node->logfile;
my $version = $sql->("select extversion from pg_extension where extname = 'jobs_ext'");
$sql->("update pg_extension set extversion = '0.1' where extname = 'jobs_ext'");
eventually($node, 'postgres', "select state from jobs_ext.maintenance where database = 'postgres'",
	'waiting for ALTER EXTENSION jobs_ext UPDATE', 'another version: it waits');
sleep 2.5;
is(scalar(log_lines($node, qr/WARNING|ERROR|FATAL/, $from)), 0, '… quietly');
is($status->('coalesce(last_error_at > now() - interval \'2 s\', false)'), 'f', '… without an error');
$sql->("update pg_extension set extversion = '$version' where extname = 'jobs_ext'");
$is_reaped->('… and goes on after the update');
in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
