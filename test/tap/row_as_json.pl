# The limit of a row: what it counts is what a decoder of the WAL writes. Supabase Realtime reads wal2json's records and
# drops those of more than 1 MiB. A row at the limit arrives, whatever has to be escaped in it; one beyond it is
# refused, by each way that writes one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = `pg_config --pkglibdir`;
chomp $library;
plan skip_all => 'wal2json is not installed' unless -e "$library/wal2json.so";

my $limit = 900 * 1024;
my $node = new_node('row_as_json', wal_level => 'logical', allows_streaming => 'logical',
	'jobs_ext.max_payload' => "'900kB'", 'jobs_ext.maintenance_interval' => "'1h'");
$node->safe_psql('postgres', "select job_type_set('work')");
# Newer minor releases want each plugin of another's named.
set_config($node, output_plugin_libraries => 'wal2json')
  if $node->safe_psql('postgres', q{select count(*) from pg_settings where name = 'output_plugin_libraries'});
$node->safe_psql('postgres', "select pg_create_logical_replication_slot('slot', 'wal2json')");

# How long the records are of all changes since the last look, in the format that Realtime asks for.
sub records
{
	my $out = $node->safe_psql('postgres', q{
		select octet_length(data) from pg_logical_slot_get_changes('slot', null, null, 'format-version', '2',
			'include-transaction', 'off', 'add-tables', 'public.jobs')});
	return split /\n/, $out;
}

sub list_of { return sprintf q{jsonb_build_object('k', array_to_json(array_fill(%s, array[%%d])))}, shift }

sub state_of
{
	my ($sql) = @_;
	my ($state) = sql_states($node, 'postgres', $sql);
	return $state;
}

# A value for each kind of expansion: how many bytes a unit has in a record, and SQL that makes a JSON object of so many
# units.
my %unit = (
	'plain text' => [ 1, q{jsonb_build_object('k', repeat('a', %d))} ],
	'letters of two bytes' => [ 2, q{jsonb_build_object('k', repeat('ä', %d))} ],
	'quotes' => [ 4, q{jsonb_build_object('k', repeat('"', %d))} ],
	'backslashes' => [ 4, q{jsonb_build_object('k', repeat('\\', %d))} ],
	'ends of lines' => [ 3, q{jsonb_build_object('k', repeat(E'\n', %d))} ],
	'control characters' => [ 7, q{jsonb_build_object('k', repeat(E'\x01', %d))} ],
	'empty texts' => [ 6, list_of(q{''::text}) ],
	'long numbers' => [ 42, list_of(q{repeat('7', 40)::numeric}) ],
	'nested objects' => [ 135, list_of(q{jsonb_build_object('a', repeat('"', 30))}) ],
	'texts as keys' => [ 18, q{(select jsonb_object_agg(to_char(i, 'FM000000'), true) from generate_series(1, %d) i)} ],
	'nested words' => [ 23, list_of(q{'[false, false, false]'::jsonb}) ]);

for my $kind (sort keys %unit)
{
	my ($width, $object) = @{ $unit{$kind} };
	my $enqueue = sub { sprintf "select job_enqueue('work', $object)", shift };
	my $most = int($limit / $width);
	# What stands around the units takes less than 100 bytes.
	my $less = $most - 1 - int(100 / $width);
	is(state_of($enqueue->($less)), '00000', "$kind: a row just below the limit");
	is(state_of($enqueue->($most + 1)), 'PT413', "$kind: one just above");
	my @records = records();
	is(scalar @records, 1, "$kind: it arrives");
	cmp_ok($records[0], '<=', 1024 * 1024, "$kind: in a record that Realtime does not drop");
	cmp_ok($records[0], '>=', $width * $less, "$kind: as long as was counted");
}

# A number of a few bytes that is long when it is written.
sub enqueue_numbers
{
	my ($count) = @_;
	return state_of("select job_enqueue('work', jsonb_build_object('n', (select jsonb_agg(1e131071)
		from generate_series(1, $count))))");
}
is(enqueue_numbers(6), '00000', 'six numbers of 131072 digits');
is(enqueue_numbers(8), 'PT413', 'eight are too many');
is(enqueue_numbers(1000), 'PT413', 'and a thousand, which nobody writes out to count them');
records();

# Four columns together, each within the usual limit of its own; every way of writing the last one.
my $quotes = q{jsonb_build_object('k', repeat('"', 70000))};    # 280 kB
my $claim = q{create temp table c as select id, lease_id from job_claim('{work}', max_jobs => 100);};
$node->safe_psql('postgres', qq{delete from jobs; select job_enqueue('work', $quotes, metadata => $quotes)});
records();
$node->safe_psql('postgres', q{create table held as select id, lease_id from job_claim('{work}')});
is(state_of("select job_heartbeat(id, lease_id, progress => $quotes) from held"), '00000', 'three of four');
is(state_of($_), 'PT413', "the fourth: $_")
  for "select job_complete(id, lease_id, $quotes) from held",
  "select job_fail(id, lease_id, error_message => repeat(E'\\x01', 60000)) from held",
  "update jobs set result = $quotes";
is($node->safe_psql('postgres',
		qq{select sqlstate from held, job_finish_many(jsonb_build_array(jsonb_build_object('id', id,
			'lease_id', lease_id, 'complete', $quotes)))}),
	'PT413', 'the fourth: job_finish_many');
is(state_of("select job_heartbeat(id, lease_id, progress => $quotes) from held"), '00000', 'the same once more');
is(state_of("select job_complete(id, lease_id) from held"), '00000', 'it ends without it');
cmp_ok((sort { $b <=> $a } records())[0], '<=', 1024 * 1024, 'the longest record of these is short enough');

# A direct INSERT, of another than the owner, who restores what there was.
$node->safe_psql('postgres', q{create role producer_here; select jobs_ext.grant_role('producer_here', 'producer')});
my $insert = "insert into jobs (job_type, input_payload, metadata)
	values ('work', $quotes, $quotes || jsonb_build_object('m', %s))";
is(state_of('set role producer_here; ' . sprintf($insert, "repeat('\"', 100000)")), 'PT413', 'a direct INSERT');
is(state_of('set role producer_here; ' . sprintf($insert, "repeat('\"', 60000)")), '00000', 'one that is small enough');
cmp_ok((records())[0], '<=', 1024 * 1024, 'arrives');

log_is_clean($node);
done_testing();
