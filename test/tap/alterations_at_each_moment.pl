# What an owner can do to a table of his, every kind of it at every moment, and what then becomes of a call that meets
# it: an error that says what was altered, or right work. Never a crash, never an internal error, never a value read as
# another.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('alterations', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'", max_connections => 60);

$node->safe_psql('postgres', 'create role walk_owner; create role walk_operator');

# Every alteration of every column, and of each table as a whole, at each moment of a call
# (alterations_at_each_moment.sql).
my $alterations = slurp_file("$FindBin::Bin/alterations_at_each_moment.sql");

# What may come of a call, besides right work and 42804: an alteration that Postgres refuses, since the table is in
# use; a null that a column does not take any more; a job that is not there; a table that is missing; what Postgres
# says of rules, foreign tables and partition keys. Of plain statements (not of ours) whatever Postgres says of them.
my $states = qr/^(?:00000|42804|55006|23502|PT404|PT409|42P01|22023|09000|0A000|55000|42P16|42P17|42809|42501|39P01)$/;
# The caller may do all that he calls: what he is denied was asked of him where it was the owner's to do.
my $denied = qr/^permission denied/;
my $plain_states = qr/^(?:22P02|42\w{3})$/;
my $is_plain = qr/^(?:insert|update|update a claim|delete|truncate|insert a type)$/;
# Calls that take what can't be used for not there, or leave it to the next round.
my $is_lenient = qr/^(?:maintain|maintain the archive|finish_many|complete an unknown one|cancel an archived one)$/;

# Walks in one session, which has made each call before the first alteration and so has saved its plans. Each line is a
# call of walk.try() or the like. Returns what became of the calls, and counts those that nothing may come of.
sub walk
{
	my ($name, $database, @lines) = @_;
	my ($stdout, $stderr) = ('', '');
	# From a file: a session that is cut off would end this process by a broken pipe.
	my $file = "$PostgreSQL::Test::Utils::tmp_check/walk.sql";
	unlink $file;
	append_to_file($file,
		join("\n", "set client_min_messages = error; set lock_timeout = '10 s';",
			"call walk.try('none', 'nothing', '');", @lines, q{\echo through}));
	$node->psql($database, '', extra_params => [ '-f', $file ],
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0, timeout => 600);
	my @results = map { [ split / \| /, $_, 5 ] } $stderr =~ /INFO:  walked: (.*)$/mg;
	my @wrong = grep {
		($_->[3] !~ $states || $_->[4] =~ $denied)
		  && !($_->[2] =~ $is_plain && $_->[3] =~ $plain_states)
		  && $_->[2] ne '(alteration)'
	} @results;
	like($stdout, qr/through/, "$name: no crash");
	is(join("\n", map { join ' | ', @$_ } @wrong), '', "$name: an error that says what was altered, or right work");
	cmp_ok(scalar(@results), '>', @lines / 2, "$name: it was tried");
	my @refused = grep { $_->[2] eq '(alteration)' && $_->[3] eq '42501' } @results;
	is(join("\n", map { "$_->[1] | $_->[4]" } @refused), '', "$name: the owner may alter them so");
	is(join("\n", $stderr =~ /^psql:.*ERROR:.*$/mg), '', "$name: nothing else went wrong");
	in_step($node, $database, "$name: in step afterwards") if $stdout =~ /through/;    # else the server recovers
	return @results;
}

# Of columns that are not there, or are of a type that is not text where text is: nothing may seem to go well.
sub all_are_found
{
	my ($name, $unusable, @results) = @_;
	my @unseen = grep {
		$unusable->{ $_->[1] } && $_->[3] eq '00000' && $_->[2] !~ $is_lenient && $_->[2] !~ $is_plain
	} @results;
	is(join("\n", map { "$_->[1] | $_->[2]" } @unseen), '', "$name: seen by whoever opens the table");
	return;
}

sub walked_database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "create database $name");
	$node->safe_psql($name, <<"SQL");
set client_min_messages = error;
grant create on database $name to walk_owner;
grant create on schema public to walk_owner;
set role walk_owner;
create extension jobs_ext;
select jobs_ext.grant_role('walk_operator', 'operator');
reset role;
$alterations
SQL
	return $name;
}

sub alterations
{
	my ($database, $condition, $call) = @_;
	return split /\n/, $node->safe_psql($database, "select format($call) from walk.alteration where $condition");
}

my $database = walked_database('before');
my %unusable = map { $_ => 1 } split /\n/,
	$node->safe_psql('before', 'select label from walk.alteration where is_unusable');
for my $path ('off', 'on')
{
	my $name = 'before a call' . ($path eq 'on' ? ', by statements' : '');
	my @results = walk($name, $database, "set jobs_ext.force_statement_path = $path;",
		# By statements, the calls that stand for a way to open the table.
		alterations($database, 'true', q{'call walk.try(''before'', %L, %L, %L);', label, statement, }
			  . ($path eq 'on' ? 'relation' : 'null')));
	for my $relation (qw(jobs job_types job_attempts jobs_archive))
	{
		my %opens = map { $_ => 1 } split /\n/,
			$node->safe_psql($database, "select name from walk.call where '$relation' = any (opens)");
		all_are_found("$name, $relation", \%unusable,
			grep { $opens{ $_->[2] } && $_->[1] =~ /^$relation\b/ } @results);
	}
}

$database = walked_database('middle');
my $on_jobs = 'before insert or update or delete on jobs for each row execute function walk.in_trigger()';
for my $setup (
	[ 'in a trigger', "create trigger a $on_jobs", qw(jobs job_types job_attempts jobs_archive) ],
	[ 'in a trigger afterwards', 'create trigger z ' . $on_jobs =~ s/before/after/r, qw(job_types job_attempts) ],
	[ 'in an index',
		'create index on jobs (walk.in_index(attempt), walk.in_index(status))',
		qw(jobs job_types job_attempts jobs_archive) ],
	[ 'in a trigger of attempts',
		'create trigger a ' . $on_jobs =~ s/on jobs/on job_attempts/r,
		qw(job_types job_attempts) ],
	[ 'in an index of attempts', 'create index on job_attempts (walk.in_index(attempt))', 'job_attempts' ])
{
	my ($name, $code, @relations) = @$setup;
	my $copy = 'middle_' . $name =~ s/ /_/gr;
	$node->safe_psql('postgres', "create database $copy template middle");
	$node->safe_psql($copy, $code);
	walk("in the middle of a call, $name", $copy,
		alterations($copy, 'relation in (' . join(', ', map { "'$_'" } @relations) . ')',
			q{'call walk.try(''middle'', %L, %L, %L);', label, statement, relation}));
	cmp_ok($node->safe_psql($copy, 'select last_value from walk.done'), '>', 200, "$name: it ran");
}

$database = walked_database('waiting');
walk('while a call waits', $database, "call walk.connect('" . $node->connstr($database) =~ s/'/''/gr . "');",
	alterations($database, 'true',
		q{'call walk.try_waiting(%L, %L, %L); call walk.make_anew(%3$L);', label, statement, relation}));

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
