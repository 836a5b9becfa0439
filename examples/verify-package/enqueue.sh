#!/usr/bin/env bash
# Makes the job type verify-package and enqueues one job for every package installed here.
#   enqueue.sh [N]        at most N packages; connects as psql does: PGHOST, PGDATABASE, PGUSER, …
set -eu -o pipefail

# A package and how many files it has, a line each.
packages() {
    grep -c . /var/lib/dpkg/info/*.md5sums | sed -n "1,${1:-$}s|^/var/lib/dpkg/info/\(.*\)\.md5sums:\([1-9][0-9]*\)\$|\1\t\2|p"
}

packages "$@" | psql -XqAt -v ON_ERROR_STOP=1 -f <(cat <<'SQL'
-- A worker that says nothing for 5 seconds has lost its job, and one attempt with it.
select from job_type_set('verify-package', 'the files of a Debian package against their md5 sums',
    lease => '5s', timeout => '5min', max_retries => 2, backoff => 'fixed', retry_delay_ms => 1000);

create temp table package (name text, files int, n serial);
\copy package (name, files) from pstdin

-- Batches of 100, each all or nothing; the packages that take longest go first.
select count(*) || ' jobs enqueued'
  from (select jsonb_agg(jsonb_build_object(
                   'job_type', 'verify-package',
                   'input_payload', jsonb_build_object('package', name),
                   'priority', case when files >= 1000 then 5 else 0 end)
               order by n) as batch
          from package
         group by (n - 1) / 100) b, job_enqueue_many(b.batch);
SQL
)
