select count(*), count(*) filter (where state = 'completed'), count(*) filter (where state = 'active'),
       count(*) filter (where retry_count > 0)
  from pgboss.job;
