# What maintenance survives of what a table's owner puts on `jobs`: cascades that are slow, jobs with very many
# attempts, code that leaves something behind, that does not end when it is canceled, that does not end at all.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my %impatient = ('jobs_ext.longest_piece' => "'3s'", autovacuum => 'off', fsync => 'off');

my $node = new_node('slow', %impatient, 'jobs_ext.archive_after' => 0);
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $status = sub { return status_of($node, 'postgres', @_) };
worker_serves($node, 'postgres', 'there is a worker');

subtest 'a cascade that is slow' => sub {
	# Half a second of a job alone, a tenth of some together.
	set_config($node, 'jobs_ext.archive_after' => -1);
	$sql->(<<'SQL');
create table detail (job uuid references jobs on delete cascade, nap float8);
create index on detail (job);
create function public.nap() returns trigger language plpgsql as 'begin perform pg_sleep(old.nap); return old; end';
create trigger nap before delete on detail for each row execute function public.nap();
with done as (
  select id, row_number() over () as n
  from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv')) from generate_series(1, 12)))
)
insert into detail select id, case n when 7 then 30 else 0.3 end from done;
select job_complete(id, lease_id) from job_claim(max_jobs => 12);
SQL
	my $slow = $sql->('select job from detail where nap = 30');
	my $before = $status->('archived');
	set_config($node, 'jobs_ext.archive_after' => 0);
	eventually($node, 'postgres', "select archived - $before from jobs_ext.maintenance where database = 'postgres'",
		'11', 'those that end in time are archived, one by one');
	eventually($node, 'postgres', 'select job, task, sqlstate from jobs_ext.jobs_set_aside',
		"$slow|archive|57014", 'what does not is set aside');
	is($sql->('select string_agg(id::text, $$,$$) from jobs'), $slow, '… and kept');
	$sql->('drop table detail');
	eventually($node, 'postgres', 'select count(*) from jobs', '0', 'it goes when nothing is in its way');
};

subtest 'pieces as small as its own jobs need' => sub {
	# Jobs of which several at once take too long, while leases run out one by one, which takes no time.
	set_config($node, 'jobs_ext.archive_after' => -1);
	$sql->(<<'SQL');
create table detail (job uuid references jobs on delete cascade);
create sequence tries; -- also what is undone counts
create or replace function public.nap()
returns trigger language plpgsql as 'begin perform nextval(''public.tries''), pg_sleep(0.2); return old; end';
create trigger nap before delete on detail for each row execute function public.nap();
with done as (select id
              from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'import-csv'))
                                     from generate_series(1, 40))))
insert into detail select id from done;
select job_complete(id, lease_id) from job_claim(max_jobs => 40);
select job_enqueue('import-csv', retry_delay_ms => 3600000) from generate_series(1, 200);
select (select count(*) from job_claim(lease => n * interval '100 ms')) from generate_series(1, 200) n;
SQL
	set_config($node, 'jobs_ext.archive_after' => 0);
	eventually($node, 'postgres', 'select count(*) from detail', '0', 'all are archived', 180);
	# Each passes alone, and after each that did two are tried at once: four tries for three. In pieces that grow with
	# every lease, each would be tried twice.
	my $tries = $sql->('select last_value from tries');
	note("$tries tries for 40 jobs");
	cmp_ok($tries, '<=', 66, '… each third of them with one try in vain');
	$sql->('drop table detail; drop sequence tries');
	$sql->('delete from jobs');
};

