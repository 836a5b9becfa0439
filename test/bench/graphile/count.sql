-- A job that is completed is deleted: those that were added and are gone.
select added, added - (select count(*) from graphile_worker._private_jobs),
       (select count(*) from graphile_worker._private_jobs where locked_at is not null),
       (select count(*) from graphile_worker._private_jobs where attempts > 1)
  from (select coalesce(pg_sequence_last_value(
                 pg_get_serial_sequence('graphile_worker._private_jobs', 'id')::regclass), 0) as added) sequence;
