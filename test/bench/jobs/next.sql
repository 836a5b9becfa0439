-- A client's first job is claimed, each other comes with the completion of the one before.
select id from job_enqueue('bench', :payload);
\if :has_one
select id, lease_id from job_next(:id, :lease_id, job_types => '{bench}') \gset
\else
select id, lease_id from job_claim('{bench}', wait => '5s') \gset
\set has_one 1
\endif
