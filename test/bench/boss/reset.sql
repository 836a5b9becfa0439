truncate pgboss.job;
