# The seed's service in a Supabase project: examples/supabase and the seed's own JavaScript and queries, by Node and
# supabase-js, against a stand-in for PostgREST (test/supabase). In projects of either mode of default privileges.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tests = "$FindBin::Bin/../supabase";
my ($version) = `node --version 2>&1` =~ /^v(\d+)/;
plan skip_all => 'needs Node.js 20 or newer, as supabase-js does' if ($version // 0) < 20;
plan skip_all => 'needs examples/node_modules with supabase-js: npm ci --prefix examples'
  unless -d "$FindBin::Bin/../../examples/node_modules/\@supabase/supabase-js";

# As on the platform: postgres is no superuser.
local $ENV{PGUSER} = 'supabase_admin';
my $node = new_node(
	'supabase_service',
	extension => 0,
	initdb => [ '--username', 'supabase_admin' ],
	max_worker_processes => 16);
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;

# Each test of the file becomes one of ours, by its name.
sub run_tests
{
	my ($database, $file) = @_;
	local $ENV{PGDATABASE} = $database;
	my ($out, $err) = ('', '');
	my $ran = eval {
		IPC::Run::run([ 'node', '--test-reporter=tap', "$tests/$file.test.mjs" ],
			'<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(180));
		1;
	};
	my $count = 0;
	while ($out =~ /^(not )?ok \d+ - (.*?)(?: # .*)?\n((?:(?!not ok|ok|# ).*\n)*)/mg)
	{
		my ($failed, $name, $details) = ($1, $2 =~ s/\\(.)/$1/gr, $3);
		ok(!$failed, "$database, $file: $name") or diag($details);
		$count++;
	}
	my ($planned) = $out =~ /^1\.\.(\d+)$/m;
	is($count, $planned // 'no plan', "$database, $file: all of them ran")
	  or diag(($ran ? '' : "after the time limit: $@"), substr($out, -2000), substr($err, -2000));
	return;
}

for my $acl (qw(legacy modern))
{
	my $database = "project_$acl";
	$node->safe_psql('postgres', "create database $database");
	$node->safe_psql(
		$database, slurp_file("$tests/shim.sql"),
		extra_params => [ '-v', "acl=$acl" ]);
	$node->safe_psql($database, 'create extension jobs_ext', extra_params => [ '-U', 'postgres' ]);
	is($node->safe_psql($database, q{select pg_get_userbyid(relowner) from pg_class where oid = 'jobs'::regclass}),
		'postgres', "$acl: installed by a role that is no superuser");
	worker_serves($node, $database, "$acl: there is a worker");
	run_tests($database, $_) for qw(stand_in job_service seed worker steps);
	in_step($node, $database, "$acl: in step");
}

log_is_clean($node, 'the log is clean');
$node->stop;

done_testing();
