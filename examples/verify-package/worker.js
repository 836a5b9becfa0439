#!/usr/bin/env node
// A worker in Node.js: checks the files of installed Debian packages against their checksums.
//   worker.js [NAME]      connects as psql does: PGHOST, PGDATABASE, PGUSER, …; stop it with SIGTERM
import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import pg from 'pg';

const worker = process.argv[2] ?? `${hostname()}-${process.pid}`;
const db = new pg.Client({ application_name: worker });
let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopping = true; });

const one = async (sql, ...values) => (await db.query(sql, values)).rows[0];

async function verify({ id, lease_id, input_payload }) {
  const list = await checksums(input_payload.package);
  if (!list) {
    return one('select status from job_fail($1, $2, $3, permanent => true)',
      id, lease_id, `${input_payload.package} is not installed`);
  }

  // Once a second, whatever else goes on: still here, and this far. The answer may be to stop.
  let checked = 0, bytes = 0, stop = null;
  const differ = [], missing = [];
  const heartbeat = setInterval(async () => {
    try {
      const job = await one('select cancel_requested_at from job_heartbeat($1, $2, $3)',
        id, lease_id, { checked, of: list.length });
      if (job.cancel_requested_at) stop = new Error('cancelled');
    } catch (error) {
      stop = error;
    }
  }, 1000);

  try {
    for (const { sum, file } of list) {
      if (stopping) return await one('select status from job_release($1, $2)', id, lease_id);
      if (stop) break;
      const found = await md5(`/${file}`).catch(() => null);
      if (!found) missing.push(file);
      else if (found.sum !== sum) differ.push(file);
      bytes += found?.bytes ?? 0;
      checked += 1;
    }
  } finally {
    clearInterval(heartbeat);
  }

  if (stop?.code) throw stop;                     // an error of the server's, such as PT409
  if (stop) return one('select status from job_fail($1, $2, $3)', id, lease_id, stop.message);
  if (differ.length || missing.length) {
    // Not permanent: the package may be in the middle of an upgrade. At most 100 names of each kind.
    return one('select status from job_fail($1, $2, $3, error_details => $4)', id, lease_id,
      `files that differ: ${differ.length}, missing or unreadable: ${missing.length}`,
      { differ: differ.slice(0, 100), missing: missing.slice(0, 100) });
  }
  return one('select status from job_complete($1, $2, $3)', id, lease_id, { files: checked, bytes });
}

async function checksums(name) {
  if (typeof name !== 'string' || name.includes('/')) return null;
  const lines = await readFile(`/var/lib/dpkg/info/${name}.md5sums`, 'utf8').catch(() => null);
  return lines?.split('\n').filter(Boolean).map((line) => ({ sum: line.slice(0, 32), file: line.slice(34) }));
}

const buffer = Buffer.alloc(1 << 20);

async function md5(path) {
  const hash = createHash('md5');
  const file = await open(path);
  try {
    for (let bytes = 0; ;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return { sum: hash.digest('hex'), bytes };
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

await db.connect();
while (!stopping) {
  const job = await one("select * from job_claim('{verify-package}', worker => $1, wait => '2s')", worker);
  if (!job) continue;
  try {
    const { status } = await verify(job);
    console.log(`${worker}: ${job.input_payload.package}: ${status}`);
  } catch (error) {
    // PT409: the lease was lost, the job is another's by now. Whatever the error of the server, the job
    // is not ours any more once its lease has run out: say so and go on. Anything else is the end of us.
    if (!(error instanceof pg.DatabaseError)) throw error;
    console.log(`${worker}: ${job.input_payload.package}: ${error.code} ${error.message}, dropped`);
  }
}
await db.end();
