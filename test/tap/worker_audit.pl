# The worker's audit: it finds what is wrong in the private tables, mends it, counts it and logs it once; it takes as
# long as it is told to. And jobs_ext.check() raises no false alarm, whatever is going on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('audit', fsync => 'off', shared_buffers => "'128MB'", max_connections => 40);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $status = sub { return status_of($node, 'postgres', @_) };

sub after_a_round
{
	my $rounds = $status->('rounds');
	$node->poll_query_until('postgres',
		"select rounds > $rounds + 1 from jobs_ext.maintenance where database = 'postgres'");
	return;
}

# Faults of every kind in every table, of none of which maintenance finds that it is due.
my $plant = <<'SQL';
select job_enqueue('import-csv', job_id => 'queue', run_at => now() + interval '1 day');
select job_enqueue('import-csv', job_id => 'expiring', run_at => now() + interval '1 day',
                   expires_at => now() + interval '2 days');
select job_enqueue('bulk-update', job_id => 'ended');
select job_complete(id, lease_id) from job_claim('{bulk-update}');
select job_enqueue('merge-menus', job_id => 'failed');
select job_fail(id, lease_id, 'no', permanent => true) from job_claim('{merge-menus}');
begin;
delete from jobs_ext.queue where job = (select id from jobs where job_id = 'queue');
delete from jobs_ext.expiring;
delete from jobs_ext.ended where job = (select id from jobs where job_id = 'ended');
delete from jobs_ext.failed;
insert into jobs_ext.queue values (1, 0, '2030-01-01', gen_random_uuid());
insert into jobs_ext.expiring values ('2030-01-01', gen_random_uuid());
insert into jobs_ext.ended values (1, 0, '2030-01-01', gen_random_uuid());
insert into jobs_ext.failed values ('2030-01-01', gen_random_uuid());
update jobs_ext.queue set rank = 7 where job = (select id from jobs where job_id = 'expiring');
update jobs_ext.ended set ended_at = '2030-01-01' where job = (select id from jobs where job_id = 'failed');
commit;
SQL
my $planted = 4 + 4 + 2 * 2;
$sql->($plant);
is($sql->('select count(*) from jobs_ext.check()'), $planted, 'check() finds what was planted');

# Switched off, it mends no evidence.
after_a_round();
is($status->('last_audit_at is null, audit_faults'), 't|0', 'the audit is off');
is($sql->('select count(*) from jobs_ext.check()'), $planted, '… and mends nothing');

# Switched on, it begins at once.
my $from = -s $node->logfile;
set_config($node, 'jobs_ext.audit_interval' => '30s');
my $begun = $sql->('select clock_timestamp()');
eventually($node, 'postgres', 'select last_audit_at is not null from jobs_ext.maintenance',
	't', 'a pass goes through all tables, in one slice or in several');
set_config($node, 'jobs_ext.audit_interval' => '1h');
is($sql->("select last_audit_at < '$begun'::timestamptz + interval '2 min' from jobs_ext.maintenance"),
	't', '… in the time that it is given');
is($status->('audit_faults'), $planted, '… every fault is counted');
in_step($node, 'postgres', '… and mended');
my %logged;
for my $line (log_lines($node, qr/WARNING/, $from))
{
	++$logged{$1} if $line =~ /job ([0-9a-f-]{36}): (?:queue|failed|expiring|ended): /;
}
is(join(' ', sort values %logged), join(' ', (1) x (4 + 4)), '… and logged, each job once');
my $last = $status->('last_audit_at');
$sql->("delete from jobs_ext.failed");
after_a_round();
is($status->('last_audit_at'), $last, 'the next pass comes in an hour');
is($sql->('select count(*) from jobs_ext.check()'), 1, '… and until then what is wrong stays');

# A job that comes back into the queue wakes who waits for one.
$sql->(q{truncate jobs, job_attempts;
	select job_enqueue('image-upload', job_id => 'lost', run_at => now() + interval '1 day')});
$sql->(q{update jobs set run_at = now() where job_id = 'lost'; delete from jobs_ext.queue});
my $sleeper = fall_asleep($node, 'postgres', q{select job_id from job_claim('{image-upload}', wait => NAP)});
set_config($node, 'jobs_ext.audit_interval' => '1s');
gets($sleeper, 'lost', 'a job that was lost is claimed by a session that slept');

# Somebody holds the job: it is looked at again.
set_config($node, 'jobs_ext.audit_interval' => '-1');
$sql->(q{truncate jobs, job_attempts;
	select job_enqueue('import-csv', job_id => 'held', run_at => now() + interval '1 day')});
$sql->('delete from jobs_ext.queue');
$from = -s $node->logfile;
my $before = $status->('audit_faults');
my $holder = start_session($node, 'postgres', 'begin', q{select from jobs for update},
	q{select pg_advisory_lock_shared(1)}, 'select pg_sleep(2.5)', 'commit');
$node->poll_query_until('postgres', "select exists (select from pg_locks where locktype = 'advisory' and granted)");
set_config($node, 'jobs_ext.audit_interval' => '1s');
eventually($node, 'postgres', 'select count(*) from jobs_ext.check()', '0', 'a job that was held is mended later');
end_session($holder);
eventually($node, 'postgres', "select audit_faults from jobs_ext.maintenance", $before + 1, '… and counted once');
is(scalar(log_lines($node, qr/job \S+: queue: missing/, $from)), 1, '… and logged once');

