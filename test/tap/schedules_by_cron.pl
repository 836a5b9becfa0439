# pg_cron runs for real. Beside it and jobs_ext: recurring jobs. With pg_cron alone preloaded: job_maintain() as its
# job does what time does. Both servers wait for their minutes at once.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes 'time';

chomp(my $share = `pg_config --sharedir`);
plan skip_all => 'pg_cron is not installed: script/bootstrap brings it' unless -e "$share/extension/pg_cron.control";

# Intervals of seconds, the last day of the month and another time zone came with 1.5 and 1.6.
my ($minor) = slurp_file("$share/extension/pg_cron.control") =~ /default_version = '1\.(\d+)/;
my @zone = $minor >= 5 ? ('cron.timezone' => "'Europe/Berlin'") : ();

# pg_cron runs its jobs by workers on one server and by connections on the other.
my $node = new_node(
	'recurring',
	shared_preload_libraries => "'pg_cron,jobs_ext'",
	'cron.use_background_workers' => 'on',
	max_worker_processes => 20,
	@zone);
my $plain = new_node(
	'plain',
	shared_preload_libraries => "'pg_cron'",
	'cron.database_name' => "'postgres'",
	'cron.host' => "'" . $node->host . "'");
my $sql = sub { return $node->safe_psql('postgres', @_) };

