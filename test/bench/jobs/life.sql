select id from job_enqueue('bench', :payload);
select id, lease_id from job_claim('{bench}', wait => '5s') \gset
select id from job_complete(:id, :lease_id);
