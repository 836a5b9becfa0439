select id from job_enqueue('profile', '{"menu": "https://example.com/restaurants/4711/menu.json",
  "platform": "uber eats", "pages": [1, 2, 3], "test": false}');
select id, lease_id from job_claim('{profile}', worker => 'worker 1') \gset
select id from job_complete(:id, :lease_id, '{"ok": true}');
