select * from job_claim('{soak}', wait => '60 s');
