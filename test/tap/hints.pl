# The hints of where to read the queue (src/shared/hints.hpp): they keep claims from walking over jobs that were claimed
# before, and hide no job, whoever takes it back, brings it late, or writes past them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use Test::More;

my $node = new_node('hints', max_prepared_transactions => 5, autovacuum => 'off',
	'jobs_ext.max_hinted_lanes' => 16, 'jobs_ext.maintenance_interval' => "'200ms'");
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $claim = "select job_id from job_claim()";
my $jobs = sub {
	my ($count, $type, $options) = @_;
	return $sql->("select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', '$type')
	  || '" . ($options // '{}') . "') from generate_series(1, $count)))");
};

# Index tuples of the queue that a session's claims and completions read, each in a transaction of its own or all in
# one.
my $reads = sub {
	my ($count, $end) = @_;
	my $read = "select idx_tup_read from pg_stat_all_indexes where indexrelid = 'jobs_ext.queue_pkey'::regclass";
	my $before = $sql->($read);
	is($sql->(<<"SQL"), $count, "$count claims and completions");
do \$\$ begin
  for i in 1 .. $count loop
    perform job_complete(c.id, c.lease_id) from job_claim('{bench}') c;
    $end;
  end loop;
end \$\$;
select count(*) from (select from jobs where status = 'completed' order by completed_at desc limit $count) j
SQL
	return ($sql->($read) - $before) / $count;
};

$sql->("select job_type_set('bench'), job_type_set('other')");

# A snapshot that is held keeps the dead rows of the queue.
$jobs->(3000, 'bench');
my $old = hold($node, 'postgres', 'set transaction isolation level repeatable read', 'select count(*) from jobs');
my $first = $reads->(300, 'commit');
$reads->(1500, 'commit');
my $last = $reads->(300, 'commit');
# Healing, and the fence of a scan, read some more now and then; who walks over the dead rows reads thousands.
my $few = 40;
cmp_ok($first, '<', $few, "a claim and a completion read a few index tuples ($first)");
cmp_ok($last, '<', $few, "and no more after 2000 others, though a snapshot is held ($last)");
my $one = $reads->(800, 'null');
cmp_ok($one, '<', $few, "nor in one transaction ($one)");
# A prepared transaction that ends makes nobody begin anew, if none has written to our tables.
$sql->("create table of_others (n int); begin; insert into of_others values (1); prepare transaction 'other'");
$sql->("commit prepared 'other'");
my $after = $reads->(10, 'commit');
cmp_ok($after, '<', $few, "nor after a prepared transaction of others ($after)");
let_go($old);

