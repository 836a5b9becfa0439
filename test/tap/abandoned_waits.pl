# Calls that wait: what becomes of them when their client is gone, when their worker is declared dead, when as many
# sleep as may, and where waiting would be wrong.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The worker looks at everything once an hour only: a wake that is lost stays lost.
my $node = new_node(
	'abandoned',
	max_prepared_transactions => 10,
	'jobs_ext.max_waiters' => 20,
	'jobs_ext.maintenance_interval' => "'1h'",
	'jobs_ext.auto_register_types' => 'on',
	autovacuum => 'off');
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $asleep = sub { return fall_asleep($node, 'postgres', @_) };
worker_serves($node, 'postgres', 'there is a worker');
$sql->(<<'SQL');
select count(*) from (select job_enqueue(t) from unnest('{a, b}'::text[]) t) e;
select count(*) from job_claim(max_jobs => 10);
select count(*) from (select (job_complete(id, lease_id)).status from jobs) c;
create role one login;
create role two login;
select jobs_ext.grant_role(r, 'worker') from unnest('{one, two}'::name[]) r;
alter role one bypassrls;
alter role two bypassrls;
SQL

my $claim = "select job_id from job_claim('{a}', wait => NAP)";
my $kill_client = sub {
	my ($session) = @_;
	$session->{psql}->signal('KILL');
	eval { $session->{psql}->finish };
	return;
};

subtest 'a client that is killed' => sub {
	for my $interval ('0', '1h')
	{
		set_config($node, client_connection_check_interval => "'$interval'");
		for my $call ($claim, "select job_id from job_wait(job_id => 'watched', wait => NAP)")
		{
			$sql->("select job_enqueue('b', job_id => 'watched')");
			my $session = $asleep->($call);
			$kill_client->($session);
			eventually($node, 'postgres', "select count(*) from pg_stat_activity where pid = $session->{pid}", '0',
				"its session ends, client_connection_check_interval = $interval: $call", 10);
			$sql->("select job_cancel(job_id => 'watched'); delete from jobs where job_id = 'watched'");
		}
		my $dead = $asleep->($claim);
		my $alive = $asleep->($claim);
		$kill_client->($dead);
		$sql->("select job_enqueue('a', job_id => 'for the living $interval')");
		gets($alive, "for the living $interval", 'the job goes to a session whose client is there');
		is($sql->("select attempt from jobs where job_id = 'for the living $interval'"),
			'1', '… and cost one attempt');
	}
	# It is stopped, so that it can't notice before the job is there that its client is gone.
	my $dead = $asleep->($claim);
	kill 'STOP', $dead->{pid};
	$kill_client->($dead);
	$sql->("select job_enqueue('a', job_id => 'nobody has it')");
	kill 'CONT', $dead->{pid};
	eventually($node, 'postgres', "select count(*) from pg_stat_activity where pid = $dead->{pid}",
		'0', 'woken for a job, it looks at its client first', 10);
	is($sql->("select status, attempt from jobs where job_id = 'nobody has it'"), 'queued|0', '… and takes no job');
	is($sql->("select job_id from job_claim('{a}')"), 'nobody has it', '… which is there for others');
	cmp_ok(scalar log_lines($node, qr/FATAL: +connection to client lost/), '>=', 7, 'the log says so each time');
};

