// What script/bench measures. To add a cell is to add its line here, and its script where none fits:
//
//   [name, 'system/script', what the report calls it, { … }]
//
// The system is one of `systems` below, the script a file in its folder or a line of `sequences`; its effect `effects`
// tells. A filter on the command line is a part of "group/name". What else a cell may have; a text that stands for a
// number names one of `sizes`:
//
//   clients   how many, where not as many as --clients says (8)
//   jobs      how many are ready before it begins (100); `second`: that many for each second
//   fill      the script that makes those, where not fill.sql
//   args      variables of its scripts
//   scene     a script that makes a database of the cell's own, once: all rounds, and the cells of the same scene, go
//             on with it and its jobs; with `fresh` they are deleted before each measurement as elsewhere
//   beside    what else goes on meanwhile: entries of engine/beside.mjs
//   times     so many times as long as others; `once`: in the first round alone
//   set       a setting of the clients' sessions; of the one that enqueues, where others sleep
//   how       what to do with the script, where not pgbench: an entry of engine/kinds.mjs
//   adds, ends    the jobs that a script run otherwise adds and ends
//   wal       its bytes of WAL are measured as well: a single client, no full-page images, two levels
//   change    --against measures it where no filter is given
//
// The cells of a group are compared: each round measures them one after the other.
export const PAYLOAD =
  '{"menu": 4711, "pages": 12, "images": ["front.jpg", "back.jpg"], "language": "de", "note": "the blue one, please"}';

const async = 'synchronous_commit=off';
const batches = { clients: 4, jobs: 'batches' };
const both = { wal: true, change: true };
const long = { times: 'long', once: true };
const kinds = { scene: 'kinds', fresh: true, jobs: 'second', args: { kinds: 'kinds' } };
const idle = { how: 'idle', scene: 'idle', jobs: 0, once: true, args: { kinds: 'idle_kinds', jobs: 'idle_jobs' } };
const crowd = { clients: 'crowd', times: 'crowd_times' };

