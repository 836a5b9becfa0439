# What Supabase's Realtime gets of `jobs`, which its owner, no superuser, has added to the publication: each transition
# of a job's life through pgoutput on a slot, on the direct path and on that of statements.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# As on the platform: postgres is no superuser.
local $ENV{PGUSER} = 'supabase_admin';
my $node = new_node(
	'realtime',
	extension => 0,
	initdb => [ '--username', 'supabase_admin' ],
	wal_level => 'logical',
	max_worker_processes => 16);
my $as_owner = sub { return $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'postgres' ]) };
$node->safe_psql(
	'postgres',
	slurp_file("$FindBin::Bin/../supabase/shim.sql"),
	extra_params => [ '-v', 'acl=modern' ]);
$as_owner->('create extension jobs_ext');
worker_serves($node, 'postgres', 'there is a worker');

# The statement of doc/supabase.md.
my ($publish) = slurp_file("$FindBin::Bin/../../doc/supabase.md") =~ /^(alter publication supabase_realtime .*;)$/m;
$as_owner->($publish);
is($as_owner->("select rolsuper from pg_roles where rolname = current_user"), 'f', 'the owner is no superuser');
is($as_owner->("select schemaname, tablename from pg_publication_tables where pubname = 'supabase_realtime'"),
	'public|jobs', '… and has published jobs');
is($as_owner->("select relreplident from pg_class where oid = 'public.jobs'::regclass"),
	'd', 'the replica identity is the primary key');
$as_owner->("select pg_create_logical_replication_slot('realtime', 'pgoutput')");

# pgoutput's messages, version 1. A row is a hash of its columns: text; undef for null; a reference for a value that is
# stored apart and was not changed, which is not sent.
my $unchanged = \'unchanged';
my %columns_of;    # of a relation, by its oid

sub relation
{
	my ($body) = @_;
	my ($oid, $schema, $name, $identity, $count, $rest) = unpack 'N Z* Z* a n a*', $body;
	my @names;
	for (1 .. $count)
	{
		(my $flags, my $column, my $type, my $modifier, $rest) = unpack 'C Z* N N a*', $rest;
		push @names, $column;
	}
	is("$schema.$name", 'public.jobs', 'no other table is published');
	return $columns_of{$oid} = \@names;
}

# The row at the beginning of a message's rest, and what comes after it.
sub row
{
	my ($oid, $rest) = @_;
	(my $count, $rest) = unpack 'n a*', $rest;
	my %row;
	for my $column (@{ $columns_of{$oid} }[ 0 .. $count - 1 ])
	{
		(my $kind, $rest) = unpack 'a a*', $rest;
		$row{$column} = $kind eq 'u' ? $unchanged : undef;
		($row{$column}, $rest) = unpack 'N/a a*', $rest if $kind eq 't';
	}
	return (\%row, $rest);
}

# INSERT, UPDATE or DELETE, with the old row, if one is sent, and the new one; nothing for any other message.
sub change
{
	my ($kind, $body) = unpack 'a a*', $_[0];
	relation($body) if $kind eq 'R';
	die "TRUNCATE" if $kind eq 'T';
	return () unless $kind =~ /[IUD]/;
	my ($oid, $rest) = unpack 'N a*', $body;
	my %change = (kind => { I => 'INSERT', U => 'UPDATE', D => 'DELETE' }->{$kind});
	while ($rest ne '')
	{
		my ($which) = unpack 'a', $rest;
		my $side = $which eq 'N' ? 'new' : 'old';
		$change{"sent_$side"} = $which;
		($change{$side}, $rest) = row($oid, substr($rest, 1));
	}
	return \%change;
}

# All changes since the last call.
sub changes
{
	my $messages = $as_owner->(<<'SQL');
select encode(data, 'hex')
from pg_logical_slot_get_binary_changes('realtime', null, null,
  'proto_version', '1', 'publication_names', 'supabase_realtime')
SQL
	return map { change(pack 'H*', $_) } split /\n/, $messages;
}

# What is done brings these changes, each as its kind with the job's new status, no more and no others. A claim's commit
# does not wait for the disk, and time's own changes come when they come: hence it waits. Returns the last change.
sub brings
{
	my ($name, $statement, @expected) = @_;
	$as_owner->($statement) if $statement ne '';
	my $end = time + 60;
	my @seen = changes();
	while (@seen < @expected && time < $end)
	{
		sleep 0.05;
		push @seen, changes();
	}
	my @moves = map { join ' ', grep { defined } $_->{kind}, $_->{new}{status} } @seen;
	is(join(', ', @moves), join(', ', @expected), $name);
	return $seen[-1];
}

