-- A life whose claim is timed by the server.
select id from job_enqueue('bench', :payload);
select id, lease_id, clock_timestamp() - statement_timestamp() as took
  from job_claim('{bench}', wait => '5s') \gset
select id from job_complete(:id, :lease_id);
insert into samples values (:took);
