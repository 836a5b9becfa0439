# Everything through a pooler in transaction mode, pgbouncer: many clients share few servers, and each transaction of a
# client may be on another one. Every verb, waiting claims, a pool that is full of sleepers, what settings of a session
# do.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The pooler, to which its clients connect as to a server.
package Pool
{
	our @ISA = ('PostgreSQL::Test::Cluster');

	sub start
	{
		my ($class, $node, $user, %database) = @_;
		my $folder = PostgreSQL::Test::Utils::tempdir_short();
		my $port = PostgreSQL::Test::Cluster::get_free_port();
		my $self = bless { folder => $folder, port => $port, user => $user }, $class;
		my $server = 'host=' . $node->host . ' port=' . $node->port . ' dbname=postgres';
		PostgreSQL::Test::Utils::append_to_file("$folder/users", qq{"$_" ""\n}) for 'app', 'authenticator';
		PostgreSQL::Test::Utils::append_to_file("$folder/pgbouncer.ini", <<"INI");
[databases]
@{[ join "\n", map { "$_ = $server pool_size=$database{$_}" } sort keys %database ]}

[pgbouncer]
pool_mode = transaction
server_round_robin = 1
listen_addr =
listen_port = $port
unix_socket_dir = $folder
auth_type = trust
auth_file = $folder/users
admin_users = app
logfile = $folder/log
pidfile = $folder/pid
INI
		$self->{process} = IPC::Run::start([ '/usr/sbin/pgbouncer', "$folder/pgbouncer.ini" ],
			'<', \'', '>', \$self->{out}, '2>', \$self->{err});
		my $end = Time::HiRes::time + 30;
		Time::HiRes::sleep 0.05 until -S "$folder/.s.PGSQL.$port" || Time::HiRes::time > $end;
		return $self;
	}

	sub as { my ($self, $user) = @_; return bless {%$self, user => $user}, ref $self }

	sub connstr
	{
		my ($self, $database) = @_;
		return "host=$self->{folder} port=$self->{port} user=$self->{user} dbname=$database";
	}

	# How many clients wait for a server.
	sub waiting
	{
		my ($self, $database) = @_;
		my ($line) = grep { /^$database\|$self->{user}\|/ } split /\n/, $self->as('app')->console('show pools');
		return $line ? (split /\|/, $line)[3] : 0;
	}

	sub console
	{
		my ($self, $command) = @_;
		my ($out, $err);
		IPC::Run::run([ 'psql', '-XAtq', '-d', $self->connstr('pgbouncer'), '-c', $command ],
			'<', \'', '>', \$out, '2>', \$err) or die "$command: $err";
		return $out;
	}

	sub stop { my ($self) = @_; $self->{process}->signal('TERM'); return $self->{process}->finish }
}

my $size = 4;
my $node = new_node(
	'pooled',
	extension => 0,
	shared_preload_libraries => "'pg_cron,jobs_ext'",
	'cron.database_name' => "'postgres'",
	'jobs_ext.max_waiters' => 10,
	max_worker_processes => 20);
my $sql = sub { return $node->safe_psql('postgres', @_) };
$sql->(<<'SQL');
create role authenticated;
create role authenticator login noinherit;
grant authenticated to authenticator;
create role app login bypassrls;
create extension jobs_ext;
create extension pg_cron;
grant usage on schema cron to app;
select jobs_ext.grant_role('app', 'operator');
SQL
worker_serves($node, 'postgres', 'there is a worker');
my $pool = Pool->start($node, 'app', postgres => $size, single => 1);

# Each of these is a client of its own.
my $pooled = sub { return $pool->safe_psql('postgres', @_) };
my $sleepers = sub {
	my ($count, $verb) = @_;
	$verb //= 'job_claim';
	my $those = "from pg_stat_activity where usename in ('app', 'authenticator')";
	return 1 if $node->poll_query_until('postgres',
		"select count(*) = $count $those and wait_event_type = 'Extension' and query like '%$verb%'");
	die "$count do not sleep: " . $sql->("select pid, state, wait_event, query $those");
};
my $sleeps = sub { my ($pool, @statements) = @_; return start_session($pool, 'postgres', @statements) };

# All servers of the pool at once, so that they are there and are taken by turns.
my %pids = map { $_->{pid} => 1 } my @held = map { hold($pool, 'postgres') } 1 .. $size;
is(scalar keys %pids, $size, "the pool has $size servers");
let_go($_) for @held;

