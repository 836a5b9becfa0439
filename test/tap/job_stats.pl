# The statistics of job types (job_stats) over restarts and crashes, of several databases, beyond their room, and of
# long queues.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use Test::More;

my $node = new_node('stats', max_prepared_transactions => 2, autovacuum => 'off', 'jobs_ext.max_counted_types' => 4,
	'jobs_ext.statistics_interval' => "'1h'", 'jobs_ext.maintenance_interval' => "'200ms'");
my $sql = sub { return $node->safe_psql('postgres', @_) };
$sql->("select job_type_set(t) from unnest('{a,b,c,d,e,f}'::text[]) t");

# What is counted of a type, and how many wait and run.
sub stats
{
	my ($database, $type, $columns) = @_;
	$columns //= 'waiting, due, running, enqueued, claimed, completed';
	return $node->safe_psql($database, "select concat_ws(' ', $columns) from job_stats('$type')");
}

# So many jobs that are due, and so many that are not.
sub enqueue
{
	my ($database, $type, $due, $later) = @_;
	return $node->safe_psql($database, <<"SQL");
select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', '$type', 'run_at',
  case when n <= $due then now() - n * interval '1 s' else now() + interval '1 day' end))
  from generate_series(1, $due + $later) n))
SQL
}

sub complete
{
	my ($type, $count) = @_;
	return $sql->("select count(job_complete(c.id, c.lease_id)) from job_claim('{$type}', max_jobs => $count) c");
}

# The worker has looked at everything twice since.
sub rounds_pass
{
	my $rounds = status_of($node, 'postgres', 'rounds') + 3;
	return $node->poll_query_until('postgres',
		"select rounds >= $rounds from jobs_ext.maintenance where database = 'postgres'");
}

worker_serves($node, 'postgres', 'there is a worker');
enqueue('postgres', 'a', 10, 5);
complete('a', 3);
$sql->("select job_claim('{a}', 2)");
is(stats('postgres', 'a'), '10 5 2 15 5 3', 'what was done is counted');
my $quantiles = stats('postgres', 'a', 'wait_p50, wait_p99, run_p50, counted_since');
like($quantiles, qr/^\S+ \S+ \S+ 20\S+ \S+$/, 'and timed');

# A restart keeps it, and goes on.
$node->restart;
eventually($node, 'postgres', q{select enqueued from job_stats('a')}, 15, 'after a restart it is there again');
is(stats('postgres', 'a'), '10 5 2 15 5 3', 'all of it');
is(stats('postgres', 'a', 'wait_p50, wait_p99, run_p50, counted_since'), $quantiles, 'and the times');
complete('a', 1);
is(stats('postgres', 'a'), '9 4 2 15 6 4', 'and it goes on');
$node->stop('immediate');
$node->start;
eventually($node, 'postgres', q{select completed from job_stats('a')}, 3,
	'a stop in the middle loses what came since it was written down');
is(stats('postgres', 'a'), '9 4 2 15 5 3', 'but for what waits and runs');

# The worker alone ends: nothing is counted twice.
my $worker = worker_serves($node, 'postgres', 'there is a worker');
complete('a', 1);
$sql->("select pg_terminate_backend($worker)");
worker_serves($node, 'postgres', 'there is another one', not => $worker);
rounds_pass();
is(stats('postgres', 'a'), '8 3 2 15 6 4', 'what another worker finds written is not counted once more');

# In a while, too.
set_config($node, 'jobs_ext.statistics_interval' => "'1s'");
eventually($node, 'postgres', q{select counts[2] from jobs_ext.statistics where lane =
  (select lane from jobs_ext.lanes where job_type = 'a')}, 6, 'it is written down by and by');
my $rows = q{select count(*), sum((xmin::text)::bigint) from jobs_ext.statistics};
my $before = $sql->($rows);
rounds_pass() for 1 .. 3;    # more than a second
is($sql->($rows), $before, 'and no row of it where nothing came');
set_config($node, 'jobs_ext.statistics_interval' => "'1h'");