export const groups = {
  calls: [
    ['insert.8', 'bare/insert', 'T_ins: a bare single-row INSERT', both],
    ['insert.1', 'bare/insert', 'T_ins', { clients: 1 }],
    ['enqueue.8', 'jobs/enqueue', 'enqueue', both],
    ['enqueue.1', 'jobs/enqueue', 'enqueue', { clients: 1 }],
    ['plain.enqueue', 'plain/enqueue', 'enqueue', { wal: true }],
    ['pgq.enqueue', 'pgq/enqueue', 'enqueue', { wal: true }],
    ['graphile.enqueue', 'graphile/enqueue', 'enqueue', { wal: true }],
    ['boss.enqueue', 'boss/enqueue', 'enqueue', { wal: true }],
    ['three.8', 'bare/three', 'F: an INSERT and two UPDATEs by key', { wal: true }],
    ['three.1', 'bare/three', 'F', { clients: 1 }],
    ['life.8', 'jobs/life', 'whole life: enqueue, claim, complete', both],
    ['life.1', 'jobs/life', 'whole life', { clients: 1 }],
    ['plain.life.8', 'plain/life', 'whole life', { wal: true }],
    ['plain.life.1', 'plain/life', 'whole life', { clients: 1 }],
    ['graphile.life', 'graphile/life', 'whole life', { wal: true }],
    ['boss.life', 'boss/life', 'whole life', { wal: true }],
    ['updates.8', 'bare/updates', 'two UPDATEs by key'],
    ['claim.8', 'jobs/claim', 'claim, complete, over a backlog', { ...both, jobs: 'second' }],
    ['plain.claim', 'plain/claim', 'claim, complete, over a backlog', { wal: true, jobs: 'second' }],
    ['insert_update.8', 'bare/insert_update', 'an INSERT and an UPDATE by key'],
    ['next.8', 'jobs/next', 'whole life with job_next: enqueue, next', { wal: true }],
    ['three.async', 'bare/three', 'F, synchronous_commit off', { set: async }],
    ['life.async', 'jobs/life', 'whole life, synchronous_commit off', { set: async }],
  ],
  batches: [
    ['batch.4', 'jobs/batch', 'whole life in batches of 100', { ...both, ...batches }],
    ['plain.batch', 'plain/batch', 'whole life in batches of 100', { wal: true, ...batches }],
    ['graphile.batch', 'graphile/batch', 'whole life in batches of 100', { wal: true, ...batches }],
    ['boss.batch', 'boss/batch', 'whole life in batches of 100', { wal: true, ...batches }],
    ['pgq.batch', 'pgq/batch', 'events in batches: 100 a transaction, one consumer',
      { clients: 4, beside: ['consumer'] }],
  ],
  bulk: [
    ['bulk', 'jobs/bulk', 'enqueue in one call', { how: 'sql', jobs: 0, args: { jobs: 'bulk' }, adds: 'bulk' }],
    ['copy', 'jobs/copy', 'COPY into a table like jobs', { how: 'sql', jobs: 0, args: { jobs: 'bulk' } }],
  ],
  transaction: [
    ['transaction', 'jobs/transaction', 'claims and completions in one transaction',
      { how: 'sql', jobs: 'transaction', args: { jobs: 'transaction' }, ends: 'transaction' }],
  ],
  tenants: [
    ['tenant.life', 'jobs/tenant_life', 'whole life of a tenant\'s job', { change: true, fill: 'tenants' }],
    ['bound.life', 'jobs/tenant_life', 'the same with three foreign keys',
      { change: true, scene: 'bind', fresh: true, fill: 'tenants' }],
    ['tenant.batch', 'jobs/tenant_batch', 'of tenants\' jobs in batches of 100',
      { change: true, fill: 'tenants', jobs: 'batches' }],
    ['bound.batch', 'jobs/tenant_batch', 'the same with three foreign keys',
      { change: true, scene: 'bind', fresh: true, fill: 'tenants', jobs: 'batches' }],
  ],
  held: [
    ['calm', 'jobs/life', 'whole life, nobody else there', { beside: ['sample'] }],
    ['held', 'jobs/life', 'whole life, a snapshot is held',
      { change: true, beside: ['snapshot', 'sample'], ...long }],
    ['asleep', 'jobs/life', 'whole life, claims of another type sleep',
      { change: true, beside: ['asleep', 'sample'], ...long }],
    ['plain.calm', 'plain/life', 'whole life, nobody else there', { beside: ['sample'] }],
    ['plain.held', 'plain/life', 'whole life, a snapshot is held', { beside: ['snapshot', 'sample'], ...long }],
  ],
  types: [
    ['types.one', 'jobs/claim', 'claim, complete, one type', kinds],
    ['types.any', 'jobs/claim_any', 'any of 1 000 types', { ...kinds, fill: 'types' }],
    ['types.named', 'jobs/claim_named', '1 000 types by name', { ...kinds, fill: 'types' }],
  ],
  delayed: [
    ['now', 'jobs/life', 'whole life, nothing in the way'],
    ['delayed', 'jobs/life', 'whole life, delayed jobs in the way', { scene: 'delayed', args: { delayed: 'delayed' } }],
    ['plain.now', 'plain/life', 'whole life, nothing in the way'],
    ['plain.delayed', 'plain/life', 'whole life, delayed jobs in the way',
      { scene: 'delayed', args: { delayed: 'delayed' } }],
  ],
  backlog: [
    ['few', 'jobs/life', 'whole life, 1 000 jobs ready', { jobs: 1000 }],
    ['many', 'jobs/life', 'whole life, 3 000 000 jobs ready', { scene: 'fill', args: { jobs: 'many' } }],
    ['plain.few', 'plain/life', 'whole life, 1 000 jobs ready', { jobs: 1000 }],
    ['plain.many', 'plain/life', 'whole life, 3 000 000 jobs ready', { scene: 'fill', args: { jobs: 'many' } }],
  ],
  crowd: [
    ['crowd.insert.8', 'bare/insert', 'T_ins'],
    ['crowd.insert', 'bare/insert', 'T_ins', crowd],
    ['crowd.claim.8', 'jobs/claim', 'claim, complete', { jobs: 'second' }],
    ['crowd.claim', 'jobs/claim', 'claim, complete', { ...crowd, jobs: 'second' }],
    ['crowd.plain.8', 'plain/claim', 'claim, complete', { jobs: 'second' }],
    ['crowd.plain', 'plain/claim', 'claim, complete', { ...crowd, jobs: 'second' }],
  ],
  wake: [
    ['wake', 'jobs/wake', 'from COMMIT to the answer of a sleeping claim',
      { how: 'wake', jobs: 0, clients: 'sleepers' }],
    ['wake.async', 'jobs/wake', 'the same without the flush: the enqueuer has synchronous_commit off',
      { how: 'wake', jobs: 0, clients: 'sleepers', set: async }],
  ],
  idle: [
    ['idle', 'jobs/old', 'the worker, 5 000 types and 1 000 000 ended jobs, 1 of 20 just archived', idle],
    ['idle.held', 'jobs/old', 'the same while a snapshot is held', { ...idle, beside: ['snapshot'] }],
  ],
};

