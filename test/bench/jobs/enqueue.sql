select id from job_enqueue('bench', :payload);
