# 8 clients work off 20 000 jobs, by single and batch claims, while another process changes, cancels and deletes jobs
# directly. The clients log what they were given and what they did; afterwards the log is checked.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;
use IPC::Run;
use JobsExt;
use PostgreSQL::Test::Utils;
use Test::More;

my $jobs = 20_000;
my $node = new_node('concurrency', max_wal_size => "'4GB'", shared_buffers => "'128MB'");
my $sql = sub { return $node->safe_psql('postgres', @_) };

$sql->(<<'SQL');
create schema work;
create table work.claimed (
  client int, began timestamptz, ended timestamptz,
  id uuid, number int, lease_id uuid, attempt int, priority int, run_at timestamptz);
create table work.held (client int, id uuid, lease_id uuid);
create table work.finished (id uuid, lease_id uuid, verb text, began timestamptz, state text, status text);
create table work.meddled (number int);
create index on work.held (client);

create function work.note(client int, began timestamptz, jobs job[]) returns void language sql as $$
  insert into work.claimed
    select client, began, clock_timestamp(), j.id, (j.input_payload ->> 'number')::int, j.lease_id, j.attempt,
           j.priority, j.run_at
    from unnest(jobs) j;
  insert into work.held select client, j.id, j.lease_id from unnest(jobs) j;
$$;

-- The clock before and after nothing but the claim.
create function work.claim(client int, max_jobs int) returns void language plpgsql as $$
declare
  began timestamptz := clock_timestamp();
begin
  perform work.note(client, began, array(select j from job_claim(max_jobs => max_jobs, worker => 'w' || client) j));
end $$;

-- One verb for one lease; what was refused is noted as well.
create function work.finish(client int, one_id uuid, one_lease uuid, verb text) returns void language plpgsql as $$
declare
  began timestamptz := clock_timestamp();
  state text;
  status text;
begin
  begin
    case verb
      when 'complete' then status := (job_complete(one_id, one_lease, '{"by": 1}')).status;
      when 'fail' then status := (job_fail(one_id, one_lease, 'again', run_at => now())).status;
      when 'release' then status := (job_release(one_id, one_lease)).status;
      when 'next' then
        perform work.note(client, began, array(select j from job_next(one_id, one_lease, worker => 'w' || client) j));
        status := 'completed';
    end case;
  exception when sqlstate 'PT404' or sqlstate 'PT409' then
    state := sqlstate;
  end;
  insert into work.finished values (one_id, one_lease, replace(verb, 'next', 'complete'), began, state, status);
  delete from work.held h where h.lease_id = one_lease;
end $$;

create function work.finish_all(client int, verbs text[]) returns void language sql as $$
  select work.finish(h.client, h.id, h.lease_id, verbs[1 + (row_number() over ())::int % cardinality(verbs)])
  from (select * from work.held where held.client = finish_all.client) h;
$$;

create function work.finish_many(client int) returns void language plpgsql as $$
declare
  at_begin timestamptz := clock_timestamp();
begin
  with outcomes (list) as (
    select jsonb_agg(jsonb_build_object('id', h.id, 'lease_id', h.lease_id, 'complete', '{}'::jsonb))
    from work.held h where h.client = finish_many.client
  ), gone as (
    delete from work.held h where h.client = finish_many.client returning h.id, h.lease_id
  )
  insert into work.finished
  select g.id, g.lease_id, f.outcome, at_begin, f.sqlstate, f.status
  from outcomes o, job_finish_many(coalesce(o.list, '[]')) f join gone g on g.id = f.id;
end $$;
SQL

# In order, by one worker: the exact order, over several types, singles and batches.
$sql->(<<'SQL');
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object(
    'job_type', (array['import-csv', 'bulk-update', 'merge-menus'])[1 + (random() * 2)::int],
    'priority', (random() * 20)::int - 10, 'run_at', now() - (random() * 4)::int * interval '1 hour'))
  from generate_series(1, 500)));
