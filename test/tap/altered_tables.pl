# Whoever owns the tables can alter them. A call then either does the right thing or says clearly what is wrong; no
# alteration crashes the server, and the queue is in step afterwards.
#
# Each case has a database of its own. A session that has worked before the alteration and one that begins after it
# make the same calls; where the case has an `undo`, a third one works after that.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('altered', autovacuum => 'off', max_connections => 20);
# What ON DELETE RESTRICT raises: from 18 on the standard's own.
my $restricted = $node->safe_psql('postgres', 'show server_version_num') >= 180000 ? '23001' : '23503';
my $directory = $PostgreSQL::Test::Utils::tmp_check;
my $superuser = $node->safe_psql('postgres', 'select current_user');

# What is worked on by the Nth session: jobs that run, with an id and a lease that are known.
sub running { return sprintf '00000000-0000-0000-0000-%012d', $_[0] }

# PGOPTIONS makes every session of this test one of the owner, who is no superuser.
$node->safe_psql('postgres', "create role boss login; grant boss to $superuser");
$node->safe_psql('postgres', 'create database base owner boss');
$ENV{PGOPTIONS} = '-c role=boss';
$node->safe_psql('base', <<'SQL');
create extension jobs_ext;
select job_enqueue('import-csv', priority => n) from generate_series(1, 10) n;
insert into jobs (id, job_type, status, attempt, started_at, lease_id, lease_expires_at)
  select id, 'import-csv', 'in_progress', 1, now(), id, now() + interval '1 day'
  from generate_series(1, 8) n, cast('00000000-0000-0000-0000-' || lpad(n::text, 12, '0') as uuid) id;
create table noted (what text);
create function note() returns trigger language plpgsql as $$
begin
  insert into public.noted values (tg_op);
  return new;
end $$;
create function refuse() returns trigger language plpgsql as 'begin return null; end';
create function urgent() returns trigger language plpgsql as 'begin new.priority = 9; return new; end';
create function again() returns trigger language plpgsql as $$
begin
  if new.metadata ->> 'again' is null then
    update public.jobs set metadata = '{"again": true}', priority = 1 where id = new.id;
  end if;
  return null;
end $$;
SQL

my @calls = qw(enqueue claim complete fail insert);

sub calls
{
	my ($session) = @_;
	my ($done, $failed) = (running(2 * $session - 1), running(2 * $session));
	return (
		"select job_enqueue('import-csv', job_id => 'enqueued-$session')",
		'select 1 / count(*) from job_claim()',
		"select job_complete('$done', '$done', '{\"rows\": 1}')",
		"select job_fail('$failed', '$failed', 'oops', error_details => '{}')",
		"insert into jobs (job_id, job_type) values ('inserted-$session', 'import-csv')");
}

my $fine = '00000';
my @right = ($fine) x @calls;
my @altered = ('42804') x @calls;
my @missing = ('42P01') x @calls;

# States that are all the same, shortly.
sub shown
{
	my %state;
	my @states = @_;
	push @{ $state{ $states[$_] } }, $calls[$_] for 0 .. $#states;
	return join '; ', map { "$_: @{ $state{$_} }" } sort keys %state;
}

my $number = 0;

