# What the TAP tests share: a server with the extension, whether the derived tables say what `jobs` says, and whether
# the server's log is clean.
package JobsExt;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node sql_states in_step log_is_clean);

# A server that is running, with the extension in its database "postgres". Each %option but `allows_streaming` and
# `extension` is a line of postgresql.conf.
sub new_node
{
	my ($name, %option) = @_;
	my $streaming = delete $option{allows_streaming};
	my $extension = delete $option{extension} // 1;
	my %setting = (
		shared_preload_libraries => "'jobs_ext'",
		wal_level => 'replica',
		restart_after_crash => 'on',
		log_statement => 'none',
		log_line_prefix => "'%m [%p] %e %d '",
		%option);
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => $streaming);
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
  from public.jobs j where j.status in ('pending', 'queued', 'paused') and j.expires_at is not null
  union all
  select 'ended', row(l.lane, case j.status when 'completed' then 0 else 1 end, j.finished_at::timestamptz, j.id)::text
  from public.jobs j join jobs_ext.lanes l on l.job_type = j.job_type
  where j.status in ('completed', 'failed', 'cancelled')
), actual (sort, row) as (
  select 'queue', row(q.lane, q.rank, q.due_at, q.job)::text from jobs_ext.queue q
  union all
  select 'failed', row(f.created_at, f.job)::text from jobs_ext.failed f
  union all
  select 'expiring', row(e.expires_at, e.job)::text from jobs_ext.expiring e
  union all
  select 'ended', row(e.lane, e.rank, e.ended_at, e.job)::text from jobs_ext.ended e
)
(select 'missing', * from (table wanted except all table actual) m)
union all
(select 'too much', * from (table actual except all table wanted) t)
limit 10
SQL

# The derived tables are a function of `jobs`: here it is, written down once more.
sub in_step
{
	my ($node, $database, $name) = @_;
	return is($node->safe_psql($database, $differences), '', $name);
}

# No crash, no internal error, no deadlock; nor any of the other SQLSTATEs given.
sub log_is_clean
{
	my ($node, $name, @states) = @_;
	my $states = join '|', 'XX\w{3}', '40P01', @states;
	my @lines = grep { /PANIC:|TRAP:|terminated by signal|\] (?:$states) / }
	  split /\n/, slurp_file($node->logfile);
	return is(join("\n", @lines), '', $name);
}

1;
