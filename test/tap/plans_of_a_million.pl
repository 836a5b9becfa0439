# What looks cost where there are 1 000 000 jobs: each query of the seed's and of its service reads by an index, and a
# member who has 1 000 of them reads about as much as those are. Plans and buffers are read, no clock.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use JobsExt;
use Test::More;

my $jobs = 1_000_000;
my $node = new_node(
	'million',
	extension => 0,
	'jobs_ext.exclude_databases' => "'*'",
	autovacuum => 'off',
	fsync => 'off',
	shared_buffers => "'256MB'",
	max_wal_size => "'4GB'");

# The organisation a has each thousandth job, b nine of ten, a hundred others the rest; 6 % wait, 2 % have failed, a few
# run and the rest has ended; the oldest is 29 days old. One type has eight jobs.
my ($org, $org_of_many, $user, $user_of_many, $super_admin) =
  map { "$_-0000-4000-8000-000000000000" } qw(aaaaaaaa bbbbbbbb dddddddd eeeeeeee ffffffff);
$node->safe_psql('postgres', <<"SQL");
create role anon; create role authenticated; create role service_role bypassrls;
create extension jobs_ext;
insert into jobs (job_id, job_type, status, organisation_id, restaurant_id, created_at, run_at, started_at,
                  finished_at, completed_at, lease_id, lease_expires_at, worker, attempt, priority)
select 'job ' || n, t.job_type, s.status,
       case when n % 1000 = 7 then '$org' when n % 10 <> 7 then '$org_of_many'
            else format('cccccccc-0000-4000-8000-%s', lpad((n / 10 % 100)::text, 12, '0')) end::uuid,
       case when n % 3 = 0 then md5((n % 5000)::text)::uuid end, c.at, c.at,
       case when s.status <> 'pending' then c.at end,
       case when s.status in ('completed', 'failed') then c.at end,
       case when s.status = 'completed' then c.at end,
       case when s.status = 'in_progress' then gen_random_uuid() end,
       case when s.status = 'in_progress' then now() + interval '1 hour' end,
       case when s.status = 'in_progress' then 'w ' || n end, (s.status <> 'pending')::int, n % 5
from generate_series(1, $jobs) n,
lateral (select now() - interval '2.5 s' * ($jobs - n) as at) c,
lateral (select case when n / 1000 % 100 < 6 then 'pending' when n / 1000 % 100 < 8 then 'failed'
                     when n / 1000 % 1000 = 99 then 'in_progress' else 'completed' end as status) s,
lateral (select case when n < 9 then 'generate-content'
                     else (array['add-item-tags', 'add-option-sets', 'import-csv', 'merge-menus'])[1 + n / 1000 % 4]
                end as job_type) t;
insert into job_attempts (job, attempt, started_at, ended_at, outcome, organisation_id)
select id, 1, created_at, created_at, 'failed', organisation_id from jobs;
insert into job_steps (job, step_number, step_name, step_type, status, organisation_id)
select id, 1, 'a', 'automatic', 'pending', organisation_id from jobs;
insert into jobs_archive (id, job_id, job_type, status, organisation_id, created_at, finished_at)
select gen_random_uuid(), job_id, job_type, 'completed', organisation_id, created_at, created_at
from jobs where created_at > now() - interval '6 days' or organisation_id = '$org';
create table profiles (id uuid primary key, organisation_id uuid, role text);
grant select on profiles to authenticated;
insert into profiles values ('$user', '$org', 'member'), ('$user_of_many', '$org_of_many', 'member'),
  ('$super_admin', null, 'super_admin');
select jobs_ext.rebuild_queue();
vacuum analyze jobs;
vacuum analyze job_attempts;
vacuum analyze job_steps;
vacuum analyze jobs_archive;
vacuum analyze jobs_ext.queue;
vacuum analyze jobs_ext.ended;
SQL
is($node->safe_psql('postgres', "select count(*) from jobs where organisation_id = '$org'"), 1000, 'a member of few');