# README.md's examples, as they stand there.
my $readme = slurp_file("$FindBin::Bin/../../README.md");
my ($every_minute) = $readme =~ /^    (select cron\.schedule\('jobs', '\* .*)$/m;
my ($every_second) = $readme =~ /^    (select cron\.schedule\('jobs', '1 .*)$/m;
my ($example) = $readme =~ /^## Recurring jobs$(.*?)^## /ms;
$example = join "\n", $example =~ /^    (.*)$/mg;

# The other server first: its job is abandoned before the next minute begins.
$plain->safe_psql('postgres', <<"SQL");
create extension pg_cron;
$every_minute
select job_enqueue('import-csv', job_id => 'abandoned', max_retries => 1, retry_delay_ms => 0);
select job_enqueue('bulk-update', job_id => 'late', run_at => now() + interval '1 s',
                   expires_at => now() + interval '2 s');
select job_claim('{import-csv}', worker => 'dies', lease => '1 second');
SQL

# What a call gives: "SQLSTATE: message", with the hint.
sub refusal
{
	my ($database, @statements) = @_;
	my $stderr = '';
	$node->psql($database, "\\set VERBOSITY verbose\n" . join("\n", map { "$_;" } @statements), stderr => \$stderr,
		on_error_stop => 1);
	my ($error) = $stderr =~ /ERROR:  (.*)/;
	my ($detail) = $stderr =~ /DETAIL:  (.*)/;
	my ($hint) = $stderr =~ /HINT:  (.*)/;
	return join ' | ', grep { defined } $error, $detail, $hint;
}

my $tick = "select job_schedule('tick', '* * * * *', 'import-csv')";
is(refusal('postgres', $tick),
	'0A000: recurring jobs need pg_cron | The extension pg_cron is not in this database. | '
	  . 'A superuser adds it: create extension pg_cron;',
	'before create extension pg_cron');
$sql->('create extension pg_cron');
$sql->('create database other');
$node->safe_psql('other', 'create extension jobs_ext');
my $elsewhere = qr/pg_cron works in the database "postgres" \(cron.database_name\), not in "other"\./;
like(refusal('other', $tick),
	qr/^0A000: .* \| $elsewhere \| .*cron\.database_name = 'other'/,
	'in a database that is not pg_cron\'s');
is($node->safe_psql('other', 'select count(*) from jobs_schedules'), '0', '… which shows no schedules');

# Who may.
$sql->(<<'SQL');
create role planner;
create role onlooker login;
select jobs_ext.grant_role('planner', 'operator'), jobs_ext.grant_role('onlooker', 'monitor');
SQL
like(refusal('postgres', 'set role planner', $tick),
	qr/^42501: permission denied for schema cron \| grant usage on schema cron to planner$/,
	'without USAGE on schema cron');
is($sql->('set role planner; select count(*) from jobs_schedules'), '0', '… there is nothing to see');
$sql->('grant usage on schema cron to planner, onlooker');
like(refusal('postgres', 'set role planner', $tick),
	qr/^42501: role "planner" may not log in/, 'a role that cannot log in');
$sql->('alter role planner login');

# What is not to run yet.
my $schedules = <<'SQL';
set role planner;
select job_schedule('tick', $when, 'import-csv', '{"cost": "$1"}', 5);
select job_schedule('piles', $when, 'import-csv', options => '{"pile_up": true, "metadata": {"mine": 1}}');
select job_schedule('ends', $when, 'import-csv');
reset role;
SQL
$sql->($schedules =~ s/\$when/'0 0 30 2 *'/gr);

# The same name of another role's is another schedule; the same of the same replaces.
is($sql->("select job_schedule('tick', '30 2 * * *', 'import-csv') = job_schedule('tick', ' \@yearly ', 'bulk-update',
			priority => 3)"),
	't', 'replaced under the same number');
is($sql->("select schedule, job_type, priority, username from jobs_schedules where name = 'tick' order by username"),
	"0 0 30 2 *|import-csv|5|planner\n0 0 1 1 *|bulk-update|3|postgres",
	'each role has its own, and \@yearly is written out');
is($sql->("set role planner; select string_agg(name, ' ' order by name) from jobs_schedules"),
	'ends piles tick', 'a role sees its own schedules');
is($sql->('set role onlooker; select count(*) from jobs_schedules'), '0', 'and nobody else\'s');
$sql->("select job_schedule('theirs', '0 0 30 2 *', 'import-csv')");
is($sql->("set role planner; select job_unschedule('theirs')"), 'f', 'nor removes them');
is($sql->("set role planner; select input_payload from jobs_schedules where name = 'tick'"),
	'{"cost": "$1"}', 'the payload as it was given');
is($sql->("select count(*) from cron.job where command ~ '[\$](?!jobs_ext[\$])(?<!jobs_ext[\$])'"),
	'0', '… and no dollar sign in the command');

# What an enqueue takes from its request, a schedule takes from the one that makes it, unless it is given.
is($sql->(<<'SQL') =~ s/^\d+$//mgr =~ s/^\n+//r, <<'EXPECTED' =~ s/\n\z//r, 'the claims of the request');
set request.jwt.claims =
  '{"org_id": "aaaaaaaa-0000-0000-0000-000000000001", "sub": "cccccccc-0000-0000-0000-000000000001"}';
select job_schedule('claims', '0 0 30 2 *', 'import-csv',
                    options => '{"created_by": "cccccccc-0000-0000-0000-000000000002"}');
select options from jobs_schedules where name = 'claims';
select job_schedule('claims', '0 0 30 2 *', 'import-csv', options => null) is null;
select options from jobs_schedules where name = 'claims';
select job_unschedule('claims');
SQL
{"created_by": "cccccccc-0000-0000-0000-000000000002", "organisation_id": "aaaaaaaa-0000-0000-0000-000000000001"}
f
{"created_by": "cccccccc-0000-0000-0000-000000000001", "organisation_id": "aaaaaaaa-0000-0000-0000-000000000001"}
t
EXPECTED

# Refused: nothing is changed.
my $before = $sql->('select md5(string_agg(j::text, chr(10) order by jobid)) from cron.job j');
like(refusal('postgres', "select job_schedule('tick', '0 0 30 2', 'import-csv')"), qr/^22023: malformed/, 'malformed');
like(refusal('postgres', "select job_schedule('tick', '* * * * *', 'import-cvs')"),
	qr/^22023: unknown job type "import-cvs" \| .*"import-csv"/, 'an unknown type');
$sql->("select cron.schedule('jobs_ext: mine', '0 0 1 1 *', 'select 1')");
like(refusal('postgres', "select job_schedule('mine', '* * * * *', 'import-csv')"),
	qr/^42710: pg_cron has a job "jobs_ext: mine"/, 'a job of pg_cron\'s that is not ours');
is($sql->("select job_unschedule('mine')"), 'f', '… nor is it removed');
$sql->("select cron.unschedule(jobid) from cron.job where jobname = 'jobs_ext: mine'");
is($sql->('select md5(string_agg(j::text, chr(10) order by jobid)) from cron.job j'),
	$before, 'a refusal changes nothing');

# What a newer pg_cron takes.
for my $newer ([ '20 seconds', 5 ], [ '0 0 $ * *', 6 ])
{
	my ($schedule, $since) = @$newer;
	my $call = "select job_schedule('newer', '$schedule', 'import-csv')";
	if ($minor < $since)
	{
		like(refusal('postgres', $call),
			qr/^0A000: this pg_cron is too old for the schedule "\Q$schedule\E" \| .*1\.5.*1\.6/,
			"\"$schedule\" is too new");
	}
	else
	{
		like($sql->("begin; $call;
						select next_run_at between now() and now() + interval '32 days'
						from jobs_schedules where name = 'newer';
						rollback"),
			qr/^\d+\nt$/, "\"$schedule\"");
	}
}

like($sql->("set timezone = 'UTC'; $example"),
	qr/^\d+\n(.*\n)*nightly-import\|30 2 \* \* mon-fri\|\|\|0\|20.*\n(.*\n)*t$/, 'the example of README.md');
ok($minor < 5 || $sql->("begin; $every_second rollback") =~ /^\d+$/, '… and that of job_maintain()');

# A superuser wrote into cron.job by hand.
$sql->("select job_schedule('altered', '0 0 30 2 *', 'import-csv')");
is($sql->("select next_run_at is null from jobs_schedules where name = 'altered'"),
	't', 'a schedule that never comes');
for my $command ('{"name": "altered", "job_type": ', '[1]', '{"name": "altered", "colour": 1}')
{
	$sql->("update cron.job set command = 'do language jobs_ext \$jobs_ext\$$command\$jobs_ext\$'
		where jobname = 'jobs_ext: altered'");
	is($sql->("select count(*), count(name) from jobs_schedules"), '6|5', "a command that cannot be read: $command");
}
$sql->("update cron.job set command = 'select 1' where jobname = 'jobs_ext: altered'");
is($sql->("select count(*) from jobs_schedules"), '5', 'a command that is no longer ours');
$sql->("delete from cron.job where jobname = 'jobs_ext: altered'");

# Where pg_cron reads schedules by another clock, times that the clocks skip do not come, and those that they repeat
# come twice.
my @due = $minor >= 5
  ? ('2026-01-01 01:30', '2026-03-30 00:30', '2026-10-25 00:30', '2026-10-25 01:30', '2026-10-26 01:30')
  : ('2026-01-01 02:30', '2026-03-29 02:30', '2026-10-25 02:30', '2026-10-25 02:30', '2026-10-25 02:30');
$sql->("select job_schedule('zone', '30 2 * * *', 'import-csv')");
for my $now ('2026-01-01 00:00', '2026-03-28 12:00', '2026-10-25 00:00', '2026-10-25 00:30', '2026-10-25 01:30')
{
	is($sql->("set timezone = 'UTC'; set jobs_ext.now = '$now+00';
		select next_run_at from jobs_schedules where name = 'zone'"),
		shift(@due) . ':00+00', "02:30 after $now UTC");
}
$sql->("select job_unschedule('zone')");

# The first minute.
my $since = $sql->('select now()');
$sql->($schedules =~ s/\$when/'* * * * *'/gr);
$sql->(<<'SQL');
select job_type_set('short-lived');
select job_schedule('theirs', '* * * * *', 'short-lived');
delete from job_types where job_type = 'short-lived';
SQL
my $runs = "select count(*) >= %d
	from cron.job_run_details d
	join cron.job j using (jobid) where j.jobname = 'jobs_ext: piles' and d.status = 'succeeded'";
my $began = time;
ok($node->poll_query_until('postgres', sprintf $runs, 1), 'pg_cron runs the schedules');
cmp_ok(time - $began, '<', 70, '… within 70 s');
ok($node->poll_query_until('postgres', "select count(*) = 1 from cron.job_run_details where status = 'failed'"),
	'… and fails where it has to');
ok($node->poll_query_until('postgres', "select count(*) = 3 from jobs"), 'each made a job');
is( $sql->(<<'SQL'), <<'EXPECTED' =~ s/\n\z//r, 'which is as it was meant');
select metadata, status, priority, input_payload from jobs order by metadata ->> 'schedule';
SQL
{"schedule": "ends"}|queued|0|{}
{"mine": 1, "schedule": "piles"}|queued|0|{}
{"schedule": "tick"}|queued|5|{"cost": "$1"}
EXPECTED
is($sql->(<<"SQL"), "tick|t|succeeded|t|t|0|t", 'the view shows the last and the next run');
select s.name, s.last_run_at between '$since' and now(), s.last_status, s.last_message ~ 'DO', s.last_job = j.id,
       s.skipped, s.next_run_at = date_trunc('minute', now()) + interval '1 minute'
from jobs_schedules s
join jobs j on j.metadata ->> 'schedule' = s.name where s.name = 'tick' and s.username = 'planner'
SQL
is($sql->(<<"SQL"), 'failed|t|t|0', '… and why one failed');
select last_status, last_message ~ 'unknown job type "short-lived"', last_job is null, skipped
from jobs_schedules where name = 'theirs'
SQL

# One ends: without it the job would not be left out next time, since its last one ends too.
is($sql->("set role planner; select job_unschedule('ends')"), 't', 'unscheduled');
is($sql->("set role planner; select job_unschedule('ends')"), 'f', '… once');
is($sql->("select job_unschedule('theirs')"), 't', 'another one');
is($sql->("select count(*) from jobs_ext.schedules where name in ('ends', 'theirs')"), '0', '… and forgotten');
$sql->("select job_cancel(id) from jobs where metadata ->> 'schedule' = 'ends'");
my $first_run = $sql->("select last_run_at from jobs_schedules where name = 'tick' and username = 'planner'");

# Meanwhile on the other server.
ok($plain->poll_query_until('postgres', "select status = 'pending' from jobs where job_id = 'abandoned'"),
	'job_maintain() by pg_cron takes a lost lease back');
is($plain->safe_psql('postgres', <<'SQL'),
select attempt, lease_expires_at > now() from job_claim('{import-csv}', worker => 'lives') where job_id = 'abandoned';
select s.status from jobs j, job_complete(j.id, j.lease_id) s where j.worker = 'lives';
select status, attempt, retries from jobs where job_id = 'abandoned';
select status from jobs where job_id = 'late';
select outcome, worker from job_attempts;
select status from cron.job_run_details where command = 'select job_maintain()' order by runid limit 1;
SQL
	"2|t\ncompleted\ncompleted|2|1\ncancelled\nlease_expired|dies\nsucceeded",
	'a whole life without any preloading of jobs_ext');
in_step($plain, 'postgres', 'in step');
log_is_clean($plain, 'no crash, no internal error, no deadlock');
$plain->stop;

# The second minute.
ok($node->poll_query_until('postgres', sprintf $runs, 2), 'the next minute');
ok($node->poll_query_until('postgres',
	   "select skipped = 1 from jobs_schedules where name = 'tick' and username = 'planner'"),
	'a run whose predecessor waits is left out');
ok($node->poll_query_until('postgres', "select count(*) = 2 from jobs where metadata ->> 'schedule' = 'piles'"),
	'unless it may pile up');
is($sql->("select metadata ->> 'schedule', count(*) from jobs group by 1 order by 1"),
	"ends|1\npiles|2\ntick|1", 'and what was unscheduled does not run');
is($sql->("select last_status, last_run_at > '$first_run'
	from jobs_schedules where name = 'tick' and username = 'planner'"),
	'succeeded|t', 'the view shows it');

# Without a record of the runs; and a role that has no LOGIN any more can still end what it began.
$sql->("delete from cron.job_run_details");
is($sql->("select last_run_at is not null, last_status is null, last_job is not null
	from jobs_schedules where name = 'piles'"),
	't|t|t', 'without a record of the runs');
$sql->('alter role planner nologin');
is($sql->("set role planner; select job_unschedule('piles'), job_unschedule('tick')"),
	't|t', 'unscheduled without LOGIN');
is($sql->("select string_agg(name, ' ') from jobs_schedules"), 'tick', 'what is left');
in_step($node, 'postgres', 'in step');

# Schedules outlive the extension, inert: whatever others then put in its place, none of it is called.
my $command = $sql->("select command from cron.job where jobname = 'jobs_ext: tick'");
$sql->(<<'SQL');
create role mallory login;
create table ran (who text);
grant insert on ran to mallory;
grant create on database postgres to mallory;
drop extension jobs_ext cascade;
alter schema jobs_ext rename to what_is_left;
SQL
$node->safe_psql('postgres', <<'SQL', extra_params => [ '-U', 'mallory' ]);
create schema jobs_ext;
grant usage on schema jobs_ext to public;
create function jobs_ext.note() returns void language sql as 'insert into public.ran values (current_user)';
create function jobs_ext.run_schedule(definition jsonb)
returns uuid language plpgsql immutable as 'begin perform jobs_ext.note(); return null; end';
SQL
like(refusal('postgres', $command),
	qr/^42704: language "jobs_ext" does not exist \| Use CREATE EXTENSION to load the language/,
	'without the extension a schedule is an error');
is($sql->('select count(*) from ran'), '0', '… and nobody else\'s function is called');
like(refusal('postgres', 'set role mallory', 'create trusted language jobs_ext handler plpgsql_call_handler'),
	qr/^42501: /, 'nor can anybody make that language');
$sql->('drop schema jobs_ext cascade; alter schema what_is_left rename to jobs_ext; create extension jobs_ext');
is($sql->("$command; select count(*) from jobs where metadata ->> 'schedule' = 'tick' and job_type = 'bulk-update'"),
	'1', 'with the extension it runs again');
like(refusal('postgres', 'set role mallory', $command),
	qr/^42501: permission denied for language jobs_ext/, '… as whoever has been granted it');
like(refusal('postgres', 'do language jobs_ext \'[1]\''),
	qr/^22023: definition must be a JSON object/, 'another text');
like(refusal('postgres', 'create function f() returns void language jobs_ext as \'\''),
	qr/^0A000: there are no functions in the language jobs_ext/, 'a function in that language');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
