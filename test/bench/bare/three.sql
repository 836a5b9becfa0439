\set key random(1, 9000000000000000000)
\set row random(1, 100000)
insert into narrowest (key) values (:key);
update narrow set updates = updates + 1 where key = :row;
update narrow set updates = updates + 1 where key = :row;
