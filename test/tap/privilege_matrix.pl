# Who may do what with each object of the extension, tried and not only read: as anon, as members of two
# organisations, a super admin, service_role, the owner and a superuser; in projects of either mode of default
# privileges, installed by a superuser and by a postgres who is none; before jobs_ext.bind() and after it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my @callers = qw(anon own other admin service_role owner superuser);

# What each of them may, told once. "own" is of organisation 1, "other" of organisation 2.
#   d  denied
#   a  done, with the rows of both organisations
#   m  done, with the rows of those organisations that the caller is a member of; an INSERT is for organisation 1.
#      A super admin is one by profiles: of both after bind(), of none before
#   x  denied, or nothing that can be done with such a thing
#   y  not denied
#   p  what is private: the superuser's. The owner may, where the owner is a superuser
my $nobodys = 'd d d d d a a';
my $private = 'd d d d d p y';
my %writes_of_owner = map { $_ => $nobodys } qw(insert update delete truncate);
my %may = (
	'jobs' => {
		'select' => 'd m m m a a a',
		'insert' => 'd m m m a a a',
		'update' => 'd d d d a a a',
		'update (cancel_requested_at)' => 'd m m m a a a',
		'update (finished_at)' => 'd m m m a a a',
		'delete' => 'd d d d a a a',
		'truncate' => $nobodys,
	},
	'jobs_archive' => { %writes_of_owner, 'select' => 'd m m m a a a' },
	'job_attempts' => { %writes_of_owner, 'select' => 'd m m m a a a' },
	'job_steps' => { %writes_of_owner, 'select' => 'd m m m a a a' },
	'job_types' => {
		'select' => 'd a a a a a a',
		'insert' => 'd d d d a a a',
		'update' => 'd d d d a a a',
		'delete' => $nobodys,
		'truncate' => $nobodys,
	},
	'jobs_schedules' => { 'select' => 'd y y y y y y' },
);
# Views, of the API and of those who run it.
$may{$_} = { 'select' => 'd m m m a a a' }
  for qw(jobs_queue_status jobs_failed_summary jobs_metrics jobs_active jobs_running jobs_failed);
$may{$_} = { 'select' => 'd d d d y y y' } for qw(jobs_ext.maintenance jobs_ext.jobs_set_aside);
for my $view (grep { /^jobs_(?!archive)/ } keys %may)
{
	$may{$view}{$_} = 'x x x x x x x' for qw(insert update delete truncate);
}
$may{'jobs_ext.jobs_set_aside'}{$_} = $private for qw(insert update delete); # a plain view of a private table
# Tables that are nobody's business. postgres reads all tables there are, by pg_read_all_data, and a restore writes
# the pauses as the owner.
for my $table (qw(queue failed expiring ended blocked children paused lanes state schedules erasures set_aside
	pauses statistics))
{
	$may{"jobs_ext.$table"} =
	  { 'select' => 'd d d d d y y', map { $_ => $private } qw(insert update delete truncate) };
}
$may{'jobs_ext.pauses'}{insert} = 'd d d d d y y';
# Months of the archive, by whatever name.
my %month = map { $_ => 'd d d d d y y' } qw(select insert update delete truncate);

# Functions, by the first who may execute them. All others are the owner's.
my %function = (
	member => [ qw(job_get job_list job_children job_stats job_wait job_enqueue job_enqueue_many job_cancel job_retry
		job_steps_set job_step_resolve) ],
	# The schema is closed to members, who meet its functions in views, policies and defaults alone.
	service => [
		(
			map { "jobs_ext.$_" }
			  qw(active_jobs running_jobs failed_jobs scheduled_jobs claimed_organisation claimed_user uuid_v7
			  run_schedule maintenance_status)
		),
		qw(job_step_start job_step_complete job_step_fail job_step_await),
		qw(job_claim job_await job_heartbeat job_heartbeat_many job_complete job_fail job_release job_release_worker
		  job_await_children job_next job_finish_many job_pause job_resume job_type_set)
	],
);
my %may_execute = (
	(map { $_ => 'd y y y y y y' } @{ $function{member} }),
	(map { $_ => 'd d d d y y y' } @{ $function{service} }));
# Types of the API; all others are of nobody but the owner.
my %may_use = map { $_ => 'd y y y y y y' } qw(job job_state job_step job_type_settings job_type_stats);