# Also while the queue cannot be counted: somebody has locked it, and then it becomes doubtful.
my $written = q{select counts[2] from jobs_ext.statistics join jobs_ext.lanes using (lane) where job_type = 'a'};
enqueue('postgres', 'a', 6, 0);
complete('a', 1);
is($sql->($written), 6, 'what came is not written down yet');
$sql->(q{begin; lock table jobs_ext.failed in row exclusive mode; prepare transaction 'p'});
my $locked = hold($node, 'postgres', 'lock table jobs_ext.queue in access exclusive mode');
$sql->(q{commit prepared 'p'});
set_config($node, 'jobs_ext.statistics_interval' => "'1s'");
eventually($node, 'postgres', $written, 7, 'statistics are written down while the queue is locked');
is(status_of($node, 'postgres', 'state'), 'waiting for a lock on the tables', 'which the worker has met');
let_go($locked);
set_config($node, 'jobs_ext.statistics_interval' => "'1h'");

# A worker that is told to end, again and again until it is gone, writes down all the same. It is told in its sleep.
set_config($node, 'jobs_ext.maintenance_interval' => "'1h'");
for my $count (8 .. 10)
{
	complete('a', 1);
	my $worker = worker_serves($node, 'postgres', 'there is a worker');
	$node->poll_query_until('postgres', <<"SQL") or die 'it does not sleep';
select wait_event_type = 'Extension' and state is distinct from 'active' from pg_stat_activity where pid = $worker
SQL
	sleep 0.5;    # it hears of the commit, and sleeps on
	1 while kill 'TERM', $worker;
	is($sql->($written), $count, 'a worker that is told to end once and again writes down what came');
}
set_config($node, 'jobs_ext.maintenance_interval' => "'200ms'");

# Crash of a backend: all processes and shared memory begin anew.
log_is_clean($node, 'no crash before that on purpose, no internal error, no deadlock');
complete('a', 1);
my $victim = start_session($node, 'postgres', 'select pg_sleep(100)');
kill 'KILL', $victim->{pid};
ok(server_is_back($node), 'the server comes back after a crash');
eventually($node, 'postgres', q{select completed from job_stats('a')}, 8, 'with what was written down');
is(stats('postgres', 'a'), '9 4 2 21 10 8', 'of what waits and runs nothing is lost');
$node->rotate_logfile;
$node->restart;

# A long queue: the depth is known without reading it.
sub reads
{
	my ($statement) = @_;
	my $read = "select idx_tup_read from pg_stat_all_indexes where indexrelid = 'jobs_ext.queue_pkey'::regclass";
	my $before = $sql->($read);
	$sql->($statement);
	return $sql->($read) - $before;
}
my $known = q{select waiting, due, running from job_stats('b')};
for my $case ([ 20_000, 10, 'many that are due' ], [ 30, 20_000, 'many that are not' ])
{
	my ($due, $later, $name) = @$case;
	$sql->('truncate jobs');
	enqueue('postgres', 'b', $due, $later);
	eventually($node, 'postgres', $known, ($due + $later) . "|$due|0", "$name are told");
	# The worker has read them, once, and its numbers come later than that.
	my $reads;
	for (1 .. 100)
	{
		rounds_pass();
		$reads = reads($known);
		last if $reads < 10_000;
	}
	cmp_ok($reads, '<', 10_000, "and not read: $name");
	$sql->("select count(*) from job_claim('{b}', 20)");
	$sql->("begin; select count(*) from job_claim('{b}', 5); rollback");
	is($sql->($known), ($due + $later - 20) . '|' . ($due - 20) . '|20', "$name: what is claimed is told");
}
$sql->("begin; select count(*) from job_enqueue('b', run_at => now() + '1 day'); prepare transaction 'p'");
is($sql->($known), '20010|10|20', 'a prepared job is not there yet');
$sql->("commit prepared 'p'");
eventually($node, 'postgres', $known, '20011|10|20', 'and is counted after COMMIT PREPARED');
is(stats('postgres', 'b', 'enqueued'), 20010 + 20030, 'not as enqueued');
$sql->('set session_replication_role = replica; delete from jobs where run_at > now()');
$sql->('select jobs_ext.rebuild_queue()');
eventually($node, 'postgres', $known, '10|10|20', 'after a rebuild it is what is there');
$sql->('truncate jobs');
is($sql->($known), '0|0|0', 'and nothing after TRUNCATE');

