select id, lease_id from job_claim(wait => '5s') \gset
select id from job_complete(:id, :lease_id);
