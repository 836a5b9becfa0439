# What an owner can do to a table of his, every kind of it at every moment, and what then becomes of a call that meets it:
# an error that says what was altered, or right work. Never a crash, never an internal error, never a value read as another.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('alterations', autovacuum => 'off', 'jobs_ext.exclude_databases' => "'*'", max_connections => 30);

# The SQLSTATE of the last of the statements of one session.
sub state_after { return (sql_states($node, 'postgres', @_))[-1] }

# A null where none is expected: a row that was put into the archive by hand.
is(state_after("insert into jobs_archive (id, job_id, finished_at) values (gen_random_uuid(), 'by hand', now())",
		q{select job_wait(job_id => 'by hand')}),
	'23502', 'job_wait on a row of the archive without a status');
is(state_after(q{select job_get(job_id => 'by hand')}), '00000', 'job_get on it');

# A plan that was saved for other types. The archive is written by a statement, since a constraint of the owner's stands on
# it; a column of his own is numeric first, then bigint.
$node->safe_psql("postgres", join ";\n",
	'alter table jobs_archive add constraint theirs check (id is not null)',
	'alter table jobs add column much numeric', 'alter table jobs_archive add column much numeric',
	"select job_type_set('import-csv', keep_completed => '1 us')",
	map({
		my ($name, $much, $type) = @$_;
		(
			($type ? ("alter table jobs alter much type $type", "alter table jobs_archive alter much type $type") : ()),
			"insert into jobs (id, job_id, job_type, status, attempt, started_at, completed_at, finished_at, much) "
			  . "values (gen_random_uuid(), '$name', 'import-csv', 'completed', 1, now(), now(), now() - interval '1 day', $much)",
			'select 1 from job_maintain()')
	} [ 'numeric', '1.5' ], [ 'integer', '7', 'integer' ], [ 'bigint', '3000000000', 'bigint' ], [ 'text', q{'words'}, 'text' ]));
is($node->safe_psql('postgres',
	q{select string_agg(job_id || ' ' || much, ', ' order by archived_at, job_id) from jobs_archive where much is not null}),
	'numeric 2, integer 7, bigint 3000000000, text words', 'archived by statements with other types');
$node->safe_psql('postgres',
	'alter table jobs drop column much; alter table jobs_archive drop column much, drop constraint theirs');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