subtest 'a worker that is declared dead' => sub {
	my $named = sub { return $asleep->("select job_id from job_claim('{a}', worker => '$_[0]', wait => NAP)") };
	my @dead = map { $named->('w1') } 1 .. 2;
	my $other = $named->('w2');
	my $unnamed = $asleep->($claim);
	sleeps_on([ $other, $unnamed ],
		sub { is($sql->("select job_release_worker('w1')"), '0', 'it held no job') },
		'who has another name sleeps on');
	gets_nothing($_, '… its waiting claims come back without a job') for @dead;
	$sql->("select job_enqueue('a', job_id => 'after')");
	gets($other, 'after', 'no wake was lost');

	# What it held goes back, and not to itself.
	$sql->("select job_enqueue('a', job_id => 'lost')");
	gets($unnamed, 'lost', '… nor this one');
	$sql->("update jobs set status = 'pending', lease_id = lease_id, worker = worker where job_id = 'lost'");
	is($sql->("select job_id from job_claim('{a}', worker => 'w3')"), 'lost', 'a worker holds a job');
	my $again = $named->('w3');
	my $heir = $named->('w4');
	is($sql->("select job_release_worker('w3')"), '1', 'it is declared dead');
	gets_nothing($again, '… its sleeping claim does not take the job again');
	gets($heir, 'lost', '… another one does');

	# Who is declared dead in another database, be it under the same name, ends no wait here; nor do many who are
	# somebody else.
	$sql->('create database elsewhere');
	$node->safe_psql('elsewhere', 'create extension jobs_ext');
	my $here = $named->('w6');
	sleeps_on([$here],
		sub { $node->safe_psql('elsewhere', "select job_release_worker('w6')") },
		'its namesake in another database is another worker');
	$node->safe_psql('elsewhere', "select count(job_release_worker('other ' || n)) from generate_series(1, 10000) n");
	$sql->("select job_enqueue('a', job_id => 'for the namesake')");
	gets($here, 'for the namesake', '… and so are ten thousand others, at whose death it goes on');
	$sql->('drop database elsewhere');
};

