-- What one would write first: claims by FOR UPDATE SKIP LOCKED, rows that stay.
create table plain (
  id bigint generated always as identity primary key,
  job_type text not null,
  status text not null default 'queued',
  priority integer not null default 0,
  run_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  lease_expires_at timestamptz,
  attempt integer not null default 0,
  payload jsonb not null
);
create index on plain (priority desc, run_at, id) where status = 'queued';
create unlogged table samples (took interval not null);
