# Indexes of ours are rebuilt, made and dropped by whoever runs the server, while jobs are worked on. Nothing stands in
# an old index alone, nobody meets an index that is gone, and every job is claimed and ended once.
#
# REINDEX CONCURRENTLY is stopped at each of its waits, at every table of ours, and at each stop jobs are enqueued,
# claimed, completed, failed, reaped, expired, archived: what is wrong is what another transaction does between two of
# its steps.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

# Without workers: what they would do, job_maintain() does at each stop.
my $node = new_node(
	'rebuilt',
	autovacuum => 'off',
	'jobs_ext.auto_register_types' => 'on',
	'jobs_ext.exclude_databases' => "'*'");
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $partition = 'jobs_ext.jobs_archive_' . $sql->("select to_char(now() at time zone 'utc', 'YYYY_MM')");
my @tables = (
	(map { "jobs_ext.$_" } qw(queue failed expiring ended lanes state schedules set_aside)),
	(map { "public.$_" } qw(jobs job_types job_attempts)),
	$partition);

# The types that are used at each stop have a lane; one more is made there.
$sql->(<<'SQL');
select job_type_set(t, max_retries => 1000, retry_delay_ms => 0, keep_completed => '1 ms', keep_failed => '1 day')
from unnest('{stays,expires,quick,failing,long,brief,nightly}'::text[]) t;
select jobs_ext.rebuild_queue();
select job_maintain();
select * from job_enqueue('long');
select * from job_claim('{long}', lease => '1 day');
select * from job_enqueue('failing');
select job_fail(c.id, c.lease_id, 'first', permanent => true) from job_claim('{failing}') c;
SQL

# What is done at a stop: a line for each statement, with how many jobs it concerned. Where a job is to expire at once
# the clock stands: a process that loses its processor for a millisecond would ask for a time that is past (22023).
my $work = <<'SQL';
select 'enqueued', count(*) from job_enqueue('stays', job_id => 'LABEL enqueued', restaurant_id => gen_random_uuid());
select 'keyed', count(*) from job_enqueue('stays', job_id => 'LABEL enqueued');
select 'many', count(*)
from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'quick')) from generate_series(1, 2)));
insert into jobs (job_type, job_id) values ('stays', 'LABEL inserted');
select clock_timestamp() as stands \gset
set jobs_ext.now = :'stands';
select 'expiring', count(*)
from job_enqueue('expires', job_id => 'LABEL expires', expires_at => :'stands'::timestamptz + interval '1 ms');
reset jobs_ext.now;
select 'completed', count(*)
from jobs j, lateral job_complete(j.id, j.lease_id) where j.job_type = 'long' and j.status = 'in_progress';
select 'long', count(*) from job_enqueue('long');
select 'claimed', count(*) from job_claim('{long}', lease => '1 day');
select 'quick', count(*) from job_claim('{quick}', 9) c, lateral job_complete(c.id, c.lease_id);
select 'retried', count(*) from jobs j, lateral job_retry(j.id) where j.job_type = 'failing' and j.status = 'failed';
select 'failed', count(*)
from job_claim('{failing}') c, lateral job_fail(c.id, c.lease_id, 'again', permanent => true);
select 'brief', count(*) from job_enqueue('brief', job_id => 'LABEL brief');
select 'leased', count(*) from job_claim('{brief}', lease => '1 ms');
select 'deleted', count(*) from job_enqueue('stays', job_id => 'LABEL deleted');
delete from jobs where job_id = 'LABEL deleted';
select 'first', count(*) from job_enqueue('first at LABEL');
select 'run', count(*) from jobs_ext.run_schedule(jsonb_build_object('name', 'nightly', 'job_type', 'nightly'));
do 'begin perform pg_sleep(0.01); end';
select 'maintained', m ->> 'leases_reaped', m ->> 'expired', m ->> 'archived' from job_maintain() m;
SQL
my $worked = join "\n",
	qw(enqueued|1 keyed|1 many|2 expiring|1 completed|1 long|1 claimed|1 quick|2 retried|1 failed|1 brief|1 leased|1
	deleted|1 first|1 run|1 maintained|1|1|3);

my $stays = 0;    # how many jobs wait for the end
my $stops = 0;

sub work_at
{
	my ($where) = @_;
	my $label = sprintf 'stop %03d', ++$stops;
	$stays += 2;
	return is($sql->($work =~ s/LABEL/$label/gr), $worked, "$where: work goes on");
}

# All is as `jobs` says.
sub is_whole
{
	my ($name) = @_;
	in_step($node, 'postgres', "$name: the queue is in step");
	return uncorrupted($node, 'postgres', "$name: amcheck finds nothing");
}

# Until the session waits for that one.
sub stops_at
{
	my ($session, $holder, $phase, $name) = @_;
	my $waits = "select $holder->{pid} = any (pg_blocking_pids($session->{pid}))";
	ok($node->poll_query_until('postgres', $waits), "$name: it waits") or diag($session->{err});
	is($sql->("select phase from pg_stat_progress_create_index where pid = $session->{pid}"), $phase, "$name: $phase")
	  if $phase;
	return;
}