subtest 'as many as may are asleep' => sub {
	my $polled = $sql->("select waits_polled from jobs_ext.maintenance where database = 'postgres'");
	my @sleepers;
	push @sleepers, fall_asleep($node, 'postgres', 'set role one', $claim) for 1 .. 18;
	my $counted = sub { return $sql->("select waits_polled - $polled
		from jobs_ext.maintenance where database = 'postgres'") };
	is($counted->(), '0', 'nine tenths of the places are anybody\'s');
	my $late = fall_asleep($node, 'postgres', 'set role one', $claim);
	is($counted->(), '1', 'a role that has places gets none of the last tenth, which is counted');
	my $first = fall_asleep($node, 'postgres', 'set role two', $claim);
	is($counted->(), '1', '… but one that has none does');
	my $looked = sub {
		return slurp_file("/proc/$late->{pid}/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m ? $1 : 0;
	};
	my $before = $looked->();
	sleep 1; # to count what happens in it
	my $looks = $looked->() - $before;
	cmp_ok($looks, '>', 2, "who has no place looks again and again: $looks times");
	cmp_ok($looks, '<', 60, '… and does not spin');
	my $released = start_session($node, 'postgres', 'set role one',
		"select job_id from job_claim('{a}', worker => 'w5', wait => interval '40 s')");
	eventually($node, 'postgres',
		"select waits_polled - $polled from jobs_ext.maintenance where database = 'postgres'",
		'2', 'another one looks by itself');
	$sql->("select job_release_worker('w5')");
	gets_nothing($released, '… and comes back without a job when its worker is declared dead');
	# Places become free: it has one, and is woken as the others.
	end_session($_) for map { $sql->("select pg_cancel_backend($_->{pid})"); $_ } splice @sleepers, 0, 17;
	$sql->("select job_enqueue('a', job_id => 'crowd-' || n) from generate_series(1, 3) n");
	my @got = map { end_session($_) } @sleepers, $late, $first;
	is(join(' ', sort @got), 'crowd-1 crowd-2 crowd-3', 'all that wait have a job, the one without a place too');
};

subtest 'where waiting would be wrong' => sub {
	my $wait = "job_claim('{b}', wait => '20 s')";
	my @ways = (
		[ 'it has written',
			"begin;
				select count(*) from job_enqueue('a', run_at => now() + interval '1 d');
				select count(*) from $wait;
				commit",
			qr/has written/ ],
		[ 'REPEATABLE READ',
			"begin isolation level repeatable read; select count(*) from $wait; commit", qr/not READ COMMITTED/ ],
		[ 'no time left', "set statement_timeout = '300 ms'; select count(*) from $wait", qr/timeout leaves no time/ ],
		[ 'no wait at all', "set jobs_ext.max_wait = 0; select count(*) from $wait", qr/max_wait is 0/ ],
		[ 'the end of a job',
			"begin isolation level serializable;
				select status from job_wait(job_id => 'crowd-1', wait => '20 s'); commit",
			qr/not READ COMMITTED/ ],
	);
	for my $way (@ways)
	{
		my ($name, $statements, $reason) = @$way;
		my $refused = $sql->("select waits_refused from jobs_ext.maintenance where database = 'postgres'");
		my ($out, $err);
		my $began = time;
		$node->psql('postgres', "$statements; $statements", stdout => \$out, stderr => \$err);
		cmp_ok(time - $began, '<', 10, "$name: the call answers at once");
		my @said = $err =~ /NOTICE:  the call does not wait/g;
		is(scalar @said, 1, '… and says so once in a session');
		like($err, $reason, '… with the reason');
		like($err, qr/HINT:/, '… and what to do');
		is($sql->("select waits_refused - $refused from jobs_ext.maintenance where database = 'postgres'"),
			'2', '… and is counted each time');
	}
	my ($out, $err);
	$node->psql('postgres',
		"begin;
			select count(*) from job_enqueue('a', run_at => now() + interval '1 d');
			select count(*) from job_claim('{b}');
			select count(*) from job_claim('{b}', wait => '0');
			commit", stdout => \$out, stderr => \$err);
	unlike($err, qr/NOTICE/, 'a call that asks for no wait says nothing');

	# A look that writes ends the wait as well, and says so. The worker is stopped, since it would cancel the job
	# first.
	my $worker = worker_of($node, 'postgres');
	kill 'STOP', $worker;
	my $cancelled = "select job_enqueue('b', expires_at => clock_timestamp() + interval '300 ms');
		select pg_sleep(0.4); select 'got ' || count(*) from $wait";
	my $looked = $sql->("select waits_refused from jobs_ext.maintenance where database = 'postgres'");
	$node->psql('postgres', "$cancelled; $cancelled", stdout => \$out, stderr => \$err);
	kill 'CONT', $worker;
	my @said = $err =~ /NOTICE:  the call does not wait\nDETAIL:  The look for it has written/g;
	is($sql->("select waits_refused - $looked from jobs_ext.maintenance where database = 'postgres'") . ' ' . @said,
		'2 1', 'a look that cancels an expired job is counted, and says once that it ends the wait');

	# In the same transaction it could not have waited, but had no need to.
	my $refused = $sql->("select waits_refused from jobs_ext.maintenance where database = 'postgres'");
	$node->psql('postgres',
		"begin;
			select job_enqueue('a', job_id => 'at once'); select job_id from job_claim('{a}', wait => '20 s'); commit",
		stdout => \$out, stderr => \$err);
	like($out, qr/^at once$/m, 'a job that is there is claimed without a wait');
	unlike($err, qr/NOTICE/, '… and nothing is said');
	is($sql->("select waits_refused - $refused from jobs_ext.maintenance where database = 'postgres'"),
		'0', '… nor counted');
};

# Two wait for the lock under which the queue is built. The first builds it; the second finds it built, and no job.
subtest 'asleep after the queue was built' => sub {
	$sql->('alter table jobs disable trigger jobs_ext_after_row;
		alter table jobs enable always trigger jobs_ext_after_row');
	my $writer = hold($node, 'postgres', 'lock table jobs in row exclusive mode');
	my @claims = map { start_session($node,
						   'postgres', "select job_id from job_claim('{b}', wait => interval '40 s')") } 1 .. 2;
	eventually($node, 'postgres',
		"select count(*) from pg_locks
			where relation = 'jobs'::regclass and mode = 'ShareRowExclusiveLock' and not granted",
		'2', 'both wait to build it');
	let_go($writer);
	eventually($node, 'postgres',
		"select count(*) from pg_stat_activity
			where pid in ($claims[0]{pid}, $claims[1]{pid}) and wait_event_type = 'Extension'",
		'1', 'one sleeps');
	is($sql->("select count(*) from pg_locks
		where pid in ($claims[0]{pid}, $claims[1]{pid}) and relation = 'jobs'::regclass"),
		'0', '… without a lock on jobs');
	is((sql_states($node, 'postgres', "set lock_timeout = '10 s'",
			"select job_enqueue('b', job_id => 'after the build')"))[1],
		'00000', '… so that others can enqueue');
	is(join('', map { end_session($_) } @claims), 'after the build', '… and has the job');
};

in_step($node, 'postgres', 'the derived tables are in step');
log_is_clean($node, 'the log is clean');
done_testing();
