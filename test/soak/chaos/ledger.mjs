// What the server acknowledged, kept outside of it: a line of a file for each fact, written after the acknowledgement,
// and the same in memory. Facts that contradict each other are faults as soon as they are known.
import { createWriteStream } from 'node:fs';

export class Ledger {
  #file;
  jobs = new Map();          // id → { completed: { lease_id, attempt }, leases: Map of attempt → { lease, era } }
  undone = new Set();        // ids that were rolled back: nobody may ever see them
  steps = new Map();         // id → what its first step was completed with
  faults = [];
  errors = new Map();        // SQLSTATE or error code → how often
  calls = new Map();         // verb → how often it was acknowledged
  recent = [];               // the ids of the last 2 000 and more
  era = 0;                   // rises with each crash: a claim is not flushed, so that a crash may undo it


  constructor(path) {
    this.#file = createWriteStream(path, { flags: 'a' });
  }

  #write(...fact) {
    this.#file.write(`${Date.now()} ${fact.join(' ')}\n`);
  }

  fault(text) {
    this.#write('FAULT', text);
    this.faults.push(text);
  }

  count(verb) {
    this.calls.set(verb, (this.calls.get(verb) ?? 0) + 1);
  }

  error(code) {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }

  crashed() {
    this.era++;
    this.#write('crash', this.era);
  }

  enqueued(id) {
    if (this.undone.has(id)) this.fault(`${id} was rolled back and is there`);
    if (this.jobs.has(id)) return;
    this.#write('enqueued', id);
    this.jobs.set(id, { completed: null, leases: new Map() });
    this.recent.push(id);
    if (this.recent.length > 4000) this.recent.splice(0, 2000);
  }

  rolledBack(id) {
    if (this.jobs.has(id)) return;             // a key that was there before
    this.#write('rolled-back', id);
    this.undone.add(id);
  }

  // The same attempt under two leases is one job in two hands, unless a crash undid the first claim.
  // startedIn: the era in which the call that claimed it began.
  claimed({ id, attempt, lease_id }, startedIn) {
    this.enqueued(id);
    this.#write('claimed', id, attempt, lease_id);
    const { leases, completed } = this.jobs.get(id);
    const before = leases.get(attempt);
    if (before && before.lease !== lease_id && before.era >= this.era) {
      this.fault(`${id}: attempt ${attempt} was given to ${before.lease} and to ${lease_id}`);
    }
    if (completed && attempt > completed.attempt) this.fault(`${id}: given out again after it completed`);
    leases.set(attempt, { lease: lease_id, era: startedIn });
  }

  completed({ id, attempt, lease_id }) {
    this.enqueued(id);
    const job = this.jobs.get(id);
    if (job.completed && job.completed.lease_id !== lease_id) {
      this.fault(`${id}: completed under ${job.completed.lease_id} and ${lease_id}`);
    }
    if (!job.completed) this.#write('completed', id, lease_id);
    job.completed = { lease_id, attempt };
  }

  // `result`: under which lease. What was completed stays so, and is never done again.
  stepCompleted(id, result) {
    const before = this.steps.get(id);
    if (before && before !== result) this.fault(`${id}: its step was completed under ${before} and ${result}`);
    if (!before) this.#write('step', id, result);
    this.steps.set(id, result);
  }

  close() {
    return new Promise((resolve) => this.#file.end(resolve));
  }
}
