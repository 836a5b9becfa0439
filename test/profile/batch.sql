select count(*) from job_enqueue_many((
  select jsonb_agg('{"job_type": "profile", "input_payload": {"menu": "https://example.com/restaurants/4711/menu.json",
    "platform": "uber eats", "pages": [1, 2, 3], "test": false}}'::jsonb)
  from generate_series(1, 100)));
select jsonb_agg(jsonb_build_object('id', id, 'lease_id', lease_id, 'complete', '{"ok": true}'::jsonb)) as outcomes
from job_claim('{profile}', 100, worker => 'worker 1') \gset
select count(*) from job_finish_many(:outcomes);
