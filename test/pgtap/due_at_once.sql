-- Many jobs that are due at once: who claims some reads the few leaves of the queue's index where these stand, not all
-- that are due then.
\ir setup/begin.psql
\ir setup/in_step.sql
select plan(3);

select count(*) from job_enqueue_many((
  select jsonb_agg('{"job_type": "import-csv", "run_at": "2026-01-01"}'::jsonb)
  from generate_series(1, 30000))) \g /dev/null

create function tests.blocks() returns bigint language sql as $$
  select pg_stat_get_xact_blocks_fetched('jobs_ext.queue_pkey'::regclass)
$$;
-- A claim that had to look at all would need the two hundred leaves besides.
create function tests.dearest_claim() returns bigint language plpgsql as $$
declare
  before bigint;
  dearest bigint := 0;
begin
  perform from job_claim('{import-csv}', 30); -- has the process learn of the lane
  for i in 1 .. 20 loop
    before := tests.blocks();
    perform from job_claim('{import-csv}', 30);
    dearest := greatest(dearest, tests.blocks() - before);
  end loop;
  return dearest;
end $$;
select cmp_ok(tests.dearest_claim(), '<', 180::bigint, 'a claim of thirty of 30 000 needs few blocks');
select is((select count(*) from jobs where status = 'in_progress'), 630::bigint, 'and takes thirty');
select tests.in_step('the queue says what jobs says');
select * from finish();
