insert into plain (job_type, payload) select 'bench', :payload::jsonb from generate_series(1, 100);
with claimed as (
  update plain set status = 'running', attempt = attempt + 1, lease_expires_at = now() + interval '10 min'
   where id in (select id from plain
                 where status = 'queued' and job_type = 'bench' and run_at <= now()
                 order by priority desc, run_at, id limit 100 for update skip locked)
  returning id, payload)
select array_agg(id) as ids, array_agg(payload) as payloads from claimed \gset
update plain set status = 'completed', finished_at = now() where id = any (:ids) and status = 'running';
