-- :kinds types.
select count(job_type_set('type_' || n)) from generate_series(1, :kinds) n;
