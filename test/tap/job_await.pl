# The procedure job_await: that it holds nothing while it sleeps, where it commits and where it does not, what ends its
# sleep, its answer, and how drivers read it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The worker looks at everything once an hour only: a wake that is lost stays lost.
my $node = new_node(
	'await',
	'jobs_ext.max_waiters' => 20,
	'jobs_ext.maintenance_interval' => "'1h'",
	'jobs_ext.auto_register_types' => 'on',
	autovacuum => 'off');
my $version = int($node->safe_psql('postgres', 'show server_version_num') / 10000);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $asleep = sub { return fall_asleep($node, 'postgres', @_) };
my $enqueue = sub { return $sql->("select job_enqueue('$_[0]', job_id => '$_[1]')") };
my $cancel = sub { $sql->("select pg_cancel_backend($_->{pid})"),
	cut_off($_, qr/canceling statement/, 'a cancel ends a sleep') for @_ };
# What a session prints that has the job; what one that has none.
sub the { my ($job) = @_; return qr/"job_id": "$job"/ }
my $none = '[]';
worker_serves($node, 'postgres', 'there is a worker');
$sql->(<<'SQL');
select count(*) from (select job_enqueue(t) from unnest('{a, b}'::text[]) t) e;
select count(*) from job_claim(max_jobs => 10);
select count(*) from (select (job_complete(id, lease_id)).status from jobs) c;
create table other (x int);
insert into other values (1);
-- Has read when it calls.
create procedure reads(inout jobs jsonb, wait interval) language plpgsql as $$
declare
  x int;
begin
  select count(*) into x from other;
  call job_await(jobs, '{a}', wait => wait);
end $$;
SQL

