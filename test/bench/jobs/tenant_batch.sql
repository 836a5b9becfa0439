\set tenant random(1, 900)
select count(*) from job_enqueue_many((
  select jsonb_agg(jsonb_build_object('job_type', 'bench', 'input_payload', :payload::jsonb, 'organisation_id', id,
                                      'restaurant_id', id, 'created_by', id))
    from generate_series(1, 100) n, lpad((:tenant + n)::text, 32, '0') id));
select jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id, 'complete', null)) as outcomes
  from job_claim('{bench}', 100, wait => '5s') \gset
select count(*) from job_finish_many(:outcomes);