subtest 'every verb, each in another session' => sub {
	my %called;
	my $last = '';
	my $calls = sub {
		my ($verb, $query, $expected) = @_;
		$called{$verb} = 1;
		my ($pid, $answer) = split /\n/, $pooled->("select pg_backend_pid() \\; $query"), 2;
		isnt($pid, $last, "$verb: on another server than the call before") if $last;
		$last = $pid;
		like($answer // '', qr/\A$expected\z/, "$verb: what it answers") if defined $expected;
		return split /\|/, $answer // '';
	};
	my $uuid = '[0-9a-f-]{36}';
	my $enqueue = "select id, created from job_enqueue('import-csv', job_id => 'one')";
	my ($id) = $calls->('job_enqueue', $enqueue, "$uuid\\|t");
	$calls->('job_enqueue', $enqueue, "$id\\|f");
	$calls->('job_type_set', "select (job_type_set('import-csv', max_retries => 4)).max_retries", 4);
	$calls->('job_pause', "select status from job_pause('$id')", 'paused');
	$calls->('job_resume', "select status from job_resume('$id')", 'queued');
	$calls->('job_pause_all', 'select job_pause_all()', 't');
	$calls->('job_claim', 'select id from job_claim()', '');
	$calls->('job_resume_all', 'select job_resume_all()', 't');
	my $claim = "select lease_id from job_claim('{import-csv}', worker => 'w')";
	my ($lease) = $calls->('job_claim', $claim, $uuid);
	$calls->('job_heartbeat', "select status from job_heartbeat('$id', '$lease', '{}')", 'in_progress');
	$calls->(
		'job_heartbeat_many',
		"select status from job_heartbeat_many(
			jsonb_build_array(jsonb_build_object('id', '$id', 'lease_id', '$lease')))",
		'in_progress');
	$calls->('job_release', "select status from job_release('$id', '$lease')", 'pending');
	($lease) = $calls->('job_claim', $claim, $uuid);
	$calls->(
		'job_steps_set',
		"select step_number from job_steps_set('$id', '[{\"step_number\": 1, \"step_name\": \"ask\"}]', '$lease')", 1);
	$calls->('job_step_start', "select status from job_step_start('$id', '$lease', 1)", 'in_progress');
	$calls->('job_step_fail', "select status from job_step_fail('$id', '$lease', 1, 'no')", 'failed');
	$calls->('job_step_start', "select status from job_step_start('$id', '$lease', 1)", 'in_progress');
	$calls->('job_step_complete', "select status from job_step_complete('$id', '$lease', 1)", 'completed');
	$calls->(
		'job_steps_set',
		"select step_number from job_steps_set('$id', '[{\"step_number\": 2, \"step_name\": \"decide\",
			\"step_type\": \"action_required\"}]', '$lease') where step_number = 2", 2);
	$calls->('job_step_await', "select status from job_step_await('$id', '$lease', 2)", '(paused|action_required)');
	$calls->('job_step_resolve', "select status from job_step_resolve('$id', 2, '{}')", '(queued|completed)');
	($lease) = $calls->('job_claim', $claim, $uuid);
	$calls->('job_release_worker', "select job_release_worker('w')", 1);
	($lease) = $calls->('job_claim', $claim, $uuid);
	$calls->('job_enqueue', "select created from job_enqueue('bulk-update', parent_job_id => '$id')", 't');
	$calls->('job_await_children', "select status from job_await_children('$id', '$lease')", 'blocked');
	$calls->('job_children', "select status from job_children('$id')", 'queued');
	$calls->('job_cancel', "select (job_cancel(id)).status from job_children('$id')", 'cancelled');
	$calls->('job_wait', "select status from job_wait('$id', wait => '0 s')", '(blocked|queued)');
	($lease) = $calls->('job_claim', "select lease_id from job_claim('{import-csv}', wait => '20 s')", $uuid);
	$calls->('job_release', "select status from job_release('$id', '$lease')", 'pending');
	my ($awaited) = $calls->('job_await', "call job_await(job_types => '{import-csv}', wait => '20 s')",
		qq{.*"lease_id": "$uuid".*});
	($lease) = $awaited =~ /"lease_id": "($uuid)"/;
	$calls->('job_fail', "select status from job_fail('$id', '$lease', permanent => true)", 'failed');
	$calls->('job_retry', "select status from job_retry('$id')", 'queued');
	$calls->('job_get', "select status from job_get(job_id => 'one')", 'queued');
	$calls->('job_stats', "select waiting > 0 and enqueued > 0 from job_stats('import-csv')", 't');
	$calls->('job_list', "select job_id from job_list(job_type => 'import-csv')", 'one');
	($lease) = $calls->('job_claim', $claim, $uuid);
	$calls->('job_enqueue_many', "select count(*) from job_enqueue_many('[{\"job_type\": \"import-csv\"}]')", 1);
	my ($second, $second_lease) =
	  $calls->('job_next', "select id, lease_id from job_next('$id', '$lease', '{}')", "$uuid\\|$uuid");
	$calls->('job_complete', "select status from job_complete('$second', '$second_lease')", 'completed');
	$calls->('job_complete', "select status from job_complete('$second', '$second_lease')", 'completed');
	$calls->('job_enqueue', "select status from job_enqueue('import-csv')", 'queued');
	my ($third, $third_lease) = $calls->('job_claim', 'select id, lease_id from job_claim()', "$uuid\\|$uuid");
	$calls->(
		'job_finish_many',
		"select status from job_finish_many(jsonb_build_array(jsonb_build_object('id', '$third',
			'lease_id', '$third_lease', 'complete', null)))", 'completed');
	$calls->('job_schedule', "select job_schedule('yearly', '\@yearly', 'import-csv') > 0", 't');
	$calls->('job_unschedule', "select job_unschedule('yearly')", 't');
	$calls->('job_maintain', 'select jsonb_typeof(job_maintain())', 'object');
	is(join(' ', sort keys %called), $sql->(<<'SQL'), 'these are all');