my $call = "call job_await(job_types => '{a}', wait => NAP)";
# Also where the caller has a statement around it.
my $block = sub {
	my ($before, $after) = @_;
	return "do \$\$ declare j jsonb; r record; x int; begin ${\($before // '')}
		call job_await(j, '{a}', wait => NAP); ${\($after // '')} raise notice '%', j; end \$\$";
};
my $in_loop = "do \$\$ declare j jsonb; r record; begin for r in select generate_series(1, 2) as n order by 1 loop
	call job_await(j, '{a}', wait => NAP); raise notice '% %', r.n, j; commit; end loop; end \$\$";

# What a sleeper holds back, by what vacuum leaves of a table of which all rows were deleted meanwhile.
my $left_by_vacuum = sub {
	$sql->('create table dead (x int)');
	return sub {
		$sql->('insert into dead select generate_series(1, 1000)');
		$sql->('delete from dead');
		$sql->('vacuum dead');
		my $left = $sql->("select pg_relation_size('dead')");
		$sql->('drop table dead');
		return $left;
	};
};

subtest 'asleep it holds nothing' => sub {
	my @ways = (
		[ 'alone', $call ],
		[ 'at REPEATABLE READ', "set default_transaction_isolation = 'repeatable read'", $call ],
		[ 'at SERIALIZABLE', "set default_transaction_isolation = 'serializable'", $call ],
		[ 'in a procedure that has read', 'call reads(null, NAP)' ],
		[ 'in a DO block that has read', $block->('select count(*) into x from other;') ],
		[ 'in a DO block after a commit', $block->('insert into other values (2); commit;') ],
		[ 'in a loop over rows', $in_loop ],
		[ 'by statements', 'set jobs_ext.force_statement_path = on', $call ]);
	my @sleepers = map { $asleep->(@$_[ 1 .. $#$_ ]) } @ways;
	my $pids = join ',', map { $_->{pid} } @sleepers;
	for my $i (0 .. $#ways)
	{
		my $pid = $sleepers[$i]{pid};
		is($sql->("select backend_xmin is null and backend_xid is null from pg_stat_activity where pid = $pid"),
			't', "$ways[$i][0]: no snapshot, no transaction id");
		is($sql->("select string_agg(distinct locktype, ' ') from pg_locks where pid = $pid"),
			'virtualxid', '… no lock but on its own number');
	}
	is($left_by_vacuum->()->(), '0', 'vacuum takes all that is deleted meanwhile');
	my $claim = $asleep->("select job_id from job_claim('{b}', wait => NAP)");
	isnt($left_by_vacuum->()->(), '0', '… as it does not while job_claim waits');
	$cancel->($claim);
	is($sql->("set lock_timeout = '10s';
		alter table jobs add column mine int; vacuum full jobs; vacuum full jobs_ext.queue;
		create index concurrently mine on jobs (mine); alter table jobs drop column mine; select 1"),
		'1', 'the tables may be changed');

	# The loop takes two.
	$enqueue->('a', "after that $_") for 1 .. 1 + @ways;
	my @said = map { end_session($_) . $_->{err} } @sleepers;
	my @got = sort map { /"job_id": "after that (\d)"/g } @said;
	is("@got", join(' ', 1 .. 1 + @ways), '… and each finds its job');
	is($sql->("select count(*) from jobs where job_id like 'after that%' and status = 'in_progress' and attempt = 1"),
		1 + @ways, '… which is claimed, once');
};

# What a call says, and how long it took.
my $takes = sub {
	my ($node, @statements) = @_;
	my $session = start_session($node, 'postgres', @statements);
	my $began = time;
	my $out = end_session($session);
	return ($out, $session->{ended} - $began, $session->{err});
};

subtest 'how long' => sub {
	my ($out, $seconds) = $takes->($node, "set jobs_ext.max_wait = '100 ms'",
		"call job_await(job_types => '{a}', wait => '1500 ms')");
	is($out, $none, 'a wait that is over gives an empty array');
	cmp_ok($seconds, '>=', 1.3, '… jobs_ext.max_wait does not bound it');
	($out, $seconds) = $takes->($node, 'set jobs_ext.max_wait = 0',
		"call job_await(job_types => '{a}', wait => '1500 ms')");
	cmp_ok($seconds, '>=', 1.3, '… not if it is 0 either');
	($out, $seconds) = $takes->($node, "set jobs_ext.max_wait = '100 ms'", 'begin',
		"call job_await(job_types => '{a}', wait => '40 s')");
	is($out, $none, 'in a transaction block');
	cmp_ok($seconds, '<', 10, '… it does');
	($out, $seconds) = $takes->($node, "call job_await(job_types => '{a}', wait => null)");
	is($out, $none, 'null: it does not wait');
	cmp_ok($seconds, '<', 10, '… at all');
	is($sql->("select pg_get_function_arguments('job_await'::regproc) ~ 'wait interval DEFAULT ''00:10:00'''"),
		't', 'without wait it does for ten minutes');
};

subtest 'timeouts' => sub {
	my $now = "call job_await(job_types => '{a}', wait => '1 h')";
	my ($out, $seconds) = $takes->($node, "set statement_timeout = '2500 ms'", $now, "select 'still there'");
	is($out, "$none\nstill there", 'the call ends before statement_timeout');
	cmp_ok($seconds, '>=', 1.8, '… half a second before');
	cmp_ok($seconds, '<', 2.5, '… and not after');
	(undef, $seconds, my $err) = $takes->($node, "set statement_timeout = '300 ms'", $now);
	like($err, qr/NOTICE:  the call does not wait\nDETAIL:  statement_timeout/, 'where there is no time it says so');

	# It is stopped until the time is over, so that the end of its wait comes too late.
	my $late = $asleep->("set statement_timeout = '2 s'", $now);
	kill 'STOP', $late->{pid};
	sleep 2.2; # its own time has to be over
	kill 'CONT', $late->{pid};
	cut_off($late, qr/canceling statement due to statement timeout/, 'statement_timeout fires while it sleeps');

	SKIP: {
		skip 'no transaction_timeout', 3 if $version < 17;
		($out, $seconds) = $takes->($node, "set transaction_timeout = '400 ms'",
			"call job_await(job_types => '{a}', wait => '1500 ms')", "select 'still there'");
		is($out, "$none\nstill there", 'transaction_timeout does not end it');
		($out, $seconds) = $takes->($node, "set transaction_timeout = '1 s'",
			"set statement_timeout = '2500 ms'", $now);
		is($out, $none, 'statement_timeout does');
		cmp_ok($seconds, '<', 2.5, '… where it is the longer one');
	}
};

# The server keeps what was notified until this session, too, has read it, which it does between two commands.
subtest 'in a session that listens' => sub {
	my $long = "call job_await(job_types => '{a}', wait => '40 s')";
	my @listens = ("set jobs_ext.max_wait = '700 ms'", 'listen news');
	my $refused = "select waits_refused from jobs_ext.maintenance where database = 'postgres'";
	my $before = $sql->($refused);
	my $sleeper = $asleep->(@listens, $long);
	$sql->("notify news, 'read all about it'");
	my $out = end_session($sleeper);
	cmp_ok($sleeper->{ended} - $sleeper->{began}, '<', 10, 'it sleeps no longer than jobs_ext.max_wait');
	like($out, qr/\Q$none\E\n.*read all about it/, '… and hears after the answer what was said meanwhile');
	like($sleeper->{err}, qr/NOTICE:  the call waits no longer than jobs_ext.max_wait\nDETAIL:  The session listens/,
		'… which it says');
	is($sql->($refused) - $before, 1, '… and the view counts');
	$sleeper = start_session($node, 'postgres', @listens, $long, $long);
	end_session($sleeper);
	is(() = $sleeper->{err} =~ /NOTICE/g, 1, '… once in a session');
	cmp_ok($sleeper->{ended} - $sleeper->{began}, '>=', 1.3, 'and it does sleep for so long');
	$sleeper = $asleep->($listens[1], $call =~ s/NAP/interval '15 s'/r);
	$enqueue->('a', 'for a listener');
	gets($sleeper, the('for a listener'), 'it is woken as any');
	unlike($sleeper->{err}, qr/NOTICE/, '… and nothing is said where the wait is within the bound');
	($out, my $seconds, my $err) = $takes->($node, @listens, 'unlisten *',
		"call job_await(job_types => '{a}', wait => '1500 ms')");
	cmp_ok($seconds, '>=', 1.3, 'after UNLISTEN it sleeps as long as it likes');
	is($err, '', '… without a word');
	(undef, $seconds, $err) = $takes->($node, 'set jobs_ext.max_wait = 0', $listens[1], $long);
	cmp_ok($seconds, '<', 10, 'jobs_ext.max_wait = 0: it does not sleep');
	like($err, qr/NOTICE:  the call waits no longer/, '… which it says');
	my $block = $asleep->(@listens, 'begin', $call);
	end_session($block);
	unlike($block->{err}, qr/NOTICE/, 'in a block jobs_ext.max_wait bounds it anyway');
};

subtest 'what wakes it' => sub {
	my $sleeper = $asleep->($call);
	sleeps_on([$sleeper], sub { $enqueue->('b', 'of-b') }, 'a job of another type does not');
	$enqueue->('a', 'of-a');
	gets($sleeper, the('of-a'), 'one of its own type does');
	$sleeper = $asleep->($call);
	$sql->("select job_enqueue('a', job_id => 'soon', run_at => now() + interval '700 ms')");
	gets($sleeper, the('soon'), 'one that becomes due');
	$sql->("select job_enqueue('a', job_id => 'known', run_at => now() + interval '1 s')");
	gets($asleep->($call), the('known'), 'one that was there and becomes due');
	$sql->("select job_enqueue('a', job_id => 'known at RR', run_at => now() + interval '1 s')");
	gets($asleep->("set default_transaction_isolation = 'repeatable read'", $call),
		the('known at RR'), '… at REPEATABLE READ too');
	my $vague = $asleep->("call job_await(job_types => '{new-type}', wait => NAP)");
	$enqueue->('new-type', 'first of its type');
	gets($vague, the('first of its type'), 'the first of a type');

	# Two wakes for one job, or none, at whatever moment it comes: in the look, at the commit, in the sleep.
	my $bringer = $node->background_psql('postgres', on_error_stop => 0);
	my $missed = 0;
	for my $isolation ('read committed', 'repeatable read')
	{
		for my $n (1 .. 100)
		{
			my $session = start_session($node, 'postgres', "set default_transaction_isolation = '$isolation'",
				"call job_await(job_types => '{a}', wait => '40 s')");
			sleep rand 0.004; # the moment is the test
			$bringer->query_safe("select job_enqueue('a', job_id => '$isolation $n')");
			my $now = time;
			$missed += end_session($session) !~ the("$isolation $n") || $session->{ended} - $now > 10;
			last if $missed;
		}
	}
	is($missed, 0, 'a job that comes while it falls asleep is never missed');
	$bringer->quit;

	$sql->("select job_type_set('a', paused => true)");
	$enqueue->('a', 'paused');
	$sleeper = $asleep->($call);
	$sql->("select job_type_set('a', paused => false)");
	gets($sleeper, the('paused'), 'the end of a pause of its type');
	$sleeper = $asleep->($call);
	$sql->('select job_pause_all()');
	$enqueue->('a', 'all paused');
	$sql->('select job_resume_all()');
	gets($sleeper, the('all paused'), '… and of all');
	$sql->("delete from jobs where job_id = 'of-b'");
};

subtest 'the longest asleep first' => sub {
	my @sleepers = ($asleep->($call), $asleep->("select job_id from job_claim('{a}', wait => NAP)"),
		$asleep->("set default_transaction_isolation = 'serializable'", $call), $asleep->($call));
	my @before = map { switches($_) } @sleepers;
	$sql->("select job_type_set('a', description => 'x')");
	for my $i (0 .. $#sleepers)
	{
		sleep 0.01 while switches($sleepers[$i]) eq $before[$i];
	}
	$node->poll_query_until('postgres', "select count(*) = 4 from pg_stat_activity
		where wait_event_type = 'Extension' and backend_type = 'client backend'");
	for my $n (1 .. 4)
	{
		$enqueue->('a', "turn-$n");
		gets($sleepers[ $n - 1 ], qr/turn-$n\b/, "number $n, though all have looked and gone back to sleep");
	}
};

subtest 'a wake that its sleeper can\'t use goes to another' => sub {
	for my $end ('cancel', 'terminate')
	{
		my ($first, $second, $third) = map { $asleep->($call) } 1 .. 3;
		kill 'STOP', $first->{pid};
		sleeps_on([$third], sub {
			$enqueue->('a', "after a $end");
			$sql->("select pg_${end}_backend($first->{pid})");
			kill 'CONT', $first->{pid};
			cut_off($first, qr/canceling statement|terminating connection/, "$end: the first one ends");
		}, '… the third one sleeps on');
		gets($second, the("after a $end"), '… the second one has the job');
		$cancel->($third);
	}
};

subtest 'what ends it' => sub {
	my $states = start_session($node, 'postgres', '\set VERBOSITY sqlstate',
		"call job_await('[]', '{a}', wait => '40 s')");
	$node->poll_query_until('postgres',
		"select wait_event_type = 'Extension' from pg_stat_activity where pid = $states->{pid}");
	$sql->("select pg_cancel_backend($states->{pid})");
	cut_off($states, qr/57014/, 'a cancel: 57014');
	my $block_cut = $asleep->($block->());
	$cancel->($block_cut);
	my $ended = $asleep->($in_loop);
	$sql->("select pg_terminate_backend($ended->{pid})");
	cut_off($ended, qr/terminating connection/, 'pg_terminate_backend');

	my $dead = $asleep->("call job_await(job_types => '{a}', worker => 'w', wait => NAP)");
	is($sql->("select job_release_worker('w')"), '0', 'its worker is declared dead');
	gets($dead, $none, '… an empty answer');

	my $gone = $asleep->($call);
	my $alive = $asleep->($call);
	$gone->{psql}->signal('KILL');
	eval { $gone->{psql}->finish };
	$enqueue->('a', 'for the living');
	gets($alive, the('for the living'), 'a client that is killed gets no job');
	eventually($node, 'postgres', "select count(*) from pg_stat_activity where pid = $gone->{pid}", '0',
		'… and its session ends', 10);

	$sql->('create database doomed');
	$node->safe_psql('doomed', 'create extension jobs_ext');
	my $forced = fall_asleep($node, 'doomed', "call job_await(wait => NAP)");
	$sql->('drop database doomed with (force)');
	cut_off($forced, qr/terminating connection/, 'DROP DATABASE … WITH (FORCE)');
};

subtest 'what happens while it sleeps' => sub {
	$sql->('create database altered');
	my $there = sub { return $node->safe_psql('altered', @_) };
	$there->('create extension jobs_ext');
	worker_serves($node, 'altered', 'there is a worker');
	my $sleeps = sub { return fall_asleep($node, 'altered', @_, "call job_await(wait => NAP)") };
	my $sleeper = $sleeps->();
	$there->("alter table jobs add column mine int default 5;
		create function mine() returns trigger language plpgsql as \$\$ begin new.mine := 6; return new; end \$\$;
		create trigger mine before update on jobs for each row execute function mine();
		select job_enqueue('bulk-update', job_id => 'altered')");
	gets($sleeper, the('altered'), 'jobs is altered: it goes on');
	is($there->("select mine from jobs where job_id = 'altered'"), '6', '… by statement, where a trigger asks for it');
	$there->('drop trigger mine on jobs');

	$sleeper = $sleeps->();
	$there->('alter table jobs alter worker type int using 1');
	$there->("update job_types set description = 'all look'");
	cut_off($sleeper, qr/was altered so that it cannot be used/, 'jobs is altered so that it can\'t: 42804');
	$there->('alter table jobs alter worker type text using null');

	# What holds the arguments is gone by the time at which they are needed.
	$there->(<<'SQL');
create table names (types text[]);
alter table names alter types set storage external;
insert into names select array_agg('bulk-update'::text) from generate_series(1, 1000);
create function names() returns text[] language sql as 'select types from names';
SQL
	$sleeper = fall_asleep($node, 'altered', "call job_await(job_types => names(), wait => NAP)");
	$there->('truncate names; drop function names(); drop table names');
	$there->("select job_enqueue('bulk-update', job_id => 'by names')");
	gets($sleeper, the('by names'), 'the arguments were copied');

	$there->("create role worker login bypassrls; select jobs_ext.grant_role('worker', 'worker')");
	$sleeper = $sleeps->('set role worker');
	$there->("revoke update on jobs from worker; select job_enqueue('bulk-update', job_id => 'not for it')");
	cut_off($sleeper, qr/permission denied for table jobs/, 'a privilege that is taken is missed');
	is($there->("select status from jobs where job_id = 'not for it'"), 'queued', '… and nothing is claimed');
	$there->('delete from jobs; grant update on jobs to worker');
	$sleeper = $sleeps->('set role worker');
	my $revoke = 'revoke execute on procedure job_await from worker;';
	$there->("$revoke select job_enqueue('bulk-update', job_id => 'nor this')");
	my $denied = qr/permission denied for procedure job_await/;
	cut_off($sleeper, $denied, 'EXECUTE is missed likewise');
	is($there->("select status from jobs where job_id = 'nor this'"), 'queued', '… and nothing is claimed');
	$there->("delete from jobs; select jobs_ext.grant_role('worker', 'worker')");

	# Of an extension that is made anew the new procedure counts.
	my $anew = sub {
		my ($then) = @_;
		my $sleeper = $sleeps->('set role worker');
		$there->("begin; drop extension jobs_ext cascade; create extension jobs_ext;
			select jobs_ext.grant_role('worker', 'worker'); $then commit;
			select job_enqueue('bulk-update', job_id => 'anew')");
		return $sleeper;
	};
	gets($anew->(''), the('anew'), 'made anew, the extension lets it go on');
	cut_off($anew->($revoke), $denied, '… unless the new procedure is not for it');
	$there->("delete from jobs; drop owned by worker; drop role worker");

	$sleeper = $sleeps->();
	$there->(<<'SQL');
begin;
drop extension jobs_ext cascade;
create extension jobs_ext;
commit;
select job_enqueue('bulk-update', job_id => 'after the drop');
SQL
	gets($sleeper, the('after the drop'), 'DROP EXTENSION and CREATE EXTENSION: it goes on');
	my @waits = ($sleeps->(), fall_asleep($node, 'altered', 'select from job_claim(wait => NAP)'),
		fall_asleep($node, 'altered', "select from job_wait(job_id => 'after the drop', wait => NAP)"));
	$there->('drop extension jobs_ext cascade');
	cut_off($_, qr/extension jobs_ext is not in this database/, 'DROP EXTENSION: each call that waits ends') for @waits;
	$sql->('drop database altered');
};

# Where it must not commit it does as job_claim does: keeps the snapshot, no longer than jobs_ext.max_wait.
subtest 'where it must not commit' => sub {
	$sql->(<<'SQL');
create procedure secured(inout jobs jsonb) language plpgsql security definer set search_path = public as $$
begin
  call job_await(jobs, '{a}', wait => '40 s');
end $$;
create procedure with_setting(inout jobs jsonb) language plpgsql set work_mem = '1MB' as $$
begin
  call job_await(jobs, '{a}', wait => '40 s');
end $$;
create function in_function() returns jsonb language plpgsql as $$
declare
  jobs jsonb;
begin
  call job_await(jobs, '{a}', wait => '40 s');
  return jobs;
end $$;
SQL
	my @ways = (
		[ 'a transaction block', 'begin', $call ],
		[ 'several statements at once', "select 1 \\; $call" =~ s/ \\;/;/r ],
		[ 'SECURITY DEFINER', 'call secured(null)' ],
		[ 'a procedure with SET', 'call with_setting(null)' ],
		[ 'a function', 'select in_function()' ],
		[ 'a loop over SHOW', $block->('for r in show all loop', 'exit; end loop;') ],
		[ 'a loop over EXPLAIN', $block->('for r in explain select 1 loop', 'exit; end loop;') ],
		[ 'a loop over a statement that might have written',
			$block->('for r in with w as (delete from other where false returning 1) select 1 loop',
				'exit; end loop;') ],
		[ 'an outer loop over SHOW',
			$block->('for r in show all loop for x in select 1 loop', 'exit; end loop; exit; end loop;') ],
		[ 'a block with EXCEPTION', $block->('begin', 'exception when division_by_zero then null; end;') ]);
	for my $way (@ways)
	{
		my ($name, @statements) = @$way;
		my $sleeper = $asleep->(@statements);
		my $kept = "select backend_xmin is not null from pg_stat_activity where pid = $sleeper->{pid}";
		is($sql->($kept), 't', "$name: keeps its snapshot") unless $name =~ /EXCEPTION|loop/;
		$enqueue->('a', $name);
		end_session($sleeper);
		like($sleeper->{out} . $sleeper->{err}, the($name), "$name: … and has the job");
		$sql->("delete from jobs where job_id = '$name'"); # psql has left the block without COMMIT
		my $began = time;
		end_session(start_session($node, 'postgres', "set jobs_ext.max_wait = '200 ms'",
				map { s/NAP/interval '40 s'/r } @statements));
		cmp_ok(time - $began, '<', 10, "$name: … within jobs_ext.max_wait");
	}

	# Its work is not ours to commit.
	my ($out, $seconds, $err) = $takes->($node, <<'SQL', "select count(*) from other where x = 77");
do $$
declare
  j jsonb;
begin
  insert into other values (77);
  call job_await(j, '{a}', wait => '40 s');
  raise exception 'answer: %', j;
end $$
SQL
	like($err, qr/NOTICE:  the call does not wait\nDETAIL:  The transaction has written/, 'a caller that has written');
	like($err, qr/ERROR:  answer: \[\]/, '… has its answer at once');
	cmp_ok($seconds, '<', 10, '… without a wait');
	is($out, '0', '… and nothing that it did was committed');
};

subtest 'in a procedure' => sub {
	# Works off what comes, job by job, each in a transaction.
	$sql->(<<'SQL');
create procedure work(rounds int) language plpgsql as $$
declare
  jobs jsonb;
begin
  for n in 1 .. rounds loop
    call job_await(jobs, '{a}', worker => 'w', wait => '40 s');
    perform job_complete((jobs->0->>'id')::uuid, (jobs->0->>'lease_id')::uuid, to_jsonb(n));
    commit;
  end loop;
end $$;
SQL
	my $worker = $asleep->('call work(3)');
	for my $n (1 .. 3)
	{
		$enqueue->('a', "work-$n");
		eventually($node, 'postgres', "select status, result from jobs where job_id = 'work-$n'", "completed|$n",
			"its round $n is committed");
	}
	gets($worker, '', '… and it ends');

	# It claims in a transaction that began when the job was there.
	my $later = $asleep->($block->('', "raise notice 'later: %', now() >= (j->0->>'created_at')::timestamptz;"));
	$enqueue->('a', 'now');
	end_session($later);
	like($later->{err}, qr/later: t\n/, 'now() is not before the job');

	# What it does after the answer is one transaction with the claim.
	$enqueue->('a', 'undone');
	my ($out, $seconds, $err) = $takes->($node,
		$block->('', "insert into other values (88); rollback;") =~ s/NAP/interval '40 s'/r);
	like($err, the('undone'), 'a claim');
	is($sql->("select status, attempt from jobs where job_id = 'undone'"), 'queued|0', '… that is rolled back');

	($out, $seconds, $err) = $takes->($node, <<'SQL');
do $$
declare
  j jsonb := '["what it had before"]';
begin
  call job_await(j, '{a}', wait => '1 s');
  raise notice 'first: %', j->0->>'job_id';
  commit;
  call job_await(j, '{a}', wait => '100 ms');
  raise notice 'second: %', j;
end $$
SQL
	like($err, qr/first: undone\n.*second: \[\]/s, 'what the parameter held counts for nothing');

	$sql->("create role member_of; grant member_of to current_user; select jobs_ext.grant_role('member_of', 'worker');
		alter role member_of bypassrls");
	($out, $seconds, $err) = $takes->($node, <<'SQL');
do $$
declare
  j jsonb;
begin
  set local role member_of;
  call job_await(j, '{a}', wait => '40 s');
end $$
SQL
	like($err, qr/ERROR:  the role that was set for the transaction alone/, 'SET LOCAL ROLE would end');
	like($err, qr/HINT:  Set the role for the session/, '… which it says');
	cmp_ok($seconds, '<', 10, '… at once');
};

# A look that writes is its own, and committed at once: the wait goes on. The worker is stopped, since it would cancel
# the job first.
subtest 'a look that writes' => sub {
	my $worker = worker_of($node, 'postgres');
	kill 'STOP', $worker;
	$sql->("select job_enqueue('a', job_id => 'expired', expires_at => clock_timestamp() + interval '200 ms');
		select pg_sleep(0.3)");
	my $sleeper = $asleep->($call);
	kill 'CONT', $worker;
	is($sql->("select status from jobs where job_id = 'expired'"), 'cancelled', 'an expired job is cancelled');
	is($sql->("select backend_xid is null and backend_xmin is null from pg_stat_activity where pid = $sleeper->{pid}"),
		't', '… by a transaction that has ended');
	$enqueue->('a', 'after it');
	gets($sleeper, the('after it'), '… and the wait goes on');
	unlike($sleeper->{err}, qr/NOTICE/, '… without a word');
};

subtest 'the answer' => sub {
	$sql->("delete from jobs where job_type = 'a'");
	for my $path ('off', 'on')
	{
		$sql->(<<'SQL');
select job_enqueue('a', '{"q": "\"\\ 1"}', job_id => 'plain', priority => 5, metadata => '{"m": [1, null]}');
select job_enqueue('a', jsonb_build_object('big', string_agg(md5(n::text), '')), job_id => 'big')
from generate_series(1, 5000) n;
SQL
		my ($out, $seconds, $err) = $takes->($node, "set jobs_ext.force_statement_path = $path",
			"set timezone = 'Asia/Kolkata'",
			<<'SQL');
do $$
declare
  j jsonb;
begin
  call job_await(j, '{a}', max_jobs => 5, worker => 'w', lease => '1 h', wait => '40 s');
  raise notice 'of %: %, %', jsonb_array_length(j), j->0->>'job_id', j->1->>'job_id';
  raise notice 'same: %', j->0 = (select to_jsonb(t) from job_get(job_id => 'plain') t)
    and j->1 = (select to_jsonb(t) from job_get(job_id => 'big') t);
  raise notice 'rows: %', (select string_agg(r.job_id || r.status || length(r.input_payload->>'big'), ' ')
                           from jsonb_populate_recordset(null::job, j) r where r.worker = 'w');
end $$
SQL
		like($err, qr/of 2: plain, big\n/, "statement path $path: the jobs in their order");
		like($err, qr/same: t\n/, '… as to_jsonb() has their rows, out of line or not');
		like($err, qr/rows: bigin_progress160000\n/, '… which jsonb_populate_recordset() makes of it again');
		$sql->("delete from jobs where job_type = 'a'");
	}
	$sql->("select job_enqueue_many(jsonb_agg(jsonb_build_object('job_type', 'a'))) from generate_series(1, 3000)");
	my ($out) = $takes->($node, "set work_mem = '64kB'",
		"call job_await(job_types => '{a}', max_jobs => 3000, wait => '40 s')");
	my %leases = map { $_ => 1 } $out =~ /"lease_id": "([^"]+)"/g;
	is(keys %leases, 3000, 'thousands of them, beyond work_mem');
	$sql->("delete from jobs where job_type = 'a'");
};

subtest 'as many as may are asleep' => sub {
	my @sleepers = map { $asleep->($call) } 1 .. 18; # the last two places are for roles of which nobody sleeps
	my $late = $asleep->($call);
	is($sql->("select waits_polled from jobs_ext.maintenance where database = 'postgres'"), '1', 'one looks by itself');
	is($sql->("select coalesce(bool_and(backend_xid is null), true) from pg_stat_activity where pid = $late->{pid}"),
		't', '… without a transaction id');
	is($left_by_vacuum->()->(), '0', '… and holds back no vacuum between its looks');
	$cancel->(splice @sleepers, 0, 16);
	$sql->("select job_enqueue('a', job_id => 'crowd-' || n) from generate_series(1, 3) n");
	my @got = sort map { end_session($_) =~ /"job_id": "(crowd-\d)"/ } @sleepers, $late;
	is("@got", 'crowd-1 crowd-2 crowd-3', 'all have a job');
};

# The examples of README.md, in the languages of their fences, each by the driver that it is for.
subtest 'drivers' => sub {
	my $root = "$FindBin::Bin/../..";
	my ($section) = slurp_file("$root/README.md") =~ /\*\*Waiting for hours\.\*\*(.*?)\n## /s;
	my %example = map { /\A(\w+)\n(.*?)\n\z/s } ($section // '') =~ /^```(\w+\n.*?\n)```$/msg;
	is(join(' ', sort keys %example), 'javascript python sql', 'README.md shows three');
	my %run = (
		sql => sub { return [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', $_[0] ] },
		python => sub { return [ '/usr/bin/python3', $_[0] ] },
		javascript => sub { return [ 'node', $_[0] ] });
	my %suffix = (sql => 'sql', python => 'py', javascript => 'mjs');
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres',
		PGUSER => scalar getpwuid $<);
	for my $language (sort keys %example)
	{
		# Where node finds the library pg.
		my $folder = $language eq 'javascript' ? "$root/examples" : PostgreSQL::Test::Utils::tempdir();
		my $file = "$folder/await_$$.$suffix{$language}";
		append_to_file($file, $example{$language});
		my $run = IPC::Run::start($run{$language}->($file), '<', \'', '>', \my $out, '2>', \my $err,
			IPC::Run::timeout(60));
		$node->poll_query_until('postgres', "select count(*) = 1 from pg_stat_activity
			where query like '%job_await%' and wait_event_type = 'Extension' and backend_xmin is null");
		$sql->("select job_enqueue('send-mail', '{\"to\": \"ann\"}', job_id => 'by $language')");
		$run->finish;
		unlink $file;
		is($sql->("select status, worker from jobs where job_id = 'by $language'"),
			'completed|mailer-1', "$language: sleeps without a snapshot, has the job, and completes it")
		  or diag("$out\n$err");
	}
};

in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');

# Sleepers keep nobody from shutting down.
my @sleepers = ($asleep->($call), $asleep->($block->()), $asleep->($in_loop));
my $began = time;
$node->stop('fast');
cmp_ok(time - $began, '<', 30, 'a fast shutdown reaches sleepers');
cut_off($_, qr/terminating connection|closed the connection/, '… which end') for @sleepers;
done_testing();
