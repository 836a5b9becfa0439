# Thousands of job types: a claim of any of them, or of a thousand by name, looks into one or two lanes of the queue,
# and gets the best job of all; what it remembers of types and lanes follows what other sessions change.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use Test::More;

my $types = 1000;
my $node = new_node('many_lanes', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'");
my $sql = sub { return $node->safe_psql('postgres', @_) };
$sql->("select count(job_type_set('type ' || n, job_category => case when n % 2 = 0 then 'even' end))
  from generate_series(1, $types) n");
my $names = $sql->("select array_agg('type ' || n order by n desc) from generate_series(1, $types) n");
my %claim = (any => 'job_claim()', named => "job_claim('$names')", category => "job_claim(job_category => 'even')");

# Jobs with the same priority and time for the most part, in all types.
my $jobs = sub {
	my ($count) = @_;
	$sql->('truncate jobs');
	$sql->("select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type',
	  'type ' || 1 + (n * 7919) % $types, 'job_id', 'job ' || n, 'priority', n % 3,
	  'run_at', now() - n % 4 * interval '1 s')) from generate_series(1, $count) n))");
};

# How often an index of the queue is searched in each of so many claims.
my $searches = sub {
	my ($claim, $count) = @_;
	my $scans = "select idx_scan from pg_stat_all_indexes where indexrelid = 'jobs_ext.queue_pkey'::regclass";
	my $before = $sql->($scans);
	# With an argument that is of each row: else it would be called once, and its answer repeated.
	my $call = $claim{$claim} =~ s/\)$/, max_jobs => 1 + 0 * n)/r =~ s/\(, /(/r;
	is($sql->("select count(distinct id) from generate_series(1, $count) n, lateral $call"), $count, "$claim: claims");
	return ($sql->($scans) - $before) / $count;
};
$jobs->(3 * $types);
$searches->($_, 1) for sort keys %claim;    # gives each lane its hints
cmp_ok($searches->($_, 50), '<', 8, "a claim of $_ looks into few lanes") for sort keys %claim;

# Across all lanes the order is that of one queue. Half of the claims are one call each.
my $order = q{select string_agg(job_id, ',' order by priority desc, run_at, id) from jobs j
  where status in ('pending', 'queued')};
for my $path ('off', 'on')
{
	for my $claim (sort keys %claim)
	{
		$jobs->($types);
		my $wanted = $sql->($order
		    . ($claim eq 'category' ? " and substr(job_type, 6)::int % 2 = 0" : ''));
		my $rest = $claim{$claim} =~ s/\(/(max_jobs => 10000, job_types => /r =~ s/types => \)/types => null)/r
		  =~ s/types => job_category/types => null, job_category/r;
		my $got = $sql->(<<"SQL");
set jobs_ext.force_statement_path = $path;
create temp table got (n int generated always as identity, job_id text);
do \$\$ begin
  for i in 1 .. 100 loop
    insert into got (job_id) select job_id from $claim{$claim};
    if i % 10 = 0 then commit; end if;
  end loop;
  insert into got (job_id) select job_id from $rest;
end \$\$;
select string_agg(job_id, ',' order by n) from got
SQL
		is($got, $wanted, "$claim, statement path $path: the best of all lanes first");
	}
}

# A session remembers which lanes a list of types has, until somebody changes types.
$sql->('truncate jobs');
my $add = sub { $sql->("select from job_enqueue('$_[0]', job_id => '$_[1]')") };
my $other = $node->background_psql('postgres', on_error_stop => 0);
my $three = "select coalesce(max(job_id), 'none') from job_claim('{type 1,type 2,type 3}')";
my $even = "select coalesce(max(job_id), 'none') from job_claim(job_category => 'even')";
my $any = "select coalesce(max(job_id), 'none') from job_claim()";
my $gets = sub { my ($query, $expected, $name) = @_; return is($other->query_safe($query), $expected, $name) };
my $refused = sub {
	my ($types, $name) = @_;
	$other->query("select job_id from job_claim('$types')");
	like($other->{stderr}, qr/unknown job type/, $name);
	$other->{stderr} = '';
};
$gets->($_, 'none', 'there is no job') for $three, $even, $any, $three, $even, $any;
$add->('type 2', 'two');
$gets->($three, 'two', 'a job is seen in a lane that was empty');
$sql->("select job_type_set('type 2', paused => true)");
$add->('type 2', 'paused');
$gets->($_, 'none', 'a type that was paused is left out') for $three, $even, $any;
$sql->("select job_type_set('type 2', paused => false)");
$gets->($even, 'paused', 'and comes back');
$sql->("select job_type_set('type 3', job_category => 'even')");
$add->('type 3', 'now even');
$gets->($even, 'now even', 'a category that changes');
$sql->("select job_type_set('brand new', job_category => 'even')");
$add->('brand new', 'new 1');
$gets->($even, 'new 1', 'a type that is new');
$add->('brand new', 'new 2');
$gets->($any, 'new 2', 'and for any');
$sql->('select job_pause_all()');
$add->('type 1', 'all paused');
$gets->($_, 'none', 'all are paused') for $three, $any;
$sql->('select job_resume_all()');
$gets->($three, 'all paused', 'until they are resumed');
$refused->('{type 1,no such}', 'a name that is none is refused');
$gets->($three, 'none', 'and changes nothing');
$refused->('{type 1,no such}', 'it is refused again');
$sql->("delete from job_types where job_type = 'type 3'");
$refused->('{type 1,type 2,type 3}', 'so is a list of which a type is gone');
$sql->("select job_type_set('type 3')");
$gets->($three, 'none', 'until it is back');

# What the transaction brought itself, in lanes that have other jobs and in lanes that have none.
$add->('type 10', 'late');
$gets->(<<'SQL', "own 3\nown 2\nlate\nown 1", 'its own jobs stand among the others');
begin;
select from job_enqueue('type 10', job_id => 'own 1', run_at => now());
select from job_enqueue('type 11', job_id => 'own 2', priority => 1);
select from job_enqueue('type 11', job_id => 'own 3', priority => 2);
select job_id from job_claim();
select job_id from job_claim();
select job_id from job_claim();
select job_id from job_claim();
commit;
SQL

# Better jobs that are not due yet, in every lane.
$jobs->($types);
$sql->("select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object('job_type', 'type ' || n,
  'priority', 9, 'run_at', now() + case when n = 500 then interval '2 s' else interval '1 h' end))
  from generate_series(1, $types) n))");
