insert into plain (job_type, payload) select 'bench', :'payload'::jsonb from generate_series(1, :jobs);
