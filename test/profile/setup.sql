-- The tables of F, and a type.
select job_type_set('profile');
create table bare (id bigint primary key, status int not null default 0, payload jsonb) with (fillfactor = 50);
