\set key random(1, 9000000000000000000)
insert into bench (key) values (:key);
