# Hints of where to read that are wrong on purpose (jobs_ext.spoil_hints), past jobs that are there, under the load of
# many clients: the worker mends them, so that each job is late by two of its rounds at most, and none is lost or done
# twice.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils qw(append_to_file);
use Test::More;

# Two rounds, a rest of healing, and a machine that does many other things.
my $round = 0.2;
my $bound = 2 * $round + 5;
my $node = new_node('spoiled_hints', autovacuum => 'off', synchronous_commit => 'off',
	'jobs_ext.maintenance_interval' => "'200ms'", 'jobs_ext.spoil_hints' => 0);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my @types = map { "type $_" } 1 .. 5;
$sql->("select job_type_set('$_', max_retries => 100, retry_delay_ms => 100, backoff => 'fixed')") for @types;
$sql->("update job_types set keep_completed = '0' where job_type = 'type 5'");

# Jobs come, due at once or soon; are claimed of any type or of one, and completed; given up until their lease ends;
# given back by a rollback. All in one round trip, as clients come and go.
my $script = "$PostgreSQL::Test::Utils::tmp_check/spoiled.sql";
append_to_file($script, <<'SQL');
\set what random(1, 20)
\set type random(1, 5)
\set priority random(-2, 2)
\set soon random(0, 3)
\if :what <= 8
select job_enqueue('type ' || :type, priority => :priority, run_at => now() + :soon * interval '100 ms');
\elif :what <= 12
select job_complete(id, lease_id) from job_claim(array['type ' || :type]);
\elif :what <= 18
select job_complete(id, lease_id) from job_claim();
\elif :what = 19
select job_id from job_claim(lease => '200 ms');
\else
begin;
select job_id from job_claim(max_jobs => 5);
rollback;
\endif
SQL
my $load = sub {
	my ($seconds, $name) = @_;
	$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', $seconds, '-f', $script, $node->connstr('postgres') ],
		$name);
};
my $is_there = q{select count(*) from jobs where status in ('pending', 'queued') and run_at <= now()};
my $claim_all = "select count(job_complete(id, lease_id)) from job_claim(max_jobs => 10000)";

# Without a worker nobody mends: so the load does hide jobs, and what follows says something.
set_config($node, 'jobs_ext.exclude_databases' => "'postgres'");
worker_leaves($node, 'postgres', 'there is no worker at first');
set_config($node, 'jobs_ext.spoil_hints' => 100);
$load->(3, 'clients work with hints that are wrong');
set_config($node, 'jobs_ext.spoil_hints' => 0);
$sql->($claim_all) for 1 .. 3;
cmp_ok(my $hidden = $sql->($is_there), '>', 0, 'jobs are hidden where nothing mends hints');
set_config($node, 'jobs_ext.exclude_databases' => "''");
worker_serves($node, 'postgres', 'there is a worker');
eventually($node, 'postgres', "begin; $claim_all \\gset\ncommit;\n$is_there", 0, 'which finds them all', $bound);

# Mended under load.
set_config($node, 'jobs_ext.spoil_hints' => 50);
$sql->('truncate jobs; create table lives (id uuid, late interval)');
$sql->(<<'SQL');
create function note_life() returns trigger language plpgsql as $$ begin
  insert into public.lives values (new.id, clock_timestamp() - old.run_at);
  return null;
end $$;
create trigger note_life after update on jobs for each row
  when (old.status in ('pending', 'queued') and new.status = 'in_progress') execute function note_life();
SQL
$load->(10, 'clients work while hints are spoiled and mended');
my ($count, $late) = split /\|/,
  $sql->("select count(*), coalesce(extract(epoch from percentile_cont(0.99) within group (order by late)), 0) from lives");
cmp_ok($count, '>', 500, "jobs were claimed ($count)");
set_config($node, 'jobs_ext.spoil_hints' => 0);
eventually($node, 'postgres', "begin; $claim_all \\gset\ncommit;\n"
	  . q{select count(*) from jobs where status not in ('completed', 'failed', 'cancelled')},
	0, 'each job ends, those too whose lease ran out', $bound + 5);
is($sql->("select count(*) from jobs where status <> 'completed'"), 0, 'well');
eventually($node, 'postgres', q{select count(*) from jobs where job_type = 'type 5'}, 0,
	'those that are not kept are removed', $bound);
my $last = $sql->("select extract(epoch from max(late)) from lives");
cmp_ok($last, '<', $bound, "no job was late for longer than is promised (99 % by $late s, the last by $last s)");
in_step($node, 'postgres', 'the queue says what jobs says');
log_is_clean($node);
done_testing;