// The jobs that one transaction adds and ends; `jobs` where what counts is neither, `keeps`: each client ends with one
// that it holds.
export const effects = {
  insert: { adds: 1 },
  three: { adds: 1, ends: 2 },
  updates: { ends: 2, jobs: 1 },
  insert_update: { adds: 1, ends: 1 },
  enqueue: { adds: 1 },
  life: { adds: 1, ends: 1 },
  sample: { adds: 1, ends: 1 },
  next: { adds: 1, ends: 1, keeps: 1 },
  claim: { ends: 1 },
  claim_any: { ends: 1 },
  claim_named: { ends: 1 },
  batch: { adds: 100, ends: 100 },
  tenant_life: { adds: 1, ends: 1 },
  tenant_batch: { adds: 100, ends: 100 },
};

// PgQ's consumer takes away what has been in a batch by rotating tables: what it adds is counted, and nothing ends.
effects['pgq/batch'] = { adds: 100 };

// Scripts that are others of the same folder, one after the other.
export const sequences = {
  'jobs/life': ['enqueue', 'claim'],
  'plain/life': ['enqueue', 'claim'],
};

export const systems = {
  bare: { title: 'bare statements', tables: ['narrow'] },
  jobs: { title: 'jobs_ext', tables: ['jobs'] },
  plain: { title: 'a plain SKIP LOCKED table', tables: ['plain'] },
  pgq: { title: 'PgQ', tables: [], extension: 'pgq' },
  graphile: { title: 'graphile-worker', tables: ['_private_jobs'], npm: 'graphile-worker' },
  boss: { title: 'pg-boss', tables: ['job', 'job_common'], npm: 'pg-boss' },
};

// In a whole run, with --quick, with --smoke.
export const sizes = {
  ready: [100, 100, 20],
  batches: [1000, 1000, 1000],
  second: [20000, 20000, 2000],
  bulk: [100000, 20000, 500],
  transaction: [10000, 2000, 100],
  kinds: [1000, 1000, 20],
  many: [3000000, 100000, 1000],
  delayed: [1000000, 100000, 1000],
  sleepers: [100, 100, 5],
  idle_kinds: [5000, 1000, 20],
  idle_jobs: [1000000, 50000, 500],
  crowd: [256, 256, 20],
  crowd_times: [3, 3, 1],
  long: [30, 10, 1],
};

export const cells = Object.entries(groups).flatMap(([group, list]) => list.map(([name, path, label, rest = {}]) => {
  const [system, script] = path.split('/');
  return { name, group, system, script, label, effect: effects[path] ?? effects[script] ?? {}, ...rest };
}));
