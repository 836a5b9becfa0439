# Sessions that sleep in job_claim: woken by whom, for what, how many; and what ends their sleep.
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
	'waiting',
	max_prepared_transactions => 10,
	'jobs_ext.max_waiters' => 13,    # of which the last is kept for a role that has none
	'jobs_ext.maintenance_interval' => "'1h'",
	'jobs_ext.auto_register_types' => 'on',
	autovacuum => 'off');
my $sql = sub { return $node->safe_psql('postgres', @_) };
worker_serves($node, 'postgres', 'there is a worker');
$sql->(<<'SQL');
select count(*) from (select job_enqueue(t) from unnest('{a, b, c}'::text[]) t) e;
select count(*) from job_claim(max_jobs => 10);
select count(*) from (select (job_complete(id, lease_id)).status from jobs) c;
SQL

my $any = "select job_id from job_claim(wait => NAP)";
my $only = sub { return "select job_id from job_claim('{$_[0]}', wait => NAP)" };
my $enqueue = sub { return "select job_enqueue('$_[0]', job_id => '$_[1]')" };
my $asleep = sub { return fall_asleep($node, 'postgres', @_) };
my $close = sub { $sql->("select pg_cancel_backend($_->{pid})"),
	cut_off($_, qr/canceling statement/, 'a cancel ends a sleep') for @_ };
my $session = sub { return $node->background_psql('postgres', on_error_stop => 0) };

