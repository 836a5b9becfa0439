# Who may set the clock, whatever way it is set; what an older snapshot sees of a queue that another session builds
# anew; and what job_maintain() says of a job that it has to leave.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

# Without workers: what they would do, the tests do.
my $node = new_node('clock', extension => 0, autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'");
$node->safe_psql('postgres', <<'SQL');
create role boss login;
create role client login;
create role other login;
create database d owner boss;
SQL
$node->safe_psql('d', <<'SQL', extra_params => [ '-U', 'boss' ]);
create extension jobs_ext;
select jobs_ext.grant_role('client', 'producer'), jobs_ext.grant_role('other', 'operator');
SQL

# What a session of a role's prints to SQL, and its messages, one after the other. Each statement is tried.
sub says
{
	my ($role, $sql, $options) = @_;
	local $ENV{PGOPTIONS} = $options // '';
	my ($stdout, $stderr) = ('', '');
	$node->psql('d', $sql, stdout => \$stdout, stderr => \$stderr, on_error_stop => 0, timeout => 60,
		extra_params => [ '-U', $role, '-v', 'VERBOSITY=sqlstate' ]);
	return join "\n", grep { $_ ne '' } $stdout, $stderr;
}

# The year that the queue believes it is.
my $year = "select extract(year from run_at) from job_enqueue('import-csv')";
my $superuser = $node->safe_psql('postgres', 'select current_user');
my $this_year = $node->safe_psql('postgres', 'select extract(year from now())');
my $fake = '2071-01-01T00:00:00Z';
my $in_options = "-c jobs_ext.now=$fake";

#
# The clock
#
my %ways = (
	'SET' => "set jobs_ext.now = '$fake'",
	'SET LOCAL' => "begin; set local jobs_ext.now = '$fake'; commit",
	'set_config()' => "do \$\$ begin perform set_config('jobs_ext.now', '$fake', false); end \$\$",
	'an update of pg_settings' => "do \$\$ begin update pg_settings set setting = '$fake'
		where name = 'jobs_ext.now'; end \$\$",
	'a function with SET' => "create function pg_temp.f()
		returns int language sql set jobs_ext.now = '$fake' as 'select 1'; drop function pg_temp.f()",
	'ALTER ROLE' => "alter role current_user set jobs_ext.now = '$fake'; alter role current_user reset jobs_ext.now",
);

# Refused: 42501, and the clock is the server's.
sub cannot_set_clock
{
	my ($role, $name) = @_;
	for my $way (sort keys %ways)
	{
		like(says($role, $ways{$way}), qr/ERROR:  42501/, "$name: not by $way");
	}
	like(says($role, "$ways{$_}; $year"), qr/^$this_year\n/, "$name: nothing comes of $_")
	  for 'SET', 'set_config()', 'an update of pg_settings';
	my $log = -s $node->logfile;
	my $said = says($role, $year, $in_options);
	like($said, qr/FATAL:  permission denied to set parameter "jobs_ext.now"/, "$name: no connection by PGOPTIONS");
	like(slurp_file($node->logfile, $log),
		qr/\] 42501 .*FATAL:  permission denied to set parameter "jobs_ext.now"/, "$name: its SQLSTATE");
	return;
}

sub can_set_clock
{
	my ($role, $name) = @_;
	unlike(says($role, $ways{$_}), qr/ERROR/, "$name: by $_") for sort keys %ways;
	is(says($role, "$ways{SET}; $year"), '2071', "$name: it is believed");
	is(says($role, $year, $in_options), '2071', "$name: by PGOPTIONS");
	return;
}

is(says('client', $year), $this_year, 'the clock is the server\'s');
cannot_set_clock('boss', 'the owner without jobs_ext.test_mode');
cannot_set_clock('client', 'a client without jobs_ext.test_mode');
cannot_set_clock('other', 'an operator without jobs_ext.test_mode');
like(says('boss', "alter database d set jobs_ext.now = '$fake'"),
	qr/ERROR:  42501/, 'nor may the owner of a database for it');
like(says('boss', 'set jobs_ext.test_mode = on'), qr/ERROR:  55P02/, 'nobody switches test mode on for himself');
like(says('boss', '', '-c jobs_ext.test_mode=on'), qr/FATAL/, 'nor by PGOPTIONS');
can_set_clock($superuser, 'a superuser');

