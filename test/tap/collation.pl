# A job_id finds its job whatever the collation of the database: the order of the index is the collation's.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('collation', extension => 0);
plan skip_all => 'this PostgreSQL knows no ICU collations'
  if $node->safe_psql('postgres', "select count(*) from pg_collation where collname = 'en-x-icu'") eq '0';

$node->safe_psql('postgres',
	"create database icu template template0 encoding 'UTF8' locale_provider icu icu_locale 'en' locale 'C'");
for my $path ('off', 'on')
{
	my $name = $path eq 'on' ? 'by statements' : 'directly';
	my ($stdout, $stderr) = ('', '');
	$node->psql('icu', <<"SQL", stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
set client_min_messages = error;
drop extension if exists jobs_ext cascade;
drop table if exists jobs, job_types, job_attempts, job_steps, jobs_archive cascade;
create extension jobs_ext;
set jobs_ext.force_statement_path = $path;
create table keys as
  select (array['a', 'B', 'c', 'D', 'é'])[1 + n % 5] || n || (array['X', 'x', '_', '-'])[1 + n % 4] as key
  from generate_series(1, 500) n;
select created, count(*) from keys, job_enqueue('import-csv', job_id => key) group by 1;
select created, count(*) from keys, job_enqueue('import-csv', job_id => key) group by 1;
select count(g.id) from keys, job_get(job_id => key) g;
select count(*) from keys, job_cancel(job_id => key) c where c.status = 'cancelled' and c.job_id = key;
drop table keys;
SQL
	is("$stdout$stderr", "t|500\nf|500\n500\n500", "$name: each job_id finds its job");
	in_step($node, 'icu', "$name: in step");
}
log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
