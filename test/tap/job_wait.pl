# job_wait, and what sleepers do where no worker is; NOTIFY.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node(
	'job_wait',
	allows_streaming => 1,
	max_prepared_transactions => 10,
	'jobs_ext.maintenance_interval' => "'1h'",
	autovacuum => 'off');
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $asleep = sub { return fall_asleep($node, 'postgres', @_) };
my $new = sub {
	my ($id, $lease) = split /\|/, $sql->(<<"SQL");
select id from job_enqueue('import-csv', job_id => '$_[0]', max_retries => 1) \\gset
select id, lease_id from job_claim(lease => '1 day')
SQL
	return ($id, $lease);
};
worker_serves($node, 'postgres', 'there is a worker');

# Each way to end.
my $number = 0;
for my $way ([ 'job_complete', 'completed', "select (job_complete(ID, LEASE)).status" ],
	[ 'job_next', 'completed', "select job_next(ID, LEASE)" ],
	[ 'job_finish_many',
		'completed',
		"select job_finish_many(jsonb_build_array(jsonb_build_object('id', ID, 'lease_id', LEASE,
					'complete', null)))" ],
	[ 'job_fail for good', 'failed', "select (job_fail(ID, LEASE, permanent => true)).status" ],
	[ 'job_cancel with force', 'cancelled', "select job_cancel(ID, force => true)" ],
	[ 'a cancel that the worker follows', 'cancelled', "select job_cancel(ID); select (job_fail(ID, LEASE)).status" ],
	[ 'job_release after a cancel', 'cancelled', "select job_cancel(ID); select (job_release(ID, LEASE)).status" ],
	[ 'an UPDATE', 'completed', "update jobs set status = 'completed' where id = ID" ],
	[ 'an UPDATE in a savepoint',
		'completed', "begin; savepoint s; update jobs set status = 'completed' where id = ID; release s; commit" ],
	[ 'a DELETE', '', "delete from jobs where id = ID" ], [ 'a TRUNCATE', '', "truncate jobs" ],
	[ 'the statement path',
		'completed', "set jobs_ext.force_statement_path = on; select (job_complete(ID, LEASE)).status" ],
	[ 'a lease that runs out for the last time',
		'failed',
		"update jobs set retries = max_retries
			where id = ID; select (job_heartbeat(ID, LEASE, lease => '200 ms')).status" ],
	[ 'one transaction with many', 'completed', "update jobs set status = 'completed' where status = 'in_progress'",
		100 ])
{
	my ($what, $status, $end, $others) = @$way;
	$sql->("select job_enqueue('import-csv')
		from generate_series(1, $others); select count(*) from job_claim(max_jobs => $others)") if $others;
	my $key = 'wait-' . ++$number;
	my ($id, $lease) = $new->($key);
	my $by_id = $asleep->("select status from job_wait('$id', wait => NAP)");
	my $by_job_id = $asleep->("select status from job_wait(job_id => '$key', wait => NAP)");
	$sql->($end =~ s/ID/'$id'/gr =~ s/LEASE/'$lease'/gr);
	gets($by_id, $status, "woken by $what");
	gets($by_job_id, $status, '… by job_id as well');
}

# What does not end it.
my ($id, $lease) = $new->('goes on');
my $sleeper = $asleep->("select status from job_wait('$id', wait => NAP)");
my $complete = "select (job_complete('$id', '$lease')).status";
for my $way (
	"select job_enqueue('import-csv')", 'select count(*) from job_claim()',
	"begin; $complete; rollback", "begin; savepoint s; $complete; rollback to s; commit",
	"begin; $complete; prepare transaction 'p'", "rollback prepared 'p'",
	"select job_heartbeat('$id', '$lease', '{}')", "update jobs set metadata = '{}' where id = '$id'",
	"select count(*) from jobs j, job_complete(j.id, j.lease_id) where j.status = 'in_progress' and j.id <> '$id'")
{
	# After ROLLBACK PREPARED the worker has those who wait for an end look, and they sleep again.
	if ($way =~ /rollback prepared/)
	{
		my $before = switches($sleeper);
		$sql->($way);
		my $end = time + 20;
		sleep 0.02 until switches($sleeper) =~ /^\d+$/ && switches($sleeper) ne $before || time > $end;
	}
	else { sleeps_on([$sleeper], sub { $sql->($way) }, "not woken by: " . ($way =~ s/'[0-9a-f-]{36}'/…/gr)) }
}
$sql->("select (job_fail('$id', '$lease', run_at => now())).status");
ok($sleeper->{psql}->pumpable, 'nor by a failure that is tried again');
$lease = $sql->("select lease_id from job_claim()");
$sql->("select (job_complete('$id', '$lease')).status");
gets($sleeper, 'completed', 'woken by the end of the next attempt');

# Without any wait.
my $at_once = sub {
	my ($call, $expected, $name) = @_;
	return gets(start_session($node, 'postgres', "select status from job_wait($call, wait => '40 s')"),
		$expected, $name);
};
$at_once->("'$id'", 'completed', 'one that has ended answers at once');
$at_once->("job_id => 'goes on'", 'completed', '… by job_id as well');
$sql->("insert into jobs_archive (id, job_id, job_type, status, created_at, finished_at)
	select id, 'archived', job_type, status, created_at, finished_at from jobs where id = '$id';
	delete from jobs where id = '$id'");
$at_once->("'$id'", 'completed', 'one that was archived answers at once');
$at_once->("job_id => 'archived'", 'completed', '… by job_id as well');
my ($archived, $its_lease) = $new->('on its way');
$sleeper = $asleep->("select status from job_wait('$archived', wait => NAP)");
$sql->("begin;
	select (job_complete('$archived', '$its_lease')).status;
	insert into jobs_archive (id, job_id, job_type, status, created_at, finished_at)
	select id, job_id, job_type, status, created_at, finished_at from jobs where id = '$archived';
	delete from jobs where id = '$archived';
	commit");
gets($sleeper, 'completed', 'one that ends and is archived in one transaction');
is_deeply([ sql_states($node, 'postgres', "select job_wait('$archived', 'both')", 'select job_wait()',
				"select job_wait(gen_random_uuid(), wait => '40 s')",
				"select job_wait(job_id => 'nothing', wait => '40 s')",
				"select job_wait('$archived', wait => '-1 s')") ],
	[ '22023', '22023', 'PT404', 'PT404', '22023' ], 'refused');

# Row security: a policy that asks a function of its own, whose errors are caught inside.
my ($visible, $lease_of_visible) = $new->('visible');
my ($hidden) = $new->('hidden');
$sql->(<<'SQL');
create role viewer login;
select jobs_ext.grant_role('viewer', 'monitor');
create function may_see(key text) returns boolean language plpgsql as $$
begin
  perform 1 / 0;
exception when division_by_zero then
  return key <> 'hidden';
end $$;
alter table jobs enable row level security;
create policy seen on jobs for select to viewer using (may_see(job_id));
SQL
my $as_viewer = "set jobs_ext.max_wait_authenticated = '1min'; set role viewer";
is((sql_states($node, 'postgres', $as_viewer, "select job_wait('$hidden', wait => '40 s')"))[1],
	'PT404', 'row security hides');
$sleeper = $asleep->($as_viewer, "select status from job_wait('$visible', wait => NAP)");
my $other = $asleep->($as_viewer, "select status from job_wait(job_id => 'visible', wait => NAP)");
$sql->("select (job_complete('$visible', '$lease_of_visible')).status");
gets($sleeper, 'completed', '… and shows the end of what it shows');
gets($other, 'completed', '… by job_id as well');

# A role under row security waits no longer than jobs_ext.max_wait_authenticated, whatever it asks for.
my ($unfinished) = $new->('unfinished');
my $lasts = sub {
	my ($node, @statements) = @_;
	my $began = time;
	my $session = start_session($node, 'postgres', @statements);
	my $answer = end_session($session);
	return ($answer, $session->{err}, time - $began);
};
my $wait_for_it = "select status from job_wait('$unfinished', wait => '15 s')";
my ($status, $said, $seconds) = $lasts->($node, 'set role viewer', $wait_for_it);
is($status, 'in_progress', 'row security: a wait ends with the job as it stands');
ok($seconds >= 1.9 && $seconds < 12, '… after the 2 s of max_wait_authenticated') or diag($seconds);
for my $way ([ "set jobs_ext.max_wait_authenticated = '300ms'; set role viewer", 0.25 ],
	[ "set jobs_ext.max_wait = '300ms'; set jobs_ext.max_wait_authenticated = '1min'; set role viewer", 0.25 ],
	[ 'set jobs_ext.max_wait_authenticated = 0; set role viewer', 0 ])
{
	($status, $said, $seconds) = $lasts->($node, $way->[0], $wait_for_it);
	ok($status eq 'in_progress' && $seconds >= $way->[1] && $seconds < 12, "… $way->[0]") or diag("$status $seconds");
}
like($said, qr/NOTICE:  the call does not wait\nDETAIL:  jobs_ext.max_wait_authenticated is 0/, '… which is said');
is_deeply(
	[ sql_states($node, 'postgres', 'set role viewer', "set jobs_ext.max_wait_authenticated = '1min'") ],
	[ '00000', '42501' ],
	'… and nobody raises it for himself');
($status, $said, $seconds) = $lasts->(
	$node, 'set jobs_ext.max_wait_authenticated = 0',
	"select status from job_wait('$unfinished', wait => '1 s')");
ok($status eq 'in_progress' && $seconds >= 0.95 && $said eq '', '… it is not for who is above row security');
$sleeper = $asleep->('set role viewer', "select status from job_wait('$unfinished', wait => NAP)");
$sql->("update jobs set status = 'completed' where id = '$unfinished'");
gets($sleeper, 'completed', '… and an end in time is told');
$sql->('drop policy seen on jobs; alter table jobs disable row level security');

# On a standby, where nobody wakes; it has no worker.
($id, $lease) = $new->('replicated');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby_wait');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$sleeper = fall_asleep($standby, 'postgres', "select status from job_wait('$id', wait => NAP)");
$sql->("select (job_complete('$id', '$lease')).status");
gets($sleeper, 'completed', 'a standby notices the end');
is($standby->safe_psql('postgres', "select count(*) from pg_stat_activity where backend_type like 'jobs_ext%'"),
	'0', '… and has no worker');
$standby->stop;

# NOTIFY, off and on.
sub heard
{
	my ($listener, $count, $name) = @_;
	my $heard = 0;
	my $end = time + 30;
	while (time < $end)
	{
		$heard += () = $listener->query('select 1') =~ /Asynchronous notification "jobs"/g;
		last if $heard >= $count;
		sleep 0.1;
	}
	return is($heard, $count, $name);
}
my $listener = $node->background_psql('postgres');
$listener->query('listen jobs');
$sql->("select job_enqueue('import-csv')");
$sql->("select job_enqueue('import-csv', run_at => now() + interval '100 ms')");
set_config($node, 'jobs_ext.maintenance_interval' => "'100ms'");
my $rounds = status_of($node, 'postgres', 'rounds');
$node->poll_query_until('postgres',
	"select rounds > $rounds + 5 from jobs_ext.maintenance where database = 'postgres'");
is(status_of($node, 'postgres', 'notified'), '0', 'jobs_ext.notify is off');
$sql->('select count(*) from job_claim(max_jobs => 1000)');
set_config($node, 'jobs_ext.maintenance_interval' => "'1h'", 'jobs_ext.notify' => 'on');
eventually($node, 'postgres', 'show jobs_ext.notify', 'on', 'jobs_ext.notify is on');
$rounds = status_of($node, 'postgres', 'rounds');
$sql->("begin; select job_type_set('import-csv', description => 'x'); commit");    # a round by all means
$node->poll_query_until('postgres', "select rounds > $rounds from jobs_ext.maintenance where database = 'postgres'");
my $before = status_of($node, 'postgres', 'notified');
$sql->("begin;
	select job_enqueue('import-csv') from generate_series(1, 500);
	select job_enqueue('bulk-update') from generate_series(1, 500);
	commit");
heard($listener, 1, 'one notification for 1000 jobs');
eventually($node, 'postgres', "select notified - $before from jobs_ext.maintenance where database = 'postgres'",
	'1', '… and the view counts it');
$sql->("select job_enqueue('import-csv', run_at => now() + interval '1 s')");
heard($listener, 1, 'one for a job that becomes due');

# Due while the tables are locked, and found by a round that looks at everything.
my $locker = $node->background_psql('postgres');
$locker->query_safe('begin; lock table jobs_ext.queue in access exclusive mode');
my $blocked = start_session($node,
	'postgres', "select null from job_enqueue('bulk-update', run_at => now() + interval '200 ms')");
set_config($node, 'jobs_ext.maintenance_interval' => "'100ms'");
sleep 1.5;    # that the worker meets the lock is likely, not needed
$locker->query_safe('commit');
end_session($blocked);
heard($listener, 1, 'one for a job that came due behind a lock');
eval { $_->quit } for $locker, $listener;

# No worker: sleepers poll, whatever becomes due.
set_config($node, 'jobs_ext.exclude_databases' => "'*'", 'jobs_ext.notify' => 'off');
worker_leaves($node, 'postgres', 'excluded, the worker leaves');
$sql->('select count(*) from job_claim(max_jobs => 10000)');
my $claim = "select job_id from job_claim(wait => NAP)";
$sleeper = $asleep->($claim);
$sql->("select job_enqueue('import-csv', job_id => 'now')");
gets($sleeper, 'now', 'without a worker: a new job');
$sleeper = $asleep->($claim);
$sql->("select job_enqueue('import-csv', job_id => 'soon', run_at => now() + interval '500 ms')");
gets($sleeper, 'soon', '… a delayed one');
$sleeper = $asleep->($claim);
$sql->("begin; select job_enqueue('import-csv', job_id => 'prepared'); prepare transaction 'p'");
$sql->("commit prepared 'p'");
gets($sleeper, 'prepared', '… a prepared one');
($id, $lease) = split /\|/, $sql->("select id, lease_id from jobs where job_id = 'prepared'");
$sleeper = $asleep->("select status from job_wait('$id', wait => NAP)");
$sql->("select (job_complete('$id', '$lease')).status");
gets($sleeper, 'completed', '… and an end');

# And one that leaves while somebody sleeps.
set_config($node, 'jobs_ext.exclude_databases' => "''", 'jobs_ext.maintenance_interval' => "'1h'");
worker_serves($node, 'postgres', 'the worker is back');
$sleeper = $asleep->($claim);
set_config($node, 'jobs_ext.exclude_databases' => "'other, postgres'");
worker_leaves($node, 'postgres', 'excluded by name, it leaves');
$sql->("select job_enqueue('import-csv', job_id => 'after it left', run_at => now() + interval '300 ms')");
gets($sleeper, 'after it left', '… and who slept polls from now on');
in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;

# Not preloaded. (standby_or_not_preloaded.pl has job_claim.)
$node = new_node('wait_plain', shared_preload_libraries => "''");
($id, $lease) = $new->('plain');
$sleeper = $asleep->("select status from job_wait(job_id => 'plain', wait => NAP)");
is($sql->("select count(*) from pg_locks where pid = $sleeper->{pid} and locktype in ('relation', 'transactionid')"),
	'0', 'not preloaded: holds nothing');
$sql->("select (job_complete('$id', '$lease')).status");
gets($sleeper, 'completed', '… and notices the end');
is($sql->('select database, pid, state from jobs_ext.maintenance'),
	'postgres||not in shared_preload_libraries: call job_maintain()', '… the view says who does not work');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
