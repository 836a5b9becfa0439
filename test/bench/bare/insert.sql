\set key random(1, 9000000000000000000)
insert into one (key, payload) values (:key, :payload);
