select count(graphile_worker.add_job('bench', :'payload'::json)) from generate_series(1, :jobs);