subtest 'exactly as many as there are jobs' => sub {
	my @sleepers = map { $asleep->($any) } 1 .. 10;
	my @rest = @sleepers[ 3 .. 9 ];
	sleeps_on(\@rest, sub { $sql->("select job_enqueue('a', job_id => 'three-' || n) from generate_series(1, 3) n") },
		'10 sleepers, 3 jobs: 7 are not even woken');
	is(join(' ', sort map { end_session($_) } @sleepers[ 0 .. 2 ]),
		'three-1 three-2 three-3', '… the 3 longest asleep have a job each');
	is($sql->("select count(*) from jobs where job_id like 'three-%' and status = 'in_progress'"),
		'3', '… and so the table says');

	my $number = 0;
	for my $way (
		"select job_enqueue_many('[{\"job_type\": \"a\", \"job_id\": \"by\"}]')",
		"insert into jobs (job_type, job_id) values ('a', 'by')",
		"begin; savepoint s; select job_enqueue('a', job_id => 'by'); release s; commit")
	{
		$sql->("update jobs set job_id = 'was-' || id where job_id = 'by'");
		my $first = shift @rest;
		sleeps_on(\@rest, sub { $sql->($way) }, "one job: one is woken: $way");
		gets($first, 'by', '… and has it');
	}
	$sql->("update jobs set job_id = 'was-' || id where job_id = 'by'");

	# Two types in one transaction, two sleepers.
	my ($first, $second) = (shift @rest, shift @rest);
	sleeps_on(\@rest,
		sub { $sql->("begin;
		select job_enqueue('a', job_id => 'x'); select job_enqueue('b', job_id => 'x-2'); commit") },
		'two jobs of two types: two are woken');
	gets($_, qr/^x/, '… with a job') for $first, $second;
	$close->(@rest);
};

subtest 'what never came to be wakes nobody' => sub {
	my $sleeper = $asleep->($any);
	my $e = $enqueue->('a', 'never');
	sleeps_on([$sleeper], sub { $sql->("begin; $e; rollback") }, 'an enqueue that is rolled back');
	sleeps_on([$sleeper], sub { $sql->("begin; savepoint s; $e; rollback to s; commit") }, '… or in a savepoint');
	sleeps_on([$sleeper],
		sub { $sql->("begin; savepoint s; $e; savepoint t; release t; release s; rollback") },
		'… or in a released one');
	sleeps_on([$sleeper], sub { $sql->("begin; $e; prepare transaction 'p'") }, 'an enqueue that is prepared');
	# After this the worker looks at everything, and may wake for types that have come since it last did.
	$sql->("rollback prepared 'p'");
	sleeps_on([$sleeper],
		sub { $sql->("select job_enqueue('a', job_id => 'later', run_at => now() + interval '1 h')") },
		'a job for later');
	sleeps_on([$sleeper],
		sub { $sql->("update jobs set metadata = '{\"x\": 1}' where job_id = 'later'") },
		'a change of what is due no sooner');
	my $other = $asleep->($any);
	sleeps_on([$other],
		sub { $sql->("begin; savepoint s;
		select job_enqueue('a', job_id => 'undone');
		rollback to s;
		select job_enqueue('a', job_id => 'kept');
		commit") },
		'one of two jobs is rolled back: one sleeper is woken');
	gets($sleeper, 'kept', '… and has the other');
	$close->($other);
};

subtest 'prepared transactions' => sub {
	my $sleeper = $asleep->($any);
	$sql->("begin; " . $enqueue->('a', 'prepared') . "; prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	gets($sleeper, 'prepared', 'COMMIT PREPARED of an enqueue wakes');

	$sql->($enqueue->('a', 'claimed'));
	$sql->("begin; select count(*) from job_claim(); prepare transaction 'p'");
	$sleeper = $asleep->($any);
	$sql->("rollback prepared 'p'");
	gets($sleeper, 'claimed', 'ROLLBACK PREPARED of a claim wakes');

	my ($id, $lease) = split /\|/, $sql->("select id, lease_id from jobs where job_id = 'claimed'");
	$sleeper = $asleep->("select status from job_wait('$id', wait => NAP)");
	$sql->("begin; select count(*) from job_complete('$id', '$lease'); prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	gets($sleeper, 'completed', 'COMMIT PREPARED of a completion wakes who waits for it');
	$sql->("begin; select job_type_set('a', paused => true); prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	$sql->($enqueue->('a', 'of a paused type'));
	$sleeper = $asleep->($only->('a'));
	$sql->("begin; select job_type_set('a', paused => false); prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	gets($sleeper, 'of a paused type', 'COMMIT PREPARED of the end of a pause wakes');
};

subtest 'what is given back' => sub {
	$sql->($enqueue->('a', 'back'));
	my $other = $session->();
	$other->query_safe('begin; select count(*) from job_claim()');
	my $sleeper = $asleep->($any);
	$other->query_safe('rollback');
	gets($sleeper, 'back', 'a claim that is rolled back');
	$sql->("select count(*) from jobs j, job_release(j.id, j.lease_id) where j.job_id = 'back'");

	$other->query_safe('begin; savepoint s; select count(*) from job_claim()');
	$sleeper = $asleep->($any);
	$other->query_safe('rollback to s');
	gets($sleeper, 'back', 'a claim in a savepoint that is rolled back, at once');
	$other->query_safe('commit');
	$sql->("select count(*) from jobs j, job_release(j.id, j.lease_id) where j.job_id = 'back'");

	$other->query_safe('begin; select count(*) from job_claim()');
	my $pid = $other->query_safe('select pg_backend_pid()');
	$sleeper = $asleep->($any);
	$sql->("select pg_terminate_backend($pid)");
	gets($sleeper, 'back', 'a claim of a session that is terminated');
	eval { $other->quit };

	for my $way ([ 'job_release',
					 'select count(*) from jobs j, job_release(j.id, j.lease_id) where j.job_id = \'back\'' ],
		[ 'job_release_worker', "update jobs set worker = 'w' where job_id = 'back'; select job_release_worker('w')" ],
		[ 'job_fail, again now',
			'select count(*) from jobs j, job_fail(j.id, j.lease_id, run_at => now()) where j.job_id = \'back\'' ],
		[ 'job_cancel, job_retry',
			"select job_cancel(job_id => 'back', force => true); select job_retry(job_id => 'back')" ],
		[ 'job_pause, job_resume',
			"select job_release_worker(worker)
				from jobs where job_id = 'back' and worker is not null;
				select count(*) from jobs j, job_release(j.id, j.lease_id) where j.job_id = 'back';" ],
		[ 'a change of run_at',
			"select count(*) from jobs j, job_release(j.id, j.lease_id, now() + interval '1 h')
				where j.job_id = 'back'; update jobs set run_at = now() where job_id = 'back'" ],
		[ 'an UPDATE of status', "update jobs set status = 'pending' where job_id = 'back'" ])
	{
		$sleeper = $asleep->($any);
		$sql->($way->[1]);
		gets($sleeper, 'back', "woken by $way->[0]");
	}
	# A lease that runs out, though the worker looks at everything once an hour only.
	$sql->("select count(*) from jobs j, job_heartbeat(j.id, j.lease_id, lease => '300 ms') where j.job_id = 'back'");
	$sql->("update job_types set retry_delay_ms = 100");
	$sleeper = $asleep->($any);
	gets($sleeper, 'back', 'woken by the end of a lease');
	$sql->("select count(*) from jobs j, job_complete(j.id, j.lease_id) where j.job_id = 'back'");
};

subtest 'by lane' => sub {
	my $a = $asleep->($only->('a'));
	my $b = $asleep->($only->('b'));
	$sql->("select job_type_set('new-type'); select job_type_set('many-' || n) from generate_series(1, 50) n");
	my $vague = $asleep->($only->('new-type'));
	sleeps_on([$a], sub { $sql->($enqueue->('b', 'of-b')) }, 'another type does not wake');
	gets($b, 'of-b', '… the type does');
	sleeps_on([$a], sub { $sql->($enqueue->('new-type', 'first of its type')) }, 'nor does a new type');
	gets($vague, 'first of its type', '… which wakes who waits for it');
	gets_nothing($asleep->("set jobs_ext.max_wait = '1 s'", $only->('b')), 'the wait ends without a job');
	$sql->($enqueue->('a', 'of-a'));
	gets($a, 'of-a', 'its own type does');

	$sql->("select job_type_set('c', job_category => 'heavy')");
	my $heavy = $asleep->("select job_id from job_claim(job_category => 'heavy', wait => NAP)");
	my $both = $asleep->($only->('a, c'));
	sleeps_on([$heavy], sub { $sql->($enqueue->('a', 'a-again')) }, 'another category does not wake');
	gets($both, 'a-again', '… one of several types does');
	$sql->($enqueue->('c', 'of-c'));
	gets($heavy, 'of-c', '… nor is the category deaf');
	$heavy = $asleep->("select job_id from job_claim(job_category => 'heavy', wait => NAP)");
	$sql->($enqueue->('b', 'b-again'));
	$sql->("select job_type_set('b', job_category => 'heavy')");
	gets($heavy, 'b-again', 'a type that comes into the category wakes');

	my $many = $asleep->("select job_id
		from job_claim(array(select 'many-' || n from generate_series(1, 50) n), wait => NAP)");
	$sql->($enqueue->('many-47', 'of many'));
	gets($many, 'of many', 'more types than a place has room for');

	# The first to be woken, for the plain one, wants either and takes the better one. Who was woken for that is
	# stopped meanwhile: the plain one is for the third.
	my @sleepers = map { $asleep->($only->($_)) } 'a, b', 'b', 'a';
	kill 'STOP', $sleepers[1]{pid};
	$sql->("begin; " . $enqueue->('a', 'plain')
			   . "; select job_enqueue('b', job_id => 'urgent', priority => 10); commit");
	gets($sleepers[0], 'urgent', 'who wants either takes the better one');
	gets($sleepers[2], 'plain', '… and leaves the other to who wants that');
	kill 'CONT', $sleepers[1]{pid};
	$close->($sleepers[1]);
};

# Who was woken and is at it is not counted a second time, though it comes first and would want the next one as well.
subtest 'while one is at it' => sub {
	$sql->(<<'SQL');
create function hold()
returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return new; end $$;
create trigger hold before update on jobs
  for each row when (new.job_id = 'slow' and new.status = 'in_progress') execute function hold();
SQL
	my $holder = $session->();
	$holder->query_safe('select pg_advisory_lock(7)');
	my ($first, $second) = ($asleep->($only->('a, b')), $asleep->($only->('b')));
	$sql->($enqueue->('a', 'slow'));
	eventually($node, 'postgres', "select wait_event from pg_stat_activity where pid = $first->{pid}",
		'advisory', 'one is woken and takes its time');
	$sql->($enqueue->('b', 'meanwhile'));
	gets($second, 'meanwhile', '… another one gets the next job meanwhile');
	$holder->quit;
	gets($first, 'slow', '… and the first one its own');
	$sql->('drop trigger hold on jobs; drop function hold()');
};

subtest 'a pause' => sub {
	$sql->("select job_type_set('a', paused => true); " . $enqueue->('a', 'paused'));
	my $sleeper = $asleep->($only->('a'));
	my $other = $asleep->($any);
	sleeps_on([$sleeper], sub { $sql->($enqueue->('b', 'b')) }, 'a job of another type');
	gets($other, 'b', '… is for another one');
	$sql->("select job_type_set('a', paused => false)");
	gets($sleeper, 'paused', 'the end of the pause wakes');
	$sql->("update job_types set paused = true where job_type = 'a'; " . $enqueue->('a', 'paused again'));
	$sleeper = $asleep->($any);
	$sql->("update job_types set paused = false where job_type = 'a'");
	gets($sleeper, 'paused again', '… so does an UPDATE of job_types');

	# A job that is brought while its type is paused, and is there only when the pause has ended.
	$sql->("select job_type_set('a', paused => true)");
	$sleeper = $asleep->($any);
	my $bringer = $session->();
	$bringer->query_safe('begin; ' . $enqueue->('a', 'brought in the pause'));
	my $before = switches($sleeper);
	$sql->("select job_type_set('a', paused => false)");
	sleep 0.01 while switches($sleeper) eq $before;
	$node->poll_query_until('postgres',
		"select wait_event_type = 'Extension' from pg_stat_activity where pid = $sleeper->{pid}");
	$bringer->query_safe('commit');
	gets($sleeper, 'brought in the pause', 'a job whose type was paused when it was brought');
	$bringer->quit;
};

subtest 'when it becomes due' => sub {
	my $late = "select job_id, round(1000 * extract(epoch from clock_timestamp() - run_at))
		from job_claim(wait => NAP)";
	my @lateness;
	my $in_time = sub {
		my ($sleeper, $job, $name) = @_;
		gets($sleeper, qr/^$job\|\d+$/, $name);
		push @lateness, $1 if $sleeper->{out} =~ /\|(\d+)/;
	};
	for my $delay (300, 700, 1500)
	{
		my $sleeper = $asleep->($late);
		$sql->("select job_enqueue('a', job_id => 'after-$delay', run_at => now() + interval '$delay ms')");
		$in_time->($sleeper, "after-$delay", "a job that is due in $delay ms");
	}
	$sql->("select job_enqueue('a', job_id => 'known', run_at => now() + interval '1 s')");
	$in_time->($asleep->($late), 'known', 'a job that was there before');
	$sql->("select count(*) from jobs j, job_fail(j.id, j.lease_id, run_at => now() + interval '800 ms')
		where j.job_id = 'known'");
	$in_time->($asleep->($late), 'known', 'a retry');
	$sql->("update job_types set retry_delay_ms = 500, backoff = 'fixed'");
	my $sleeper = $asleep->($late);
	$sql->("select count(*) from jobs j, job_fail(j.id, j.lease_id) where j.job_id = 'known'");
	$in_time->($sleeper, 'known', 'a retry by the type\'s backoff');
	$sleeper = $asleep->($late);
	$sql->("select job_enqueue('a', job_id => 'moved', run_at => now() + interval '1 h')");
	$sql->("update jobs set run_at = now() + interval '600 ms' where job_id = 'moved'");
	$in_time->($sleeper, 'moved', 'a job that is to run sooner');

	# Two at different times, two sleepers: one at a time.
	my @two = map { $asleep->($late) } 1, 2;
	$sql->("select job_enqueue('a', job_id => 'after-' || n, run_at => now() + n * interval '1 s')
		from unnest('{3, 1}'::int[]) n");
	$in_time->($two[0], 'after-1', 'the first of two');
	$in_time->($two[1], 'after-3', 'the second of two');

	# Due by the time at which it is committed, while the worker has woken others for later ones.
	my $slow = $session->();
	$slow->query_safe("begin; select job_enqueue('b', job_id => 'overdue', run_at => now() + interval '300 ms')");
	my $of_b = $asleep->($only->('b'));
	$sleeper = $asleep->($only->('a'));
	$sql->("select job_enqueue('a', job_id => 'other', run_at => now() + interval '800 ms')");
	gets($sleeper, 'other', 'one that becomes due meanwhile');
	$slow->query_safe('commit');
	gets($of_b, 'overdue', 'a job whose time had come before its commit');
	$slow->quit;
	note("late by @lateness ms");
	my $median = (sort { $a <=> $b } @lateness)[ @lateness / 2 ] // 'none';
	cmp_ok($median, '<=', 50, 'the half of them within 50 ms');
};

subtest 'who does not wait' => sub {
	my $at_once = sub {
		my ($name, @statements) = @_;
		my $one = start_session($node, 'postgres', map { s/NAP/interval '40 s'/r } @statements);
		return gets_nothing($one, $name);
	};
	my $id = $sql->("select id from job_enqueue('b', job_id => 'unwanted', run_at => now() + interval '1 d')");
	my $claim = $only->('a');
	my $wait = "select null from job_wait('$id', wait => NAP)";
	$sql->('create table other (x int)');
	for my $call ($claim, $wait)
	{
		my ($verb) = $call =~ /(job_\w+)/;
		$at_once->("$verb after a write", 'begin', 'insert into other values (1)', $call);
		$at_once->("$verb in REPEATABLE READ", 'begin isolation level repeatable read', $call);
		$at_once->("$verb in SERIALIZABLE", 'begin isolation level serializable', $call);
		$at_once->("$verb with max_wait = 0", 'set jobs_ext.max_wait = 0', $call);
		$at_once->("$verb with max_wait = 300 ms", "set jobs_ext.max_wait = '300 ms'", $call);
		$at_once->("$verb asked for no time", $call =~ s/NAP/interval '0'/r);
		my $soon = $call =~ s/NAP/interval '200 ms'/r;
		my $cursor = start_session($node, 'postgres', 'begin', "declare c cursor for $soon", 'fetch c', 'commit');
		gets_nothing($cursor, "$verb in a cursor");
	}
	$at_once->('job_claim after a write in a savepoint', 'begin', 'savepoint s', 'insert into other values (1)',
		$claim);

	# Half a second before statement_timeout. A machine that stops for as long may be late.
	for my $call ($claim, $wait)
	{
		my $ok;
		for my $limit (2, 4, 8)
		{
			my $one = start_session($node, 'postgres', "set statement_timeout = '$limit s'",
				$call =~ s/NAP/interval '40 s'/r);
			end_session($one);
			last if $ok = $one->{err} eq '';
		}
		ok($ok, "statement_timeout is not reached: $call");
	}
	my $one = start_session($node, 'postgres', "set statement_timeout = '300 ms'", $claim =~ s/NAP/interval '40 s'/r);
	end_session($one);
	like($one->{err},
		qr/NOTICE: +the call does not wait|statement timeout/, 'a short statement_timeout leaves no time to wait');
};

subtest 'places' => sub {
	my $id = $sql->("select id from jobs where job_id = 'unwanted'");
	my @sleepers = (
		(map { $asleep->($only->('a')) } 1 .. 6),
		(map { $asleep->("select null from job_wait('$id', wait => NAP)") } 1 .. 6));
	# One that finds no place looks by itself until its wait is over, and is counted.
	my $finds_no_place = sub {
		my ($call, $name) = @_;
		my $polled = "select waits_polled from jobs_ext.maintenance where database = 'postgres'";
		my $before = $sql->($polled);
		gets_nothing(start_session($node, 'postgres', $call =~ s/NAP/interval '300 ms'/r), $name);
		is($sql->($polled), $before + 1, '… having looked by itself');
	};
	$finds_no_place->($_, "one more than may sleep has no place: $_") for $only->('a'),
		"select null from job_wait('$id', wait => NAP)";
	$sql->("select pg_terminate_backend($sleepers[0]{pid})");
	cut_off($sleepers[0], qr/terminating connection/, 'one is terminated');
	$close->($sleepers[1], $sleepers[6]);
	$sleepers[$_] = $asleep->($only->('a')) for 0, 1, 6;
	$finds_no_place->($only->('a'), 'each end frees one place, and no more');

	# Errors that a function catches, and one that its own exception block catches.
	$close->($sleepers[6]);
	$sleepers[6] = start_session($node, 'postgres', <<'SQL', 'select 1');
do $$
begin
  for i in 1 .. 20 loop
    begin
      perform job_claim('{a}', wait => '1 ms');
      raise exception 'x';
    exception when others then null;
    end;
  end loop;
  perform job_claim('{a}', wait => '40 s');
end $$
SQL
	$node->poll_query_until('postgres',
		"select wait_event_type = 'Extension' from pg_stat_activity where pid = $sleepers[6]{pid}");
	$finds_no_place->($only->('a'), 'errors caught by PL/pgSQL leak no place');
	# Those of other databases count, and are not woken.
	$sql->('create database elsewhere');
	$node->safe_psql('elsewhere', 'create extension jobs_ext');
	worker_serves($node, 'elsewhere', 'another database has a worker');
	$close->($sleepers[6]);
	$node->safe_psql('elsewhere', "set jobs_ext.auto_register_types = on; select job_enqueue('a')");
	$node->safe_psql('elsewhere', 'select count(*) from job_claim()');
	$sleepers[6] = fall_asleep($node, 'elsewhere', $any);
	$finds_no_place->($only->('a'), 'places are for all databases together');
	sleeps_on([$sleepers[6]],
		sub { $sql->("select job_enqueue('a', job_id => 'here-' || n) from generate_series(1, 5) n") },
		'jobs of another database do not wake');
	gets($sleepers[$_], qr/^here-/, 'a job') for 2 .. 5, 0;

	my $began = time;
	$sql->('drop database elsewhere with (force)');
	cmp_ok(time - $began, '<', 10, 'DROP DATABASE WITH (FORCE) reaches a sleeper');
	cut_off($sleepers[6], qr/terminating connection/, '… which ends');
	$close->(@sleepers[ 1, 7 .. 11 ]);
};

# Stopped, the first one is woken for the job and does not get to know it before its end comes.
subtest 'a wake that its sleeper can\'t use goes to another' => sub {
	for my $end ('cancel', 'terminate')
	{
		my ($first, $second, $third) = map { $asleep->($only->('a')) } 1 .. 3;
		kill 'STOP', $first->{pid};
		sleeps_on([$third], sub {
			$sql->($enqueue->('a', "after a $end"));
			$sql->("select pg_${end}_backend($first->{pid})");
			kill 'CONT', $first->{pid};
			cut_off($first, qr/canceling statement|terminating connection/, "$end: the first one ends");
		}, '… the third one sleeps on');
		gets($second, "after a $end", '… the second one has the job');
		$close->($third);
	}
};

subtest 'asleep it holds nothing' => sub {
	$sql->("select job_type_set('a', description => 'x')");
	my $id = $sql->("select id from jobs where job_id = 'unwanted'");
	my @sleepers = (
		$asleep->($any), $asleep->("select job_id from job_wait('$id', wait => NAP)"),
		$asleep->("select job_id from job_wait(job_id => 'unwanted', wait => NAP)"),
		$asleep->('begin read only', "select job_id from job_wait(job_id => 'unwanted', wait => NAP)"),
		$asleep->('begin', 'select count(*) from pg_class where false', $only->('a')));
	my $pids = join ',', map { $_->{pid} } @sleepers;
	my $of_ours = "relation in (select oid
				from pg_class
				where relnamespace in ('public'::regnamespace, 'jobs_ext'::regnamespace))";
	is($sql->("select count(*) from pg_locks
		where pid in ($pids) and ($of_ours or locktype in ('transactionid', 'tuple'))"),
		'0', 'no lock');
	is($sql->("select count(*) from pg_stat_activity
		where pid in ($pids) and backend_xid is null and backend_xmin is not null"),
		'5', 'no transaction id');
	is($sql->("set lock_timeout = '10s';
		alter table jobs add column mine int;
		vacuum full jobs;
		vacuum full jobs_ext.queue;
		alter table jobs drop column mine;
		select 1"),
		'1', 'the tables may be changed');
	$sql->($enqueue->('b', 'after that'));
	gets($sleepers[0], 'after that', '… and the sleepers find their way');
	$sql->("select job_cancel('$id')");
	gets($sleepers[$_], 'unwanted', '… those who wait for an end as well') for 1 .. 3;
	$close->($sleepers[4]);
};

# A client that has gone is noticed where Postgres is told to look.
subtest 'a client that has gone' => sub {
	my $gone = $asleep->("set client_connection_check_interval = '200 ms'", $only->('a'));
	$gone->{psql}->signal('KILL');
	eventually($node, 'postgres', "select count(*) from pg_stat_activity where pid = $gone->{pid}",
		'0', 'its session ends');
	eval { $gone->{psql}->finish };
	$sql->($enqueue->('a', 'for the living'));
	is($sql->("select job_id from job_claim('{a}')"), 'for the living', '… and takes no job with it');
};

in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');

# Sleepers keep nobody from shutting down.
my @sleepers = map { $asleep->($any) } 1 .. 3;
my $began = time;
$node->stop('fast');
cmp_ok(time - $began, '<', 30, 'a fast shutdown reaches sleepers');
cut_off($_, qr/terminating connection|closed the connection/, '… which end') for @sleepers;
done_testing();
