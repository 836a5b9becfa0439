# What is flushed at commit and what is not; what a crash takes away and what it does not.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

# Nothing is flushed but what a commit waits for: nobody else writes, and the WAL writer sleeps.
my $node = new_node(
	'crash',
	'jobs_ext.exclude_databases' => "'*'", # nor a worker
	wal_level => 'minimal',
	wal_writer_delay => "'10s'",
	autovacuum => 'off',
	bgwriter_lru_maxpages => 0,
	checkpoint_timeout => "'1h'",
	max_wal_size => "'4GB'");
my $sql = sub { return $node->safe_psql('postgres', @_) };

$sql->(<<'SQL');
create table public.other (x int);
create sequence public.numbers;
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'import-csv')) from generate_series(1, 1000)));
-- What the first change of a page adds to the WAL is over now.
begin;
select count(*) from job_claim(max_jobs => 1000);
rollback;
SQL

# How many of ten transactions of these statements were on the disk when their commit returned.
sub flushed
{
	my (@statements) = @_;
	my $transaction = join "\n", map { "$_;" } @statements;
	my $flushed = "\\echo flushed \\\\ select pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() < 64;\n";
	# The first look of a session may tidy up a page of a catalog, which is a write as well.
	my $output = $node->safe_psql('postgres', $flushed =~ s/flushed/first/r . "$transaction\n$flushed" x 10);
	my @answers = $output =~ /^flushed\n(t|f)$/mg;
	return scalar grep { $_ eq 't' } @answers;
}

# A record that ends a page wakes the WAL writer, which may be quick.
sub is_unflushed { my $name = pop; return cmp_ok(flushed(@_), '<=', 4, "not flushed: $name") }
sub is_flushed { my $name = pop; return is(flushed(@_), 10, "flushed: $name") }

my $claim = 'select 1 from job_claim()';
is_flushed("select 1 from job_enqueue('import-csv')", 'an enqueue');
is_unflushed($claim, 'a claim');
is_unflushed('begin', $claim, $claim, 'commit', 'two claims in one transaction');
is_unflushed('begin', 'savepoint s', $claim, 'release s', 'commit', 'a claim in a subtransaction');
# With the lease at hand: a query that looks for it may tidy up a page of jobs, which is a write as well.
my ($id, $lease) = split /\|/, $sql->("select j.id, j.lease_id from jobs j where j.status = 'in_progress' limit 1");
my $beat = "select 1 from job_heartbeat('$id', '$lease', '{\"done\": 1}')";
is_unflushed($beat, 'a heartbeat');
is_unflushed('begin', $claim, $beat, $beat, 'commit', 'a claim and heartbeats');
is_flushed('select (job_complete(id, lease_id)).status from job_claim()', 'a completion');
is_flushed('begin', $claim, 'select (job_complete(id, lease_id)).status from job_claim()',
	'commit', 'a claim and a completion');
is_flushed('select c.id from job_claim() c, job_next(c.id, c.lease_id)', 'job_next');
is_flushed('select (job_release(id, lease_id)).status from job_claim()', 'a release');
is_flushed('begin', "select 1 from job_enqueue('import-csv')", $claim, 'commit', 'an enqueue, then a claim');
is_flushed('begin', $claim, "select 1 from job_enqueue('import-csv')", 'commit', 'a claim, then an enqueue');
is_flushed('begin', 'insert into other values (1)', $claim, 'commit', 'a write to another table, then a claim');
is_flushed('begin', $claim, 'insert into other values (1)', 'commit', 'a claim, then a write to another table');
is_flushed('begin', $claim, 'insert into other values (1)',
	$claim, 'commit', 'a write to another table between two claims');
is_flushed('begin', $claim, "select 1 from (select setval('numbers', 1)) s", 'commit', 'a claim, then a sequence');
is_flushed('begin', $claim, 'update jobs set metadata = \'{"x": 1}\' where id = (select id from jobs_running limit 1)',
	'commit', 'a claim, then a plain UPDATE of a job');
is_flushed("insert into other select 1 from job_claim()", 'a claim inside of an INSERT');
is_unflushed('set jobs_ext.async_claim = on', $claim, 'a claim, with jobs_ext.async_claim');
is_flushed('set jobs_ext.async_claim = off', $claim, 'a claim, without jobs_ext.async_claim');
is_flushed('set jobs_ext.force_statement_path = on', $claim, 'a claim by SQL statements, where triggers may write');
is_unflushed($claim, 'a claim after all that');
is($sql->("$claim; show synchronous_commit"), "1\non", 'the session stays what it was');
in_step($node, 'postgres', 'in step');

# A claim that a crash undoes: the job is ready again, the lease never comes back.
for (1 .. 10)
{
	my $unflushed;
	($id, $lease, $unflushed) = split /\|/, $sql->(
		"select id, lease_id from job_claim(worker => 'before') \\gset\n"
		  . "select :'id', :'lease_id', pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() > 64");
	last if $unflushed eq 't';
}
$node->stop('immediate');
$node->start;
is($sql->("select status, attempt, lease_id is null from jobs where id = '$id'"),
	'queued|0|t', 'a claim that was not on the disk has never been');
my $complete = "select (job_complete('$id', '$lease')).status";
is_deeply([ sql_states($node, 'postgres', $complete, "select job_heartbeat('$id', '$lease')") ],
	[ 'PT409', 'PT409' ], '… its lease is lost');