$node->append_conf('postgresql.conf', 'jobs_ext.test_mode = on');
$node->reload;
$node->poll_query_until('d', 'show jobs_ext.test_mode', 'on');
can_set_clock('boss', 'the owner in test mode');
cannot_set_clock('client', 'a client in test mode');
cannot_set_clock('other', 'an operator in test mode');

# What was set for a role in test mode is worth nothing without it.
is(says('boss', "alter role boss set jobs_ext.now = '$fake'"), '', 'the owner sets it for himself');
is(says('boss', $year), '2071', 'in test mode it is believed');
$node->append_conf('postgresql.conf', 'jobs_ext.test_mode = off');
$node->reload;
$node->poll_query_until('d', 'show jobs_ext.test_mode', 'off');
like(says('boss', $year), qr/^$this_year\n/, 'without test mode it is not');
like(says('boss', 'select'),
	qr/WARNING:  permission denied to set parameter "jobs_ext.now"/, 'and the session says so');
$node->safe_psql('postgres', 'alter role boss reset jobs_ext.now');

# Set by a superuser, it stays for the role that he then takes on; who may not set it may still switch it off.
is(says($superuser, "$ways{SET}; set role client; $year; reset jobs_ext.now; $year"),
	"2071\n$this_year", 'what a superuser set holds for others');

# A session that loads the library at its first call has the setting before anybody can check it.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
for my $role ('client', 'boss')
{
	like(says($role, $year, $in_options), qr/^$this_year$/m, "$role, library not preloaded: not by PGOPTIONS");
	unlike(says($role, "$ways{SET}; $year; $year"), qr/2071/, "$role, library not preloaded: not by SET");
	like(says($role, $ways{'ALTER ROLE'}), qr/ERROR:  42501/, "$role, library not preloaded: not by ALTER ROLE");
}
is(says($superuser, $year, $in_options), '2071', 'a superuser, library not preloaded: by PGOPTIONS');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'jobs_ext'");
$node->restart;

#
# A snapshot that is older than a queue built anew by another session
#
my $directory = $PostgreSQL::Test::Utils::tmp_check;
append_to_file("$directory/rebuild.sql", "set lock_timeout = '20 s';\nselect jobs_ext.rebuild_queue();\n");
my $connection = $node->connstr('d');
my $rebuild = "\\! psql -X -q -v ON_ERROR_STOP=1 -f $directory/rebuild.sql -o /dev/null \"$connection\" 2>&1";

my $shown = q{select 'running ' || string_agg(job_id, ' ' order by job_id) from jobs_running;
select 'active ' || string_agg(job_id, ' ' order by job_id) from jobs_active;
select 'failed ' || string_agg(job_id, ' ' order by job_id) from jobs_failed;};
my $all = "running r1 r2\nactive q1 q2 r1 r2\nfailed f1 f2";

sub fresh_jobs
{
	return $node->safe_psql('d', <<'SQL');
truncate jobs, job_attempts;
insert into jobs (id, job_id, job_type, status, attempt, started_at, lease_id, lease_expires_at, finished_at)
select ('00000000-0000-0000-0000-00000000000' || n)::uuid, k, 'import-csv', s, 1, '2026-01-01',
       ('00000000-0000-0000-0000-00000000001' || n)::uuid, '2100-01-01', f
from (values
  (1, 'r1', 'in_progress', null::timestamptz),
  (2, 'r2', 'in_progress', null),
  (3, 'f1', 'failed', '2026-01-02'),
  (4, 'f2', 'failed', '2026-01-02')) v (n, k, s, f);
insert into jobs (id, job_id, job_type, run_at)
select ('00000000-0000-0000-0000-00000000000' || n)::uuid, k, 'import-csv', '2026-01-01'
from (values (5, 'q1'), (6, 'q2')) v (n, k);
select jobs_ext.rebuild_queue();
SQL
}

for my $level ('repeatable read', 'serializable')
{
	fresh_jobs();
	is($node->safe_psql('d', $shown), $all, "$level: what there is");
	is(says($superuser, "begin isolation level $level;\nselect from jobs limit 0;\n$rebuild\n$shown\ncommit;"), $all,
		"$level: an older snapshot shows what was there");
	is(says($superuser, "begin isolation level $level;\n$shown\n$rebuild\n$shown\ncommit;"), "$all\n$all",
		"$level: so does one that has looked before");
}
is(says('client', "begin isolation level repeatable read;\nselect from jobs limit 0;\n$rebuild\n$shown\ncommit;"),
	$all, 'a client\'s older snapshot shows what was there');

