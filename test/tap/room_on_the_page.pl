
# What `jobs` takes on disk and in the WAL: a page is cleared for the jobs that come, by each path, updates write no
# index, and a call that brings many jobs writes the rows of a page at once. On a server of its own, where no other
# session has a snapshot that keeps old versions.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use JobsExt;
use Test::More;

my $node =
  new_node('room_on_the_page', fsync => 'off', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'");
$node->safe_psql('postgres', <<'SQL');
-- So many jobs, one after the other, each of whose steps is committed.
create procedure lives(count int) language plpgsql as $$
declare
  claimed public.job;
begin
  for i in 1 .. count loop
    perform job_enqueue('import-csv', jsonb_build_object('url', repeat('x', 100)));
    commit;
    select * into strict claimed from job_claim('{import-csv}');
    commit;
    perform job_complete(claimed.id, claimed.lease_id);
    commit;
  end loop;
end $$;
SQL

# Seven jobs of this size fill a page to its fillfactor; where the old versions stay, four do.
for my $by_statement ('off', 'on')
{
	$node->safe_psql('postgres',
		"truncate jobs; set jobs_ext.force_statement_path = $by_statement; call lives(120)");
	cmp_ok($node->safe_psql('postgres', "select pg_relation_size('jobs') / 8192"),
		'<=', 24, "a page takes at least five jobs that go one by one, by statement: $by_statement");
	in_step($node, 'postgres', 'the queue says what jobs says');
}
ok($node->poll_query_until('postgres', <<'SQL'), 'no update wrote an index');
select (n_tup_upd, n_tup_hot_upd) = (480, 480) from pg_stat_user_tables where relid = 'public.jobs'::regclass
SQL

# An entry of each of five indexes and of the queue's, and a share of the records of two pages' rows.
my ($plan) = decode_json($node->safe_psql('postgres', <<'SQL'))->[0]{Plan};
explain (analyze, wal, format json) select count(*) from job_enqueue_many((
  select jsonb_agg('{"job_type": "import-csv"}'::jsonb) from generate_series(1, 1280)))
SQL
cmp_ok($plan->{'WAL Records'}, '<', 1280 * 7, 'many jobs share the records of their rows');
in_step($node, 'postgres', 'and each is in the queue');

log_is_clean($node, 'no crash, no internal error, no deadlock');
done_testing();