# A job that is given back is found, though others have read past it.
sub order
{
	$sql->('truncate jobs');
	$sql->("select job_enqueue('bench', job_id => 'job ' || n, run_at => now() - interval '1 h' + n * interval '1 s')
	  from generate_series(1, 5) n");
}
order();
my $holder = hold($node, 'postgres', $claim);
is($sql->($claim), 'job 2', 'who claims meanwhile gets the next one');
is($sql->($claim), 'job 3', 'and the one after it');
let_go($holder);
is($sql->($claim), 'job 1', 'after the rollback the first is the first again');

order();
is($sql->(<<"SQL"), "job 1\njob 2\njob 1\njob 3", 'so it is after ROLLBACK TO SAVEPOINT, in the transaction itself');
begin;
savepoint a;
$claim;
$claim;
rollback to a;
$claim;
savepoint b;
update jobs set status = 'paused' where job_id = 'job 2';
$claim;
rollback to b;
rollback;
SQL
is($sql->($claim), 'job 1', 'and after ROLLBACK');
is($sql->("begin; savepoint a; $claim; release a; $claim; commit"), "job 2\njob 3", 'RELEASE keeps what was claimed');
is($sql->($claim), 'job 4', 'after COMMIT');

# A lock on a job hides it from claims and not from the hint, since nobody tells that it is let go.
order();
$holder = hold($node, 'postgres', "select from jobs where job_id = 'job 1' for update");
is($sql->("select string_agg(job_id, ' ') from job_claim(max_jobs => 2)"), 'job 2 job 3',
	'a locked job is passed over');
is($sql->($claim), 'job 4', 'again');
let_go($holder);
is($sql->($claim), 'job 1', 'and is the first again when it is free');

# What a transaction brought itself it sees, and others when it commits.
order();
my $late = hold($node, 'postgres',
	"select job_enqueue('bench', job_id => 'job 0', run_at => now() - interval '2 h')");
is($sql->($claim), 'job 1', 'what is not committed is not seen');
$late->{in} .= "commit;\n\\q\n";
$late->{psql}->finish;
is($sql->($claim), 'job 0', 'and is seen when it is committed, though others have read past it');
is($sql->(<<"SQL"), 'own', 'one that is better than all is claimed by who brought it');
begin;
select from job_enqueue('bench', job_id => 'own', priority => 9);
$claim;
commit;
SQL
is($sql->("begin isolation level repeatable read; $claim; commit"), 'job 2', 'at REPEATABLE READ as well');

# Prepared transactions tell nobody.
order();
$sql->("begin; select job_enqueue('bench', job_id => 'job 0', run_at => now() - interval '2 h');
  prepare transaction 'brings'");
$sql->("begin; $claim; prepare transaction 'takes'");
is($sql->($claim), 'job 2', 'a prepared claim has its job');
$sql->("commit prepared 'brings'; rollback prepared 'takes'");
is($sql->($claim), 'job 0', 'COMMIT PREPARED brings a job');
is($sql->($claim), 'job 1', 'ROLLBACK PREPARED gives one back');

# A delayed job is found when its time has come; a direct move is as good as a verb.
order();
$sql->("select job_enqueue('bench', job_id => 'soon', priority => 10, run_at => now() + interval '2 s')");
is($sql->($claim), 'job 1', 'a job that is not due yet is passed over');
is($sql->("select job_id from job_claim(wait => '10 s') where (select pg_sleep(2.1)) is not null"), 'soon',
	'and claimed first when it is due');
$sql->("update jobs set priority = 5 where job_id = 'job 4'");
is($sql->($claim), 'job 4', 'an UPDATE of the priority moves a job to the front');
$sql->("select job_release(id, lease_id) from jobs where job_id = 'job 4'");
is($sql->($claim), 'job 4', 'a job that is given back is first again');

# The tables are built anew, and the transaction that did so is rolled back.
order();
$sql->("begin; truncate jobs; select count(*) from job_claim(); rollback");
is($sql->($claim), 'job 1', 'after a TRUNCATE that was rolled back');
$sql->("begin; alter table jobs alter worker type text; select count(*) from job_claim(max_jobs => 3); rollback");
is($sql->($claim), 'job 2', 'after a rebuild that was rolled back');
$sql->("alter table jobs alter worker type varchar(200)");
is($sql->($claim), 'job 3', 'after a rebuild');

# More lanes than there is room for: 20 types, of which 16 have hints at a time.
$sql->('truncate jobs');
$sql->("select job_type_set('type ' || n) from generate_series(1, 20) n");
$jobs->(3, "type $_") for 1 .. 20;
is($sql->("select count(*) from job_claim(max_jobs => 1000)"), 60, 'a claim of any of 20 types gets all');
$jobs->(1, "type $_", '{"priority": ' . ($_ % 5) . '}') for 1 .. 20;
is($sql->("select string_agg(priority::text, '')
  from generate_series(1, 20) n, lateral job_claim(max_jobs => 1 + 0 * n)"),
	'44443333222211110000', 'the best first among all of them');

# Who writes to the queue past the extension is healed.
order();
my $one_lane = "select job_id from job_claim('{bench}')"; # which leaves the others no room to take
set_config($node, 'jobs_ext.exclude_databases' => "'postgres'");
worker_leaves($node, 'postgres', 'there is no worker for a while');
$sql->("create table kept as select q.* from jobs_ext.queue q, jobs j where q.job = j.id and j.job_id = 'job 1'");
$sql->("delete from jobs_ext.queue using kept where queue.job = kept.job");
is($sql->($one_lane), 'job 2', 'a job that is not in the queue is not claimed');
is($sql->($one_lane), 'job 3', 'nor is it at a second look');
$sql->("insert into jobs_ext.queue select * from kept");
is($sql->($one_lane), 'job 4', 'nor one that was put there without a word');
set_config($node, 'jobs_ext.exclude_databases' => "''");
eventually($node, 'postgres',
	"begin; select coalesce(max(job_id), 'none') from job_claim('{bench}') where job_id = 'job 1'; rollback",
	'job 1', 'until the worker finds it before the hint', 20);
# Nor does a rank that is none do harm, when its removal is rolled back.
$sql->("insert into jobs_ext.queue select lane, r, due_at, job
  from jobs_ext.queue, unnest('{-32768,-11,11,32767}'::int2[]) r where job in (select job from kept)");
is($sql->("begin; select count(*) from jobs_ext.check(mend => true); rollback"), 4, 'ranks beyond all are faults');
is($sql->("select count(*) from jobs_ext.check(mend => true)"), 4, 'and are mended');
in_step($node, 'postgres', 'the queue says what jobs says');
log_is_clean($node);
done_testing;
