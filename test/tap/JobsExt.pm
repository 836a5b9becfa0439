# What the TAP tests share: a server with the extension, sessions that sleep in a call, what the workers do, whether
# the derived tables say what `jobs` says, and whether the server's log is clean.
package JobsExt;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use FindBin;
use IPC::Run;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(new_node sql_states in_step uncorrupted log_is_clean log_lines set_config hold let_go
  start_session fall_asleep end_session gets gets_nothing cut_off sleeps_on switches
  server_is_back eventually status_of worker_of worker_serves worker_leaves cpu_of);

# What ends a test file early goes to prove as well, not to the log of the test alone. Inside of an eval it is for
# whoever catches it; that of a subtest throws it on.
$SIG{__DIE__} = sub { diag("$0 dies: " . substr($_[0], 0, 1000)) unless $^S };

# A server that is running, with the extension in its database "postgres". Each %option but `allows_streaming`,
# `extension` and `initdb`, a list of options of initdb's, is a line of postgresql.conf.
sub new_node
{
	my ($name, %option) = @_;
	my $streaming = delete $option{allows_streaming};
	my $initdb = delete $option{initdb} // [];
	my $extension = delete $option{extension} // 1;
	my %setting = (
		shared_preload_libraries => "'jobs_ext'",
		'jobs_ext.audit_interval' => -1,    # it would mend what in_step is to find
		'jobs_ext.max_wait' => "'1min'",    # longer than $nap, of who is to be woken
		wal_level => 'replica',
		restart_after_crash => 'on',
		log_statement => 'none',
		log_line_prefix => "'%m [%p] %e %d '",
		%option);
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => $streaming, extra => $initdb);
	$node->append_conf('postgresql.conf', "$_ = $setting{$_}") for sort keys %setting;
	$node->start;
	$node->safe_psql('postgres', 'create extension jobs_ext') if $extension;
	return $node;
}