# In slices, over the time that it has.
set_config($node, 'jobs_ext.audit_interval' => '-1');
$sql->(q{select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv',
			'run_at', now() + interval '1 day'))
			from generate_series(1, 20000)))});
$sql->('delete from jobs_ext.queue where job = (select id from jobs order by ctid desc limit 1)');
$last = $status->('last_audit_at');
set_config($node, 'jobs_ext.audit_interval' => '6s');
eventually($node, 'postgres', "select last_audit_at > '$last' from jobs_ext.maintenance",
	't', 'the pass that was under way ends');
$last = $status->('last_audit_at');
eventually($node, 'postgres', "select last_audit_at > '$last' from jobs_ext.maintenance", 't', '… and another one');
my $took = $sql->("select extract(epoch from (select last_audit_at from jobs_ext.maintenance) - timestamptz '$last')");
cmp_ok($took, '>', 5, "… which takes its time ($took s)");
is($sql->('select count(*) from jobs_ext.check()'), 0, '… and comes to the last row');
is($status->('last_error'), '', 'no error');
set_config($node, 'jobs_ext.audit_interval' => '-1');

# No false alarm: while jobs are enqueued, worked on, changed and deleted, by both paths, and the queue is built anew.
$sql->('truncate jobs, job_attempts');
my %script = (put => q{select count(*) from job_enqueue_many(
	  '[{"job_type": "import-csv"}, {"job_type": "bulk-update", "expires_at": "2100-01-01"}]');},
	work => q{select job_complete(id, lease_id) from job_claim(max_jobs => 3);},
	fail => q{select job_fail(id, lease_id, 'no') from job_claim(max_jobs => 2);},
	by_statement => q{set jobs_ext.force_statement_path = on;
		select job_complete(id, lease_id) from job_claim(); reset jobs_ext.force_statement_path;},
	direct => q{update jobs set priority = (random() * 10)::int - 5
		where id = (select id from jobs where status = 'pending' limit 1 for update skip locked);},
	gone => q{delete from jobs where id = (select id from jobs limit 1 for update skip locked);},
	half => q{begin;
		select job_enqueue('merge-menus');
		savepoint s;
		select job_complete(id, lease_id) from job_claim('{merge-menus}');
		rollback to s;
		commit;},
	look => q{select 1 / (1 - count(*)) from (select from jobs_ext.check() limit 1) f;},
	older => q{begin isolation level repeatable read;
		select count(*) from job_enqueue('import-csv');
		select 1 / (1 - count(*)) from (select from jobs_ext.check() limit 1) f;
		commit;});
my @files;
for my $name (sort keys %script)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/audit_$name.sql";
	append_to_file($file, $script{$name});
	push @files, '-f', $file;
}
# A transaction at REPEATABLE READ may be told to begin again; what cannot be is a division by zero, where check()
# finds something.
my $out = '';
my @pgbench = ('pgbench', '-n', '-c', 6, '-j', 2, '-T', 12, '--max-tries=1000', @files, $node->connstr('postgres'));
my $load = IPC::Run::start(\@pgbench, '<', \'', '&>', \$out);
my $meddled = 0;
while ($load->pumpable)
{
	$load->pump_nb;
	# Jobs that our triggers do not see: the queue is to be built, and the next call does it. And everything goes,
	# under every snapshot at once.
	$sql->($_) for <<'SQL', 'select jobs_ext.rebuild_queue()', 'truncate jobs, job_attempts';
begin;
alter table jobs disable trigger user;
insert into jobs (job_id, job_type, run_at) select gen_random_uuid(), 'import-csv', now() from generate_series(1, 20);
alter table jobs enable trigger user;
commit
SQL
	++$meddled;
}
$load->finish;
unlike($out, qr/division by zero|ERROR|abort/, 'no false alarm');
my ($looks) = $out =~ m{/audit_look\.sql.*? - (\d+) transactions}s;
cmp_ok($looks, '>', 20, "… in $looks looks");
cmp_ok($meddled, '>', 3, "… and $meddled times that everything was built anew");

$sql->('select jobs_ext.rebuild_queue()');
in_step($node, 'postgres', 'in step');

# One half of what an ALTER ... TYPE changes, by itself: the worker writes down what holds now. Else the other half,
# whenever it comes, would have the queue built anew.
my $built = "select string_agg(s.xmin || ' ' || s.mark, ' ' order by mark) from jobs_ext.state s where mark !~ '^\\('";
my $marks = $sql->($built);
my $storage = "select s.number = c.relfilenode
	from jobs_ext.state s, pg_class c where s.mark = '(storage)' and c.oid = 'jobs'::regclass";
is($sql->("vacuum full jobs; $storage"), 'f', 'VACUUM FULL gives jobs another file');
eventually($node, 'postgres', $storage, 't', '… of which the worker takes note');
$sql->("alter table jobs alter priority set statistics 50;
	select from job_enqueue('import-csv', job_id => 'after both')");
is($sql->($built), $marks, '… and nothing is built anew, not by SET STATISTICS either');
in_step($node, 'postgres', 'still in step');
is(join("\n", log_lines($node, qr/PANIC:|TRAP:|terminated by signal|\] (?:XX000|40P01) /)),
	'', 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
