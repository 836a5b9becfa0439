# Days on which things go wrong: processes are killed, the disk is full, tables are locked, the server stops, the clock
# is set, a standby takes over. No job is lost, and all goes on by itself.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The workers look at everything once an hour only: what else happens in time happens since it is due.
my %setting = (
	'jobs_ext.maintenance_interval' => "'1h'",
	'jobs_ext.auto_register_types' => 'on',
	max_wal_senders => 4,
	autovacuum => 'off');
my $any = 'select job_id from job_claim(wait => NAP)';

# How many jobs, in_progress ones with a lease that ends soon.
sub claim_briefly
{
	my ($node, $database, $count, $lease) = @_;
	return $node->safe_psql($database, <<"SQL");
select count(*) from (select job_enqueue('brief', retry_delay_ms => 0, max_retries => 9)
                      from generate_series(1, $count)) e;
select count(*) from job_claim('{brief}', max_jobs => $count, lease => '$lease');
SQL
}

sub all_reaped
{
	my ($node, $database, $name) = @_;
	return eventually($node, $database, "select count(*) from jobs where status = 'in_progress'", '0', $name, 30);
}

sub stays_quiet
{
	my ($node, $from, $name) = @_;
	my @lines = log_lines($node, qr/jobs_ext/, $from);
	return cmp_ok(scalar @lines, '<=', 2, "$name: no flood in the log") || diag(join "\n", @lines);
}

# Answers again after a crash.
sub comes_back
{
	my ($node, $from, $name) = @_;
	my $end = time + 60;
	sleep 0.05
	  while !log_lines($node, qr/ready to accept connections/, $from) && time < $end;
	return ok(server_is_back($node), "$name: the server comes back");
}

my $node = new_node('outage', %setting, 'jobs_ext.max_waiters' => 2, allows_streaming => 1);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $broken = qr/PANIC:|TRAP:|terminated by signal (?!9)|\] XX\w{3} |\] 40P01 /;

