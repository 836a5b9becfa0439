# On a standby nothing can be written, and everything can be looked at. Without shared_preload_libraries the whole life
# of a job works: a claim that waits looks again and again, and every commit is flushed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

my $primary = new_node('primary', allows_streaming => 1, 'jobs_ext.exclude_databases' => "'*'");
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', <<'SQL');
select job_enqueue('import-csv', job_id => 'waits-' || n) from generate_series(1, 3) n;
select job_enqueue('bulk-update', job_id => 'runs', expires_at => now() + interval '1 day');
select job_claim('{bulk-update}', lease => '1 second');
SQL
my ($id, $lease) = split /\|/, $primary->safe_psql('postgres', "select id, lease_id from jobs where job_id = 'runs'");
$primary->wait_for_catchup($standby);

my @writers = (
	"job_enqueue('import-csv')",
	"job_enqueue_many('[{\"job_type\": \"import-csv\"}]')",
	'job_claim()',
	"job_claim(wait => '10 s')",
	"job_await(wait => '10 s')",
	"job_heartbeat('$id', '$lease')",
	"job_heartbeat_many('[]')",
	"job_complete('$id', '$lease')",
	"job_fail('$id', '$lease')",
	"job_release('$id', '$lease')",
	"job_next('$id', '$lease')",
	"job_finish_many('[]')",
	"job_release_worker('w')",
	"job_cancel(job_id => 'waits-1')",
	"job_retry(job_id => 'waits-1')",
	"job_pause(job_id => 'waits-1')",
	"job_resume(job_id => 'waits-1')",
	"job_type_set('import-csv', max_retries => 4)",
	'job_maintain()',
	"job_schedule('s', '* * * * *', 'import-csv')",
	"job_unschedule('s')",
	"jobs_ext.run_schedule('{\"name\": \"s\", \"job_type\": \"import-csv\"}')",
	'jobs_ext.rebuild_queue()');