# The plan of a statement, run as a role, and how many buffers it touched.
sub plan_of
{
	my ($role, $sql, $claims) = @_;
	my $text = $node->safe_psql('postgres', <<"SQL");
set request.jwt.claims = '$claims';
set role $role;
explain (analyze, buffers, timing off, summary off, format json) $sql
SQL
	my $plan = decode_json($text)->[0]{Plan};
	return ($plan, $plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'});
}

# The tables that a plan reads from end to end, and the indexes that it reads; the functions.
sub scans
{
	my ($plan) = @_;
	my @scans = map { scans($_) } @{ $plan->{Plans} // [] };
	push @scans, "all of $plan->{'Relation Name'}" if $plan->{'Node Type'} eq 'Seq Scan';
	push @scans, $plan->{'Index Name'} // (), $plan->{'Function Name'} // ();
	return @scans;
}

# `most`: of buffers.
sub looks
{
	my ($name, $role, $sql, $most, %option) = @_;
	my ($plan, $buffers) = plan_of($role, $sql, $option{claims} // '{}');
	my @scans = scans($plan);
	my $by = $option{by} // qr/./;
	my $reads_all = grep { /^all of (?:jobs|job_attempts|job_steps)$/ } @scans;
	my $reads_by = grep { $_ =~ $by } @scans;
	ok($buffers <= $most && !$reads_all && $reads_by, "$role: $name")
	  or diag("$buffers buffers, by @scans: $sql");
	return;
}

my $newest = 'order by created_at desc limit 50 offset 0';
my %filter = (
	'no filter' => [ '', qr/created_at/ ],
	'a type' => [ q{where job_type = 'import-csv'}, qr/job_type|created_at/ ],
	'a type of few jobs' => [ q{where job_type = 'generate-content'}, qr/job_type/ ],
	'a restaurant' => [ q{where restaurant_id = md5('3')::uuid}, qr/restaurant_id/ ],
	'an organisation' => [ qq{where organisation_id = '$org'}, qr/organisation_id/ ],
	'a status in an organisation' => [ qq{where status = 'failed' and organisation_id = '$org'}, qr/organisation_id/ ],
	'all filters' => [
		qq{where status = 'failed' and job_type = 'import-csv' and restaurant_id = md5('3')::uuid
		   and organisation_id = '$org'}, qr/restaurant_id|organisation_id|job_type/
	]);
for my $what (sort keys %filter)
{
	my ($where, $by) = @{ $filter{$what} };
	looks("getJobs by $what", 'service_role', "select * from jobs $where $newest", 1500, by => $by);
}
looks('getJob', 'service_role', q{select * from jobs where job_id = 'job 500000'}, 10, by => qr/job_id_key/);
looks('updateJobStatus', 'service_role',
	q{update jobs set status = 'in_progress' where job_id = 'job 5' returning *},
	1500, by => qr/job_id_key/);
looks('updateJobResult', 'service_role',
	q{update jobs set status = 'completed', result = '{}' where job_id = 'job 5' returning *},
	1500, by => qr/job_id_key/);
looks('getFailedJobsSummary', 'service_role', 'select * from jobs_failed_summary', 200_000, by => qr/failed_jobs/);

# By status alone.
my $next = q{SELECT * FROM jobs WHERE status IN ('pending', 'queued') ORDER BY priority DESC, created_at ASC LIMIT 1};
my $next_of = $next =~ s/ORDER/AND job_type IN ('import-csv', 'merge-menus') ORDER/r;
$node->safe_psql('postgres', 'select jobs_ext.bind(status_index => true)');
$node->safe_psql('postgres', 'analyze jobs');
looks('testing query 7', 'service_role', $next, 10, by => qr/waiting/);
looks('getNextQueuedJob of types', 'service_role', $next_of, 1500, by => qr/waiting/);
looks("getJobs by status $_", 'service_role', "select * from jobs where status = '$_' $newest", 10_000,
	by => qr/status|created_at/)
  for qw(pending in_progress failed completed);
looks('getJobs by a status of few', 'service_role', "select * from jobs where status = 'paused' $newest", 20,
	by => qr/status/);
looks('testing query 6', 'service_role', 'SELECT * FROM public.jobs_queue_status', 40_000, by => qr/finished_at/);
$node->safe_psql('postgres', 'select jobs_ext.bind(status_index => false)');

# A member, by the claim and by profiles; and where the planner takes the organisation for half of all there is.
sub member_looks
{
	my ($by, $claims) = @_;
	my @asked = (claims => $claims);
	looks("$_, $by", 'authenticated', "select * from $_", 4000, @asked)
	  for qw(jobs jobs_queue_status jobs_failed_summary jobs_metrics jobs_active jobs_running jobs_failed jobs_archive
	  job_attempts job_steps);
	looks("$_ of a job, $by", 'authenticated',
		"select * from $_ where job = (select id from jobs where job_id = 'job 7007')", 60, @asked)
	  for qw(job_attempts job_steps);
	looks("attempts of a page, $by", 'authenticated',
		"select j.id, a.outcome from (select * from jobs $newest) j, lateral job_attempts(j) a", 7000, @asked);
	looks("attempts of the own jobs, $by", 'authenticated',
		'select a.* from jobs j join job_attempts a on a.job = j.id where j.status = \'failed\'', 6000, @asked);
	looks("a page of attempts, $by", 'authenticated', 'select * from job_attempts order by ended_at desc limit 50',
		4000, @asked);
	for my $arguments ('', map({ "status => '$_'" } qw(pending in_progress failed completed blocked paused)),
		q{status => 'failed', max_rows => 3, skip_rows => 2}, q{job_type => 'generate-content'},
		q{restaurant_id => md5('3')::uuid}, qq{organisation_id => '$org'}, q{before => now() - interval '28 days'})
	{
		looks("job_list($arguments), $by", 'authenticated', "select * from job_list($arguments)", 6000, @asked);
	}
	return;
}
member_looks('by the claim', qq({"org_id": "$org"}));
$node->safe_psql('postgres', 'alter table jobs alter organisation_id set (n_distinct = 2)');
$node->safe_psql('postgres', 'analyze jobs');
looks("$_, where the planner expects half of all", 'authenticated', "select * from $_", 6000,
	claims => qq({"org_id": "$org"}))
  for qw(jobs_active jobs_running jobs_failed job_list() job_attempts job_steps), q{job_list(status => 'failed')};
$node->safe_psql('postgres', 'alter table jobs alter organisation_id set (n_distinct = -0.001)');
$node->safe_psql('postgres', 'analyze jobs');
$node->safe_psql('postgres', 'select jobs_ext.bind()');
member_looks('by profiles', qq({"sub": "$user"}));
# Who sees very many: a page by status reads the newest, and none of it all that is seen to be sorted.
for my $who ($user_of_many, $super_admin)
{
	looks("a page of what waits, of many, $who", 'authenticated', q{select * from job_list(status => 'pending')},
		17_000, claims => qq({"sub": "$who"}));
	looks("a page of what is paused, of many, $who", 'authenticated', q{select * from job_list(status => 'paused')},
		70_000, claims => qq({"sub": "$who"}));
}
$node->safe_psql('postgres', <<'SQL');
create function mine(uuid) returns setof uuid language sql stable as
  'select organisation_id from profiles where id = $1';
select jobs_ext.bind(membership => 'mine');
SQL
looks("$_, by a set of organisations", 'authenticated', "select * from $_", 4000, claims => qq({"sub": "$user"}))
  for qw(job_attempts job_steps);
# Rows of an older version, which have no organisation: as many as there are, and those that have one.
$node->safe_psql('postgres', q{update job_attempts set organisation_id = null where job in
  (select id from jobs where job_id like 'job 1000%')});
looks('job_attempts, a few without organisation', 'authenticated', 'select * from job_attempts', 5000,
	claims => qq({"sub": "$user"}));
$node->safe_psql('postgres', 'select jobs_ext.unbind()');
$node->safe_psql('postgres', 'select jobs_ext.bind()');

# What is shown is what plain queries show, in the same order: of few jobs, and of nine of ten, for which the walk goes
# over everybody's ids.
sub shows
{
	my ($who, $sql) = @_;
	return $node->safe_psql('postgres', <<"SQL");
set request.jwt.claims = '{"sub": "$who"}';
set role authenticated;
$sql
SQL
}

sub shows_what_a_query_shows
{
	my ($look, $where, $rows, $skip) = @_;
	my $page = defined $rows ? "order by created_at desc, id desc limit $rows offset $skip" : '';
	my $in_order = defined $rows ? '' : 'order by id';
	my $ids = "select count(*), md5(string_agg(id::text, ' ' $in_order)) from";
	for my $who ($user, $user_of_many)
	{
		my $wanted = shows($who, "$ids (select id, created_at from jobs where $where $page) j");
		unlike($wanted, qr/^0/, "$look: there are some");
		is(shows($who, "$ids $look j"), $wanted, "$look: what a query shows");
	}
	return;
}

# The private tables are not built any more, nor before a verb writes.
sub unbuild
{
	return $node->safe_psql('postgres', 'alter table jobs disable trigger user; alter table jobs enable trigger user');
}

for my $spoilt (0, 1)
{
	unbuild() if $spoilt;
	shows_what_a_query_shows(@$_)
	  for [ 'jobs_active', q{status in ('pending', 'queued', 'in_progress', 'blocked')} ],
	  [ 'jobs_running', q{status = 'in_progress'} ],
	  [ 'jobs_failed', q{status = 'failed'} ],
	  [ q{job_list(status => 'failed', max_rows => 7, skip_rows => 2)}, q{status = 'failed'}, 7, 2 ],
	  [ q{job_list(status => 'pending', max_rows => 60, skip_rows => 3)}, q{status = 'pending'}, 60, 3 ],
	  [ 'job_list(max_rows => 20)', 'true', 20, 0 ];
}
# Who sees every job, by a status that few have among many that may have it: it is read past none of the others.
$node->safe_psql('postgres', <<'SQL');
select jobs_ext.rebuild_queue();
insert into jobs (job_id, job_type, status, created_at, run_at)
select 'queued ' || n, 'add-item-tags', 'queued', now() - interval '10 days' - n * interval '7 hours',
       now() - interval '10 days'
from generate_series(1, 30) n;
update jobs set status = 'cancelled' where id in
  (select id from jobs where status = 'pending' order by md5(job_id) limit 20);
update jobs set status = 'paused' where id in
  (select id from jobs where status = 'pending' order by md5(job_id) limit 20);
vacuum analyze jobs;
SQL
for my $case ([ 'queued', 350_000 ], [ 'pending', 20_000 ], [ 'cancelled', 3000 ], [ 'paused', 1500 ],
	[ 'completed', 1500 ])
{
	my ($status, $most) = @$case;
	for my $page ([ 50, 0 ], [ 7, 2 ], [ 7, 15 ], [ 10, 28 ], [ 5, 100_000 ])
	{
		my ($rows, $skip) = @$page;
		my $ids = q{select string_agg(id::text, ' ') from};
		is($node->safe_psql('postgres', "$ids job_list('$status', max_rows => $rows, skip_rows => $skip)"),
			$node->safe_psql('postgres', "$ids (select id from jobs where status = '$status'
			  order by created_at desc, id desc limit $rows offset $skip) j"), "$status: $rows rows after $skip");
	}
	my ($plan, $buffers) = plan_of('service_role', "select * from job_list('$status')", '{}');
	cmp_ok($buffers, '<', $most, "service_role: job_list($status)");
}
# Of a type, an organisation and a restaurant, and for who sees them by policies.
for my $case ([ 'cancelled', q{job_type => 'import-csv'}, q{job_type = 'import-csv'}, 3000 ],
	[ 'cancelled', qq{organisation_id => '$org_of_many'}, qq{organisation_id = '$org_of_many'}, 3000 ],
	[ 'failed', q{job_type => 'generate-content'}, q{job_type = 'generate-content'}, 3000 ],
	[ 'failed', q{restaurant_id => md5('3')::uuid}, q{restaurant_id = md5('3')::uuid}, 25_000 ],
	[ 'failed', qq{organisation_id => '$org', max_rows => 17}, qq{organisation_id = '$org'}, 25_000, 17 ],
	[ 'queued', q{job_type => 'generate-content'}, q{job_type = 'generate-content'}, 3000 ])
{
	my ($status, $argument, $condition, $most, $rows) = (@$case, 50);
	my $ids = q{select string_agg(id::text, ' ') from};
	my $page = "(select id from jobs where status = '$status' and $condition
	  order by created_at desc, id desc limit $rows) j";
	is($node->safe_psql('postgres', "$ids job_list('$status', $argument)"), $node->safe_psql('postgres', "$ids $page"),
		"$status, $argument");
	my ($plan, $buffers) = plan_of('service_role', "select * from job_list('$status', $argument)", '{}');
	cmp_ok($buffers, '<', $most, "service_role: job_list($status, $argument)");
}
for my $who ($user_of_many, $super_admin)
{
	is(shows($who, q{select string_agg(id::text, ' ') from job_list('cancelled')}),
		shows($who, q{select string_agg(id::text, ' ') from (select id from jobs where status = 'cancelled'
		  order by created_at desc, id desc limit 50) j}), "cancelled ones, $who");
	looks("cancelled ones, $who", 'authenticated', q{select * from job_list('cancelled')}, 1500,
		claims => qq({"sub": "$who"}));
}
is($node->safe_psql('postgres', "select count(*) from job_list('queued')"), 30, 'queued ones there are');
my $before = q{(select created_at from jobs where status = 'queued' order by created_at offset 10 limit 1)};
is($node->safe_psql('postgres', "select count(*) from job_list('queued', before => $before)"), 10,
	'those of before a time');
# A page costs no more where the archive has taken jobs away whose rows nobody may vacuum: hundreds of thousands of
# them stand in jobs_ext.ended before the first that is there.
my $holder =
  hold($node, 'postgres', 'set transaction isolation level repeatable read', 'select count(*) from job_types');
$node->safe_psql('postgres', q{delete from jobs where id in
  (select id from jobs where status = 'completed' order by finished_at limit 100000)});
for my $case ([ 'completed', 3000 ], [ 'cancelled', 3000 ], [ 'failed', 8000 ])
{
	my ($status, $most) = @$case;
	my ($plan, $buffers) = plan_of('service_role', "select * from job_list('$status')", '{}');
	cmp_ok($buffers, '<', $most, "job_list($status) beside the dead rows of what was archived");
}
let_go($holder);
looks('job_stats', 'service_role', 'select * from job_stats()', 30_000, by => qr/job_stats/);
unbuild();

looks("$_, without private tables", 'authenticated', "select * from $_", 4000, claims => qq({"sub": "$user"}))
  for qw(jobs_active jobs_running jobs_failed);
$node->safe_psql('postgres', 'select jobs_ext.rebuild_queue()');

log_is_clean($node, 'no crash, no internal error, no deadlock');
done_testing();