subtest 'kill -9' => sub {
	worker_serves($node, 'postgres', 'there is a worker');
	my $known = 0;
	my $of_type = sub {
		return $sql->("select coalesce(max(pid), 0) from pg_stat_activity where backend_type = 'jobs_ext $_[0]'");
	};
	my @sleepers;
	my %victim = (
		'a sleeper' => sub { @sleepers = map { fall_asleep($node, 'postgres', $any) } 1, 2; return $sleepers[0]{pid} },
		'the worker' => sub { return $of_type->('worker') },
		'the launcher' => sub { return $of_type->('launcher') },
		'who holds a claim' => sub {
			my $holder = start_session($node, 'postgres',
				"select job_id from job_claim('{held}', lease => '1500 ms')", 'begin',
				"select job_id from job_claim('{held}', lease => '1500 ms')", 'select pg_sleep(100)');
			$node->poll_query_until('postgres',
				"select query ~ 'pg_sleep' from pg_stat_activity where pid = $holder->{pid}");
			push @sleepers, $holder;
			return $holder->{pid};
		});
	for my $who ('a sleeper', 'the worker', 'the launcher', 'who holds a claim')
	{
		my @held = map { "held-$known-$_" } 1, 2;
		$sql->("select job_enqueue('held', job_id => j, retry_delay_ms => 0, max_retries => 9)
			from unnest('{@{[join ',', @held]}}'::text[]) j")
		  if $who eq 'who holds a claim';
		my $pid = $victim{$who}->();
		$known += @held if $who eq 'who holds a claim';
		if ($who ne 'a sleeper' && $who ne 'who holds a claim')
		{
			claim_briefly($node, 'postgres', 3, '1500 ms');
			$known += 3;
		}
		$sql->("select job_enqueue('later', job_id => 'later-$known', run_at => now() + interval '1 h')");
		++$known;
		my $from = -s $node->logfile;
		kill 'KILL', $pid;
		comes_back($node, $from, $who);
		isnt(worker_serves($node, 'postgres', "$who: there is a worker again"), $pid, "$who: … another one");
		isnt($of_type->('launcher'), 0, "$who: there is a launcher again");
		eval { $_->{psql}->finish } for @sleepers;
		@sleepers = ();
		is($sql->('select count(*) from jobs'), $known, "$who: no job is lost");
		in_step($node, 'postgres', "$who: in step");
		all_reaped($node, 'postgres', "$who: leases of before the crash are reaped");
		is($sql->("select string_agg(job_id, ' ' order by job_id)
			from job_claim('{held}', max_jobs => 5, lease => '1 h')"),
			"@held", "$who: the claims can be had again")
		  if $who eq 'who holds a claim';
		$sql->("select count(*) from job_claim('{brief, held}', max_jobs => 100) c, job_complete(c.id, c.lease_id)");

		# Both places are free, and there are no more.
		my @two = map { fall_asleep($node, 'postgres', $any) } 1, 2;
		my $polled = "select waits_polled from jobs_ext.maintenance where database = 'postgres'";
		my $before = $sql->($polled);
		gets_nothing(start_session($node, 'postgres', $any =~ s/NAP/interval '100 ms'/r),
			"$who: both places are taken again");
		is($sql->($polled), $before + 1, '… and so a third looks by itself');
		$sql->("select job_enqueue('new', job_id => 'new-$known-' || n) from generate_series(1, 2) n");
		gets($_, qr/^new-$known-[12]$/, "$who: a sleeper is woken") for @two;
		$known += 2;
		$sql->("select count(*) from jobs j, job_complete(j.id, j.lease_id) where j.status = 'in_progress'");
	}
	is(scalar(log_lines($node, qr/terminated by signal/)), 4, 'four processes were killed, and none fell by itself');
	is(join("\n", log_lines($node, $broken)), '', 'no internal error, no deadlock');
};

$node->append_conf('postgresql.conf', 'jobs_ext.max_waiters = 20');
$node->restart;
$sql->('create database watcher');
$node->safe_psql('watcher', 'create extension jobs_ext');
my $worker = worker_serves($node, 'postgres', 'there is a worker');
$sql->("select job_enqueue('later', run_at => now() + interval '1 h')");
my ($idle_cpu, $idle_since) = (undef, time);

subtest 'the disk of the archive is full' => sub {
	my $space = PostgreSQL::Test::Utils::tempdir;
	my ($library, $flag) = ("$space/disk_full.so", "$space/disk_is_full");
	plan skip_all => 'no C compiler'
	  if system("cc -shared -fPIC -o '$library' '$FindBin::Bin/disk_full.c' -ldl >'$space/cc.log' 2>&1");
	mkdir "$space/archive_space" or die $!;
	$idle_cpu = cpu_of($worker);
	$idle_since = time;
	my $full;
	{
		local $ENV{LD_PRELOAD} = $library;
		local $ENV{DISK_FULL} = $flag;
		# Archiving is looked at once an interval.
		$full = new_node('full', %setting, 'jobs_ext.maintenance_interval' => "'1s'");
	}
	my $on = sub { return $full->safe_psql('postgres', @_) };
	worker_serves($full, 'postgres', 'there is a worker');
	$on->("create tablespace archive_space location '$space/archive_space'");
	$on->('alter table jobs_archive set tablespace archive_space');
	$on->("select format('drop table %s', inhrelid::regclass)
		from pg_inherits
		where inhparent = 'jobs_archive'::regclass and inhrelid::regclass::text ~ '_\\d+_\\d+\$' \\gexec");
	my $end_some = sub {
		my ($count) = @_;
		$on->(<<"SQL");
select count(*) from (select job_enqueue('a',
                                         jsonb_build_object('x',
                                                            (select string_agg(md5(n || '-' || i), '')
                                                             from generate_series(1, 20) i)))
                      from generate_series(1, $count) n) e;
select count(*) from job_claim('{a}', max_jobs => $count) c, job_complete(c.id, c.lease_id);
SQL
	};
	$on->('alter system set jobs_ext.archive_after = 0');
	$full->reload;
	$end_some->(20);
	eventually($full, 'postgres', 'select count(*) from jobs_archive', '20', 'ended jobs are archived');
	is($on->("select distinct spcname
		from jobs_archive a join pg_class c on c.oid = a.tableoid join pg_tablespace t on t.oid = c.reltablespace"),
		'archive_space', '… in the tablespace');

	append_to_file($flag, '');
	my $from = -s $full->logfile;
	$end_some->(500);
	claim_briefly($full, 'postgres', 3, '500 ms');
	eventually($full, 'postgres', "select last_error_sqlstate from jobs_ext.maintenance where database = 'postgres'",
		'53100', 'archiving fails');
	all_reaped($full, 'postgres', '… while leases are reaped');
	my $reaped = status_of($full, 'postgres', 'reaped');
	claim_briefly($full, 'postgres', 3, '500 ms');
	eventually($full, 'postgres', "select reaped - $reaped from jobs_ext.maintenance where database = 'postgres'",
		'3', '… and again');
	is(status_of($full, 'postgres', 'set_aside'), '0', '… nothing is set aside');
	my $all = 'select (select count(*) from jobs) + (select count(*) from jobs_archive)';
	my $both = 'select count(*) from jobs join jobs_archive using (id)';
	my $known = $on->($all);
	is($known, 20 + 500 + 6, '… no job is lost');
	is($on->($both), '0', '… or doubled');
	cmp_ok($on->("select count(*) from jobs where status = 'completed'"), '>', 0, '… some are not archived');
	cmp_ok(scalar(my @lines = log_lines($full, qr/jobs_ext/, $from)), '<=', 10, '… and the log is not flooded');
	in_step($full, 'postgres', '… in step');

	unlink $flag;
	eventually($full, 'postgres', 'select count(*) from jobs_archive',
		'520', 'with space again archiving goes on by itself', 40);
	is($on->("select count(*) from jobs where status = 'completed'"), '0', '… all are archived');
	is($on->($all), $known, '… no job is lost');
	is($on->($both), '0', '… or doubled');
	is(status_of($full, 'postgres', 'set_aside'), '0', '… nothing was set aside');
	in_step($full, 'postgres', '… in step');
	log_is_clean($full, '… no crash, no internal error, no deadlock');
	$full->stop;
};

# Meanwhile.
subtest 'idle' => sub {
	$idle_cpu //= cpu_of($worker);
	sleep 0.1 while time - $idle_since < 8;
	my $used = cpu_of($worker) - $idle_cpu;
	note(sprintf 'idle for %.1f s: %.2f s of processor', time - $idle_since, $used);
	cmp_ok($used, '<', 0.2, 'a worker with nothing to do uses no processor');
	is(worker_of($node, 'postgres'), $worker, '… and is still the same');
};

subtest 'locked tables' => sub {
	my $locker = $node->background_psql('postgres', on_error_stop => 0);
	for my $way (
		[ 'ACCESS EXCLUSIVE' => 'lock table jobs in access exclusive mode' ],
		[ 'DROP EXTENSION' => 'set local client_min_messages = error; drop extension jobs_ext cascade' ])
	{
		my ($name, $statement) = @$way;
		my $count = $sql->('select count(*) from jobs');
		claim_briefly($node, 'postgres', 5, '1 s');
		my $from = -s $node->logfile;
		$locker->query_safe("begin; $statement");
		my $began = time;
		eventually($node, 'watcher', "select state from jobs_ext.maintenance where database = 'postgres'",
			'waiting for a lock on the tables', "$name: the worker waits for a lock", 20);
		sleep 0.1 while time - $began < 4;    # as long as it lasts
		stays_quiet($node, $from, $name);
		$locker->query_safe('rollback');
		all_reaped($node, 'postgres', "$name: afterwards leases are reaped");
		worker_serves($node, 'postgres', "$name: … by a worker");
		is($sql->('select count(*) from jobs'), $count + 5, "$name: no job is lost");
		in_step($node, 'postgres', "$name: in step");
		stays_quiet($node, $from, "$name, afterwards");
	}
	$locker->quit;
};

subtest 'the clock' => sub {
	claim_briefly($node, 'postgres', 1, '1 h');
	my $then = $sql->("select now() + interval '2 h'");
	set_config($node, 'jobs_ext.now' => "'$then'");
	all_reaped($node, 'postgres', 'reaped by the time that is set');
	$worker = worker_of($node, 'postgres');
	my ($rounds, $cpu) = (status_of($node, 'postgres', 'rounds'), cpu_of($worker));
	sleep 1.5;
	cmp_ok(status_of($node, 'postgres', 'rounds') - $rounds,
		'<=', 3, 'a clock that stands does not keep the worker busy');
	cmp_ok(cpu_of($worker) - $cpu, '<', 0.2, '… nor its processor');
	set_config($node, 'jobs_ext.now' => "''");
	eventually($node, 'postgres', 'show jobs_ext.now', '', 'the clock runs again');
	claim_briefly($node, 'postgres', 2, '1 s');
	all_reaped($node, 'postgres', '… and leases run out by it');
	in_step($node, 'postgres', 'in step');
};

subtest 'the clock of the server is set' => sub {
	my $space = PostgreSQL::Test::Utils::tempdir;
	my ($library, $ahead) = ("$space/clock.so", "$space/ahead");
	plan skip_all => 'no C compiler'
	  if system("cc -shared -fPIC -o '$library' '$FindBin::Bin/clock.c' -ldl >'$space/cc.log' 2>&1");
	# At once, so that nobody reads half of it.
	my $set = sub {
		append_to_file("$ahead.new", $_[0]);
		rename "$ahead.new", $ahead or die $!;
	};
	$set->(0);
	my $set_node;
	{
		local $ENV{LD_PRELOAD} = $library;
		local $ENV{CLOCK_AHEAD} = $ahead;
		$set_node = new_node('set', %setting, 'jobs_ext.maintenance_interval' => "'1s'",
			'jobs_ext.longest_piece' => "'1min'");
	}
	my $on = sub { return $set_node->safe_psql('postgres', @_) };
	my $pid = worker_serves($set_node, 'postgres', 'there is a worker');
	$on->(<<'SQL');
create table gate ();
create function wait_at_the_gate() returns trigger language plpgsql as $$
begin
  while not exists (select from public.gate) loop
    perform pg_sleep(0.05);
  end loop;
  return new;
end $$;
create trigger waits before update on jobs
  for each row when (old.job_type = 'waits' and new.status <> 'in_progress') execute function wait_at_the_gate();
select job_enqueue('waits', retry_delay_ms => 0);
select job_claim('{waits}', lease => '300 ms');
SQL
	$set_node->poll_query_until('postgres',
		"select exists (select from pg_stat_activity where pid = $pid and wait_event = 'PgSleep')");
	$set->(3600);
	# When the launcher has met another database, it has also looked which worker stays too long.
	$on->('create database another');
	eventually($set_node, 'postgres',
		"select count(*) from jobs_ext.maintenance where database = 'another' and state <> 'waiting for a worker'",
		'1', 'an hour ahead: the launcher looks');
	$on->('insert into gate default values');
	all_reaped($set_node, 'postgres', '… a piece that does not take long goes on');
	is($on->('select count(*) from jobs_ext.jobs_set_aside'), '0', '… nothing is set aside');
	is(worker_of($set_node, 'postgres'), $pid, '… the worker is the same');
	is(join("\n", log_lines($set_node, qr/is told to end/)), '', '… and nobody told it to end');

	# Set back again and again, so that by it no time ever passes.
	set_config($set_node, 'jobs_ext.stalled_after' => "'1500ms'");
	$on->("select job_enqueue('held', retry_delay_ms => 0); select job_claim('{held}', lease => '10 min')");
	my $holder = hold($set_node, 'postgres', q{select id from jobs where job_type = 'held' for update});
	$set->(2 * 3600);
	my ($found, $seconds, $end) = ('', 2 * 3600, time + 30);
	while ($found eq '' && time < $end)
	{
		$set->(--$seconds);
		$found = status_of($set_node,
			'postgres', "coalesce((regexp_match(last_error, '^(no progress) for \\d+ s: reaping'))[1], '')");
		sleep 0.3 if $found eq '';
	}
	is($found, 'no progress', 'set back again and again: no progress comes on record');
	let_go($holder);
	all_reaped($set_node, 'postgres', '… and it goes on');

	# The successor of one that failed comes after a pause.
	for (1, 2)
	{
		$on->("select pg_terminate_backend($pid)");
		$set->(0) if $_ == 2;
		$pid = worker_serves($set_node, 'postgres',
			$_ == 1 ? 'there is another worker' : '… and another one, though the clock was set back by hours',
			not => $pid);
	}
	claim_briefly($set_node, 'postgres', 2, '300 ms');
	all_reaped($set_node, 'postgres', '… and goes by the clock as it is');
	in_step($set_node, 'postgres', 'in step');
	log_is_clean($set_node, 'no crash, no internal error, no deadlock');
	$set_node->stop;
};

subtest 'restored' => sub {
	my $file = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
	$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('postgres') ], 'pg_dump');
	$sql->('create database restored');
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('restored') ],
		'… | psql');
	worker_serves($node, 'restored', 'there is a worker');
	is($node->safe_psql('restored', 'select count(*) from jobs'),
		$sql->('select count(*) from jobs'), 'with all jobs');
	claim_briefly($node, 'restored', 2, '500 ms');
	all_reaped($node, 'restored', 'leases are reaped');
	in_step($node, 'restored', 'in step');
	$sql->('drop database restored with (force)');
};

