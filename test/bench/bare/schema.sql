-- The cheapest durable writes: `one` has a key and the payload, `narrowest` a key alone, `narrow` rows to update.
create table one (key bigint primary key, payload jsonb not null);
create table narrowest (key bigint primary key);
create table narrow (key integer primary key, updates bigint not null) with (fillfactor = 70);
