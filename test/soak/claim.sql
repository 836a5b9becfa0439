insert into lateness select clock_timestamp() - run_at from job_claim('{soak}', wait => '2 s');
