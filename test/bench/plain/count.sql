select count(*), count(*) filter (where status = 'completed'), count(*) filter (where status = 'running'),
       count(*) filter (where attempt > 1)
  from plain;
