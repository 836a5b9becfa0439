# One job_id that is enqueued and deleted all the time: whoever runs into it is given its job or, where that is gone
# meanwhile, a new one. It is never an error: nobody's trigger is in the way, and a key that is free is not taken.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('hot_key', fsync => 'off', shared_buffers => "'128MB'");
$node->safe_psql('postgres', <<'SQL');
create role tenant login;
select jobs_ext.grant_role('tenant', 'producer');
alter table jobs enable row level security;
create policy everything on jobs for all to tenant using (true) with check (true);
SQL

my %script = (
	one => q{select job_enqueue('import-csv', job_id => 'hot');},
	many => q{select count(*) from job_enqueue_many(
		  '[{"job_type": "import-csv", "job_id": "hot"}, {"job_type": "import-csv"}]');},
	by_statement => q{set jobs_ext.force_statement_path = on;
		select job_enqueue('import-csv', job_id => 'hot'); reset jobs_ext.force_statement_path;},
	# under row security
	tenant => q{set role tenant; select job_enqueue('import-csv', job_id => 'hot'); reset role;},
	gone => q{delete from jobs where job_id = 'hot';},
	gone_too => q{delete from jobs where job_id = 'hot';});
my @files;
for my $name (sort keys %script)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/hot_key_$name.sql";
	append_to_file($file, $script{$name});
	push @files, '-f', $file;
}
my ($out, $err) = run_command([ 'pgbench', '-n', '-c', 8, '-j', 2, '-T', 8, @files, $node->connstr('postgres') ]);
unlike($err, qr/ERROR/, 'no call failed');
my ($transactions) = $out =~ /number of transactions actually processed: (\d+)/;
cmp_ok($transactions, '>', 1000, '… of thousands');
is($node->safe_psql('postgres', "select count(*) <= 1 from jobs where job_id = 'hot'"),
	't', 'one job at most has the key');
in_step($node, 'postgres', 'the derived tables say what jobs says');
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
