update plain set status = 'running', attempt = attempt + 1, lease_expires_at = now() + interval '10 min'
 where id = (select id from plain
              where status = 'queued' and job_type = 'bench' and run_at <= now()
              order by priority desc, run_at, id limit 1 for update skip locked)
returning id, payload \gset
update plain set status = 'completed', finished_at = now() where id = :id and status = 'running';