SQL
$sql->("select work.claim(0, $_)") for (1, 1, 7, 1, 50, 2) x 8, 20;
is( $sql->(<<'SQL'), '500|0', 'one worker is given the jobs in the exact order');
select count(*), count(*) filter (where place <> wanted)
from (select row_number() over (order by c.began, c.ctid) as place,
             row_number() over (order by c.priority desc, c.run_at, c.id) as wanted
      from work.claimed c) p
SQL
$sql->($_) for 'select work.finish_many(0)', 'truncate jobs, work.claimed, work.finished';

is( $sql->(<<"SQL"), $jobs, "$jobs jobs enqueued in one call");
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object(
    'job_id', 'job-' || n, 'max_retries', 1000, 'input_payload', jsonb_build_object('number', n),
    'job_type', (array['import-csv', 'bulk-update', 'merge-menus', 'image-upload'])[1 + n % 4],
    'priority', (random() * 6)::int - 3, 'run_at', now() - (random() * 1000)::int * interval '1 s'))
  from generate_series(1, $jobs) n))
SQL
$sql->('vacuum analyze jobs');
$sql->("select pg_stat_reset_single_table_counters('jobs'::regclass)");

# pgbench with these scripts, each "text@weight".
sub pgbench
{
	my ($options, %script) = @_;
	my @files;
	for my $name (sort keys %script)
	{
		my ($text, $weight) = $script{$name} =~ /^(.*)@(\d+)$/s;
		my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
		unlink $file;
		append_to_file($file, $text);
		push @files, '-f', "$file\@$weight";
	}
	return ('pgbench', '-n', '-M', 'prepared', @$options, @files, $node->connstr('postgres'));
}

# Each statement notes the job that it has really changed.
my $one = "job_id = 'job-' || :k";
my $running = 'id = (select id from jobs_running order by random() limit 1)';
sub meddle
{
	my ($statement, $weight) = @_;
	return "\\set k random(1, $jobs)\n\\set p random(-10, 10)\n"
	  . "with changed as ($statement returning job_id)\n"
	  . "insert into work.meddled select substr(job_id, 5)::int from changed;\@$weight";
}
my @meddler = pgbench([ '-c', 1, '-T', 180 ],
	metadata => meddle("update jobs set metadata = '{\"seen\": true}' where $one", 5),
	priority => meddle("update jobs set priority = :p where $one", 5),
	cancel => meddle("update jobs set status = 'cancelled'
	where $one and status in ('pending', 'queued', 'in_progress')",
		2), delete => meddle("delete from jobs where $one", 2),
	progress => meddle("update jobs set metadata = '{\"seen\": 2}' where $running", 2),
	stop => meddle("update jobs set status = 'cancelled' where $running and status = 'in_progress'", 1),
	away => meddle("delete from jobs where $running", 1));

sub workers
{
	return pgbench(
		[ '-c', 8, '-j', 2, '-t', shift ],
		single => q{select work.claim(:client_id, 1);
			select work.finish_all(:client_id, '{complete}');@6},
		batch => q{select work.claim(:client_id, 20);
			select work.finish_many(:client_id);@2},
		mixed => q{select work.claim(:client_id, 3);
			select work.finish_all(:client_id, '{complete,release,fail}');@1},
		next => q{select work.claim(:client_id, 1);
			select work.finish_all(:client_id, '{next}');
			select work.finish_all(:client_id, '{next}');
			select work.finish_all(:client_id, '{complete}');@2});
}

my $started = time;
my ($meddler_out, $worker_out) = ('', '');
my $meddler = IPC::Run::start(\@meddler, '<', \'', '&>', \$meddler_out);
my $failed = 0;
my $rounds = 0;
do
{
	$failed ||= !IPC::Run::run([ workers($rounds ? 25 : 300) ], '<', \'', '&>', \$worker_out, IPC::Run::timeout(180));
} while (!$failed
	&& ++$rounds < 60
	&& $sql->("select exists (select from jobs where status in ('pending', 'queued', 'in_progress'))") eq 't');
note(sprintf '%d jobs in %d s', $jobs, time - $started);
ok(!$failed, 'no worker met an error') or diag($worker_out);
ok($meddler->pumpable, 'the meddling process worked to the end') or diag($meddler_out);
$meddler->signal('INT');
$meddler->finish;
unlike($meddler_out, qr/ERROR|aborted/, '… and met no error');

