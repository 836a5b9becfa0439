\set row random(1, 100000)
update narrow set updates = updates + 1 where key = :row;
update narrow set updates = updates + 1 where key = :row;