$sql->("select count(*) from job_claim(max_jobs => 10000, worker => 'after')");
is($sql->("select attempt, worker from jobs where id = '$id'"), '1|after', '… the job is claimed again');
is_deeply([ sql_states($node, 'postgres', $complete) ], ['PT409'], '… and the lease from before is still lost');

# What else a transaction wrote takes its claim to the disk.
my ($first, $second) = split /\n/, $sql->(<<'SQL');
select id from job_enqueue('import-csv', job_id => 'first');
begin;
insert into other select 1 from job_claim();
commit;
begin;
select id from job_enqueue('import-csv', job_id => 'second');
select count(*) from job_claim() \gset
commit;
SQL
$node->stop('immediate');
$node->start;
is($sql->("select job_id, status, attempt from jobs where id in ('$first', '$second') order by 1"),
	"first|in_progress|1\nsecond|in_progress|1", 'a claim beside another write outlives the crash');
is($sql->("select s.status from jobs j, job_complete(j.id, j.lease_id) s where j.id in ('$first', '$second')"),
	"completed\ncompleted", '… and so does its lease');
in_step($node, 'postgres', 'in step');

# Under load. What psql printed had been acknowledged.
my $directory = $PostgreSQL::Test::Utils::tmp_check;
my $run = 0;

sub start_load
{
	my @load;
	++$run;
	my $claim = "select id, lease_id from job_claim() \\gset\n\\echo claimed|:id|:lease_id\n";
	my $complete = "select 'completed', id from job_complete(:'id', :'lease_id');\n";
	for my $n (1 .. 8)
	{
		my $text =
			$n <= 3 ? join('',
				map { "select 'enqueued', job_id from job_enqueue('import-csv', job_id => '$run-$n-$_');\n" }
				  1 .. 20000)
		  : $n <= 6 ? "$claim$complete" x 10000
		  :           $claim x 10000;
		my $script = "$directory/load-$run-$n.sql";
		append_to_file($script, $text);
		my %one = (out => '', err => '');
		$one{psql} = IPC::Run::start(
			[ 'psql', '-XAtq', '-f', $script, $node->connstr('postgres') ],
			'<', \'', '>', \$one{out}, '2>', \$one{err}, IPC::Run::timeout(120));
		push @load, \%one;
	}
	$node->poll_query_until('postgres',
		"select count(*) > 500 from jobs where job_id like '$run-%' and status = 'completed'")
	  or die 'no load';
	return @load;
}

sub check_load
{
	my ($name, @load) = @_;
	$_->{psql}->finish for @load;
	my $answers = join '', map { $_->{out} } @load;
	my @enqueued = $answers =~ /^enqueued\|(.+)$/mg;
	my @completed = $answers =~ /^completed\|(.+)$/mg;
	my %lease = $answers =~ /^claimed\|([0-9a-f-]{36})\|([0-9a-f-]{36})$/mg;
	delete @lease{@completed};
	my $list = sub { return join ',', map { "('$_')" } @_ };

	is($sql->('select * from (values ' . $list->(@enqueued)
				  . ') a (key) where not exists (select from jobs where job_id = key)'),
		'', "$name: no acknowledged enqueue is lost");
	is( $sql->('select * from (values ' . $list->(@completed) . ") a (id)
	      where not exists (select from jobs j where j.id = a.id::uuid and j.status = 'completed')"),
		'', "$name: no acknowledged completion is lost");
	in_step($node, 'postgres', "$name: in step");

	my %again = map { $_ => 1 } split /\n/,
		$sql->("select id from job_claim(max_jobs => 10000, worker => 'after $run')");
	my @jobs = sort keys %lease;
	my @states = sql_states($node, 'postgres', map { "select (job_complete('$_', '$lease{$_}')).status" } @jobs);
	my ($valid, $lost) = (0, 0);
	my @wrong;
	for my $n (0 .. $#jobs)
	{
		my $held = $states[$n] eq '00000';
		++($held ? $valid : $lost);
		push @wrong, "$jobs[$n]: $states[$n]"
		  if $held ? $again{ $jobs[$n] } : $states[$n] ne 'PT409' || !$again{ $jobs[$n] };
	}
	is_deeply(\@wrong, [], "$name: a lease from before is lost and its job claimed again, or neither");
	note(sprintf '%s: acknowledged %d enqueues, %d completions; leases of others: %d valid, %d lost',
		$name, scalar @enqueued, scalar @completed, $valid, $lost);
	in_step($node, 'postgres', "$name: in step after more work");
}

my @load = start_load();
my $backend = $sql->("select pid from pg_stat_activity where query like '%job_%' and pid <> pg_backend_pid() limit 1");
my $seen = -s $node->logfile;
kill 9, $backend;
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $seen);
server_is_back($node);
check_load('kill -9', @load);

@load = start_load();
$node->stop('immediate');
$node->start;
check_load('immediate stop', @load);

my @crashes = grep { /terminated by signal/ } split /\n/, slurp_file($node->logfile);
is(scalar @crashes, 1, 'no other process crashed') or diag(@crashes);
unlike(slurp_file($node->logfile), qr/\] XX\w{3} |PANIC:|TRAP:/, 'no internal error');
$node->stop;
done_testing();