# Runs statements in one session, each whatever became of the one before. Returns the SQLSTATE of each.
sub sql_states
{
	my ($node, $database, @statements) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql($database, join("\n", map { "$_;\n\\echo state=:SQLSTATE" } @statements),
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
	my @states = $stdout =~ /^state=(\w+)$/mg;
	# A session that is cut off gives no more answers.
	push @states, 'none' while @states < @statements;
	return @states;
}

# Changes lines of postgresql.conf and has all processes read them.
sub set_config
{
	my ($node, %setting) = @_;
	$node->append_conf('postgresql.conf', "$_ = $setting{$_}") for sort keys %setting;
	$node->reload;
	return;
}

# Whether a server that crashed answers again. With nothing for psql's input, which one that can't connect does not
# read.
sub server_is_back
{
	my ($node) = @_;
	my $end = time + 180;
	my $out = '';
	until ($out eq 't' || time > $end)
	{
		IPC::Run::run([ 'psql', '-XAtqw', '-d', $node->connstr('postgres'), '-c', 'select true' ], '<', \'', '>',
			\$out, '2>', \my $err);
		chomp $out;
		sleep 0.1 unless $out eq 't';
	}
	return $out eq 't';
}

# Until a query answers so, or for so many seconds: poll_query_until, whose patience is another one.
sub eventually
{
	my ($node, $database, $query, $expected, $name, $seconds) = @_;
	my $end = time + ($seconds // 60);
	my $answer;
	while (1)
	{
		$answer = $node->safe_psql($database, $query);
		last if $answer eq $expected || time > $end;
		sleep 0.05;
	}
	return is($answer, $expected, $name);
}

# Sessions in the background. Statements go on whatever became of the one before.

my $patience = 20;    # seconds for what takes none
my $nap = '40 s';     # of who is to be woken long before

# Of psql; says whose patience it was.
sub bounded
{
	my ($seconds, @statements) = @_;
	return IPC::Run::timeout($seconds, exception => "no end after $seconds s of: " . join('; ', @statements) . "\n");
}

# Of the process of a session.
sub start_session
{
	my ($node, $database, @statements) = @_;
	my %session = (node => $node, out => '', err => '', began => time);
	$session{psql} = IPC::Run::start(
		[
			'psql', '-XAtq', '-d', $node->connstr($database),
			map { ('-c', $_) } 'select pg_backend_pid()', @statements
		],
		'<', \'', '>', \$session{out}, '2>', \$session{err}, bounded(180, @statements));
	$session{psql}->pump until $session{out} =~ s/\A(\d+)\n// || !$session{psql}->pumpable;
	$session{pid} = $1 or die "no session for: @statements: $session{err}";
	return \%session;
}

# The last of the statements sleeps when this returns, or has ended already: a test that is slow may have missed it.
# "NAP" in a statement is an interval longer than any test takes.
sub fall_asleep
{
	my ($node, $database, @statements) = @_;
	s/NAP/interval '$nap'/ for @statements;
	my $session = start_session($node, $database, @statements);
	$node->poll_query_until($database, <<"SQL") or die "not asleep: $statements[-1]: $session->{err}";
select coalesce(bool_and(query = \$q\$$statements[-1]\$q\$
                         and (state <> 'active' or wait_event_type = 'Extension')), true)
from pg_stat_activity where pid = $session->{pid}
SQL
	return $session;
}

# Waits for the end of a session. Returns what it printed.
sub end_session
{
	my ($session) = @_;
	$session->{psql}->finish;
	$session->{ended} = time;
	chomp $session->{out};
	return $session->{out};
}

# A sleeper that was woken, or is being woken: it answers long before its time is over.
sub gets
{
	my ($session, $expected, $name) = @_;
	my $now = time;
	my $answer = end_session($session);
	my $ok = ref $expected ? $answer =~ $expected : $answer eq $expected;
	my $took = $session->{ended} - $now;
	ok($ok && $took < $patience, $name)
	  or diag("after $took s: '$answer', expected '$expected': $session->{err}");
	return $ok;
}

# One that answers at once, or when its time is over, without anything.
sub gets_nothing { my ($session, $name) = @_; return gets($session, '', $name) }

# A session that holds what these statements took, idle in their transaction, until it is let go.
sub hold
{
	my ($node, $database, @statements) = @_;
	my %session = (in => '', out => '', err => '');
	$session{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err}, bounded(180, 'hold', @statements));
	$session{in} .= join '', map { "$_;\n" } 'begin', @statements, q{select 'holds', pg_backend_pid()};
	$session{psql}->pump until $session{out} =~ /^holds\|(\d+)$/m || !$session{psql}->pumpable;
	$session{pid} = $1 or die "not held: @statements: $session{err}";
	return \%session;
}

sub let_go
{
	my ($session) = @_;
	$session->{in} .= "rollback;\n\\q\n";
	return $session->{psql}->finish;
}

# One whose statement is ended by an error.
sub cut_off
{
	my ($session, $error, $name) = @_;
	my $now = time;
	$session->{psql}->finish;
	my $took = time - $now;
	ok($session->{err} =~ $error && $took < $patience, $name)
	  or diag("after $took s: $session->{out} $session->{err}");
	return;
}

# How often the process gave up its processor to wait; and whether it waits now.
sub switches
{
	my ($session) = @_;
	my ($state) = slurp_file("/proc/$session->{pid}/stat") =~ /\) (\w)/;
	my ($count) = slurp_file("/proc/$session->{pid}/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $state eq 'S' ? $count : "state $state";
}

# Runs the code, during which none of these sleepers is woken, not even for a moment: a process that is woken is set
# running before the commit that wakes it returns, and counts when it sleeps again.
sub sleeps_on
{
	my ($sleepers, $code, $name) = @_;
	my @before = map { switches($_) } @$sleepers;
	$code->();
	sleep 0.2;    # for those who would wake them a little later
	my @after = map { switches($_) } @$sleepers;
	return is("@after", "@before", $name);
}

# A worker as jobs_ext.maintenance shows it.
sub status_of
{
	my ($node, $database, $columns, $of) = @_;
	$of //= $database;
	return $node->safe_psql($database, "select $columns from jobs_ext.maintenance where database = '$of'");
}

# Its pid, of which pg_stat_activity knows; 0: there is none.
sub worker_of
{
	my ($node, $database) = @_;
	return $node->safe_psql('postgres', <<"SQL");
select coalesce(max(pid), 0) from pg_stat_activity where backend_type = 'jobs_ext worker' and datname = '$database'
SQL
}

# That there is a worker, another one than `not` if that is given. Returns its pid.
sub worker_serves
{
	my ($node, $database, $name, %option) = @_;
	my $not = $option{not} // 0;
	my $end = time + ($option{seconds} // 30);
	my $pid;
	while (1)
	{
		$pid = worker_of($node, $database);
		last if ($pid && $pid != $not) || time > $end;
		sleep 0.05;
	}
	ok($pid && $pid != $not, $name);
	return $pid;
}

sub worker_leaves
{
	my ($node, $database, $name, $seconds) = @_;
	my $end = time + ($seconds // 30);
	sleep 0.05 while worker_of($node, $database) && time < $end;
	return is(worker_of($node, $database), 0, $name);
}

# Seconds of processor that a process has used.
sub cpu_of
{
	my ($pid) = @_;
	my @field = split / /, slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($field[11] + $field[12]) / 100;
}

my $differences = <<'SQL';
with wanted (sort, row) as (
  select 'queue', row(l.lane, -j.priority, j.run_at, j.id)::text
  from public.jobs j join jobs_ext.lanes l on l.job_type = j.job_type
  where j.status in ('pending', 'queued')
  union all
  select 'queue', row(0, 0, least(j.lease_expires_at, j.timeout_at), j.id)::text
  from public.jobs j where j.status = 'in_progress'
  union all
  select 'failed', row(j.created_at, j.id)::text from public.jobs j where j.status = 'failed'
  union all
  select 'expiring', row(j.expires_at, j.id)::text
  from public.jobs j where j.status in ('pending', 'queued', 'paused') and j.expires_at is not null and j.attempt = 0
  union all
  select 'ended', row(l.lane, case j.status when 'completed' then 0 when 'failed' then 1 else 2 end,
                      j.finished_at::timestamptz, j.id)::text
  from public.jobs j join jobs_ext.lanes l on l.job_type = j.job_type
  where j.status in ('completed', 'failed', 'cancelled')
  union all
  select 'blocked', row(j.created_at, j.id)::text from public.jobs j where j.status = 'blocked'
  union all
  select 'paused', row(j.created_at, j.id)::text from public.jobs j where j.status = 'paused'
  union all
  select 'children', row(j.parent_job_id, j.id)::text
  from public.jobs j
  where j.parent_job_id is not null and j.status in ('pending', 'queued', 'in_progress', 'paused', 'blocked')
), actual (sort, row) as (
  select 'queue', row(q.lane, q.rank, q.due_at, q.job)::text from jobs_ext.queue q
  union all
  select 'failed', row(f.created_at, f.job)::text from jobs_ext.failed f
  union all
  select 'expiring', row(e.expires_at, e.job)::text from jobs_ext.expiring e
  union all
  select 'ended', row(e.lane, e.rank, e.ended_at, e.job)::text from jobs_ext.ended e
  union all
  select 'blocked', row(b.created_at, b.job)::text from jobs_ext.blocked b
  union all
  select 'paused', row(p.created_at, p.job)::text from jobs_ext.paused p
  union all
  select 'children', row(c.parent, c.job)::text from jobs_ext.children c
)
(select 'missing', * from (table wanted except all table actual) m)
union all
(select 'too much', * from (table actual except all table wanted) t)
limit 10
SQL

# What jobs_ext.check() finds; nothing where the extension or its table is not there, or was altered so that nothing
# can be done with it.
sub faults
{
	my ($node, $database) = @_;
	local $ENV{PGOPTIONS} = '';
	return '' unless $node->safe_psql($database, <<'SQL') eq 't';
select exists (select from pg_extension where extname = 'jobs_ext') and to_regclass('public.jobs') is not null
SQL
	my ($status, $found, $error) = $node->psql($database, 'select job, fault from jobs_ext.check()');
	return '' if $error =~ /was altered so that it cannot be used/;
	return $status == 0 ? $found : $error;
}

# The derived tables are a function of `jobs`: here it is, written down once more. And jobs_ext.check() is of the same
# opinion.
sub in_step
{
	my ($node, $database, $name) = @_;
	return is($node->safe_psql($database, $differences) . faults($node, $database), '', $name);
}

# amcheck finds nothing wrong with any table or index of ours, and no rebuild of one was left half done.
sub uncorrupted
{
	my ($node, $database, $name) = @_;
	$node->psql($database, slurp_file("$FindBin::Bin/../pgtap/setup/amcheck.sql"))
	  unless $node->safe_psql($database, q{select to_regprocedure('tests.corruption(regclass)')}) ne '';
	return is($node->safe_psql($database, <<'SQL'), '', $name);
select * from tests.corruption()
union all
select i.indexrelid::regclass::text, 'is not valid'
from pg_index i where i.indrelid in (select tests.heaps()) and not i.indisvalid
SQL
}

# The lines of the server's log that match, from a byte on.
sub log_lines
{
	my ($node, $pattern, $from) = @_;
	return grep { $_ =~ $pattern } split /\n/, substr(slurp_file($node->logfile), $from // 0);
}

# No crash, no internal error, no deadlock; nor any of the other SQLSTATEs given. Nor a fault in any database, if the
# server is running.
sub log_is_clean
{
	my ($node, $name, @states) = @_;
	my $states = join '|', 'XX\w{3}', '40P01', @states;
	my @lines = grep { /PANIC:|TRAP:|terminated by signal|\] (?:$states) / }
	  split /\n/, slurp_file($node->logfile);
	push @lines, 'no server has started' unless log_lines($node, qr/database system is ready to accept/);
	my ($status, $databases) = $node->psql('postgres', 'select datname from pg_database where datallowconn');
	push @lines, 'the server does not answer' if $status != 0 && $node->{_pid};
	for my $database ($status == 0 ? split /\n/, $databases : ())
	{
		push @lines, map { "$database: $_" } split /\n/, faults($node, $database);
	}
	return is(join("\n", @lines), '', $name);
}

1;