my ($id, $lease) = ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000011');
my %verbs = (
	job_complete => "select (job_complete('$id', '$lease')).status",
	job_fail => "select (job_fail('$id', '$lease', 'oops')).status",
	job_release => "select (job_release('$id', '$lease')).status",
	job_heartbeat => "select job_id from job_heartbeat('$id', '$lease', lease => '1 hour')",
	job_cancel => "select (job_cancel(job_id => 'q1')).status",
	job_pause => "select (job_pause(job_id => 'q1')).status",
	job_claim => 'select job_id from job_claim()',
	job_maintain => "set jobs_ext.now = '2101-01-01'; select job_maintain() -> 'leases_reaped'",
	'UPDATE' => "update jobs set priority = 3 where job_id = 'q1'",
	'DELETE' => "delete from jobs where job_id = 'q1'",
);

for my $path ('off', 'on')
{
	my $how = $path eq 'on' ? 'by statements' : 'directly';
	for my $verb (sort keys %verbs)
	{
		fresh_jobs();
		my $before = $node->safe_psql('d', 'select string_agg(j::text, $$ $$ order by id) from jobs j');
		my $said = says($superuser,
			"set jobs_ext.force_statement_path = $path;\nbegin isolation level repeatable read;\n"
			  . "select from jobs limit 0;\n$rebuild\n$verbs{$verb};\ncommit;");
		my $refused = qr/^[^\n]*ERROR:  40001$/;
		like($said, $refused, "$verb $how, under a snapshot older than the queue: 40001");
		is($node->safe_psql('d', 'select string_agg(j::text, $$ $$ order by id) from jobs j'),
			$before, "$verb $how: nothing changed");
		in_step($node, 'd', "$verb $how: no orphan");
	}
}
is($node->safe_psql('d', $verbs{job_complete}), 'completed', 'the job is completed by whoever tries again');

#
# What job_maintain() says of a job that it leaves
#
fresh_jobs();
$node->safe_psql('d', <<'SQL');
create function refuse() returns trigger language plpgsql as $$
begin
  if new.job_id = 'r1' then raise exception 'not this one' using errcode = 'TEST1', detail = 'poisoned'; end if;
  return new;
end $$;
create trigger a_refuse before update on jobs for each row execute function refuse();
SQL
my ($stdout, $stderr) = ('', '');
$node->psql('d',
	"set jobs_ext.now = '2101-01-01'; select m -> 'leases_reaped', m -> 'set_aside' from job_maintain() m",
	stdout => \$stdout, stderr => \$stderr, timeout => 60);
is($stdout, '1|1', 'one job is poisoned, the other reaped');
like($stderr,
	qr/WARNING:  job $id was left as it is: not this one\nDETAIL:  poisoned/,
	'a WARNING names the poisoned one, and why');
is(() = $stderr =~ /WARNING/g, 1, 'and no other');
in_step($node, 'd', 'after it: in step');

#
# Functions that the owner of the schema puts beside ours
#
$node->safe_psql('d', <<'SQL', extra_params => [ '-U', 'boss' ]);
create table public.ran (name text, who text);
create function jobs_ext.run_schedule(text)
returns uuid language plpgsql as $$
begin
  insert into public.ran values ('run_schedule', current_user);
  return null;
end $$;
create function jobs_ext.is_there(text, text, text)
returns boolean language plpgsql as $$
begin
  insert into public.ran values ('is_there', current_user);
  return true;
end $$;
create function jobs_ext.is_there(text, "char")
returns boolean language plpgsql as $$
begin
  insert into public.ran values ('is_there', current_user);
  return true;
end $$;
create function jobs_ext.hand_over(text)
returns void language plpgsql as $$ begin insert into public.ran values ('hand_over', current_user); end $$;
SQL
$node->safe_psql('d', 'drop view public.jobs_failed; select jobs_ext.install()');
is($node->safe_psql('d', 'select count(*) from ran'), '0', 'install() calls none of them');
is($node->safe_psql('d', 'select count(*) from jobs_failed'), '0', '… and has made what was missing');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