# Ours: what tries them. An outcome is "denied", another SQLSTATE, or the organisations of the rows that were met, as
# "1", "2", "12" or "". Nothing that is tried stays. A job's organisation is told by its type.
my $setup = <<'SQL';
create function tests.org(n int) returns uuid language sql strict as $$
  select format('aaaaaaaa-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
create function tests.person(n int) returns uuid language sql strict as $$
  select format('bbbbbbbb-0000-4000-8000-%s', lpad(n::text, 12, '0'))::uuid $$;
insert into organisations (id, name) select tests.org(n), n from generate_series(1, 2) n;
insert into auth.users (id) select tests.person(n) from unnest('{1,2,9}'::int[]) n;
insert into profiles (id, organisation_id, role)
values (tests.person(1), tests.org(1), 'user'), (tests.person(2), tests.org(2), 'user'),
       (tests.person(9), null, 'super_admin');
set role service_role;
insert into job_types (job_type) values ('1'), ('2');
do $$
declare
  lease uuid;
begin
  for n in 1 .. 2 loop
    perform job_enqueue(n::text, organisation_id => tests.org(n));
    select c.lease_id into strict lease from job_claim(worker => 'w') c;
    perform job_enqueue(n::text, organisation_id => tests.org(n), priority => 1);
    perform job_fail(c.id, c.lease_id, 'x', permanent => true) from job_claim(worker => 'w') c;
    perform job_steps_set(e.id, '[{"step_number": 1, "step_name": "one"}]')
    from job_enqueue(n::text, organisation_id => tests.org(n), run_at => '2100-01-01') e;
  end loop;
end $$;
reset role;
insert into jobs_archive (id, job_id, job_type, status, organisation_id, finished_at)
select gen_random_uuid(), 'archived', n, 'failed', tests.org(n), now() from generate_series(1, 2) n;
create table tests.jobs as select id, job_type from jobs;
create function tests.type_of(job uuid) returns text language sql volatile security definer set search_path = '' as $$
  select t.job_type from tests.jobs t where t.id = job $$;
-- How each caller comes: a role, and claims.
create table tests.caller as
select c.name, coalesce(c.role, (select pg_get_userbyid(relowner) from pg_class where oid = 'jobs'::regclass)) as role,
       jsonb_strip_nulls(jsonb_build_object('role', c.role, 'sub', tests.person(c.person),
                                            'org_id', tests.org(c.org)))::text as claims
from (values ('anon', 'anon', null, null), ('own', 'authenticated', 1, 1), ('other', 'authenticated', 2, 2),
             ('admin', 'authenticated', 9, null), ('service_role', 'service_role', null, null),
             ('owner', null, null, null), ('superuser', 'supabase_admin', null, null)) c (name, role, person, org);
create function tests.outcome(caller tests.caller, operation text, call text) returns text language plpgsql as $$
declare
  answer text;
begin
  if operation = 'usage' then
    return case when has_type_privilege(caller.role, call, 'usage') then 'may' else 'denied' end;
  end if;
  perform set_config('request.jwt.claims', caller.claims, true), set_config('role', caller.role, true);
  if call ~ '^(truncate|insert|update|delete) ' then
    execute call;
    answer := '12';
  else
    execute call into answer;
  end if;
  raise exception using errcode = 'TEST0';
exception
  when sqlstate 'TEST0' then return translate(coalesce(answer, ''), chr(10) || '|', '  ');
  -- Of a function also: it may be called, and is denied something itself.
  when insufficient_privilege then
    return case when operation <> 'execute' or sqlerrm ~ '^permission denied for (function|procedure|schema)'
                then 'denied' else 'denied within' end;
  when others then return sqlstate;
end $$;
create table tests.attempt (n int, operation text, call text);
SQL

# The statement for an operation on a relation. Of private ones rows are counted, since their columns say nothing of
# organisations.
sub statement
{
	my ($relation, $operation, $first_column) = @_;
	my $type = $relation =~ /^job_(attempts|steps)$/ ? 'tests.type_of(job)' : 'job_type';
	my $of_api = $relation !~ /^jobs_ext\.|jobs_schedules|^jobs_archive_/;
	my $whose = $of_api ? q{string_agg(distinct t, '' order by t) filter (where t in ('1', '2'))} : 'count(*)';
	my ($what, $where) = split / /, $operation, 2;
	my %change = (
		insert => "insert into $relation select * from $relation where false",
		update => "update $relation set $first_column = $first_column",
		delete => "delete from $relation",
		truncate => "truncate $relation");
	$change{insert} = "insert into jobs (job_type, organisation_id) values ('1', tests.org(1))"
	  if $relation eq 'jobs';
	$change{update} = 'update jobs set priority = priority' if $relation eq 'jobs';
	$change{update} = 'update jobs set cancel_requested_at = now()' if ($where // '') =~ /cancel/;
	$change{update} = "update jobs set finished_at = null where status = 'failed'" if ($where // '') =~ /finished/;
	return $change{truncate} if $what eq 'truncate';
	return "select $whose from (select " . ($of_api ? $type : 1) . " as t from $relation) s" if $what eq 'select';
	return $change{$what} unless $of_api && $relation =~ /^(jobs|job_types|jobs_archive|job_attempts|job_steps)$/;
	return "with s as ($change{$what} returning $type as t) select $whose from s";
}

# Whether an outcome is what it should be. An INSERT is of organisation 1, where there is something to insert.
sub as_it_should
{
	my ($should, $outcome, $caller, $operation, $relation, $mode) = @_;
	my $denied = $outcome eq 'denied';
	my $all = $operation ne 'insert' ? '12' : $relation eq 'jobs' ? '1' : '';
	my $member_of = { own => '1', other => '2', admin => $mode->{bound} ? '12' : '' }->{$caller};
	return $denied if $should eq 'd';
	return !$denied if $should eq 'y';
	return $denied || $outcome =~ /^(55000|42809|0A000)$/ if $should eq 'x';
	return $denied == !($mode->{by} eq 'supabase_admin') if $should eq 'p';
	return $outcome eq $all if $should eq 'a';
	return $operation eq 'insert' ? ($member_of =~ /1/ ? $outcome eq '1' : $denied) : $outcome eq $member_of;
}

my $node = new_node(
	'privilege_matrix',
	extension => 0,
	initdb => [ '--username', 'supabase_admin' ],
	'jobs_ext.exclude_databases' => "'*'",
	fsync => 'off');
local $ENV{PGUSER} = 'supabase_admin';

# Each object of the extension with what is tried with it, as rows of tests.attempt; and the names, which the table
# above must know.
sub attempts
{
	my ($database) = @_;
	my @attempts;
	my $relations = $node->safe_psql($database, <<'SQL');
select c.oid::regclass, c.relispartition,
       (select a.attname from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 order by a.attnum limit 1)
from pg_class c
where (c.relnamespace = 'jobs_ext'::regnamespace or c.relname ~ '^jobs?(_|$)')
  and c.relnamespace in ('public'::regnamespace, 'jobs_ext'::regnamespace) and c.relkind in ('r', 'p', 'v')
order by 1
SQL
	for (split /\n/, $relations)
	{
		my ($relation, $is_month, $column) = split /\|/;
		my $may = $is_month eq 't' ? \%month : $may{$relation};
		ok($may, "$database: the table knows $relation") or next;
		push @attempts, [ $relation, $_, statement($relation, $_, $column), $may->{$_} ] for sort keys %$may;
	}
	my $functions = $node->safe_psql($database, <<'SQL');
select p.oid::regproc, case p.prokind when 'p' then 'call' else 'select' end,
       string_agg('null::' || format_type(t.oid, null), ', ' order by t.n)
from pg_proc p
join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'jobs_ext'
left join unnest(p.proargtypes) with ordinality t (oid, n) on true
where not 'internal'::regtype = any (p.proargtypes) -- SQL can't call those
group by p.oid order by 1
SQL
	for (split /\n/, $functions)
	{
		my ($function, $verb, $arguments) = split /\|/;
		my $may = $may_execute{$function} // 'd d d d d y y';
		push @attempts, [ $function, 'execute', "$verb $function($arguments)", $may ];
	}
	my $types = $node->safe_psql($database, <<'SQL');
select t.oid::regtype
from pg_type t
join pg_depend d on d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'jobs_ext'
where t.typtype = 'c' and not exists (select from pg_class c where c.oid = t.typrelid and c.relkind <> 'c')
SQL
	push @attempts, [ "type $_", 'usage', $_, $may_use{$_} // 'd d d d d y y' ] for split /\n/, $types;
	return @attempts;
}

# All that each caller tries, judged: an assertion for each object.
sub judge
{
	my ($mode) = @_;
	my $database = $mode->{database};
	my @attempts = attempts($database);
	my $rows = join ",\n", map { "($_, '$attempts[$_][1]', \$call\$$attempts[$_][2]\$call\$)" } 0 .. $#attempts;
	my $outcomes = $node->safe_psql($database, <<"SQL");
truncate tests.attempt;
insert into tests.attempt values $rows;
select a.n, c.name, tests.outcome(c, a.operation, a.call) from tests.attempt a cross join tests.caller c
SQL
	my (%wrong, %tried);
	for (split /\n/, $outcomes)
	{
		my ($n, $caller, $outcome) = split /\|/, $_, 3;
		my ($object, $operation, $call, $may) = @{ $attempts[$n] };
		my %should;
		@should{@callers} = split / /, $may;
		$tried{$object}++;
		push @{ $wrong{$object} }, "$caller: $operation: should be $should{$caller}, is '$outcome': $call"
		  unless as_it_should($should{$caller}, $outcome, $caller, $operation, $object, $mode);
	}
	for my $object (sort keys %tried)
	{
		ok(!$wrong{$object}, "$mode->{name}: $object") or diag(join "\n", @{ $wrong{$object} });
	}
	is(scalar(split /\n/, $outcomes), @attempts * @callers, "$mode->{name}: all was tried");
	return;
}

for my $acl (qw(legacy modern))
{
	for my $by (qw(postgres supabase_admin))
	{
		my $database = "${acl}_by_$by";
		$node->safe_psql('postgres', "create database $database");
		$node->safe_psql($database, slurp_file("$FindBin::Bin/../supabase/shim.sql"),
			extra_params => [ '-v', "acl=$acl" ]);
		$node->safe_psql($database, 'create extension jobs_ext', extra_params => [ '-U', $by ]);
		$node->safe_psql($database, $setup);
		my %mode = (database => $database, by => $by);
		judge({ %mode, name => "$acl, installed by $by", bound => 0 });
		$node->safe_psql($database, q{select jobs_ext.bind('organisations', 'restaurants', 'auth.users')},
			extra_params => [ '-U', $by ]);
		judge({ %mode, name => "$acl, installed by $by, bound", bound => 1 });
		in_step($node, $database, "$database: in step");
	}
}

log_is_clean($node, 'the log is clean');
$node->stop;

done_testing();