# Several databases have each their own; those of one that is dropped make room.
$sql->('create database other');
$node->safe_psql('other', 'create extension jobs_ext');
$node->safe_psql('other', "select job_type_set('a'), job_type_set('z')");
worker_serves($node, 'other', 'there is a worker in another database');
enqueue('other', 'a', 3, 0);
enqueue('other', 'z', 1, 0);
is(stats('other', 'a', 'waiting, enqueued'), '3 3', 'another database has its own');
is(stats('postgres', 'a', 'waiting, enqueued'), '0 21', 'and this one keeps its own');

# Four are counted: a, b, and the two of the other database. A fifth is not, and job_stats says so.
enqueue('postgres', 'c', 2, 0);
my ($code, $out, $notice) =
  $node->psql('postgres', q{select waiting, due, enqueued, counted_since from job_stats('c')});
is($out, '2|2||', 'beyond the room nothing is counted but what waits');
like($notice, qr/statistics of some job types are not counted.*Raise jobs_ext\.max_counted_types/s, 'and it is said');
($code, $out, $notice) = $node->psql('postgres', q{select enqueued from job_stats('a')});
is("$out$notice", '21', 'of a type that is counted it is not');
$sql->('drop database other');
eventually($node, 'postgres', q{set client_min_messages = warning; select enqueued from job_stats('d')}, 0,
	'a database that is dropped makes room');
enqueue('postgres', 'd', 4, 0);
is(stats('postgres', 'd', 'waiting, enqueued'), '4 4', 'for another type');
is(stats('postgres', 'a', 'waiting, enqueued'), '0 21', 'and not that of others');

# The extension goes and comes: the numbers of the lanes begin anew, the counts as well.
$sql->('drop extension jobs_ext cascade; create extension jobs_ext');
worker_serves($node, 'postgres', 'the extension is served again');
is($sql->('select sum(enqueued) from job_stats()'), 0, 'a new extension has counted nothing');

# The same in one transaction, by which no look finds it gone: what it counted makes room too.
enqueue('postgres', $_, 1, 0) for qw(a b c d);
$worker = worker_serves($node, 'postgres', 'there is a worker');
$sql->('begin; drop extension jobs_ext cascade; savepoint s; create extension jobs_ext; rollback to s;
  create extension jobs_ext; commit');
enqueue('postgres', $_, 1, 0) for qw(a b c d);
($code, $out, $notice) = $node->psql('postgres',
	q{select sum(enqueued), count(enqueued) filter (where waiting > 0) from job_stats() where waiting > 0});
is($out, '4|4', 'four types are counted after an extension that was made in the transaction that dropped one');
$sql->('begin; savepoint s; drop extension jobs_ext cascade; rollback to s; commit');
is(stats('postgres', 'a', 'enqueued'), 1, 'and stay where that was rolled back');

# Without the library in shared memory.
$node->stop;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
$sql->("select job_type_set('a')");
enqueue('postgres', 'a', 2000, 3);
($code, $out, $notice) =
  $node->psql('postgres', q{select waiting, due, running, enqueued, counted_since, wait_p50 from job_stats('a')});
is($out, '2005|2002|0|||', 'without the library preloaded what waits is counted when it is asked for');
like($notice, qr/the statistics of job types are not counted.*shared_preload_libraries/s, 'and why the rest is not');

log_is_clean($node, 'no crash, no internal error, no deadlock');
done_testing();
