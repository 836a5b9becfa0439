select * from job_claim('{soak}', wait => '40 s');
