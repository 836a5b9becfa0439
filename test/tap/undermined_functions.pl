# What somebody did to what the functions stand on: a row put by hand, another type under a saved plan, an attribute
# more, half an upgrade, a wrapper that lies, the extension dropped under a call. Each is an error that says so, and no
# crash.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('undermined', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'", max_connections => 60);

# The SQLSTATE of the last of the statements of one session.
sub state_after { return (sql_states($node, 'postgres', @_))[-1] }

# A null where none is expected: a row that was put into the archive by hand.
is(state_after("insert into jobs_archive (id, job_id, finished_at) values (gen_random_uuid(), 'by hand', now())",
		q{select job_wait(job_id => 'by hand')}),
	'23502', 'job_wait on a row of the archive without a status');
is(state_after(q{select job_get(job_id => 'by hand')}), '00000', 'job_get on it');

# A plan that was saved for other types. The archive is written by a statement, since a constraint of the owner's
# stands on it; a column of his own is numeric first, then bigint.
$node->safe_psql("postgres", join ";\n",
	'alter table jobs_archive add constraint theirs check (id is not null)',
	'alter table jobs add column much numeric', 'alter table jobs_archive add column much numeric',
	"select job_type_set('import-csv', keep_completed => '1 us')",
	map({
		my ($name, $much, $type) = @$_;
		(($type ? ("alter table jobs alter much type $type", "alter table jobs_archive alter much type $type") : ()),
			"insert into jobs (id, job_id, job_type, status, attempt, started_at, completed_at, finished_at, much) "
				. "values (gen_random_uuid(), '$name', 'import-csv', 'completed', 1, now(), now(),
							now() - interval '1 day', $much)",
			'select 1 from job_maintain()')
	}
	  [ 'numeric', '1.5' ],
	[ 'integer', '7', 'integer' ],
	[ 'bigint', '3000000000', 'bigint' ],
	[ 'text', q{'words'}, 'text' ]));
is($node->safe_psql('postgres',
	   q{select string_agg(job_id || ' ' || much, ', ' order by archived_at, job_id)
	from jobs_archive where much is not null}),
	'numeric 2, integer 7, bigint 3000000000, text words', 'archived by statements with other types');
$node->safe_psql('postgres',
	'alter table jobs drop column much; alter table jobs_archive drop column much, drop constraint theirs');



# Composite types, private tables, versions: in a session that has worked before.
my $works = q{select job_enqueue('import-csv')};
my $claims = 'select job_claim()';
for my $case ([ 'an attribute added to job_state', 'alter type job_state add attribute more int', $works, '42804' ],
	[ 'an attribute of job_state dropped', 'alter type job_state drop attribute created', $works, '42804' ],
	[ 'an attribute of job_state of another type', 'alter type job_state alter attribute retries type text', $works,
		'42804' ],
	[ 'an attribute added to job',
		'drop view jobs_active, jobs_running, jobs_failed cascade; alter type job add attribute more int cascade',
		$claims, '42804' ],
	[ 'an attribute added to job_type_settings', 'alter type job_type_settings add attribute more int',
		q{select job_type_set('import-csv')}, '42804' ],
	[ 'an attribute added to job_type_stats', 'alter type job_type_stats add attribute more int',
		q{select job_stats()}, '42804' ],
	[ 'a column added to the queue', 'alter table jobs_ext.queue add more int', $works, '42804' ],
	[ 'a column of the lanes of another type', 'alter table jobs_ext.lanes alter lane type bigint', $works, '42804' ],
	[ 'the queue dropped', 'alter extension jobs_ext drop table jobs_ext.queue; drop table jobs_ext.queue cascade',
		$works, '42P01' ],
	[ 'SQL of another version',
		q{update pg_extension set extversion = '0.9' where extname = 'jobs_ext';
			create or replace function public.any_function() returns int language sql as 'select 1'},
		$works, '55000' ],
	[ 'TRUNCATE under a cursor', 'declare c cursor for select * from jobs_ext.jobs_set_aside; fetch c',
		'truncate jobs', '55006' ])
{
	my ($name, $change, $call, $expected) = @$case;
	is(state_after($works, $claims, 'begin', (split /; /, $change), $call), $expected, $name);
}

# Functions that say they were parallel safe.
$node->safe_psql('postgres', 'create table many as select n from generate_series(1, 10000) n; analyze many');
my @parallel = ('set parallel_setup_cost = 0', 'set parallel_tuple_cost = 0', 'set min_parallel_table_scan_size = 0');
for my $call (q{job_get(job_id => 'by hand')}, q{job_wait(job_id => 'by hand')}, 'job_list()',
	'jobs_ext.active_jobs()', q{job_enqueue('import-csv')}, 'job_claim()', q{job_type_set('import-csv')},
	'jobs_ext.scheduled_jobs()', 'jobs_ext.check()')
{
	is(state_after("create or replace function lies(int)
		returns bigint language sql parallel safe as \$\$ select count(*) from $call \$\$",
		   @parallel, 'select count(lies(n)) from many'),
		'25000', "$call in a parallel worker");
}

# A trigger that drops the extension, or a key, in the middle.
$node->safe_psql('postgres', <<'SQL');
create function meddle() returns trigger language plpgsql as $$
begin
  execute current_setting('test.meddle');
  return new;
end $$;
create trigger meddle before update on jobs for each row execute function meddle();
select set_config('test.meddle', 'select 1', false);
insert into jobs (id, job_type, status, attempt, started_at, lease_id, lease_expires_at)
select id, 'import-csv', 'in_progress', 1, now(), id, now() + interval '1 day'
from cast('00000000-0000-0000-0000-000000000001' as uuid) id;
SQL
my $job = "'00000000-0000-0000-0000-000000000001'";
for my $on ('jobs', 'job_attempts')
{
	$node->safe_psql('postgres', "drop trigger meddle on jobs; create trigger meddle before insert on job_attempts "
		  . 'for each row execute function meddle()') if $on eq 'job_attempts';
	for my $case ([ 'drop extension jobs_ext cascade', '55006' ],
		[ 'alter table public.job_attempts drop constraint job_attempts_pkey', $on eq 'jobs' ? '00000' : '55006' ])
	{
		my ($meddling, $expected) = @$case;
		is(state_after("set test.meddle = '$meddling'", 'begin', "select job_fail($job, $job, 'oops')"), $expected,
			"job_fail: $meddling in a trigger on $on");
	}
}

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