# Runs a statement that waits, in turn, for who holds these: `waits` is a list of [what is held, the phase that shows].
# The next holder is there before the last one leaves. `each` is called at each of them.
sub stop_at_each
{
	my ($statement, $waits, $each) = @_;
	my $session;
	my $before;
	for my $wait (@$waits)
	{
		my ($held, $phase) = @$wait;
		my $holder = hold($node, 'postgres', @$held);
		if ($before) { let_go($before) }
		else { $session = start_session($node, 'postgres', $statement) }
		stops_at($session, $holder, $phase, $statement);
		$each->("$statement, $phase");
		$before = $holder;
	}
	let_go($before);
	end_session($session);
	return is($session->{err}, '', "$statement: it ends well");
}

sub write_lock { return ["lock table $_[0] in row exclusive mode"] }
sub read_lock { return ["lock table $_[0] in access share mode"] }
my $snapshot = [ 'set transaction isolation level repeatable read', 'select 1' ];

sub reindex_waits
{
	my ($table) = @_;
	return [
		[ write_lock($table), 'waiting for writers before build' ],
		[ write_lock($table), 'waiting for writers before validation' ],
		[ $snapshot, 'waiting for old snapshots' ],
		[ read_lock($table), 'waiting for readers before marking dead' ],
		[ read_lock($table), 'waiting for readers before dropping' ] ];
}

for my $table (@tables)
{
	subtest "reindex table concurrently $table" => sub {
		stop_at_each("reindex table concurrently $table", reindex_waits($table), sub {
			work_at($_[0]);
			$sql->('select jobs_ext.rebuild_queue()') if $table eq 'jobs_ext.state';
		});
		is_whole($table);
	};
}

# What a superuser adds to a private table is kept like what is ours.
my %added = (
	'a plain index' => '(job)',
	'an index on an expression' => '((lane * 100 + rank), lower(job::text))',
	'a partial index' => '(due_at) where lane > 0 and rank <= 0',
	'a unique index' => '(job, due_at, rank, lane)');
for my $what (sort keys %added)
{
	subtest "$what on jobs_ext.queue" => sub {
		my $unique = $what =~ /unique/ ? 'unique ' : '';
		my $waits = reindex_waits('jobs_ext.queue');
		my $work = sub { work_at($_[0]) };
		stop_at_each("create ${unique}index concurrently added on jobs_ext.queue $added{$what}",
			[ @$waits[ 0 .. 2 ] ], $work);
		is_whole('with it');
		# Who reads the index; who reads it still when it is dead. These waits show no phase.
		stop_at_each('drop index concurrently jobs_ext.added', [ ([ read_lock('jobs_ext.queue') ]) x 2 ], $work);
		is_whole('without it');
	};
}

# A call waits for the row of its job before it writes to the derived tables: what it knew of their indexes is old
# then.
my %calls = (
	queue => [ 'completed', "job_complete(j.id, j.lease_id)" ],
	ended => [ 'completed', "job_complete(j.id, j.lease_id)" ],
	failed => [ 'failed', "job_fail(j.id, j.lease_id, permanent => true)" ],
	expiring => [ 'cancelled', "job_cancel(j.id)" ]);

# Makes a job in `state` whose row is locked, and a session that waits for it. Returns both.
sub wait_for_row
{
	my ($table) = @_;
	my $label = sprintf 'row %03d', ++$stops;
	$sql->("select job_enqueue('row', job_id => '$label', expires_at => now() + interval '1 day')");
	$sql->("select count(*) from job_claim('{row}')") if $table ne 'expiring';
	my $holder = hold($node, 'postgres', "select from jobs where job_id = '$label' for update");
	my $session = start_session($node,
		'postgres', "select x.status from jobs j, lateral $calls{$table}[1] x where j.job_id = '$label'");
	stops_at($session, $holder, undef, "$calls{$table}[1] at a locked row");
	return ($holder, $session);
}

sub goes_on
{
	my ($table, $holder, $session, $name) = @_;
	let_go($holder);
	is(end_session($session), $calls{$table}[0], "$name: the call that waited goes on") or diag($session->{err});
	return is_whole($name);
}

