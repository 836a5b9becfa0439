// What the figures of the cells are held against: what is measured, the bound, and how to compute it.
// `f(cell)` is the median rate of a cell, `f(cell, figure)` that of another of its figures.
const ratio = (one, other, figure = 'per_second') => (f) => f(one, figure) / f(other, figure);
// How much of the rate is left at the end of what goes on for long, when a crowd's sessions are warm as well.
const left = (one, other) => (f) => (f(one, 'end_per_second') || f(one)) / f(other);

export const figures = [
  ['enqueue, T_ins being 1', '≥', 0.85, ratio('enqueue.8', 'insert.8')],
  ['whole life in three transactions, F being 1', '≥', 1.1, ratio('life.8', 'three.8')],
  ['whole life in three transactions, a plain SKIP LOCKED table being 1', '≥', 1.5, ratio('life.8', 'plain.life.8')],
  ['claim and complete, two UPDATEs by key being 1', '≥', 1.3, ratio('claim.8', 'updates.8')],
  ['server CPU of a whole life, F being 1', '≤', 0.95, ratio('life.8', 'three.8', 'cpu_us')],
  ['server CPU of a whole life, F being 1, synchronous_commit off', '≤', 1.3,
    ratio('life.async', 'three.async', 'cpu_us')],
  ['whole life with job_next, an INSERT and an UPDATE by key being 1', '≥', 0.9, ratio('next.8', 'insert_update.8')],
  ['batches of 100, a plain SKIP LOCKED table being 1', '≥', 1.2, ratio('batch.4', 'plain.batch')],
  ['heap-only updates: single calls', '≥', 0.99, (f) => f('life.8', 'hot')],
  ['heap-only updates: single claims after bulk enqueue', '≥', 0.99, (f) => f('claim.8', 'hot')],
  ['heap-only updates: batches of 100', '≥', 0.95, (f) => f('batch.4', 'hot')],
  ['bulk enqueue in one call, COPY being 1', '≥', 0.5, ratio('bulk', 'copy')],
  ['WAL of a whole life, bytes', '≤', 1500, (f) => f('life.8', 'wal_replica')],
  ['WAL of a whole life in batches of 100, bytes', '≤', 1500, (f) => f('batch.4', 'wal_replica')],
  ['a snapshot held: the rate at the end, the rate without being 1', '≥', 0.95, left('held', 'calm')],
  ['a snapshot held: a claim that 99 of 100 do not exceed', '≤', 2, ratio('held', 'calm', 'claim_p99_ms')],
  ['sleepers of another type: the rate at the end', '≥', 0.95, left('asleep', 'calm')],
  ['sleepers of another type: a claim that 99 of 100 do not exceed', '≤', 2, ratio('asleep', 'calm', 'claim_p99_ms')],
  ['one transaction: the last tenth of its claims, the first being 1', '≥', 0.9,
    (f) => f('transaction', 'last') / f('transaction', 'first')],
  ['any of 1 000 types, one type being 1', '≥', 0.5, ratio('types.any', 'types.one')],
  ['1 000 types by name, one type being 1', '≥', 0.5, ratio('types.named', 'types.one')],
  ['1 000 000 delayed jobs of priority 10 in the way, none being 1', '≥', 0.95, ratio('delayed', 'now')],
  ['a backlog of 3 000 000 jobs, 1 000 being 1', '≥', 0.95, ratio('many', 'few')],
  ['256 claiming clients, 8 being 1', '≥', 0.75, left('crowd.claim', 'crowd.claim.8')],
  ['from COMMIT\'s answer to a sleeper\'s, 100 sleepers: median, ms', '≤', 0.5, (f) => f('wake', 'p50_ms')],
  ['from COMMIT\'s answer to a sleeper\'s, 100 sleepers: 99 of 100 within, ms', '≤', 5, (f) => f('wake', 'p99_ms')],
  ['the worker of an idle database, % of a core', '≤', 0.2, (f) => f('idle', 'percent_of_a_core')],
  ['the worker of an idle database while a snapshot is held, % of a core', '≤', 0.2,
    (f) => f('idle.held', 'percent_of_a_core')],
];

// What has no bound of its own, to be seen beside these.
export const beside = [
  ['from sending COMMIT to a sleeper\'s answer: median, ms', (f) => f('wake', 'sent_p50_ms')],
  ['… of which COMMIT itself: median, ms', (f) => f('wake', 'commit_p50_ms')],
  ['… the sleeper\'s answer is there before COMMIT\'s: share', (f) => f('wake', 'before_commits_answer')],
  ['from sending COMMIT to a sleeper\'s answer, without a flush: median, ms', (f) => f('wake.async', 'sent_p50_ms')],
  ['bare INSERTs: 256 clients, 8 being 1', left('crowd.insert', 'crowd.insert.8')],
  ['a plain SKIP LOCKED table: 256 claiming clients, 8 being 1', left('crowd.plain', 'crowd.plain.8')],
  ['a plain SKIP LOCKED table: a snapshot held', left('plain.held', 'plain.calm')],
  ['a plain SKIP LOCKED table: delayed jobs in the way', ratio('plain.delayed', 'plain.now')],
  ['a plain SKIP LOCKED table: a backlog', ratio('plain.many', 'plain.few')],
];
