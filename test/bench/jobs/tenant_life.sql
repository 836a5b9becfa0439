\set tenant random(1, 1000)
select id from job_enqueue('bench', :payload, organisation_id => lpad(:tenant::text, 32, '0')::uuid,
                           restaurant_id => lpad(:tenant::text, 32, '0')::uuid,
                           created_by => lpad(:tenant::text, 32, '0')::uuid);
select id, lease_id from job_claim('{bench}', wait => '5s') \gset
select id from job_complete(:id, :lease_id);
