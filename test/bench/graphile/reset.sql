truncate graphile_worker._private_jobs restart identity;