select string_agg(distinct p.proname, ' ' order by p.proname)
from pg_proc p join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
where p.pronamespace = 'public'::regnamespace and p.proname like 'job\_%' and p.prorettype <> 'trigger'::regtype
SQL
};

subtest 'more clients than servers' => sub {
	my $before = $sql->("select count(*) from jobs where status = 'completed'");
	my $script = "$pool->{folder}/life.sql";
	append_to_file($script, <<'SQL');
select id from job_enqueue('import-csv') \gset
select id, lease_id from job_claim(worker => 'client :client_id', wait => '10 s') \gset
select status from job_heartbeat(':id', ':lease_id', '{}');
select status from job_complete(':id', ':lease_id') \gset
SQL
	IPC::Run::run([ 'pgbench', '-n', '-c', 12, '-t', 30, '-f', $script, $pool->connstr('postgres') ],
		'<', \'', '>', \my $out, '2>', \my $err, IPC::Run::timeout(120));
	like($out, qr{number of transactions actually processed: 360/360}, '12 clients, 360 lives') or diag($err);
	is($sql->("select count(*) - $before, max(attempt) filter (where worker like 'client%')
			from jobs where status = 'completed'"),
		'360|1', 'each job was done, and once');
};

subtest 'waiting, with a server to spare' => sub {
	my $claim = "select job_id from job_claim('{import-csv}', wait => '40 s')";
	my @claims = map { $sleeps->($pool, $claim) } 1 .. $size - 1;
	$sleepers->($size - 1);
	my $got = $pooled->("select job_id from job_enqueue('import-csv', job_id => 'wanted')");
	$pooled->("select job_id from job_enqueue('import-csv', job_id => 'later', run_at => now() + interval '300 ms')");
	my $many = '[{"job_type": "import-csv", "job_id": "many"}, {"job_type": "import-csv", "job_id": "more"}]';
	$pooled->("select job_id from job_enqueue_many('$many')");
	is(scalar(grep { /^(wanted|later|many|more)$/ } map { end_session($_) } @claims),
		$size - 1, 'claims are woken through the pool');
	my ($id, $lease) = split /\|/, $pooled->("select id, lease_id from job_claim('{import-csv}', wait => '10 s')");
	my $wait = $sleeps->($pool, "select status from job_wait('$id', wait => '40 s')");
	$sleepers->(1, 'job_wait');
	$pooled->("select status from job_complete('$id', '$lease')");
	gets($wait, 'completed', 'who waits for an end as well');
	my $dead = $sleeps->($pool, "select count(*) from job_claim('{import-csv}', worker => 'dead', wait => '40 s')");
	$sleepers->(1);
	$pooled->("select job_release_worker('dead')");
	gets($dead, '0', 'job_release_worker ends a wait');
	my $procedure = $sleeps->($pool, "call job_await(job_types => '{import-csv}', wait => '40 s')");
	$sleepers->(1, 'job_await');
	is($sql->("select backend_xmin is null from pg_stat_activity where query like 'call job_await%'"),
		't', 'job_await sleeps without a snapshot');
	$pooled->("select job_id from job_enqueue('import-csv', job_id => 'awaited')");
	gets($procedure, qr/"job_id": "awaited"/, '… and is woken');
};

# pgbouncer closes the server of a client that is gone in a call, so that its session notices.
subtest 'a client that is gone' => sub {
	my $gone = $sleeps->($pool, "select job_id from job_claim('{import-csv}', wait => '40 s')");
	$sleepers->(1);
	$gone->{psql}->kill_kill;
	$sleepers->(0);
	$pooled->("select job_id from job_enqueue('import-csv', job_id => 'left')");
	is($pooled->("select job_id from job_claim('{import-csv}')"), 'left', 'takes no job');
};

# What doc/supabase.md says: who sleeps keeps a server, so that one that is full of sleepers serves nobody until a wait
# ends.
subtest 'a pool full of sleepers' => sub {
	my $claim = sub { return $sleeps->($pool, "select job_id from job_claim('{import-csv}', wait => '$_[0]')") };
	my @long = map { $claim->('60 s') } 1 .. $size - 1;
	$sleepers->($size - 1);
	my $short = $claim->('5 s');
	$sleepers->($size);
	my $began = time;
	my $enqueue = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $pool->connstr('postgres'), '-c', "select job_id from job_enqueue('import-csv')" ],
		'<', \'', '>', \my $out, '2>', \my $err, IPC::Run::timeout(60));
	my $end = time + 30;
	sleep 0.02 until $pool->waiting('postgres') || time > $end;
	is($pool->waiting('postgres'), 1, 'one more client waits for a server');
	is($sql->("select count(*) from jobs where status = 'queued'"), '0', '… and has enqueued nothing');
	is(end_session($short), '', 'a sleeper whose wait is over has found nothing');
	$enqueue->finish;
	cmp_ok($short->{ended} - $began, '<', 15, '… after its 5 s');
	isnt($out, '', '… and the client has its server');
	$pooled->("select job_id from job_enqueue('import-csv')") for 2 .. $size - 1;
	is(scalar(grep { end_session($_) ne '' } @long), $size - 1, 'the others are woken');
	$pooled->("select job_complete(id, lease_id) from jobs where status = 'in_progress'");
};

