# What a call with an array of many elements costs, and what it says of the elements that it refuses.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('batches', autovacuum => 'off', shared_buffers => '1MB', 'jobs_ext.exclude_databases' => "'*'");
my $sql = sub { return $node->safe_psql('postgres', @_) };

# The arrays, each one value, not compressed; and how long it is as text.
$sql->(<<'SQL');
select from job_type_set('x');
create table input (name text, list jsonb, size int);
alter table input alter list set storage external;
create function given(name text, list jsonb) returns void language sql begin atomic
  insert into input values (name, list, octet_length(list::text));
end;
-- Of this session, in kB.
create function peak()
returns int language sql as $$ select substring(pg_read_file('/proc/self/status') from 'VmHWM:\s+(\d+)')::int $$;
select given('without keys', (select jsonb_agg('{"job_type": "x"}'::jsonb) from generate_series(1, 100000)));
select given('with keys',
             (select jsonb_agg(jsonb_build_object('job_type', 'x', 'job_id', 'key ' || n))
              from generate_series(1, 50000) n));
select given('with job_keys',
             (select jsonb_agg(jsonb_build_object('job_type', 'x', 'job_key', 'key ' || n))
              from generate_series(1, 50000) n));
select given('with payloads',
             (select jsonb_agg(jsonb_build_object('job_type', 'x',
                                                  'input_payload', jsonb_build_object('a', repeat('x', 1000))))
              from generate_series(1, 1000)));
SQL

# Runs a call on each array in a session that has called it before. By how much its memory grew at the most, in kB.
sub grows
{
	my ($call, $name) = @_;
	my ($before, $after) = split /\n/, $sql->(<<"SQL");
select count(*) from $call('[]') \\g /dev/null
select peak();
begin;
select count(*) from (select $call(list) from input where name = '$name' offset 0) as called \\g /dev/null
select peak();
rollback;
SQL
	return $after - $before;
}

sub is_frugal
{
	my ($call, $name) = @_;
	my $size = $sql->("select size / 1024 from input where name = '$name'");
	my $growth = grows($call, $name);
	return cmp_ok($growth, '<=', 10 * $size, "$call $name: $size kB take $growth kB");
}

for my $name ('without keys', 'with keys', 'with job_keys', 'with payloads')
{
	is_frugal('job_enqueue_many', $name);
}

# With foreign keys, which Postgres checks by a trigger for each job and key.
$sql->(<<'SQL');
create table tenants (id uuid primary key);
insert into tenants select lpad(n::text, 32, '0')::uuid from generate_series(0, 99) n;
alter table jobs add foreign key (organisation_id) references tenants,
	add foreign key (restaurant_id) references tenants;
select given('with foreign keys',
             (select jsonb_agg(jsonb_build_object('job_type', 'x', 'restaurant_id', lpad((n % 100)::text, 32, '0')))
              from generate_series(1, 50000) n));
SQL
is_frugal('job_enqueue_many', 'without keys');
is_frugal('job_enqueue_many', 'with foreign keys');
$sql->('alter table jobs drop constraint jobs_organisation_id_fkey, drop constraint jobs_restaurant_id_fkey');

# What workers send: of 20 000 running jobs.
$sql->(<<'SQL');
select count(*) from job_enqueue_many((select jsonb_agg('{"job_type": "x"}'::jsonb) from generate_series(1, 20000)));
select count(*) from job_claim(max_jobs => 10000);
select count(*) from job_claim(max_jobs => 10000);
select given('outcomes',
             (select jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id, 'complete', null))
              from jobs where status = 'in_progress'));
select given('leases',
             (select jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id))
              from jobs where status = 'in_progress'));
SQL
is_frugal('job_heartbeat_many', 'leases');
is_frugal('job_finish_many', 'outcomes');

# What has no column in the answer comes as a NOTICE.
sub notices
{
	my ($call) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', $call, stdout => \$out, stderr => \$err);
	return join "\n", map { s/^psql:<stdin>:\d+: //r } grep { /NOTICE|ERROR/ } split /\n/, $err;
}

my $large = "to_jsonb(repeat('x', 300 * 1024))";
my $element = "jsonb_build_object('id', id, 'lease_id', lease_id";
my $one = "(select * from jobs where status = 'in_progress' order by id limit 1) j";
my $too_large = 'progress is too large: 307\d+ bytes, and jobs_ext.max_payload is 256 kB';
like(notices("select job_heartbeat_many(jsonb_build_array($element, 'progress', $large))) from $one"),
	qr/^NOTICE:  the progress of job [0-9a-f-]{36} was dropped: $too_large$/,
	'a progress that is dropped');
is(notices("select job_heartbeat_many(jsonb_build_array($element), $element, 'x', 1))) from $one"),
	'NOTICE:  element 2 of leases: unknown key "x"', 'an element that is no lease');
is(notices("select job_finish_many(jsonb_build_array($element, 'complete', $large))) from $one"),
	'NOTICE:  element 1 of outcomes: result is too large: 307208 bytes, and jobs_ext.max_payload is 256 kB',
	'a result that is too large');
is(notices("select count(*) from job_finish_many((select jsonb_agg(n) from generate_series(1, 50) n))"),
	join("\n",
		(map { qq(NOTICE:  element $_ of outcomes: an element must be a JSON object: $_) } 1 .. 10),
		'NOTICE:  more elements were refused than are told of here'),
	'ten at most');
# What fails for another reason than the element's own fails as a whole.
$sql->(<<'SQL');
create function trip()
returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = 'P0007'; end $$;
create trigger trip before update on jobs for each row execute function trip();
SQL
is(notices("select job_finish_many(jsonb_build_array($element, 'complete', null), 1)) from $one"),
	qq(NOTICE:  element 2 of outcomes: an element must be a JSON object: 1\nERROR:  no),
	'a trigger that raises');
log_is_clean($node, 'no crash, no internal error');
$node->stop;
done_testing();