subtest 'shutdown' => sub {
	$sql->("select job_type_set('nothing')");
	for my $mode ('fast', 'immediate', 'smart')
	{
		my $count = $sql->('select count(*) from jobs');
		my $nap = $mode eq 'smart' ? "interval '4 s'" : 'NAP';
		my $claim = "select job_id from job_claim('{nothing}', wait => $nap)";
		my @sleepers = map { fall_asleep($node, 'postgres', $claim) } 1 .. 5;
		my $reaped = status_of($node, 'postgres', 'reaped');
		claim_briefly($node, 'postgres', 1000, '300 ms');
		$node->poll_query_until('postgres',
			"select reaped > $reaped from jobs_ext.maintenance where database = 'postgres'");
		my $began = time;
		$node->stop($mode);
		my $took = time - $began;
		cmp_ok($took, '<', 30, "$mode: the server stops");
		for (@sleepers)
		{
			if ($mode eq 'smart') { gets_nothing($_, 'smart: … after a session got its answer') }
			else { cut_off($_, qr/terminating connection|closed the connection/, "$mode: … a sleeper ends") }
		}
		$node->start;
		worker_serves($node, 'postgres', "$mode: after the start there is a worker");
		is($sql->('select count(*) from jobs'), $count + 1000, "$mode: no job is lost");
		all_reaped($node, 'postgres', "$mode: what was left is reaped");
		in_step($node, 'postgres', "$mode: in step");
	}
};