# The life of a job. The worker of the database has no part in it but in the moves that are time's.
sub life
{
	my ($path, $settings) = @_;
	my $sees = sub {
		my ($name, $statement, @rest) = @_;
		return brings("$path: $name", "$settings; $statement", @rest);
	};

	my $organisation = '00000000-0000-4000-8000-000000000001';
	my $job = $sees->(
		'enqueue',
		"select job_enqueue('import-csv', '{\"file\": \"a\"}', job_key => 'once', retry_delay_ms => 100,
			organisation_id => '$organisation')",
		'INSERT queued')->{new};
	is($job->{organisation_id}, $organisation, '… with the columns that a filter may name');
	my $id = $job->{id};
	$sees->('enqueue again with its key', "select job_enqueue('import-csv', job_key => 'once',
		organisation_id => '$organisation')");

	my $lease;
	my $claim = sub {
		my $claimed = $sees->(
			$_[0], "select id from job_claim('{import-csv}', worker => 'w', lease => '1 h', wait => '30 s')",
			'UPDATE in_progress')->{new};
		is($claimed->{id}, $id, '… of this job');
		$lease = $claimed->{lease_id};
		return $claimed;
	};
	is($claim->('claim')->{attempt}, '1', '… with its attempt');
	my $change =
	  $sees->('heartbeat', "select job_heartbeat('$id', '$lease', '{\"percent\": 40}')", 'UPDATE in_progress');
	is($change->{new}{progress}, '{"percent": 40}', '… with its progress');
	ok(!exists $change->{sent_old}, '… without an old row, since the primary key is the same');
	$change = $sees->('fail, with a retry',
		"select job_fail('$id', '$lease', 'no route', run_at => now())", 'UPDATE pending')->{new};
	is("$change->{retries} $change->{error_message}", '1 no route', '… with its error');
	$claim->('claim again');
	$sees->('release', "select job_release('$id', '$lease')", 'UPDATE pending');
	$sees->('pause', "select job_pause('$id')", 'UPDATE paused');
	$sees->('resume', "select job_resume('$id')", 'UPDATE queued');
	$claim->('claim of the resumed');
	$sees->('a child', "select job_enqueue('bulk-update', parent_job_id => '$id',
		organisation_id => '$organisation')", 'INSERT queued');
	$sees->('await children', "select job_await_children('$id', '$lease')", 'UPDATE blocked');
	$sees->('cancel of the child, and the parent goes on',
		"select job_cancel(c.id) from job_children('$id') c", 'UPDATE cancelled', 'UPDATE queued');
	$claim->('claim of the unblocked');
	$change = $sees->('asked to stop', "select job_cancel('$id')", 'UPDATE in_progress')->{new};
	ok($change->{cancel_requested_at}, '… with the time of the request');
	$sees->('cancelled by its worker', "select job_fail('$id', '$lease')", 'UPDATE cancelled');
	$sees->('retry', "select job_retry('$id')", 'UPDATE queued');
	$claim->('claim, then an UPDATE');
	$sees->('an UPDATE', "update jobs set progress = '{\"percent\": 90}' where id = '$id'", 'UPDATE in_progress');
	$sees->('a lease that runs out', "select job_heartbeat('$id', '$lease', lease => '100 ms')",
		'UPDATE in_progress', 'UPDATE pending');
	$claim->('the last claim');
	$change = $sees->('complete', "select job_complete('$id', '$lease', '{\"rows\": 3}')", 'UPDATE completed')->{new};
	is($change->{result}, '{"rows": 3}', '… with its result');
	$sees->('complete, repeated', "select job_complete('$id', '$lease', '{\"rows\": 3}')");

	$sees->('fail for good', <<'SQL', 'INSERT queued', 'UPDATE in_progress', 'UPDATE failed');
select job_enqueue('bulk-update', max_retries => 0);
select job_fail(id, lease_id, 'broken') from job_claim('{bulk-update}')
SQL
	$sees->('ROLLBACK', "begin; select job_enqueue('bulk-update'); rollback");

	# A type that keeps what it completed for no time: the worker deletes it, as it deletes what it archives.
	$change = $sees->('archived', "set role service_role; select job_type_set('import-csv', keep_completed => '0 s')",
		'DELETE');
	is($change->{sent_old}, 'K', '… with the key');
	is_deeply({ map { $_ => $change->{old}{$_} } grep { defined $change->{old}{$_} } keys %{ $change->{old} } },
		{ id => $id }, '… and nothing else');
	$as_owner->("select job_type_set('import-csv', keep_completed => '30 days')");
	$sees->('DELETE', "delete from jobs where status in ('failed', 'cancelled')", 'DELETE', 'DELETE');
	return;
}

life('directly', 'set jobs_ext.force_statement_path = off');
life('by statements', 'set jobs_ext.force_statement_path = on');

# What is stored apart is not sent again by a change that leaves it as it is.
my $large = brings('a large payload',
	"select job_enqueue('import-csv', jsonb_build_object('text',
		(select string_agg(md5(n::text), '') from generate_series(1, 5000) n)), job_id => 'large')",
	'INSERT queued')->{new};
cmp_ok(length $large->{input_payload}, '>', 160_000, '… is sent whole when it comes');
my $claimed = brings('… and claimed', "select id from job_claim('{import-csv}')", 'UPDATE in_progress')->{new};
is($claimed->{input_payload}, $unchanged, '… not again');

# Realtime asks for each subscriber whether row security shows the row, by its key and with the claims of the JWT.
$as_owner->(<<'SQL');
select job_enqueue('import-csv', job_id => 'theirs', organisation_id => '00000000-0000-4000-8000-000000000001')
SQL
for my $way ([ '00000000-0000-4000-8000-000000000001', '1' ], [ '00000000-0000-4000-8000-000000000002', '0' ])
{
	my ($organisation, $expected) = @$way;
	is($node->safe_psql('postgres', <<"SQL"), $expected, "a subscriber of $organisation sees $expected");
set role authenticated;
set request.jwt.claims = '{"role": "authenticated", "org_id": "$organisation"}';
select count(*) from jobs where id = (select id from jobs where job_id = 'theirs')
SQL
}

# The publication outlives a dump, which would lose it if the table were the extension's.
$node->command_like(
	[ 'pg_dump', '--schema-only', $node->connstr('postgres') ],
	qr/^ALTER PUBLICATION supabase_realtime ADD TABLE ONLY public\.jobs;$/m,
	'a dump publishes jobs');

in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
