# How many jobs of a long queue wait and run (job_stats), while the queue is counted, in steps, and others change it: by
# claims that are rolled back, by prepared transactions, by clients at work, by an owner who gives jobs another type;
# and while the worker comes and goes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use Test::More;
use Time::HiRes 'sleep';

my $node = new_node('long', max_prepared_transactions => 2, autovacuum => 'off',
	'jobs_ext.maintenance_interval' => "'200ms'");
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $depth = q{select string_agg(concat_ws(' ', job_type, waiting, running), ', ' order by job_type)
from job_stats() where job_type in ('a', 'b')};
my $real = q{select string_agg(concat_ws(' ', job_type, waiting, running), ', ' order by job_type)
from (select t.job_type, count(*) filter (where status in ('pending', 'queued')) waiting,
  count(*) filter (where status = 'in_progress') running
  from job_types t left join jobs using (job_type) where t.job_type in ('a', 'b')
  group by t.job_type) s};

$sql->("select job_type_set(t) from unnest('{a,b}'::text[]) t");

sub enqueue
{
	my ($type, $count) = @_;
	return $sql->(<<"SQL");
select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', '$type', 'priority', n % 3,
  'run_at', now() + n % 10 * interval '1 s' - interval '5 s')) from generate_series(1, $count) n))
SQL
}

# So many jobs more by a transaction of which nobody tells, so that the queue is counted again.
sub doubt
{
	my ($count) = @_;
	return $sql->(<<"SQL");
begin; select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'a'))
  from generate_series(1, $count))); prepare transaction 'p';
SQL
}

# Buffers that a call of job_stats uses, in a session that does something before.
sub buffers_after
{
	my ($statement) = @_;
	my $plan = $sql->("$statement; explain (analyze, buffers, costs off, timing off) select * from job_stats()");
	my ($hit) = $plan =~ /Buffers: shared hit=(\d+)/;
	return $hit;
}

worker_serves($node, 'postgres', 'there is a worker');
enqueue('a', 60_000);
enqueue('b', 3_000);
eventually($node, 'postgres', $depth, 'a 60000 0, b 3000 0', 'a long queue is told');

# Who looks meanwhile reads no more than before.
my $usual = 0;
for (1 .. 200)
{
	$usual = buffers_after('select 1');
	last if $usual < 20_000;
	sleep 0.05;
}
cmp_ok($usual, '<', 20_000, 'and not read');
doubt(7);
cmp_ok(buffers_after(q{commit prepared 'p'}), '<', $usual + 2_000, 'not after COMMIT PREPARED either');
eventually($node, 'postgres', $depth, 'a 60007 0, b 3000 0', 'whose jobs are told when they are counted');

# What others are taking is there, as long as they have not committed. Both held while it is counted.
my $claim = hold($node, 'postgres', q{select count(*) from job_claim('{a}', 500)});
my $cancel = hold($node, 'postgres', q{update jobs set status = 'cancelled' where job_type = 'b'
  and id in (select id from jobs where job_type = 'b' order by priority limit 400)});
doubt(3);
$sql->(q{commit prepared 'p'});
eventually($node, 'postgres', $depth, 'a 60010 0, b 3000 0', 'what is being taken is counted');
let_go($claim);
let_go($cancel);
is($sql->($depth), 'a 60010 0, b 3000 0', 'and is right after the rollback');

# What they commit is told, whenever they began. One that began before the count does not know places, and so makes it
# doubtful, if it comes into its middle.
$claim = hold($node, 'postgres', q{select count(*) from job_claim('{a}', 500)});
doubt(1);
$sql->(q{commit prepared 'p'});
eventually($node, 'postgres', $depth, 'a 60011 0, b 3000 0', 'before they commit');
$claim->{in} .= "commit;\n\\q\n";
$claim->{psql}->finish;
eventually($node, 'postgres', $depth, 'a 59511 500, b 3000 0', 'and after');

# Rows that were moved from the first places to the last ones before anybody counted: who counts may have met them at
# the first, and meets them at the last if they are committed now.
for my $i (1 .. 6)
{
	my $rank = 2 - $i % 3;
	my $move = hold($node, 'postgres', qq{update jobs set priority = case when priority = 2 then 0 else 2 end
		where id in (select id from jobs where job_type = 'a' and status = 'queued' and priority = $rank limit 3000)});
	doubt(1);
	$sql->(q{commit prepared 'p'});
	sleep 0.05 * $i;    # the count is somewhere
	$move->{in} .= "commit;\n\\q\n";
	$move->{psql}->finish;
	eventually($node, 'postgres', $depth, $sql->($real), "what was moved is counted once ($i)");
}