subtest 'a standby' => sub {
	$node->backup('backup');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	# The leases are to run out on the standby.
	set_config($node, 'jobs_ext.exclude_databases' => "'*'");
	worker_leaves($node, 'postgres', 'the primary has no worker any more');
	claim_briefly($node, 'postgres', 5, '500 ms');
	my $id = $sql->("select id from jobs where status = 'in_progress' limit 1");
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is($standby->safe_psql('postgres', "select count(*) from jobs where status = 'in_progress'"),
		'5', 'the standby has the jobs');
	is($standby->safe_psql('postgres', "select count(*) from job_get('$id')"), '1', '… for a reader');
	my $began = time;
	my $wait = start_session($standby,
		'postgres', "select count(*) from job_wait('$id', wait => '1 s') w where w.status = 'completed'");
	is(end_session($wait), '0', 'job_wait has nothing to tell there');
	is($wait->{err}, '', '… and says no more');
	cmp_ok($wait->{ended} - $began, '>', 0.9, '… at the end of its wait');
	cmp_ok($wait->{ended} - $began, '<', 20, '… and not much later');
	is($standby->safe_psql('postgres', "select count(*) from pg_stat_activity where backend_type like 'jobs_ext%'"),
		'0', 'no launcher, no worker');
	is(join("\n", log_lines($standby, qr/jobs_ext/)), '', 'not a line of ours in its log');
	$node->stop('immediate');
	$standby->promote;
	# In the configuration that it has from the primary nothing is excluded.
	worker_serves($standby, 'postgres', 'promoted: there is a worker');
	all_reaped($standby, 'postgres', '… which reaps');
	in_step($standby, 'postgres', 'promoted: in step');
	log_is_clean($standby, 'no crash, no internal error, no deadlock');
	$standby->stop;
};

is(join("\n", log_lines($node, $broken)), '', 'no crash, no internal error, no deadlock');
done_testing();