subtest 'a job with very many attempts' => sub {
	set_config($node, 'jobs_ext.archive_after' => -1);
	$sql->(<<'SQL');
select job_enqueue('import-csv', job_id => 'tried');
select job_fail(id, lease_id, 'first', permanent => true) from job_claim();
insert into job_attempts (job, attempt, worker, started_at, ended_at, outcome, error_message)
select id, n, 'w', now(), now(), 'failed', repeat('x', 65536)
from jobs, generate_series(2, 4300) n where job_id = 'tried';
SQL
	set_config($node, 'jobs_ext.archive_after' => 0);
	eventually($node, 'postgres', "select count(*) from jobs_archive where job_id = 'tried'", '1', 'is archived');
	is($sql->(<<'SQL'),
select string_agg(coalesce(e ->> 'attempt', (e ->> 'left_out') || ' left out'), ',' order by n)
from jobs_archive, jsonb_array_elements(attempts) with ordinality a (e, n) where job_id = 'tried'
SQL
		join(',', 1 .. 10, '4274 left out', 4285 .. 4300), 'with the first and the last');
	is($sql->('select count(*) from job_attempts'), '0', 'all of them left job_attempts');
};

subtest 'nothing outlives a piece' => sub {
	set_config($node, 'jobs_ext.archive_after' => -1);
	$sql->(<<'SQL');
create role tenant;
grant create, usage on schema public to tenant;
create table seen (what text, state text);
create sequence numbers;
alter table seen owner to tenant;
alter sequence numbers owner to tenant;
create function public.leave_something() returns trigger language plpgsql as $$
declare
  what text;
begin
  if old.job_id = 'was set aside' then
    return null;
  elsif old.job_id = 'looks' then
    insert into public.seen
    select 'lock', count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid();
    insert into public.seen
    select 'setting', current_setting('work_mem') || coalesce(current_setting('my.own', true), '');
    insert into public.seen select 'prepared', count(*)::text from pg_prepared_statements where from_sql;
    insert into public.seen select 'cursors', count(*)::text from pg_cursors where is_holdable;
    insert into public.seen select 'listens', count(*)::text from pg_listening_channels();
    insert into public.seen select 'temporary', count(*)::text from pg_class where relnamespace = pg_my_temp_schema();
    insert into public.seen select 'role', current_user || current_setting('session_replication_role');
    begin
      insert into public.seen select 'currval', currval('public.numbers')::text;
    exception when others then
      insert into public.seen values ('currval', sqlstate);
    end;
  else
    foreach what in array array[
      'select pg_advisory_lock(42)',
      'select pg_advisory_lock_shared(43)',
      $s$select set_config('work_mem', '123MB', false)$s$,
      $s$select set_config('my.own', 'x', false)$s$,
      'set work_mem = ''123MB''',
      'prepare p as select 1',
      'declare c cursor with hold for select 1',
      'listen x',
      'create temporary table t (x int)',
      'set role pg_monitor',
      'set session authorization tenant',
      'set session_replication_role = replica',
      $s$select nextval('public.numbers')$s$]
    loop
      begin
        execute what;
        insert into public.seen values ('did', what);
      exception when others then
        insert into public.seen values ('did not', what || ' ' || sqlstate);
      end;
    end loop;
    if old.job_id = 'raises' then
      perform pg_advisory_lock(44);
      raise exception 'no';
    end if;
  end if;
  return null;
end $$;
alter function public.leave_something() owner to tenant;
create trigger leave_something after delete on jobs for each row execute function public.leave_something();
SQL
	my $give_all_to = sub {
		$sql->("select format('alter table %s owner to $_[0]', t)
			from unnest('{jobs, job_types, job_attempts, job_steps}'::regclass[]) t
			union all
			select format('alter table %s owner to $_[0]', relid)
			from pg_partition_tree('jobs_archive') \\gexec");
	};
	$give_all_to->('tenant');
	my $usual = $sql->('show work_mem');
	my $archive = sub {
		my ($job) = @_;
		$sql->("select job_enqueue('import-csv', job_id => '$job');
			select job_complete(id, lease_id) from job_claim()");
		set_config($node, 'jobs_ext.archive_after' => 0);
		eventually($node, 'postgres',
			"select count(*) from jobs where job_id = '$job' and id not in (select job from jobs_ext.jobs_set_aside)",
			'0', "$job: archived or set aside");
		set_config($node, 'jobs_ext.archive_after' => -1);
	};
	my $pid = worker_of($node, 'postgres');
	$archive->('leaves');
	is($sql->("select string_agg(state, '; ' order by state collate \"C\") from seen where what = 'did'"),
		join('; ',
			"select nextval('public.numbers')",
			'select pg_advisory_lock(42)',
			'select pg_advisory_lock_shared(43)',
			"select set_config('my.own', 'x', false)",
			"select set_config('work_mem', '123MB', false)",
			"set work_mem = '123MB'"),
		'what code of the owner can do');
	is($sql->("select count(*) from seen where what = 'did not' and state ~ ' 42501\$'"), '7', 'and what it may not');
	eventually($node, 'postgres',
		"select count(*) from pg_locks where locktype = 'advisory' and objid in (42, 43, 44)",
		'0', 'its locks are gone');
	$archive->('raises');
	eventually($node, 'postgres',
		"select count(*) from pg_locks where locktype = 'advisory' and objid in (42, 43, 44)",
		'0', '… also after a piece that failed');
	# It would be tried again, perhaps in the piece of the next one.
	$sql->(q{update jobs set job_id = 'was set aside' where job_id = 'raises'});
	$sql->('truncate seen');
	$archive->('looks');
	is($sql->("select string_agg(what || ' ' || state, ', ' order by what) from seen"),
		"currval 55000, cursors 0, listens 0, lock 0, prepared 0, role tenantorigin, setting $usual, temporary 0",
		'the next piece finds nothing of it');
	is(worker_of($node, 'postgres'), $pid, 'in the same process');
	$sql->('drop trigger leave_something on jobs');
	$give_all_to->('current_user');
	$sql->('delete from jobs');
};

subtest 'errors that look like the server\'s' => sub {
	$sql->(<<'SQL');
create function public.like_the_servers() returns trigger language plpgsql as $$
begin
  if old.job_id = 'cancels' then
    perform pg_cancel_backend(pg_backend_pid());
    perform pg_sleep(10);
  else
    raise exception 'no' using errcode = old.metadata ->> 'state';
  end if;
end $$;
create trigger like_the_servers before update on jobs
  for each row when (old.metadata ? 'state' and new.status <> 'in_progress')
  execute function public.like_the_servers();
select job_enqueue('import-csv', job_id => case s when '57014' then 'cancels' else s end,
                   metadata => jsonb_build_object('state', s), retry_delay_ms => 3600000)
from unnest('{57014,53100,58030}'::text[]) s;
select job_enqueue('import-csv', job_id => 'behind-' || n, retry_delay_ms => 3600000) from generate_series(1, 20) n;
select job_claim(max_jobs => 100, lease => '300 ms');
SQL
	eventually($node, 'postgres', "select count(*) from jobs where job_id like 'behind-%' and status = 'pending'",
		'20', 'those behind go on');
	eventually($node, 'postgres',
		"select string_agg(j.job_id || ' ' || s.sqlstate, ', ' order by j.job_id)
			from jobs_ext.jobs_set_aside s join jobs j on j.id = s.job",
		'53100 53100, 58030 58030, cancels 57014', 'those that fail so again and again are set aside');
	$sql->('drop trigger like_the_servers on jobs');
	eventually($node, 'postgres', "select count(*) from jobs where status = 'in_progress'",
		'0', 'they go on when nothing is in their way');
	$sql->('delete from jobs');
};

subtest 'no progress is an error on record' => sub {
	set_config($node, 'jobs_ext.stalled_after' => "'1500ms'");
	$sql->(q{select job_enqueue('import-csv', retry_delay_ms => 0); select job_claim(lease => '5 s')});
	my $before = $status->("coalesce(last_error_at, '-infinity')");
	my $from = -s $node->logfile;
	my $holder = hold($node, 'postgres', q{select id from jobs where job_type = 'import-csv' for update});
	eventually($node, 'postgres',
		"select last_error_sqlstate, last_error ~ '^no progress for \\d+ s: reaping leases, 1 jobs due'
			from jobs_ext.maintenance where database = 'postgres' and last_error_at > '$before'",
		'55000|t', 'of a job that somebody holds');
	like(join("\n", log_lines($node, qr/no progress/, $from)),
		qr/WARNING:.* no progress for \d+ s: reaping leases/, '… in the log too');
	sleep 2;
	cmp_ok(scalar(log_lines($node, qr/WARNING:.*no progress/, $from)), '<=', 3, '… once in a while');
	let_go($holder);
	eventually($node, 'postgres', "select status from jobs", 'pending', 'it goes on');
	$before = $status->('last_error_at');
	sleep 2;
	is($status->("last_error_at = '$before'"), 't', 'and nothing more is on record');

	$holder = hold($node, 'postgres', 'lock table jobs');
	eventually($node, 'postgres',
		"select last_error ~ '^no progress for \\d+ s: '
			from jobs_ext.maintenance where database = 'postgres' and last_error_at > '$before'",
		't', 'of a table that somebody has locked');
	let_go($holder);
};
subtest 'months that can not be dropped' => sub {
	$sql->(<<'SQL');
delete from jobs;
select job_enqueue('import-csv', job_id => 'long ago');
select job_complete(id, lease_id) from job_claim();
update jobs set finished_at = now() - interval '100 days' where job_id = 'long ago';
SQL
	set_config($node, 'jobs_ext.archive_after' => 0, 'jobs_ext.maintenance_interval' => "'200ms'");
	eventually($node, 'postgres', "select count(*) from jobs_archive where job_id = 'long ago'",
		'1', 'one that ended long ago is in its month');
	my $month = $sql->("select tableoid::regclass from jobs_archive where job_id = 'long ago'");
	like($month, qr/jobs_archive_\d+_\d+$/, '… which is there');
	$sql->("create view dependent as select * from $month");
	my $from = -s $node->logfile;
	set_config($node, 'jobs_ext.archive_keep' => "'30d'");
	eventually($node, 'postgres',
		"select last_error_sqlstate, last_error ~ '^months of the archive: cannot drop table'
			from jobs_ext.maintenance where database = 'postgres'",
		'2BP01|t', 'that it can not be dropped is on record');
	my ($at, $rounds) = ($status->('last_error_at'), $status->('rounds'));
	# More than twice as long as it takes until no progress would be on record.
	eventually($node, 'postgres', "select rounds > $rounds + 20 from jobs_ext.maintenance where database = 'postgres'",
		't', 'much later');
	is($status->("last_error_at = '$at'"), 't', '… nothing more is on record');
	is(join("\n", log_lines($node, qr/no progress/, $from)), '', '… nor of a standstill in the log');
	is(scalar(log_lines($node, qr/partitions of jobs_archive could not be brought up to date/, $from)),
		1, '… which has it once');
	$sql->('drop view dependent');
	eventually($node, 'postgres', "select to_regclass('$month') is null",
		't', 'it is dropped when nothing depends on it');
};
log_is_clean($node, 'no internal error');
$node->stop;

# Processes for the launcher, logical replication's launcher, and so many workers.
sub tenants
{
	my ($name, $workers, @databases) = @_;
	my $tenants = new_node($name, %impatient, extension => 0, max_worker_processes => 2 + $workers,
		'jobs_ext.longest_piece' => "'3s'", 'jobs_ext.maintenance_interval' => "'300ms'");
	for my $database (@databases)
	{
		$tenants->safe_psql('postgres', "create database $database");
		$tenants->safe_psql($database, 'create extension jobs_ext');
	}
	return $tenants;
}

# A job whose lease runs out, and what becomes of it.
sub enqueue_and_lose
{
	my ($tenants, $database, $job) = @_;
	$tenants->safe_psql($database,
		"select job_enqueue('import-csv', job_id => '$job', retry_delay_ms => 3600000);
			select job_claim('{import-csv}', lease => '300 ms')");
	return;
}

sub is_reaped
{
	my ($tenants, $database, $job, $name, $seconds) = @_;
	return eventually($tenants, $database, "select status from jobs where job_id = '$job'",
		'pending', $name, $seconds);
}

subtest 'code that catches each cancel' => sub {
	my $tenants = tenants('catches', 1, qw(bad good other));
	$tenants->safe_psql('bad', <<'SQL');
create function public.never_ends() returns trigger language plpgsql as $$
begin
  loop
    begin
      perform pg_sleep(0.2);
    exception when query_canceled then null;
    end;
  end loop;
end $$;
create trigger never_ends before update on jobs
  for each row when (old.job_id = 'culprit' and new.status <> 'in_progress') execute function public.never_ends();
SQL
	my $from = -s $tenants->logfile;
	enqueue_and_lose($tenants, 'bad', 'culprit');
	eventually($tenants, 'bad', "select state from jobs_ext.maintenance where database = 'bad'",
		'reaping leases', 'its worker is stuck');
	enqueue_and_lose($tenants, $_, 'innocent') for qw(bad good other);
	is_reaped($tenants, $_, 'innocent', "$_: the others go on", 60) for qw(good other);
	eventually($tenants, 'bad',
		"select j.job_id, s.task, s.sqlstate, s.message ~ 'did not end', s.retry_at > now() + interval '5 min'
			from jobs_ext.jobs_set_aside s join jobs j on j.id = s.job",
		'culprit|reap|57014|t|t', 'the job is set aside');
	is_reaped($tenants, 'bad', 'innocent', 'and those behind it go on', 60);
	like(join("\n", log_lines($tenants, qr/is told to end/, $from)),
		qr/WARNING: .*the worker with PID \d+ for database \d+ is told to end/, 'the log says so');
	is(scalar(log_lines($tenants, qr/is told to end/, $from)), 1, '… once');
	is(status_of($tenants, 'bad', "last_error_sqlstate, last_error ~ 'did not end'"), '57014|t', 'the view too');
	log_is_clean($tenants, 'no crash');
	$tenants->stop;
};

subtest 'code that reaches no interrupt' => sub {
	my $tenants = tenants('stuck', 2, qw(bad good other));
	my $library = $tenants->basedir . '/stuck.so';
	# Not the one of a copied installation, which looks for them beside itself.
	my ($headers) = run_command([ $ENV{PG_CONFIG} // 'pg_config', '--includedir-server' ]);
	plan skip_all => 'no C compiler'
	  if system("cc -shared -fPIC -I'$headers' -o '$library' '$FindBin::Bin/stuck.c' >'$library.log' 2>&1");
	my $end = $tenants->basedir . '/end';
	$tenants->safe_psql('bad', <<"SQL");
create function public.stuck(text) returns void language c as '$library';
create function public.is_stuck()
returns trigger language plpgsql as 'begin perform public.stuck(''$end''); return new; end';
create trigger is_stuck before update on jobs
  for each row when (old.job_id = 'culprit' and new.status <> 'in_progress') execute function public.is_stuck();
SQL
	my $from = -s $tenants->logfile;
	enqueue_and_lose($tenants, 'bad', 'culprit');
	eventually($tenants, 'good', "select state from jobs_ext.maintenance where database = 'bad'",
		'does not end, though it was told to', 'the view says that it does not end', 60);
	for my $database (qw(good other))
	{
		enqueue_and_lose($tenants, $database, 'innocent');
		is_reaped($tenants, $database, 'innocent', "$database: the others share what remains", 60);
	}
	is(status_of($tenants, 'good', "state", 'bad'), 'does not end, though it was told to', 'meanwhile');
	is(scalar(log_lines($tenants, qr/WARNING: .* does not end, though it was told to/, $from)),
		1, 'the log says it once');
	append_to_file($end, '');
	eventually($tenants, 'bad', "select count(*) from jobs_ext.jobs_set_aside",
		'1', 'when it returns, the job is set aside', 60);
	enqueue_and_lose($tenants, 'bad', 'innocent');
	is_reaped($tenants, 'bad', 'innocent', 'and its database is served again', 60);
	log_is_clean($tenants, 'no crash');
	$tenants->stop;
};

done_testing();