sub try_alteration
{
	my ($name, $alteration, $expected, %case) = @_;
	my $database = 'case' . ++$number;
	{
		local $ENV{PGOPTIONS} = '';
		$node->safe_psql('postgres', "create database $database template base owner boss");
	}
	my $role = $case{as_superuser} ? "-c role=$superuser" : '-c role=boss';
	append_to_file("$directory/$database.sql", "$alteration;\ncreate table public.altered ();\n");
	# psql runs the alteration in another session, in the middle of its own.
	my $connection = $node->connstr($database);
	my $other = "\\! PGOPTIONS='$role' psql -X -q -v ON_ERROR_STOP=1 -f $directory/$database.sql"
	  . " -o /dev/null \"$connection\" 2>&1";

	my @warm = sql_states($node, $database, calls(1), $other, calls(2), @{ $case{more} // [] });
	my @fresh = sql_states($node, $database, calls(3));
	# After a crash, which shows as a state "none", the other cases go on.
	server_is_back($node);
	isnt($node->safe_psql($database, "select to_regclass('public.altered')"), '', "$name: it was altered") or return;
	is(shown(@warm[ 0 .. $#calls ]), shown(@right), "$name: before it") or return;
	is(shown(@warm[ @calls + 1 .. 2 * @calls ]), shown(@$expected), "$name: in a session that was there");
	is(shown(@fresh), shown(@$expected), "$name: in a new session");
	is_deeply([ @warm[ 2 * @calls + 1 .. $#warm ] ], $case{more_states}, "$name: more") if $case{more};
	is($node->safe_psql($database, $case{query}), $case{answer}, "$name: the outcome") if $case{query};
	if (my $undo = $case{undo})
	{
		local $ENV{PGOPTIONS} = $role;
		$node->safe_psql($database, "set client_min_messages = error; $undo");
		local $ENV{PGOPTIONS} = '-c role=boss';
		is(shown(sql_states($node, $database, calls(4))), shown(@right), "$name: after it was undone");
	}
	local $ENV{PGOPTIONS} = '';
	in_step($node, $database, "$name: in step") unless $case{gone};
	$node->safe_psql('postgres', "drop database $database");
	return;
}

# Columns of ours.
try_alteration('column dropped', 'alter table jobs drop column worker', \@altered,
	undo => 'alter table jobs add column worker text');
try_alteration('column dropped with what needs it', 'alter table jobs drop column started_at cascade', \@altered,
	undo => 'alter table jobs add column started_at timestamptz; update jobs set started_at = created_at');
try_alteration('column renamed', 'alter table jobs rename column run_at to runs_at', \@altered,
	undo => 'alter table jobs rename column runs_at to run_at');
try_alteration('column replaced by one of another name',
	'alter table jobs rename column worker to x; alter table jobs rename column error_message to worker; '
	  . 'alter table jobs rename column x to error_message',
	\@right);
try_alteration('columns of one kind swapped',
	'alter table jobs rename column created_at to x; '
	  . 'alter table jobs rename column updated_at to created_at; '
	  . 'alter table jobs rename column x to updated_at',
	\@right);
try_alteration('column dropped and added at the end',
	'alter table jobs drop column progress, add column progress jsonb', \@right);
try_alteration('integer made bigint', 'alter table jobs alter column attempt type bigint', \@altered,
	undo => 'alter table jobs alter column attempt type integer');
try_alteration('jsonb made text',
	'alter table jobs alter column metadata type text', \@altered,
	undo => 'alter table jobs alter column metadata drop default; '
	  . 'alter table jobs alter column metadata type jsonb using metadata::jsonb');
try_alteration('uuid made text', 'alter table jobs alter column lease_id type text', \@altered,
	undo => 'alter table jobs alter column lease_id type uuid using lease_id::uuid');
try_alteration('varchar made text',
	'drop view jobs_queue_status, jobs_metrics, jobs_failed_summary; '
	  . 'alter table jobs alter column job_id type text, alter column job_type type text, '
	  . 'alter column status type text',
	\@right);
try_alteration('another collation', 'alter table jobs alter column job_id type varchar(100) collate "und-x-icu"',
	\@right,
	more => [ map({ "select job_enqueue('import-csv', job_id => '$_')" } qw(a B c D)),
		map({ "select job_cancel(job_id => '$_')" } qw(a B c D)) ], more_states => [ ($fine) x 8 ]);
try_alteration('varchar made shorter', 'alter table jobs alter column job_category type varchar(8)', \@right,
	more => [ "select job_enqueue('generate-content')",
		"select job_enqueue('import-csv', job_category => 'very long')" ], more_states => [ '22001', '22001' ],
	query => 'select max(length(job_category)) from jobs', answer => 6);
try_alteration('varchar made longer', 'alter table jobs alter column job_id type varchar(300)', \@right);
try_alteration('text made a domain',
	'create domain name_of_worker as text; alter table jobs alter column worker type name_of_worker',
	\@altered);
try_alteration('timestamp without time zone',
	'drop view jobs_queue_status, jobs_metrics, jobs_failed_summary; '
	  . 'alter table jobs alter column finished_at type timestamp',
	\@altered);
try_alteration('made a generated column',
	'alter table jobs drop column progress, add column progress jsonb generated always as (metadata) stored',
	\@altered);
# That fires no trigger, yet what the keys of the queue are made of is another value now: what was enqueued with the
# default, 0, is the most urgent.
try_alteration('another priority for each job, by USING',
	'alter table jobs alter column priority type integer using 10 - priority', \@right,
	query => "select array_agg(priority order by priority) from jobs where status = 'in_progress' and lease_id <> id",
	answer => '{0,10,10}');
try_alteration('dropped and added again with another value',
	'drop view jobs_queue_status, jobs_metrics, jobs_failed_summary; '
	  . 'alter table jobs drop column expires_at, add column expires_at timestamptz default now()', \@right);
try_alteration('default dropped',
	'alter table jobs alter column id drop default, alter column run_at drop default, '
	  . 'alter column metadata drop default',
	\@right);
try_alteration('default changed', "alter table jobs alter column priority set default 5", \@right);
try_alteration('NOT NULL and check dropped',
	'alter table jobs alter status drop not null, drop constraint check_status', \@right,
	more => [ "insert into jobs (job_type, status) values ('import-csv', null)",
		"insert into jobs (job_type, status) values ('import-csv', 'odd')",
		"update jobs set status = null where status = 'pending'",
		"update jobs set status = 'odd' where status = 'pending'" ],
	more_states => [ '23502', '22023', '23502', '22023' ]);

try_alteration('NOT NULL on a column of ours',
	'update jobs set restaurant_id = id; alter table jobs alter restaurant_id set not null',
	[ '23502', $fine, $fine, $fine, '23502' ], undo => 'alter table jobs alter restaurant_id drop not null');

# Columns of theirs.
try_alteration('NOT NULL column with a default', 'alter table jobs add column tenant int not null default 7', \@right,
	query => 'select count(*) from jobs where tenant is distinct from 7', answer => 0);
try_alteration('NOT NULL column with a default that is computed',
	'alter table jobs add column token uuid not null default gen_random_uuid()', \@right,
	query => 'select count(*) - count(distinct token) from jobs', answer => 0);
try_alteration('NOT NULL column without a default',
	'alter table jobs add column tenant int not null default 7; alter table jobs alter tenant drop default',
	[ '23502', $fine, $fine, $fine, '23502' ], undo => 'alter table jobs drop column tenant');
try_alteration('generated column',
	"alter table jobs add column summary text generated always as (status || ' ' || priority) stored",
	\@right, query => "select count(*) from jobs where summary is distinct from status || ' ' || priority",
	answer => 0);
try_alteration('identity column', 'alter table jobs add column number bigint generated always as identity', \@right,
	query => 'select count(*) - count(distinct number) from jobs', answer => 0);
try_alteration('column of a domain with a check',
	'create domain positive as int not null default 1 check (value > 0); '
	  . 'alter table jobs add column much positive',
	\@right, query => 'select count(*) from jobs where much is distinct from 1', answer => 0);
try_alteration('nullable column', 'alter table jobs add column mine text', \@right);

# Keys and indexes.
try_alteration('primary key dropped',
	'alter table jobs drop constraint jobs_pkey', \@altered, undo => 'alter table jobs add primary key (id)');
try_alteration('primary key deferrable',
	'alter table jobs drop constraint jobs_pkey, add primary key (id) deferrable', \@altered);
try_alteration('primary key replaced by an index',
	'alter table jobs drop constraint jobs_pkey; create unique index on jobs (id)', \@right);
try_alteration('primary key on more columns',
	'alter table jobs drop constraint jobs_pkey, add primary key (id, status)', \@altered);
try_alteration('unique index with a condition only',
	"alter table jobs drop constraint jobs_pkey; create unique index on jobs (id) where status <> 'completed'",
	\@altered);
try_alteration('job_id no longer unique',
	'alter table jobs drop constraint jobs_job_id_key', \@altered,
	undo => 'alter table jobs add unique (job_id)');
try_alteration('job_key no longer unique',
	'drop index idx_jobs_job_key', \@altered,
	undo => 'create unique index on jobs (organisation_id, job_key) where job_key is not null');
try_alteration('other indexes dropped',
	'drop index idx_jobs_created_at, idx_jobs_organisation_id, idx_jobs_created_by', \@right);
try_alteration('indexes of theirs',
	"create index by_status on jobs (status); "
	  . "create index by_both on jobs (upper(status), (metadata ->> 'x')) where attempt > 0; "
	  . "create index on jobs using gin (metadata); create index on jobs using brin (created_at)",
	\@right,
	query => "set enable_seqscan = off; select (select count(*) from jobs where status = 'in_progress'), count(*) "
	  . "from jobs where upper(status) = 'IN_PROGRESS' and attempt > 0",
	answer => '5|5');
try_alteration('unique index of theirs',
	"create unique index on jobs ((case when job_id like 'enqueued-%' then 1 end))", [ '23505', ($fine) x 4 ]);
try_alteration('exclusion constraint', 'alter table jobs add exclude using btree (id with =)', \@right);
try_alteration('clustered and rewritten',
	'cluster jobs using jobs_pkey; vacuum full jobs; reindex table jobs', \@right);

# Constraints.
try_alteration('check of theirs', "alter table jobs add constraint calm check (metadata ->> 'loud' is null)", \@right,
	more => [ "select job_enqueue('import-csv', metadata => '{\"loud\": 1}')" ], more_states => ['23514']);
try_alteration('check that forbids to run',
	"alter table jobs add constraint never check (status <> 'in_progress') not valid",
	[ $fine, '23514', $fine, $fine, $fine ]);
try_alteration('our checks dropped',
	'alter table jobs drop constraint check_priority, drop constraint check_lease, '
	  . 'drop constraint check_retries',
	\@right);
try_alteration('our check made stricter',
	'alter table jobs drop constraint check_priority; alter table jobs add constraint check_priority '
		. 'check (priority between -10 and 10 and priority <> 7) not valid', \@right,
	more => [ "select job_enqueue('import-csv', priority => 7)",
		"insert into jobs (job_type, priority) values ('import-csv', 7)" ], more_states => [ '23514', '23514' ]);
try_alteration('foreign key to itself',
	'alter table jobs add constraint parent foreign key (parent_job_id) references jobs on delete cascade',
	\@right,
	more => [
		"insert into jobs (job_id, job_type, parent_job_id) values ('child', 'import-csv', '" . running(3) . "')",
		"delete from jobs where id = '" . running(3) . "'" ],
	more_states => [ $fine, $fine ], query => "select count(*) from jobs where job_id = 'child'", answer => 0);
try_alteration('foreign key from a user table',
	'create table items (job uuid references jobs on delete restrict); insert into items values (\'' . running(3)
		. '\')', \@right,
	more => [ "delete from jobs where id = '" . running(3) . "'" ], more_states => [$restricted]);
try_alteration('foreign key on organisation_id',
	"create table organisations (id uuid primary key); "
	  . "insert into organisations values ('00000000-0000-0000-0000-000000000000'); "
	  . "alter table jobs add foreign key (organisation_id) references organisations",
	\@right,
	more => [ "select job_enqueue('import-csv', organisation_id => '00000000-0000-0000-0000-000000000001')" ],
	more_states => ['23503']);
try_alteration('replica identity of nothing in a publication',
	'alter table jobs replica identity nothing; create publication p for table jobs',
	[ $fine, '55000', '55000', '55000', $fine ], undo => 'drop publication p');

# Rules and triggers of theirs.
try_alteration('rule that does more',
	"create rule more as on update to jobs do also insert into noted values ('rule')",
	[ '0A000', ($fine) x 4 ], # Postgres's own: no ON CONFLICT beside a rule
	query => 'select count(*) from noted', answer => '6');
try_alteration('rule that keeps rows from being inserted', 'create rule no as on insert to jobs do instead nothing',
	[ '09000', $fine, $fine, $fine, $fine ], undo => 'drop rule no on jobs');
try_alteration('rule that keeps rows from being updated', 'create rule no as on update to jobs do instead nothing',
	[ '0A000', '22012', '09000', '09000', $fine ], undo => 'drop rule no on jobs');
try_alteration('rule that keeps rows from being deleted',
	'create rule no as on delete to jobs do instead nothing', \@right);
try_alteration('statement triggers',
	'create trigger note after insert or update on jobs execute function note(); '
	  . 'create trigger note_before before insert or update on jobs execute function note()',
	\@right, query => 'select what, count(*) from noted group by 1 order by 1',
	answer => "INSERT|8\nUPDATE|12");
try_alteration('row trigger',
	'create trigger note before insert or update on jobs for each row execute function note()', \@right,
	query => 'select what, count(*) from noted group by 1 order by 1', answer => "INSERT|4\nUPDATE|6");
try_alteration('trigger that refuses an insert',
	'create trigger refuse before insert on jobs for each row execute function refuse()',
	[ '09000', $fine, $fine, $fine, $fine ], undo => 'drop trigger refuse on jobs');
try_alteration('trigger that refuses an update',
	'create trigger refuse before update on jobs for each row execute function refuse()',
	[ $fine, '22012', '09000', '09000', $fine ], undo => 'drop trigger refuse on jobs');
try_alteration('trigger that refuses before ours',
	'create trigger a_refuse before insert or update on jobs for each row execute function refuse()',
	[ '09000', '22012', '09000', '09000', $fine ], undo => 'drop trigger a_refuse on jobs');
try_alteration('trigger that changes the key',
	'create trigger urgent before insert or update on jobs for each row execute function urgent()', \@right);
try_alteration('trigger that changes the row again',
	'create trigger again after insert or update on jobs for each row execute function again()', \@right);
try_alteration('trigger that is deferred',
	'create constraint trigger note after insert or update on jobs deferrable initially deferred '
	  . 'for each row execute function note()',
	\@right, query => 'select count(*) from noted', answer => 10);
try_alteration('trigger of theirs on the derived tables\' state',
	'create trigger jobs_ext_x after insert on jobs for each row execute function note()', \@right,
	query => 'select count(*) from noted', answer => 4);

# Our triggers.
my @no_queue = ('42804', '42804', '42804', '42804', $fine);
try_alteration('our trigger disabled', 'alter table jobs disable trigger jobs_ext_after_row', \@no_queue,
	undo => 'alter table jobs enable trigger jobs_ext_after_row');
try_alteration('all triggers disabled',
	'alter table jobs disable trigger user', \@no_queue, undo => 'alter table jobs enable trigger user');
try_alteration('our trigger for replicas only',
	'alter table jobs enable replica trigger jobs_ext_before_row', \@no_queue,
	undo => 'alter table jobs enable trigger jobs_ext_before_row');
try_alteration('our triggers always',
	'alter table jobs enable always trigger jobs_ext_before_row; '
	  . 'alter table jobs enable always trigger jobs_ext_after_row',
	\@right);
try_alteration('disabled for a while',
	"alter table jobs disable trigger user; insert into jobs (id, job_id, job_type, priority) "
	  . "values (gen_random_uuid(), 'unseen', 'import-csv', 10); delete from jobs where priority = 5; "
	  . "alter table jobs enable trigger user",
	\@right, query => "select status from jobs where job_id = 'unseen'", answer => 'in_progress');
try_alteration('our trigger dropped',
	'drop trigger jobs_ext_after_row on jobs', \@no_queue, undo => 'select jobs_ext.install()');
try_alteration('our trigger renamed', 'alter trigger jobs_ext_after_row on jobs rename to mine', \@no_queue,
	undo => 'alter trigger mine on jobs rename to jobs_ext_after_row');
try_alteration('trigger function taken elsewhere',
	'create table jobs2 (like jobs); '
	  . 'create trigger t before insert on jobs2 for each row execute function jobs_ext.jobs_before_row()',
	\@right, more => ["insert into jobs2 (job_type) values ('import-csv')"], more_states => ['39P01']);

# The table itself.
try_alteration('table renamed',
	'alter table jobs rename to jobs2', \@missing, more => ["update jobs2 set priority = 1"],
	more_states => ['42P01'], undo => 'alter table jobs2 rename to jobs');
try_alteration('table in another schema',
	'create schema s; alter table jobs set schema s', \@missing,
	undo => 'alter table s.jobs set schema public');
try_alteration('table dropped', 'drop table jobs cascade', \@missing, gone => 1);
try_alteration('table dropped and made again',
	'drop table jobs cascade; select jobs_ext.install()', [ $fine, $fine, 'PT404', 'PT404', $fine ]);
try_alteration('another table of that name',
	'alter table jobs rename to jobs2; '
	  . 'create table jobs (id uuid primary key default gen_random_uuid(), job_id text unique, job_type text)',
	[ ('42804') x 4, $fine ], undo => 'drop table jobs; alter table jobs2 rename to jobs');
try_alteration('a view in its place',
	'alter table jobs rename to jobs2; create view jobs as select * from jobs2', \@altered,
	undo => 'drop view jobs; alter table jobs2 rename to jobs');
try_alteration('a partitioned table in its place',
	'alter table jobs rename to jobs2; '
	  . 'create table jobs (like jobs2 including defaults) partition by range (created_at); '
	  . 'create table p partition of jobs default',
	[ ('42804') x 4, $fine ], undo => 'drop table jobs; alter table jobs2 rename to jobs');
try_alteration('a child table',
	'create table child () inherits (jobs)', \@altered, undo => 'drop table child; analyze jobs');
try_alteration('unlogged', 'alter table jobs set unlogged', \@right);
try_alteration('another fillfactor, no autovacuum',
	'alter table jobs set (fillfactor = 100, autovacuum_enabled = off)', \@right);
try_alteration('truncated', 'truncate jobs', [ $fine, $fine, 'PT404', 'PT404', $fine ]);
try_alteration('row security forced upon the owner',
	'alter table jobs enable row level security, force row level security',
	[ '42501', '42501', 'PT404', 'PT404', '42501' ], undo => 'alter table jobs no force row level security');
try_alteration('row security forced, with policies',
	'alter table jobs enable row level security, force row level security; create policy p on jobs using (true)',
	[ $fine, '42501', $fine, $fine, $fine ]);
try_alteration('given to somebody else',
	'alter table jobs owner to ' . $superuser, [ ('42501') x @calls ], as_superuser => 1,
	undo => 'alter table jobs owner to boss');
try_alteration('owner without a privilege',
	'revoke update on jobs from boss', [ $fine, '42501', '42501', '42501', $fine ],
	undo => 'grant update on jobs to boss');

# job_types, which a completion has no need of.
my @types_altered = ('42804', '42804', $fine, '42804', '42804');
try_alteration('column of job_types dropped',
	'alter table job_types drop column lease', \@types_altered,
	undo => 'alter table job_types add column lease interval');
try_alteration('column of job_types renamed',
	'alter table job_types rename column paused to x', \@types_altered,
	undo => 'alter table job_types rename column x to paused');
try_alteration('column of job_types of another type',
	'alter table job_types alter max_retries type bigint', \@types_altered,
	undo => 'alter table job_types alter max_retries type int');
try_alteration('NOT NULL of job_types dropped',
	'alter table job_types alter max_retries drop not null; update job_types set max_retries = null',
	[ '23502', '23502', $fine, '23502', '23502' ], undo => 'update job_types set max_retries = 3');
try_alteration('column added to job_types', 'alter table job_types add column mine text', \@right);
try_alteration('primary key of job_types dropped', 'alter table job_types drop constraint job_types_pkey', \@right);
try_alteration('job_types emptied', 'truncate job_types', [ '22023', ($fine) x 3, '22023' ]);
try_alteration('job_types dropped', 'drop table job_types cascade', [ '42P01', '42P01', $fine, '42P01', '42P01' ],
	undo => 'select jobs_ext.install()');
try_alteration('job_types a view',
	'alter table job_types rename to types2; create view job_types as table types2', \@types_altered,
	undo => 'drop view job_types; alter table types2 rename to job_types');
try_alteration('job_types partitioned',
	'alter table job_types rename to types2; create table job_types (like types2) partition by list (job_type)',
	\@types_altered, undo => 'drop table job_types; alter table types2 rename to job_types');
try_alteration('a type of a very long name',
	"alter table job_types alter job_type type text, alter job_category type text;
		insert into job_types (job_type, job_category) values (repeat('x', 10000), repeat('y', 10000))",
	\@right,
	# jobs.job_type holds 50 characters
	more => [ "select job_enqueue(repeat('x', 10000))", "select job_enqueue(repeat('x', 200))" ],
	more_states => [ '22023', '22023' ],
	query => 'select count(*) from jobs where length(job_type) > 50', answer => 0);
try_alteration('trigger of job_types disabled', 'alter table job_types disable trigger user', \@right);

# job_attempts, of which only what does not complete has a need.
try_alteration('column added to job_attempts',
	'alter table job_attempts add column mine text default 1', \@right,
	query => 'select count(*), count(mine) from job_attempts', answer => '3|3');
try_alteration('column of job_attempts dropped',
	'alter table job_attempts drop column worker', [ $fine, $fine, $fine, '42804', $fine ],
	undo => 'alter table job_attempts add column worker text');
try_alteration('column of job_attempts of another type',
	'alter table job_attempts alter attempt type bigint, alter outcome type varchar(20)', \@right,
	query => "select count(*) from job_attempts where outcome = 'failed'", answer => 3);
try_alteration('trigger on job_attempts',
	'create trigger note before insert on job_attempts for each row execute function note()', \@right,
	query => 'select count(*) from noted', answer => 2);
try_alteration('check on job_attempts',
	"alter table job_attempts add check (error_message <> 'oops') not valid",
	[ $fine, $fine, $fine, '23514', $fine ]);
try_alteration('NOT NULL on job_attempts',
	'delete from job_attempts; alter table job_attempts alter worker set not null',
	[ $fine, $fine, $fine, '23502', $fine ]);
try_alteration('primary key of job_attempts dropped',
	'alter table job_attempts drop constraint job_attempts_pkey', \@right);
try_alteration('job_attempts a view',
	'alter table job_attempts rename to attempts2; create view job_attempts as table attempts2',
	[ $fine, $fine, $fine, '42804', $fine ],
	undo => 'drop view job_attempts; alter table attempts2 rename to job_attempts');
try_alteration('job_attempts dropped',
	'drop table job_attempts cascade', [ $fine, $fine, $fine, '42P01', $fine ], undo => 'select jobs_ext.install()');
try_alteration('foreign key on job_attempts',
	'alter table job_attempts add foreign key (job) references jobs', \@right);

# jobs_archive, of which only job_get and what finds no job have need.
my $unknown = "'00000000-0000-0000-0000-00000000ffff'";
try_alteration('column of jobs_archive dropped',
	'alter table jobs_archive drop column worker', \@right,
	more => [ "select job_get($unknown)", "select job_complete($unknown, $unknown)" ],
	more_states => [ '42804', '42804' ]);
try_alteration('jobs_archive dropped',
	'drop table jobs_archive', \@right,
	more => [ "select job_get($unknown)", "select job_complete($unknown, $unknown)" ],
	more_states => [ '42P01', 'PT404' ]);

# The private tables are not the owner's.
is_deeply([ sql_states($node, 'base', 'alter table jobs_ext.queue add x int', 'truncate jobs_ext.queue',
				'drop table jobs_ext.queue cascade', 'select * from jobs_ext.queue', 'delete from jobs_ext.lanes',
				'create index on jobs_ext.failed (job)', 'update jobs_ext.state set number = 0') ],
	[ '42501', '42501', '2BP01', ('42501') x 4 ], 'the owner does not reach the private tables');
try_alteration('index of the queue dropped by a superuser',
	'alter table jobs_ext.queue drop constraint queue_pkey', \@altered, as_superuser => 1,
	undo => 'alter table jobs_ext.queue add primary key (lane, rank, due_at, job)');
try_alteration('queue given away by a superuser',
	'alter table jobs_ext.queue owner to boss', \@altered, as_superuser => 1,
	undo => "alter table jobs_ext.queue owner to $superuser");

# 42P01, 42804 and so on are what was asked for; nothing else may be in the log.
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