$sql->('analyze');
note($sql->(<<'SQL'));
select format(
  'claims %s, of them again %s; refused for a lost lease %s, for a deleted job %s; statements that meddled %s',
  (select count(*) from work.claimed), (select count(*) from work.claimed where attempt > 1),
  (select count(*) from work.finished where state = 'PT409'),
  (select count(*) from work.finished where state = 'PT404'), (select count(*) from work.meddled))
SQL
my $nothing = sub {
	my ($query, $name) = @_;
	is($sql->("select * from ($query) q limit 5"), '', $name);
};

is($sql->("select count(*) from jobs where status not in ('completed', 'cancelled')"), '0', 'no job is left');
is($sql->('select count(*) from work.held'), '0', 'no lease is left');
$nothing->('select id, attempt from work.claimed group by 1, 2 having count(*) > 1', 'no attempt was given twice');
$nothing->('select lease_id from work.claimed group by 1 having count(*) > 1', 'no lease was given twice');
$nothing->(
	'select id from work.claimed group by 1 having max(attempt) <> count(*)',
	'every claim that counts as an attempt was given to somebody');
$nothing->(<<'SQL', 'one lease at a time: another claim only after the one before was given back');
select c.id, c.attempt
from work.claimed c
left join work.finished f on f.lease_id = c.lease_id and f.verb in ('fail', 'release') and f.state is null
join work.claimed next on next.id = c.id and next.attempt = c.attempt + 1
where f.began is null or f.began > next.ended
SQL
$nothing->(<<'SQL', 'nothing was completed twice');
select id from work.finished where verb = 'complete' and state is null group by 1 having count(*) > 1
SQL
$nothing->(<<'SQL', 'completed in the table is completed by a worker');
select j.id from jobs j
left join work.finished f on f.id = j.id and f.verb = 'complete' and f.state is null and f.lease_id = j.lease_id
where (j.status = 'completed') <> (f.id is not null)
SQL
$nothing->(<<"SQL", 'what nobody meddled with was completed');
select n from generate_series(1, $jobs) n
where n not in (select number from work.meddled)
  and not exists (select from jobs where job_id = 'job-' || n and status = 'completed')
SQL
$nothing->(<<'SQL', 'a lease was refused only where somebody meddled');
select f.state, c.number from work.finished f join work.claimed c using (lease_id)
where f.state is not null and c.number not in (select number from work.meddled)
SQL

# A job that nobody meddled with and that was claimed for the first time in a call that began after the end of this
# one had been free during the whole of this one: it must not be better than what this one took.
$nothing->(<<'SQL', 'best first: no claim took a job while a better one was free');
with keyed as (
  select c.began, c.ended, c.attempt = 1 and c.number not in (select number from work.meddled) as free,
         (lpad((10 - c.priority)::text, 2, '0') || to_char(c.run_at, 'YYYYMMDDHH24MISSUS') || c.id) collate "C" as key
  from work.claimed c
), moments as (
  select ended as moment, 0 as later, max(key) as worst, null as best from keyed group by began, ended
  union all
  select began, 1, null, min(key) from keyed where free group by began, ended
)
select *
from (select *, min(best) over (order by moment desc, later desc rows unbounded preceding) as best_left from moments) m
where worst > best_left
SQL
cmp_ok($sql->('select count(*) from work.claimed'), '>', $jobs / 2, '… which was about most of the jobs');

in_step($node, 'postgres', 'queue, failed and expiring say what jobs says');

# The collector hears of it when the sessions have ended.
$node->poll_query_until('postgres',
	"select n_tup_upd >= 2 * $jobs * 0.8 from pg_stat_user_tables where relid = 'jobs'::regclass");
my ($updates, $hot) = split /\|/,
	$sql->("select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'jobs'::regclass");
my $share = 100 * $hot / $updates;
diag(sprintf 'HOT updates of jobs: %.1f %% of %d', $share, $updates);
cmp_ok($share, '>=', 95, 'at least 95 % of the updates of jobs are HOT');

log_is_clean($node, 'no crash, no internal error, no deadlock');
$node->stop;
done_testing();
