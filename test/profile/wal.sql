-- What stands between two places of the WAL, a job: by the table or index, and by the kind of record.
with records as (
  select coalesce(c.relname, lower(r.resource_manager)) as of, lower(r.record_type) as record, r.record_length as bytes
  from pg_get_wal_records_info(:'from', :'to') r
  left join pg_class c on c.relfilenode <> 0 and c.relfilenode = substring(r.block_ref from '\d+/\d+/(\d+)')::oid
)
select coalesce(of, 'all') as of, record, round(count(*)::numeric / :jobs, 2) as records,
       round(sum(bytes)::numeric / :jobs) as bytes
from records group by grouping sets ((of, record), ()) having sum(bytes) >= :jobs order by 4 desc, 1;
