# Jobs that wait for their children: how soon the worker lets them go on, what crashes and prepared transactions leave,
# what 10 000 children cost, and a server without a worker.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('children', max_prepared_transactions => 5, autovacuum => 'off', max_connections => 30);
my $sql = sub { return $node->safe_psql('postgres', @_) };
worker_serves($node, 'postgres', 'there is a worker');
$sql->(<<'SQL');
select job_type_set('parent'), job_type_set('child');
-- A parent that waits for so many children, of which each is in progress. Returns its id. Those that went on are gone.
create function waiting_parent(children int, key text) returns uuid language plpgsql as $$
declare
  p public.job;
begin
  delete from public.jobs where job_type = 'parent' and status = 'queued';
  perform public.job_enqueue('parent', job_id => key);
  select * into p from public.job_claim('{parent}');
  perform public.job_enqueue('child', job_id => key || ' ' || i, parent_job_id => p.id)
  from generate_series(1, children) i;
  perform public.job_claim('{child}', greatest(children, 1));
  perform public.job_await_children(p.id, p.lease_id);
  return p.id;
end $$;
create function complete(key text) returns text language sql as $$
  select s.status from public.jobs j, public.job_complete(j.id, j.lease_id) s where j.job_id = key
$$;
SQL
my $status = sub { return $sql->("select status from jobs where job_id = '$_[0]'") };

subtest 'soon' => sub {
	$sql->("select waiting_parent(2, 'soon')");
	my $sleeper = fall_asleep($node, 'postgres', "select job_id, attempt from job_claim('{parent}', wait => NAP)");
	sleeps_on([$sleeper], sub { $sql->("select complete('soon 1')") }, 'with one child left nobody is woken');
	my $began = time;
	$sql->("select complete('soon 2')");
	gets($sleeper, 'soon|2', 'a claim that sleeps gets the parent after the last one');
	note(sprintf 'after %.3f s', $sleeper->{ended} - $began);
	cmp_ok($sleeper->{ended} - $began, '<', 2, '… long before anybody looks at all');

	# By each way to leave, after whole rounds in which nobody waited.
	for my $way (
		"select job_fail(id, lease_id, permanent => true) from jobs where job_id = 'KEY 1'",
		"select job_cancel(job_id => 'KEY 1', force => true)",
		"delete from jobs where job_id = 'KEY 1'",
		"update jobs set parent_job_id = null where job_id = 'KEY 1'",
		"begin; savepoint s; select complete('KEY 1'); release s; commit",
		"set jobs_ext.force_statement_path = on; select complete('KEY 1')",
		"begin; select complete('KEY 1'); prepare transaction 'p'; commit prepared 'p'")
	{
		my $key = 'way ' . ++our $ways;
		$sql->("select waiting_parent(1, '$key')");
		eventually($node, 'postgres', "select status from jobs where job_id = '$key'", 'blocked', 'it waits', 2);
		$sql->($way =~ s/KEY/$key/gr);
		eventually($node, 'postgres', "select status from jobs where job_id = '$key'", 'queued', $way, 10);
	}
	$sql->("select waiting_parent(0, 'none')");
	is($status->('none'), 'queued', 'without children at once');
	# Both in one transaction: the look of the call sees the child, which ends before the commit.
	$sql->("begin; select waiting_parent(1, 'one'); select complete('one 1'); commit");
	eventually($node, 'postgres', "select status from jobs where job_id = 'one'", 'queued', 'in one transaction', 10);
	eventually($node, 'postgres', 'select unblocked > 8 from jobs_ext.maintenance', 't', 'the worker counts them');
};

