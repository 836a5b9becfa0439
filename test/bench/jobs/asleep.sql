select count(*) from job_claim('{idle}', wait => '1 min');