$searches->('any', 1);
cmp_ok($searches->('any', 50), '<', 8, 'better jobs that are not due cost nothing');
eventually($node, 'postgres', "begin; select max(priority) from job_claim(max_jobs => 1); rollback", '9',
	'and are first when they are due', 20);

# A transaction that brings jobs to all of them, with savepoints.
$sql->("do \$\$ begin
  for n in 1 .. $types loop
    begin
      perform job_enqueue('type ' || n, priority => 10, job_id => 'in ' || n);
      if n % 10 = 0 then raise exception 'undone'; end if;
    exception when raise_exception then null;
    end;
  end loop;
end \$\$");
is($sql->("select count(*) from job_claim(max_jobs => 10000) where job_id like 'in %'"), 0.9 * $types,
	'what a transaction brought to a thousand lanes, but for what it took back');
$other->quit;
in_step($node, 'postgres', 'the queue says what jobs says');
log_is_clean($node);
$node->stop;

# More lanes than there is room for: one without a record costs one descent of the queue's index at a claim of any, of
# two or three pages, or a share in one with those beside it that are empty.
$types = 200;
my $few = new_node('few_hints', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'",
	'jobs_ext.max_hinted_lanes' => 50);
$few->safe_psql('postgres', "select count(job_type_set('type ' || n)) from generate_series(1, $types) n");
my $bring = sub {
	my ($priority, $run_at) = @_;
	return $few->safe_psql('postgres', "select count(*) from job_enqueue_many((select jsonb_agg(jsonb_build_object(
	  'job_type', 'type ' || n, 'priority', $priority, 'run_at', $run_at)) from generate_series(1, $types) n))");
};
# What claims of any touch, in one session, in which a claim of one type has read the catalogs before.
my $touched = sub {
	my ($most, $name, @before) = @_;
	my $explain = 'explain (analyze, buffers, costs off, timing off, summary off) select from job_claim';
	my $plans = $few->safe_psql('postgres', join('; ', @before, map { "$explain($_)" } "'{type 1}'", '', '', ''));
	my (undef, @claims) = split /Function Scan/, $plans;
	shift @claims;
	my @buffers = map { /\A.*\n\s+Buffers: shared hit=(\d+)/ ? $1 : 0 } @claims;
	is(scalar @buffers, 3, "$name: three claims");
	return cmp_ok($_, '<=', $most, "$name: buffers of a claim") for @buffers;
};
my $take_all = "select count(*) from generate_series(1, 5 * $types) n, lateral job_claim(max_jobs => 1 + 0 * n)";
$bring->(0, 'now()');
$touched->(2.5 * $types, 'lanes that get a record, and others');
$touched->(30, 'no job is left', $take_all, 'select from job_claim()');
$bring->($_, 'now()') for 1 .. 5;
$touched->(2.5 * $types, 'jobs of five ranks');
$touched->(30, 'and none of them is left', $take_all, 'select from job_claim()');
$bring->(1, "now() + interval '1 h'");
$touched->(2 * 2.5 * $types, 'jobs that are not due, and nothing behind them');    # two descents
$bring->(0, 'now()');
$touched->(2 * 2.5 * $types, 'nor are those, but others behind them');

# The order is that of one queue there too, with and without hints.
for my $isolation ('read committed', 'repeatable read')
{
	$few->safe_psql('postgres', 'truncate jobs');
	$bring->('n % 4 - 2', "now() + (n * 7919 % 5 - 3) * interval '1 h'");
	$bring->('n % 3', "now() - n % 7 * interval '1 s'");
	my $wanted = $few->safe_psql('postgres',
		"select string_agg(id::text, ',' order by priority desc, run_at, id) from jobs where run_at <= now()");
	is($few->safe_psql('postgres', <<"SQL"), $wanted, "$isolation: the best of all lanes first");
set default_transaction_isolation = '$isolation';
create temp table got (n int generated always as identity, id uuid);
do \$\$ begin
  for i in 1 .. 400 loop
    insert into got (id) select id from job_claim();
    if i % 10 = 0 then commit; end if;
  end loop;
end \$\$;
select string_agg(id::text, ',' order by n) from got
SQL
}
in_step($few, 'postgres', 'the queue says what jobs says, where hints are few');
log_is_clean($few);
done_testing;
