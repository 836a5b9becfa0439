create extension jobs_ext;
select job_type_set('bench'), job_type_set('idle');
create unlogged table samples (took interval not null);
create table tenants (id uuid primary key);
insert into tenants select lpad(n::text, 32, '0')::uuid from generate_series(1, 1000) n;