# Members who wait, each for as long as it likes, as PostgREST calls for them: none keeps the pool for more than 2 s.
subtest 'members of an API' => sub {
	my $organisation = '00000000-0000-4000-8000-000000000001';
	my $id = $sql->("select id from job_enqueue('import-csv', organisation_id => '$organisation')");
	my $as_member = "begin; set local role authenticated;
		select set_config('request.jwt.claims', '{\"org_id\": \"$organisation\"}', true) is null;";
	my $api = $pool->as('authenticator');
	my $began = time;
	my @waits = map {
		$sleeps->($api, "$as_member select status from job_wait('$id', wait => '40 s'); commit")
	} 1 .. $size;
	$sleepers->($size, 'job_wait');
	like($api->safe_psql('postgres', "$as_member select status from job_enqueue('bulk-update'); commit"),
		qr/^queued$/m, "$size members wait, and another one is served");
	cmp_ok(time - $began, '<', 20, '… long before the waits that they asked for are over');
	like(end_session($_), qr/^queued$/m, 'each has the job as it stands') for @waits;
	$sql->("delete from jobs");
};

# Nothing of ours is kept in a session between two calls. But what a client sets, it sets for all clients of a server.
subtest 'settings' => sub {
	my $claim = sub {
		my (@before) = @_;
		$pool->safe_psql('single', "select job_id from job_enqueue('bulk-update')");
		return $pool->safe_psql('single', join ' ', @before,
			"select lease_expires_at > now() + interval '1 hour' from job_claim('{bulk-update}'); commit");
	};
	is($claim->(), 'f', 'a lease by default');
	is($claim->("begin; set local jobs_ext.default_lease = '2 h';"), 't', 'SET LOCAL is for the transaction');
	is($claim->(), 'f', '… and not for the next client');
	$pool->safe_psql('single', "set jobs_ext.default_lease = '2 h'");
	is($claim->(), 't', 'SET is for all clients of that server');
	$pool->safe_psql('single', 'reset jobs_ext.default_lease');
	is($claim->(), 'f', '… until one resets it');
	$sql->("alter role app set jobs_ext.default_lease = '2 h'");
	$pool->console('reconnect single');
	is($claim->(), 't', 'ALTER ROLE … SET is for every server of the pool');
};

$pool->stop;
in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