my @calls = map { /^job_await/ ? "call $_" : "select $_" } @writers;
my @refused = map { "25006: $_" } @writers;
sub with_states { return [ map { "$_[$_]: $writers[$_]" } 0 .. $#writers ] }
my $began = time;
is_deeply(with_states(sql_states($standby, 'postgres', @calls)), \@refused, 'a standby refuses whatever writes');
is_deeply(
	with_states(map { (sql_states($primary, 'postgres', 'begin read only', $_))[1] } @calls),
	\@refused, 'so does a read-only transaction');
cmp_ok(time - $began, '<', 10, '… and does not wait');

my @readers = (
	[ "select count(*) from job_get(job_id => 'waits-1')" => 1 ],
	[ "select job_id from job_get('$id')" => 'runs' ],
	[ "select count(*) from job_get(job_id => 'nothing')" => 0 ],
	[ 'select count(*) from job_list()' => 4 ],
	[ "select count(*) from job_list('in_progress')" => 1 ],
	[ "select count(*) from job_list('failed')" => 0 ],
	[ 'select count(*) from jobs_active' => 4 ],
	[ 'select count(*) from jobs_running' => 1 ],
	[ 'select count(*) from jobs_failed' => 0 ],
	[ 'select count(*) from jobs_schedules' => 0 ],
	[ 'select sum(count) from jobs_queue_status' => 4 ],
	[ 'select sum(total_jobs) from jobs_metrics' => 4 ]);
for my $reader (@readers)
{
	my ($query, $answer) = @$reader;
	is($standby->safe_psql('postgres', $query), $answer, "on a standby: $query");
}

my $notice = '';
$standby->psql('postgres', q{select waiting, running, enqueued from job_stats() where waiting + running > 0},
	stdout => \my $waiting, stderr => \$notice);
is($waiting, "0|1|\n3|0|", 'on a standby job_stats shows what waits and runs');
like($notice, qr/statistics of job types are not counted.*standby/s, 'and that it counts nothing');

# Errors of other kinds, or of the startup process, would be here.
my @errors = grep { /ERROR: |FATAL: |PANIC: |WARNING: / && !/\] 25006 / && !/starting up|not yet accepting/ }
  split /\n/, slurp_file($standby->logfile);
is(join("\n", @errors), '', 'nothing else in the log of the standby');

# Promoted, it goes on where the primary was.
$primary->stop('immediate');
my $before = $standby->safe_psql('postgres', 'select clock_timestamp()');
$standby->promote;
is($standby->safe_psql('postgres', "select bool_and(counted_since > '$before') from job_stats()"),
	't', 'promoted: counts from then on');
is($standby->safe_psql('postgres', "select count(*) from (select * from job_claim(max_jobs => 10)) c"),
	'3', 'promoted: claims');
is($standby->safe_psql('postgres', "select status from job_complete('$id', '$lease')"),
	'completed', 'promoted: completes');
in_step($standby, 'postgres', 'promoted: in step');
log_is_clean($standby, 'no crash, no internal error, no deadlock');
$standby->stop;

# Not preloaded.
my $node = new_node(
	'plain',
	shared_preload_libraries => "''",
	wal_level => 'minimal',
	wal_writer_delay => "'10s'",
	autovacuum => 'off',
	bgwriter_lru_maxpages => 0);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $told = '';
$node->psql('postgres', 'drop extension jobs_ext cascade; create extension jobs_ext', stderr => \$told);
like($told, qr/WARNING:  jobs_ext is not in shared_preload_libraries/, 'CREATE EXTENSION says what is missing');
is( $sql->(<<'SQL'), <<'EXPECTED' =~ s/\n\z//r, 'not preloaded: a whole life');
select created from job_enqueue('import-csv', job_id => 'a', max_retries => 1, retry_delay_ms => 0);
select created from job_enqueue('import-csv', job_id => 'a');
select count(*) from job_enqueue_many('[{"job_type": "bulk-update"}, {"job_type": "bulk-update", "priority": 5}]');
select id, lease_id from job_claim('{import-csv}') \gset
select lease_expires_at > now() from job_heartbeat(:'id', :'lease_id', '{"half": true}', '2 hours');
select status from job_fail(:'id', :'lease_id', 'oops', run_at => now());
select attempt, id = :'id' as same from job_claim('{import-csv}', lease => '1 millisecond');
select pg_sleep(0.01) is null;
select job_maintain() ->> 'leases_reaped';
select status, retries from job_get(job_id => 'a');
select status from job_retry(job_id => 'a');
select id, lease_id from job_claim('{import-csv}') \gset
select priority from job_next(:'id', :'lease_id');
select (job_release_worker('nobody'));
select s.status from jobs j, job_release(j.id, j.lease_id) s where j.status = 'in_progress';
select status from job_pause(id => (select id from jobs where priority = 5));
select status from job_resume(id => (select id from jobs where priority = 5));
select status from job_cancel(id => (select id from jobs where priority = 5));
select f.outcome, f.sqlstate is null
from job_claim() c,
     job_finish_many(jsonb_build_array(jsonb_build_object('id', c.id, 'lease_id', c.lease_id, 'complete', null))) f;
select string_agg(a.outcome, ',' order by a.attempt)
from job_attempts a join jobs j on j.id = a.job where j.job_id = 'a';
SQL
t
f
2
t
pending
2|t
f
1
failed|1
queued
5
0
pending
paused
queued
cancelled
complete|t
failed,lease_expired
EXPECTED
in_step($node, 'postgres', 'not preloaded: in step');

# As in crash.pl: what is flushed when the commit returns.
$sql->("select job_enqueue('import-csv') from generate_series(1, 20)");
# The first look of a session may tidy up a page of a catalog, which is a write as well.
my $is_flushed = 'select pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() < 64';
my $flushed = $sql->("select 1 from job_claim(); $is_flushed \\g /dev/null\n"
	  . "select 1 from job_claim();\n\\echo flushed \\\\ $is_flushed;\n");
is($flushed, "1\n1\nflushed\nt", 'not preloaded: a claim is flushed');
$flushed = $sql->("load 'jobs_ext'; set jobs_ext.async_claim = on; select 1 from job_claim();\n"
	  . "\\echo flushed \\\\ select pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() < 64;\n");
is($flushed, "1\nflushed\nt", 'not preloaded: whatever jobs_ext.async_claim says');

# A claim that waits is given a job soon after it comes, or becomes due.
$sql->('select count(*) from job_claim(max_jobs => 1000)');
sub waiting_claim
{
	my ($wait, $call) = @_;
	$call //= "select job_id from job_claim(wait => '$wait')";
	my ($verb) = $call =~ /(job_\w+)\(/;
	my %claim = (out => '', began => time);
	$claim{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-c', $call, $node->connstr('postgres') ],
		'<', \'', '>', \$claim{out}, IPC::Run::timeout(60));
	$node->poll_query_until('postgres',
		"select count(*) = 1 from pg_stat_activity where query like '%$verb(wait%' and pid <> pg_backend_pid()");
	return \%claim;
}

my $claim = waiting_claim('30 s');
$sql->("select job_enqueue('import-csv', job_id => 'arrives')");
my $arrived = time;
$claim->{psql}->finish;
is($claim->{out}, "arrives\n", 'not preloaded: a claim waits for a job');
cmp_ok(time - $arrived, '<', 5, '… and returns soon after it came');

$sql->("select job_enqueue('import-csv', job_id => 'becomes due', run_at => now() + interval '1 s')");
$claim = waiting_claim('30 s');
$claim->{psql}->finish;
is($claim->{out}, "becomes due\n", 'not preloaded: a claim waits until a job is due');
cmp_ok(time - $claim->{began}, '<', 10, '… and returns soon after that');

$claim = waiting_claim('1 s');
$claim->{psql}->finish;
is($claim->{out}, '', 'not preloaded: a wait ends without a job');
cmp_ok(time - $claim->{began}, '>', 0.9, '… not before its time');

$claim = waiting_claim('30 s', "call job_await(wait => '30 s')");
is($sql->("select coalesce(max(backend_xmin::text), 'none') from pg_stat_activity
		where query like '%job_await(wait%' and pid <> pg_backend_pid() and wait_event_type = 'Extension'"),
	'none', 'not preloaded: job_await holds no snapshot between its looks');
$sql->("select job_enqueue('import-csv', job_id => 'for the procedure')");
$arrived = time;
$claim->{psql}->finish;
like($claim->{out}, qr/"job_id": "for the procedure"/, '… and has the job');
cmp_ok(time - $arrived, '<', 5, '… soon after it came');

# Asleep it keeps nobody from anything, and a cancel reaches it.
$claim = waiting_claim('30 s');
is($sql->("set lock_timeout = '5s'; alter table jobs add column mine int; truncate jobs; select 1"),
	'1', 'not preloaded: a claim that sleeps holds no lock');
is($sql->("select count(*) from pg_stat_activity
	where query like '%job_claim(wait%' and pid <> pg_backend_pid() and backend_xid is null"),
	'1', '… and no transaction id');
$sql->("select pg_cancel_backend(pid)
	from pg_stat_activity where query like '%job_claim(wait%' and pid <> pg_backend_pid()");
$claim->{psql}->finish;
cmp_ok(time - $claim->{began}, '<', 20, '… and a cancel reaches it');
in_step($node, 'postgres', 'not preloaded: in step at the end');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