subtest 'the last two end at once' => sub {
	$sql->("select waiting_parent(2, 'two-$_')") for 1 .. 20;
	my @sessions = map {
		my $n = $_;
		start_session($node, 'postgres', map { "select complete('two-$_ $n')" } 1 .. 20)
	} 1 .. 2;
	end_session($_) for @sessions;
	eventually($node, 'postgres', "select count(*) from jobs where job_id like 'two-__' or job_id like 'two-_'
		and status = 'queued'", '20', 'twenty parents go on', 10);
	in_step($node, 'postgres', 'all in step');
};

subtest 'a job that another session holds' => sub {
	$sql->("select waiting_parent(1, 'held')");
	my $holder = hold($node, 'postgres', "select from jobs where job_id = 'held' for key share");
	$sql->("select complete('held 1')");
	is($status->('held'), 'blocked', 'waits while somebody may add a child');
	let_go($holder);
	eventually($node, 'postgres', "select status from jobs where job_id = 'held'", 'queued', 'and goes on then', 10);
};

# COMMIT PREPARED makes jobs wait, and nobody counts them. A child that ends after the worker's look has begun is told
# of all the same. A trigger keeps the look from ending.
subtest 'a child ends while the worker looks after COMMIT PREPARED' => sub {
	$sql->('delete from jobs');
	eventually($node, 'postgres', "select count(*) from jobs_ext.blocked", '0', 'no job waits', 10);
	$sql->(<<'SQL');
create function halt() returns trigger language plpgsql as $$
begin
  if new.job_id = 'first' and old.status = 'blocked' and new.status = 'queued' then
    perform pg_advisory_xact_lock_shared(8);
    while exists (select from pg_locks where locktype = 'advisory' and objid = 7) loop
      perform pg_sleep(0.01);
    end loop;
  end if;
  return new;
end $$;
create trigger halt before update on jobs for each row execute function halt();
select job_enqueue('parent', job_id => key) from unnest(array['first', 'second']) key;
select job_enqueue('child', job_id => j.job_id || ' 1', parent_job_id => j.id)
from job_claim('{parent}', 2) j;
select job_claim('{child}', 2);
begin;
select job_await_children(id, lease_id) from jobs where job_id in ('first', 'second');
prepare transaction 'both';
select complete('first 1');
SQL
	my $holder = hold($node, 'postgres', 'select pg_advisory_xact_lock(7)');
	$sql->("commit prepared 'both'");
	eventually($node, 'postgres', "select count(*) from pg_locks where locktype = 'advisory' and objid = 8", '1',
		'the worker has looked, and lets the first go on', 10);
	is($sql->("select complete('second 1')"), 'completed', 'the child of the second ends');
	let_go($holder);
	eventually($node, 'postgres', "select string_agg(status, ' ') from jobs where job_id in ('first', 'second')",
		'queued queued', 'both go on', 10);
	$sql->('drop trigger halt on jobs');
};

subtest 'a crash between the end of the last child and the parent' => sub {
	$sql->("select waiting_parent(1, 'crash')");
	my $holder = hold($node, 'postgres', "select from jobs where job_id = 'crash' for update");
	$sql->("select complete('crash 1')");
	is($status->('crash'), 'blocked', 'the parent is held back');
	$node->stop('immediate');
	eval { $holder->{psql}->finish };
	$node->start;
	eventually($node, 'postgres', "select status from jobs where job_id = 'crash'", 'queued', 'the parent goes on', 30);

	# The worker alone.
	$sql->("select waiting_parent(1, 'ended')");
	$holder = hold($node, 'postgres', "select from jobs where job_id = 'ended' for update");
	$sql->("select complete('ended 1')");
	my $pid = worker_of($node, 'postgres');
	$sql->("select pg_terminate_backend($pid)");
	worker_serves($node, 'postgres', 'another worker', not => $pid);
	let_go($holder);
	eventually($node, 'postgres', "select status from jobs where job_id = 'ended'", 'queued', 'which looks at all', 30);
	in_step($node, 'postgres', 'all in step');
};

# Two sessions claim and complete them one by one, each in a transaction of its own, while an old snapshot keeps dead
# rows from being forgotten.
subtest 'ten thousand children' => sub {
	my $count = 10000;
	my $works = <<'SQL' =~ s/\n/ /gr;
do $$ declare c public.job; begin loop
select * into c from public.job_claim('{child}'); exit when c.id is null;
perform public.job_complete(c.id, c.lease_id); commit; end loop; end $$
SQL
	my $run = sub {
		my ($parent) = @_;
		$sql->("select count(*) from job_enqueue_many((
			select jsonb_agg(jsonb_build_object('job_type', 'child', 'parent_job_id', $parent))
			from generate_series(1, $count)))");
		my $began = time;
		end_session($_) for map { start_session($node, 'postgres', $works) } 1 .. 2;
		return time - $began;
	};
	$sql->("delete from jobs; checkpoint");
	$sql->("vacuum jobs, jobs_ext.queue, jobs_ext.ended");
	my $old = hold($node, 'postgres', 'set transaction isolation level repeatable read', 'select count(*) from jobs');
	my $without = $run->('null');
	$sql->("delete from jobs where job_type = 'child'");

	# One child that nobody claims yet: the parent waits while the others end.
	$sql->("select waiting_parent(1, 'many')");
	my $parent = $sql->("select id from jobs where job_id = 'many'");
	my $place = $sql->("select ctid from jobs where id = '$parent'");
	my $reads = sub {
		$sql->('select pg_stat_force_next_flush()') if $sql->('show server_version_num') >= 150000;
		return $sql->("select idx_tup_read from pg_stat_all_indexes where indexrelname = 'children_pkey'");
	};
	my $counted = $reads->();
	my $with = $run->("'$parent'");
	note(sprintf '%d jobs without a parent %.2f s, with one %.2f s: %.2f', $count, $without, $with, $with / $without);
	is($sql->("select count(*) from jobs where parent_job_id = '$parent' and status = 'completed'"), $count,
		'all but one have ended');
	is($sql->("select ctid from jobs where id = '$parent'"), $place, 'the row of their parent is where it was');
	is($status->('many'), 'blocked', 'which waits for the last one');
	my $sleeper = fall_asleep($node, 'postgres', "select job_id from job_claim('{parent}', wait => NAP)");
	my $began = time;
	$sql->("select complete('many 1')");
	gets($sleeper, 'many', 'and goes on when that ends');
	note(sprintf 'after %.3f s', $sleeper->{ended} - $began);
	# The worker's are sent a second later.
	$node->poll_query_until('postgres', "select pg_sleep(0.1) is null or max(rounds) > 3 from jobs_ext.maintenance");
	my $read = $reads->() - $counted;
	# Each end looks up its own key; each look of the worker, a hundred a second at most, begins where the last one
	# found a child. From the beginning it would have walked past all that have ended: thousands, hundreds of times.
	note("$read entries of the index were read");
	cmp_ok($read, '<', 10 * $count, 'no look walked past all that had ended before');
	is($sql->("select count(*) from job_children('$parent') where status = 'completed'"), $count + 1,
		'the outcomes in one query');
	let_go($old);
	in_step($node, 'postgres', 'all in step');
};

log_is_clean($node, 'the log is clean');
$node->stop;

my $bare = new_node('bare', shared_preload_libraries => "''");
subtest 'without a worker' => sub {
	$bare->safe_psql('postgres', <<'SQL');
select job_enqueue('bulk-update', job_id => 'p');
select job_enqueue('import-csv', job_id => 'c', parent_job_id => p.id) from jobs p where p.job_id = 'p';
select job_await_children(id, lease_id) from job_claim('{bulk-update}');
select job_cancel(job_id => 'c');
SQL
	is($bare->safe_psql('postgres', "select status from jobs where job_id = 'p'"), 'blocked',
		'nothing happens by itself');
	is($bare->safe_psql('postgres', "select job_maintain() ->> 'unblocked'"), '1', 'job_maintain lets it go on');
	is($bare->safe_psql('postgres', "select job_id from job_claim('{bulk-update}')"), 'p', 'to be claimed');
};
log_is_clean($bare, 'the log is clean without a worker');
done_testing();
