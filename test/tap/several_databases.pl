# Workers in several databases, and commands that fail while anybody is connected to one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('databases', max_worker_processes => 16, 'jobs_ext.maintenance_interval' => "'1h'",
	autovacuum => 'off');
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $directory = PostgreSQL::Test::Utils::tempdir;
$sql->("create tablespace elsewhere location '$directory'");
$sql->('create role owner login createdb; create role stranger login createdb');

sub prepare
{
	my ($database) = @_;
	$node->safe_psql($database, 'create extension jobs_ext');
	return worker_serves($node, $database, "$database has a worker");
}

# That the database is served: a lease ends.
sub is_served
{
	my ($database, $name) = @_;
	my $id = $node->safe_psql($database, "select id from job_enqueue('import-csv', retry_delay_ms => 0)");
	$node->safe_psql($database, "select job_claim('{import-csv}', max_jobs => 100, lease => '300 ms')");
	return eventually($node, $database, "select status from jobs where id = '$id'", 'pending', $name, 30);
}

# A command that succeeds within ten seconds.
my $slowest = 0;
sub does
{
	my ($command, $name, $role) = @_;
	my $began = time;
	my $stderr = '';
	my $code = $node->psql('postgres', ($role ? "set role $role;\n" : '') . $command, stderr => \$stderr,
		on_error_stop => 1);
	my $took = time - $began;
	$slowest = $took if $took > $slowest;
	return ok($code == 0 && $took < 10, $name // $command) || diag("after $took s: $stderr");
}

sub refused
{
	my ($command, $error, $role) = @_;
	my $stderr = '';
	$node->psql('postgres', ($role ? "set role $role;\n" : '') . $command, stderr => \$stderr, on_error_stop => 1);
	return like($stderr, $error, "refused: $command");
}

worker_serves($node, 'postgres', 'there is a worker');
$sql->("create database $_ owner owner") for qw(a b);
prepare('a');
prepare('b');

subtest 'with the worker connected' => sub {
	for my $round (1 .. 4)
	{
		does('alter database a rename to renamed');
		does('alter database renamed rename to a', 'at once back again', 'owner');
		does('alter database a set tablespace elsewhere');
		does('alter database a set tablespace pg_default');
		does('create database copy template a');
		does('create database copy_2 template a strategy = file_copy',
			'the copy of a database, by files') if $round == 1;
		worker_serves($node, 'copy', 'the copy is served') if $round == 1;
		does('create database copy_of_copy template copy', 'a copy of the copy, on whose heels the worker is');
		does('drop database copy');
		does('drop database copy_of_copy with (force)');
	}
	does('drop database copy_2');
	does('alter database a connection limit 50');
	worker_serves($node, 'a', 'a has its worker back');
	is_served('a', '… which works');
	note(sprintf 'the slowest took %.2f s', $slowest);
};

subtest 'again and again while the worker comes and goes' => sub {
	for my $round (1 .. 8)
	{
		does("create database short_$round template a", "copied, round $round");
		sleep rand 0.15;    # while its worker is on its way
		does("drop database short_$round", "dropped, round $round");
	}
	# Two sessions that copy the same database.
	my @copies = map {
		my $name = $_;
		start_session($node, 'postgres', map { ("create database $name template a", "drop database $name") } 1 .. 4)
	} 'x', 'y';
	for my $copy (@copies)
	{
		end_session($copy);
		is($copy->{err}, '', 'two sessions that copy one database');
	}
	my @loops = map {
		my $name = $_;
		start_session($node, 'postgres', map { ("create database $name template b", "drop database $name") } 1 .. 4)
	} 'u', 'v', 'w';
	for my $loop (@loops)
	{
		end_session($loop);
		is($loop->{err}, '', 'three that copy and drop');
	}
	is_served('a', 'a is served');
	is_served('b', 'b is served');
};

subtest 'what fails' => sub {
	my $pid = worker_serves($node, 'b', 'b has a worker');
	refused('drop database b', qr/must be owner/, 'stranger');
	refused('alter database b rename to c', qr/must be owner/, 'stranger');
	refused('create database copy template b', qr/permission denied/, 'stranger');
	refused('alter database b set tablespace elsewhere', qr/must be owner/, 'stranger');
	refused('drop database nothing', qr/does not exist/);
	refused('create database copy template nothing', qr/does not exist/);
	sleep 0.5;
	is(worker_of($node, 'b'), $pid, 'who does not own it does not even disturb the worker');

	my $session = $node->background_psql('b');
	refused('drop database b', qr/being accessed/);
	worker_serves($node, 'b', 'refused since a session is connected: the worker comes back');
	refused('alter database b rename to c', qr/being accessed/);
	refused("begin; drop database b", qr/cannot run inside a transaction block/);
	refused('create database copy template b', qr/being accessed/);
	$session->quit;
	is_served('b', '… and works');
	refused('alter database b rename to a', qr/already exists/);
	refused('create database a template b', qr/already exists/);
	is_served('b', '… it still does');
	$sql->("begin; alter database b rename to c; select pg_sleep(0.5); rollback");
	is_served('b', 'a rename that is rolled back');
	# In a savepoint, in a transaction that stays open: the worker comes back as soon as the command is undone.
	for my $command ('create database copy template b', 'drop database b', 'alter database b set tablespace elsewhere',
		'savepoint inner; alter database b rename to c; release inner; select 1/0')
	{
		my $open = $node->background_psql('postgres', on_error_stop => 0);
		$open->query("begin; savepoint s; $command");
		$open->{stderr} = '';
		is_served('b', "undone to a savepoint: $command");
		$open->query_safe('rollback to s; select 1');
		$open->query_safe('rollback');
		$open->quit;
	}
	# What was begun outside of the savepoint goes on.
	my $open = $node->background_psql('postgres', on_error_stop => 0);
	$open->query_safe('begin;
		alter database b rename to c;
		savepoint s;
		alter database c rename to d;
		rollback to s;
		select 1');
	sleep 0.5;
	is($sql->("select count(*) from pg_stat_activity
		where backend_type = 'jobs_ext worker' and datname in ('b', 'c', 'd')"),
		'0', 'a rename before the savepoint still keeps the worker away');
	$open->query_safe('rollback');
	$open->quit;
	is_served('b', '… until the end');
	# Cancelled while it waits for a session to leave.
	$session = $node->background_psql('b');
	my $drop = start_session($node, 'postgres', 'drop database b');
	sleep 0.5;
	$sql->("select pg_cancel_backend($drop->{pid})");
	end_session($drop);
	like($drop->{err}, qr/canceling|being accessed/, 'a DROP DATABASE that is cancelled');
	$session->quit;
	is_served('b', '… leaves the worker');
	$session = $node->background_psql('b');
	$drop = start_session($node, 'postgres', 'drop database b');
	sleep 0.5;
	$sql->("select pg_terminate_backend($drop->{pid})");
	eval { end_session($drop) };
	$session->quit;
	is_served('b', '… so does one whose session is terminated');
};

subtest 'others' => sub {
	$sql->('create database unrelated');
	sleep 0.3;
	does('drop database unrelated');
	does("create database unrelated_$_",
		'an unrelated database') && does("drop database unrelated_$_", '… dropped') for 1 .. 3;

	does('alter database b is_template true');
	worker_leaves($node, 'b', 'a template is left alone');
	does('create database from_template template b', undef, 'stranger');
	prepare_is_there('from_template');
	does('alter database b is_template false');
	worker_serves($node, 'b', 'no template any more: served');
	does('alter database b allow_connections false');
	worker_leaves($node, 'b', 'one that allows no connections is left alone');
	does('alter database b allow_connections true');
	is_served('b', '… and served when it does again');

	$node->safe_psql('a', "alter database a set statement_timeout = '1ms'");
	$sql->("alter database a set default_transaction_read_only = on;
		alter database a set search_path = nowhere;
		alter database a set lock_timeout = '1ms'");
	$sql->("alter database a set default_transaction_isolation = 'serializable';
		alter database a set session_replication_role = replica");
	$sql->("select pg_terminate_backend(pid)
		from pg_stat_activity where backend_type = 'jobs_ext worker' and datname = 'a'");
	worker_serves($node, 'a', 'a has a worker');
	my $id = $node->safe_psql('a', <<'SQL') =~ s/\|.*//sr;
set default_transaction_read_only = off;
set statement_timeout = 0;
set session_replication_role = origin;
set default_transaction_isolation = 'read committed';
set search_path = public;
select id from job_enqueue('import-csv', retry_delay_ms => 0) \gset
select :'id' as id, count(*) from job_claim('{import-csv}', max_jobs => 100, lease => '300 ms')
SQL
	$node->poll_query_until('postgres', "select reaped > 0 from jobs_ext.maintenance where database = 'a'");
	is($sql->("select reaped > 0 and last_error_at is null from jobs_ext.maintenance where database = 'a'"),
		't', 'whatever is set for the database, it works');
	$sql->('alter database a reset all');
};

sub prepare_is_there { my ($database) = @_; return worker_serves($node, $database, "$database is served") }

subtest 'excluded' => sub {
	set_config($node, 'jobs_ext.exclude_databases' => "'a, \"from_template\"'");
	worker_leaves($node, $_, "$_ is excluded") for qw(a from_template);
	isnt(worker_of($node, 'b'), 0, 'b is not');
	set_config($node, 'jobs_ext.exclude_databases' => "'*'");
	worker_leaves($node, $_, "$_ is excluded by an asterisk") for qw(b postgres);
	is($sql->('select count(*) from jobs_ext.maintenance'), '0', '… and the view has nothing to say');
	does('drop database from_template');
	set_config($node, 'jobs_ext.exclude_databases' => "''");
	worker_serves($node, $_, "$_ is served again") for qw(a b postgres);
	is_served($_, "$_ works") for qw(a b);
};

subtest 'what the view shows of others' => sub {
	$sql->("select jobs_ext.grant_role('stranger', 'monitor'); grant pg_read_all_stats to owner;
		select jobs_ext.grant_role('owner', 'monitor')");
	set_config($node, 'jobs_ext.maintenance_interval' => "'200ms'");
	$node->safe_psql('a', 'alter table jobs rename column lease_id to "a secret"');
	eventually($node, 'postgres', "select last_error is not null from jobs_ext.maintenance where database = 'a'",
		't', 'something went wrong in a');
	my $look = "select last_error_at is null, last_error is null, last_error_sqlstate is null
		from jobs_ext.maintenance where database = 'a'";
	is($sql->("set role stranger; $look"), 'f|t|t', '… what it was is not for everybody');
	is($sql->("set role owner; $look"), 'f|f|f', '… but for members of pg_read_all_stats');
	$node->safe_psql('a', 'alter table jobs rename column "a secret" to lease_id');
	is_served('a', 'mended');
};

# A dump, restored.
subtest 'dump and restore' => sub {
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/worker.dump";
	$node->safe_psql('a',
		"delete from jobs;
			select job_enqueue('import-csv', job_id => 'runs', retry_delay_ms => 0) ;
			select job_claim(lease => '1 s')");
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('a') ], 'pg_dump, the worker connected');
	$sql->('create database restored');
	$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
	worker_serves($node, 'restored', 'the restored database is served');
	eventually($node, 'restored', "select status from jobs where job_id = 'runs'",
		'pending', '… a lease that ended on the way is reaped');
	is($sql->("select last_error from jobs_ext.maintenance where database = 'restored'"),
		'', '… and nothing went wrong meanwhile');
	in_step($node, 'restored', 'in step');
	does('drop database restored');
};
in_step($node, $_, "$_ is in step") for qw(a b);
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;

# More databases than processes.
$node = new_node('many', extension => 0, max_worker_processes => 8, 'jobs_ext.maintenance_interval' => "'1h'",
	'jobs_ext.exclude_databases' => "'*'", autovacuum => 'off', fsync => 'off');
$node->safe_psql('template1', 'create extension jobs_ext');
my @names = map { "many_$_" } 1 .. 20;
$node->safe_psql('postgres', join "\n", map { "create database $_ strategy = file_copy;" } @names);
for my $database (@names)
{
	$node->safe_psql($database,
		"select job_enqueue('import-csv', retry_delay_ms => 0); select job_claim(lease => '100 ms')");
}
my $from = -s $node->logfile;
set_config($node, 'jobs_ext.exclude_databases' => "''");
my $began = time;
my %waiting = map { $_ => 1 } @names;
while (%waiting && time - $began < 90)
{
	for my $database (keys %waiting)
	{
		delete $waiting{$database} if $node->safe_psql($database, "select status from jobs") eq 'pending';
	}
}
is(join(' ', sort keys %waiting), '', '20 databases, 6 processes: each is served');
note(sprintf 'after %.1f s', time - $began);

# Those that have no process now, too, and those that had one first.
$node->safe_psql($_, "select job_claim(lease => '100 ms')") for @names;
%waiting = map { $_ => 1 } @names;
$began = time;
while (%waiting && time - $began < 90)
{
	for my $database (keys %waiting)
	{
		delete $waiting{$database} if $node->safe_psql($database, "select status from jobs") eq 'pending';
	}
}
is(join(' ', sort keys %waiting), '', '… and once more');
note(sprintf 'after %.1f s', time - $began);
is(scalar(log_lines($node, qr/WARNING/, $from)), 1, '… with one warning');
like((log_lines($node, qr/WARNING/, $from))[0],
	qr/no process is free for the jobs of \d+ databases/, '… that says what is lacking');
cmp_ok(scalar(log_lines($node, qr/ERROR|FATAL/, $from)), '==', 0, '… and no error');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