for my $table (sort keys %calls)
{
	subtest "$table is rebuilt while a call waits for a row" => sub {
		my $statement = "reindex table concurrently jobs_ext.$table";
		# No snapshot older than the new index is left but this one, so that the old index goes while the call waits.
		my $snapshot_holder = hold($node, 'postgres', @$snapshot);
		my $rebuild = start_session($node, 'postgres', $statement);
		stops_at($rebuild, $snapshot_holder, 'waiting for old snapshots', $statement);
		work_at($statement);
		my @waiting = wait_for_row($table);
		let_go($snapshot_holder);
		end_session($rebuild);
		is($rebuild->{err}, '', 'the old index is gone');
		goes_on($table, @waiting, $statement);

		for my $command ("reindex table jobs_ext.$table",
			"vacuum full jobs_ext.$table", "cluster jobs_ext.$table using ${table}_pkey")
		{
			my @waiting = wait_for_row($table);
			$sql->($command);
			goes_on($table, @waiting, $command);
		}
		my @again = wait_for_row($table);
		my $key = $sql->("select pg_get_constraintdef(oid) from pg_constraint where conname = '${table}_pkey'");
		$sql->("begin;
			alter table jobs_ext.$table drop constraint ${table}_pkey, add constraint ${table}_pkey $key;
			commit");
		goes_on($table, @again, 'another primary key');
	};
}

#
# Under load
#

# pgbench with these scripts until it is told to stop; each client's first error ends it.
sub start_load
{
	my ($clients, %script) = @_;
	my @files;
	for my $name (sort keys %script)
	{
		my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
		append_to_file($file, $script{$name});
		push @files, '--file', $file;
	}
	my %load = (out => '', err => '');
	$load{run} = IPC::Run::start(
		[ 'pgbench', '--no-vacuum', '--time=300', "--client=$clients", @files, $node->connstr('postgres') ],
		'<', \'', '>', \$load{out}, '2>', \$load{err}, IPC::Run::timeout(360));
	return \%load;
}

sub stop_load
{
	my ($load, $name) = @_;
	$load->{run}->signal('TERM');
	$load->{run}->finish;
	return is($load->{err}, '', "$name: no client met an error");
}

# While a key's index has a second one beside it that is not complete, who inserts a key may meet another who does in
# either of them. That is no error: the job is there.
for my $by_statement (qw(off on))
{
	subtest "the same keys at once, jobs_ext.force_statement_path = $by_statement" => sub {
		$sql->("select job_enqueue('hot')");
		my $load = start_load(6, hot => <<"SQL");
set jobs_ext.force_statement_path = $by_statement;
\\set k random(1, 3)
select id from job_enqueue('hot', job_id => 'hot ' || :k);
delete from jobs where job_id = 'hot ' || :k;
select id from job_enqueue('hot', job_key => 'hot ' || :k);
select id from job_enqueue('hot', job_key => 'hot too', job_id => 'hot too');
delete from jobs where job_key in ('hot ' || :k, 'hot too');
SQL
		is($node->psql('postgres', 'reindex table concurrently jobs'), 0, 'rebuilt') for 1 .. 20;
		stop_load($load, 'hot keys');
		is_whole('hot keys');
	};
}

subtest 'under load' => sub {
	$sql->(<<'SQL');
create sequence made;
create table acknowledged (made bigint);
select job_type_set('load', max_retries => 1000, retry_delay_ms => 0, keep_completed => '1 ms');
SQL
	my $load = start_load(
		6,
		enqueue => <<'SQL',
select nextval('made') as made \gset
select id from job_enqueue('load', job_id => 'load ' || :made, expires_at => now() + interval '1 day');
insert into acknowledged values (:made);
SQL
		complete => "select count(*) from job_claim('{load}', 2) c, lateral job_complete(c.id, c.lease_id);\n",
		fail => "select count(*) from job_claim('{load}', 1) c, lateral job_fail(c.id, c.lease_id, 'try again');\n",
		forget => "select count(*) from job_claim('{load}', 1, lease => '1 ms');\n",
		maintain => "select job_maintain();\n");
	for my $table (@tables)
	{
		my $key = $sql->("select c.relname
			from pg_index i
			join pg_class c on c.oid = i.indexrelid where i.indrelid = '$table'::regclass and i.indisprimary");
		for my $command ("reindex table $table", "reindex table concurrently $table", "vacuum full $table",
			"cluster $table using $key")
		{
			is($node->psql('postgres', $command), 0, $command);
			is($sql->("select * from tests.corruption('$table')"), '', "$command: amcheck finds nothing");
		}
	}
	stop_load($load, 'all tables');
	$node->poll_query_until('postgres',
		"select count(*) = 0 from pg_stat_activity where application_name = 'pgbench'");
	is_whole('under load');

	$node->poll_query_until('postgres', <<'SQL') or diag('some are left');
with m as materialized (select job_maintain()),
     c as materialized (select x.id from job_claim('{load}', 1000) c, lateral job_complete(c.id, c.lease_id) x)
select (select count(*) from m) = 1
  and (select count(*) from c) = 0 and not exists (select from jobs where job_type = 'load')
SQL
	cmp_ok($sql->('select count(*) from acknowledged'), '>', 100, 'there was load');
	is($sql->(<<'SQL'), '', 'every job that was acknowledged has ended once');
select k.made, count(a.id)
from acknowledged k left join jobs_archive a on a.job_id = 'load ' || k.made and a.status = 'completed'
group by 1 having count(a.id) <> 1 limit 10
SQL
	is_whole('in the end');
};

is($sql->("select count(*) from job_claim('{stays}', 10000)"), $stays, 'every job that was left waiting is claimed');
is($sql->("select count(*) from jobs where status <> 'in_progress' and job_type = 'stays'"),
	0, 'and no other is there');
log_is_clean($node, 'nothing broke on the way');

done_testing;
