# The worker of one database: when it comes and goes, what it survives, what it costs, what it says.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('worker', extension => 0, max_prepared_transactions => 10, autovacuum => 'off', log_min_messages => 'info');
my $sql = sub { return $node->safe_psql('postgres', @_) };
my $status = sub { return status_of($node, 'postgres', @_) };
my $launcher = sub { return $sql->("select coalesce(max(pid), 0) from pg_stat_activity where backend_type = 'jobs_ext launcher'") };
my $log_end = sub { return -s $node->logfile };
# Until the worker has looked at everything once more.
my $round = sub {
	my $rounds = $status->('rounds');
	$node->poll_query_until('postgres', "select rounds > $rounds + 1 from jobs_ext.maintenance where database = 'postgres'") or die 'no round';
};
my $is_reaped = sub {
	my ($name, $seconds) = @_;
	my ($job) = $sql->("select id from job_enqueue('import-csv', retry_delay_ms => 0)");
	# Of the others, which may hold it up, none is due.
	$sql->("select id from job_claim('{import-csv}', max_jobs => 100, lease => '300 ms')");
	return eventually($node, 'postgres', "select status from jobs where id = '$job'", 'pending', $name, $seconds // 20);
};

subtest 'comes and goes' => sub {
	# At start one looks for the extension, and leaves.
	eventually($node, 'postgres', "select count(*) from pg_stat_activity where backend_type = 'jobs_ext worker'", '0', 'without the extension there is none');
	$sql->('begin; create extension jobs_ext; rollback');
	$sql->('begin; savepoint s; create extension jobs_ext; rollback to s; commit');
	my $began = time;
	$sql->('create extension jobs_ext');
	my $pid = worker_serves($node, 'postgres', 'it comes when the extension is made', seconds => 10);
	note(sprintf 'after %.2f s', time - $began);
	$round->();
	$sql->('begin; drop extension jobs_ext cascade; rollback');
	$sql->('begin; drop extension jobs_ext cascade; create extension jobs_ext; rollback');
	$round->();
	is(worker_of($node, 'postgres'), $pid, 'a DROP EXTENSION that is rolled back leaves it');
	$began = time;
	$sql->('drop extension jobs_ext cascade');
	worker_leaves($node, 'postgres', 'it goes when the extension is dropped', 10);
	note(sprintf 'after %.2f s', time - $began);
	is_deeply([ sql_states($node, 'postgres', 'table jobs_ext.maintenance') ], ['42P01'], '… and the view with it');

	# Dropped and made at once, again and again.
	$sql->("create extension jobs_ext; drop extension jobs_ext cascade; create extension jobs_ext;") for 1;
	$sql->("drop extension jobs_ext cascade; create extension jobs_ext; select pg_sleep(random() * 0.05)") for 1 .. 8;
	worker_serves($node, 'postgres', 'made again, it is back');
	$is_reaped->('… and works');
	$sql->('begin; drop extension jobs_ext cascade; create extension jobs_ext; commit');
	$is_reaped->('dropped and made in one transaction: it works');

	$sql->('drop extension jobs_ext cascade');
	worker_leaves($node, 'postgres', 'gone');
	$sql->("begin; create extension jobs_ext; prepare transaction 'p'");
	$sql->("commit prepared 'p'");
	worker_serves($node, 'postgres', 'it comes when a prepared CREATE EXTENSION is committed');
	$is_reaped->('… and works');
	is($sql->("select count(*) from pg_stat_activity where backend_type = 'jobs_ext worker'"), '1', 'there is one');
};

# The library is newer than its SQL.
my $from = -s $node->logfile;
my $version = $sql->("select extversion from pg_extension where extname = 'jobs_ext'");
$sql->("update pg_extension set extversion = '0.1' where extname = 'jobs_ext'");
eventually($node, 'postgres', "select state from jobs_ext.maintenance where database = 'postgres'", 'waiting for ALTER EXTENSION jobs_ext UPDATE', 'another version: it waits');
sleep 2.5;
is(scalar(log_lines($node, qr/WARNING|ERROR|FATAL/, $from)), 0, '… quietly');
is($status->('coalesce(last_error_at > now() - interval \'2 s\', false)'), 'f', '… without an error');
$sql->("update pg_extension set extversion = '$version' where extname = 'jobs_ext'");
$is_reaped->('… and goes on after the update');
in_step($node, 'postgres', 'in step');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
