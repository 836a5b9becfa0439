-- Added, ended, running, claimed more than once.
select count(*), count(*) filter (where status = 'completed'), count(*) filter (where status = 'in_progress'),
       count(*) filter (where attempt > 1)
  from jobs;