# Two clients at work on all of it: they enqueue, claim, complete, put off and give back, while it is counted again and
# again and the worker is another one each time.
my $work = <<'SQL';
do $$
declare c record;
begin
  for i in 1 .. 400 loop
    perform job_enqueue(case when i % 3 = 0 then 'b' else 'a' end, priority => i % 3);
    for c in select * from job_claim('{a,b}', 2, lease => '1 hour') loop
      if i % 4 = 0 then perform job_release(c.id, c.lease_id);
      elsif i % 4 = 1 then perform job_heartbeat(c.id, c.lease_id);
      else perform job_complete(c.id, c.lease_id); end if;
    end loop;
    update jobs set run_at = run_at + interval '1 day', priority = 9 - i % 10
      where id in (select id from jobs where status = 'queued' order by id limit 1 offset (i * 37) % 1000);
    commit;
    begin
      perform job_enqueue('a');
      raise exception 'no' using errcode = 'P0001';
    exception when sqlstate 'P0001' then null;
    end;
    commit;
  end loop;
end $$
SQL
my @clients = map { start_session($node, 'postgres', $work) } 1 .. 2;
my $worker = worker_of($node, 'postgres');
for (1 .. 4)
{
	doubt(1);
	$sql->(q{commit prepared 'p'});
	sleep 0.3;    # the count is somewhere
	$sql->("select pg_terminate_backend($worker)");
	$worker = worker_serves($node, 'postgres', 'another worker goes on', not => $worker);
}
end_session($_) for @clients;
is($_->{err}, '', 'a client had no error') for @clients;
my $expected = $sql->($real);
eventually($node, 'postgres', $depth, $expected, 'after all of it the depth is what is there');

# An owner gives jobs another type.
my ($a, $b) = $expected =~ /^a (\d+) \d+, b (\d+)/;
$sql->(q{update jobs set job_type = 'b' where id in (select id from jobs where job_type = 'a' and status = 'queued'
  order by id limit 5000)});
is($sql->($depth), $sql->($real), 'jobs of another type are told as of that');
cmp_ok(($sql->($depth) =~ /^a (\d+)/)[0], '==', $a - 5000, 'all of them');
$sql->(q{select count(*) from job_claim('{b}', 1000, lease => '1 hour')});
$sql->(q{select count(*) from job_claim('{b}', 1000, lease => '1 hour')});
$sql->(q{update jobs set job_type = 'a' where id in (select id from jobs where job_type = 'b'
  and status = 'in_progress' order by id limit 700)});
is($sql->($depth), $sql->($real), 'running ones too');

# Triggers of the owner's that change the job once more, before ours have heard of the first change.
$sql->(q{
create function again() returns trigger language plpgsql as $$
begin
  if new.job_id like 'pause%' then update jobs set status = 'paused' where id = new.id;
  elsif new.job_id like 'delete%' then delete from jobs where id = new.id;
  elsif new.job_id like 'type%' then update jobs set job_type = 'b' where id = new.id;
  end if;
  return null;
end $$;
create trigger a_first after insert or update of priority on jobs for each row when (pg_trigger_depth() = 0)
execute function again()});
for my $what (qw(pause delete type))
{
	$sql->("insert into jobs (job_type, job_id) select 'a', '$what' || n from generate_series(1, 100) n");
	is($sql->($depth), $sql->($real), "a job is counted as what a trigger made of it ($what)");
	$sql->(qq{insert into jobs (job_type, job_id) select 'a', 'x$what' || n from generate_series(101, 200) n;
update jobs set job_id = substr(job_id, 2), priority = 1 where job_id like 'x$what%'});
	is($sql->($depth), $sql->($real), "and so is one that is changed ($what)");
}
$sql->('drop trigger a_first on jobs');

# A superuser removes rows of the queue, and adds some. They are counted as what is there, and once more when they are
# mended.
$sql->(q{delete from jobs_ext.queue where job in (select id from jobs where job_type = 'a' and status = 'queued'
  order by id limit 50);
insert into jobs_ext.queue select lane, 10, 'infinity', gen_random_uuid() from jobs_ext.lanes, generate_series(1, 30)
  where job_type = 'b'});
doubt(1);
$sql->(q{commit prepared 'p'});
$expected = $sql->($real);
my $wrong = $expected =~ s/^a (\d+) (\d+), b (\d+)/sprintf 'a %d %d, b %d', $1 - 50, $2, $3 + 30/er;
eventually($node, 'postgres', $depth, $wrong, 'the queue is counted, not the jobs');
is($sql->('select count(*) from jobs_ext.check(true) where mended'), 80, 'what is wrong is mended');
eventually($node, 'postgres', $depth, $expected, 'and counted once more');

$sql->('truncate jobs');
enqueue('a', 2_000);
eventually($node, 'postgres', $depth, 'a 2000 0, b 0 0', 'TRUNCATE forgets what was told');

log_is_clean($node, 'no crash, no internal error, no deadlock');
done_testing();
