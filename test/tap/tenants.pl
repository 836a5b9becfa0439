# What jobs_ext.bind() made is in a dump and comes back, by an owner who is no superuser; the worker erases what a
# deleted organisation leaves in the archive; and what is left of it all when the extension goes and comes back.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('tenants', extension => 0);
$node->safe_psql('postgres',
	'create role boss login; create role anon; create role authenticated; create role service_role bypassrls;
	 grant authenticated to boss; create database source owner boss; create database copy owner boss;
	 create database twice owner boss');

# As the owner; the statements must not fail.
sub as_boss
{
	my ($database, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, $sql,
		stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', 'boss', '-v', 'ON_ERROR_STOP=1' ]);
	is($status, 0, 'statements run') or diag("$sql\n$stderr");
	return $stdout;
}

my $org = 'aaaaaaaa-0000-4000-8000-00000000000';
as_boss('source', <<"SQL");
create extension jobs_ext;
create table organisations (id uuid primary key, name text);
create table restaurants (id uuid primary key);
create schema auth;
create table auth.users (id uuid primary key);
create table member (person uuid, organisation uuid);
insert into organisations select ('$org' || n)::uuid, 'organisation' from generate_series(1, 3) n;
insert into member values ('${org}7', '${org}1');
create function my_organisations() returns setof uuid language sql stable security definer set search_path = '' as
  'select m.organisation from public.member m
   where m.person = (current_setting(''request.jwt.claims'')::json ->> ''sub'')::uuid';
insert into jobs (job_type, job_id, organisation_id)
select 'bulk-update', 'of ' || n, ('$org' || n)::uuid from generate_series(1, 3) n;
insert into jobs_archive (id, job_id, organisation_id, finished_at)
select gen_random_uuid(), 'archived ' || i || ' of ' || n, ('$org' || n)::uuid, now() - i % 3 * interval '1 month'
from generate_series(1, 3) n, generate_series(1, 1200) i;
select jobs_ext.bind('organisations', 'restaurants', 'auth.users', membership => 'my_organisations',
                     status_index => true);
SQL

# All that bind() could have made.
my $shape = q{
select conrelid::regclass, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint')
from pg_constraint where conrelid = 'public.jobs'::regclass and contype = 'f' order by 2;
select indexdef, obj_description(('public.' || indexname)::regclass, 'pg_class')
from pg_indexes where tablename = 'jobs' order by 1;
select tablename, policyname, cmd, roles, qual, with_check from pg_policies order by 1, 2;
select tgrelid::regclass, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by tgname, 1;
select relname, relrowsecurity from pg_class where relname ~ '^job' and relkind in ('r', 'p') order by 1;
select jobs_ext.bound_membership(), jobs_ext.bound_organisations();};
my $seen = qq{
set request.jwt.claims = '{"sub": "${org}7"}';
set role authenticated;
select string_agg(job_id, ',' order by job_id) from jobs;
select count(*) from jobs_archive;};

my $bound = as_boss('source', $shape);
like($bound, qr/REFERENCES auth\.users\(id\) ON DELETE SET NULL\|Made by/, 'bound to users in a schema of their own');
is(as_boss('source', $seen), "of 1\n1200", 'a member sees the own organisation');

sub copy
{
	my ($from, $to, $by) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$to.dump";
	my $said = '';
	ok(IPC::Run::run([ 'pg_dump', '-U', $by, '-F', 'c', '-f', $file, $node->connstr($from) ], '&>', \$said),
		"$from: dumped")
	  or diag($said);
	ok( IPC::Run::run(
			[ 'pg_restore', '-U', $by, '--exit-on-error', '-d', $node->connstr($to), $file ],
			'&>', \$said),
		"$to: restored") or diag($said);
	is($said, '', "$to: without a warning");
	return;
}
copy('source', 'copy', 'boss');
copy('copy', 'twice', $node->safe_psql('postgres', 'select current_user'));

for my $database ('copy', 'twice')
{
	is(as_boss($database, $shape), $bound, "$database: bound as it was");
	is(as_boss($database, $seen), "of 1\n1200", "$database: to the same members");
	as_boss($database, "delete from organisations where id = '${org}2'");
	is(as_boss($database, "select count(*) from jobs where organisation_id = '${org}2'"), '0', "$database: cascade");
	eventually($node, $database, "select count(*) from jobs_archive where organisation_id = '${org}2'", '0',
		"$database: the worker erases the archive");
	eventually($node, $database, 'select count(*) from jobs_ext.erasures', '0', "$database: and is done");
	is(as_boss($database, 'select count(*) from jobs_archive'), '2400', "$database: what others have stays");
	in_step($node, $database, "$database: in step");
}

is(as_boss('copy', "select jobs_ext.bind(membership => 'my_organisations'); $shape"),
	"\n$bound", 'bound again it is the same');
is(as_boss('copy', "select jobs_ext.unbind(); select count(*) from pg_constraint
	where conrelid = 'public.jobs'::regclass and contype = 'f'"), "\n0", 'a restored copy is unbound as well');

# By profiles, which members must not write themselves.
sub told
{
	my ($sql) = @_;
	my $stderr = '';
	$node->psql('copy', $sql, stderr => \$stderr, extra_params => [ '-U', 'boss' ]);
	return $stderr;
}
as_boss('copy', 'create table profiles (id uuid primary key, organisation_id uuid, role text);
	alter table profiles enable row level security; grant select, update on profiles to authenticated;
	create policy own_profile on profiles for select to authenticated using (id = jobs_ext.claimed_user())');
unlike(told('select jobs_ext.bind()'), qr/members may write/, 'profiles that members read');
as_boss('copy',
	'create policy edit on profiles for update to authenticated using (id = jobs_ext.claimed_user())');
like(told('select jobs_ext.bind()'), qr/WARNING:  members may write organisation_id and role in "public.profiles"/,
	'profiles that members write: bind() warns');
as_boss('copy', 'drop table profiles cascade; select jobs_ext.unbind()');

# A table of somebody else's, who gave the privileges to bind to it: to undo it takes its owner, which is told.
$node->safe_psql('copy', "create role landlord; create table estates (id uuid primary key);
	alter table estates owner to landlord; grant select, references, trigger on estates to boss;
	insert into estates select ('$org' || n)::uuid from generate_series(1, 3) n");
like(told("select jobs_ext.bind('estates'); select jobs_ext.unbind()"),
	qr/ERROR:  must be owner of table "public.estates"\n.*Let its owner: drop trigger jobs_ext_\w+ on public.estates;/s,
	'bound to a table of another owner');
$node->safe_psql('copy', 'drop trigger jobs_ext_organisation_deleted on estates;
	drop trigger jobs_ext_organisations_truncated on estates');
is(as_boss('copy', "select jobs_ext.unbind(); select count(*) from pg_constraint
	where conrelid = 'public.jobs'::regclass and contype = 'f'"), "\n0", 'then it is undone');

# The extension goes and comes back: foreign keys and policies that name no function of ours stay, the trigger is made
# by the next bind(). Default policies are put back by unbind(); till then members see nothing.
# A superuser restored it, whose extension it is then.
$node->safe_psql('twice', 'set client_min_messages = error; drop extension jobs_ext cascade');
as_boss('twice', 'create extension jobs_ext');
is(as_boss('twice', $seen), "of 1\n1200", 'created again: bound members are bound');
as_boss('twice', "select jobs_ext.bind('organisations')");
is(as_boss('twice', $shape), $bound, 'bound again: all is there');
as_boss('copy', 'set client_min_messages = error; drop extension jobs_ext cascade; create extension jobs_ext');
my $claim = qq{set request.jwt.claims = '{"org_id": "${org}1"}'; set role authenticated; select count(*) from jobs;};
is(as_boss('copy', $claim), '0', 'created again, not bound: members see nothing');
as_boss('copy', 'select jobs_ext.unbind()');
is(as_boss('copy', $claim), '1', 'until unbind() puts the policies back');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
