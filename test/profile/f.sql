\set key random(1, 9000000000000000000)
insert into bare (id, payload) values (:key, '{"menu": "https://example.com/restaurants/4711/menu.json",
  "platform": "uber eats", "pages": [1, 2, 3], "test": false}');
update bare set status = 1 where id = :key;
update bare set status = 2 where id = :key;
