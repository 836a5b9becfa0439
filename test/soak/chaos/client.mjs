// A client: verbs one after the other, by themselves, in transactions and in two phases, until the time is over; and
// what it may meet.
import { isCutOff } from './session.mjs';
import { sleep } from './random.mjs';
import { ALLOWED_IN_SQL, PLAIN_SQL, VERBS, VERBS_IN_TRANSACTIONS, Verbs } from './verbs.mjs';

export class Client extends Verbs {
  async run(until) {
    const ways = [[82, () => this.#alone()], [8, () => this.#inTransaction()], [3, () => this.#inTwoPhases()],
      [1, () => this.#die()], [6, () => sleep(this.random.between(0, 200))]];
    while (Date.now() < until) {
      try {
        this.snapshotStays = false;
        await this.random.weighted(ways)();
      } catch (error) {
        await this.#met(error);
      }
    }
    await this.session.close();
  }

  async #met(error) {
    if (!isCutOff(error)) {
      this.ledger.error(error.code);
      const isAllowed =
        this.isAllowed(error.code) || error.isOfTime || (error.plainSql && ALLOWED_IN_SQL.has(error.code));
      if (!isAllowed) {
        this.ledger.fault(`${this.name}: ${error.verb}: ${error.code} ${error.message}; ${error.detail ?? ''}`);
      }
      return;
    }
    this.ledger.error(error.code ?? 'cut off');
    if (error.code === '57P02' || error.code === '57P03') this.ledger.crashed();
    await sleep(this.random.between(10, 300));
  }

  // ---- how verbs are put together

  async #verb(name = this.random.weighted(VERBS)) {
    try {
      return { name, effects: await this[name]() };
    } catch (error) {
      error.verb = name;
      error.plainSql = PLAIN_SQL.has(name);
      throw error;
    }
  }

  async #alone() {
    const { name, effects } = await this.#verb();
    effects.forEach((effect) => effect.happened());
    this.ledger.count(name);
  }

  // Several verbs, some undone by ROLLBACK TO SAVEPOINT, all by ROLLBACK, or done by the given end.
  async #transaction(begin, end) {
    const done = [], undone = [];
    const names = [];
    await this.session.query(begin);
    try {
      for (let verbs = this.random.between(1, 5); verbs > 0; verbs--) {
        await this.session.query('savepoint s');
        try {
          const { name, effects } = await this.#verb(this.random.weighted(VERBS_IN_TRANSACTIONS));
          const keep = this.random.chance(0.8);
          (keep ? done : undone).push(...effects);
          names.push(name);
          await this.session.query(keep ? 'release savepoint s' : 'rollback to savepoint s');
        } catch (error) {
          if (isCutOff(error)) throw error;
          await this.#met(error);
          await this.session.query('rollback to savepoint s');
        }
        if (this.random.chance(0.2)) await sleep(this.random.between(0, 100));
      }
      if (this.random.chance(0.15)) {
        await this.session.query('rollback');
        undone.push(...done.splice(0));
      } else {
        await end();
      }
    } catch (error) {
      // An error leaves nothing behind; after a cut nobody knows.
      if (!isCutOff(error)) {
        await this.session.query('rollback');
        done.forEach((effect) => effect.undone());
      }
      undone.forEach((effect) => effect.undone());
      throw error;
    }
    done.forEach((effect) => effect.happened());
    undone.forEach((effect) => effect.undone());
    names.forEach((name) => this.ledger.count(name));
    this.ledger.count('transaction');
  }

  #inTransaction() {
    const level = this.random.weighted([[3, 'read committed'], [2, 'repeatable read'], [1, 'serializable']]);
    this.snapshotStays = level !== 'read committed';
    return this.#transaction(`begin isolation level ${level}`, () => this.session.query('commit'));
  }

  // Once PREPARE is acknowledged, it is ours to bring to its end, however often we are cut off.
  async #inTwoPhases() {
    const name = `${this.name}-${++this.keys}`;
    await this.#transaction('begin', async () => {
      await this.#prepare(name);
      await sleep(this.random.between(0, 50));
      try {
        await this.session.insist(`commit prepared '${name}'`);
      } catch (error) {
        if (error.code !== '42704') throw error;   // not there any more: the one before, whose reply was lost, did it
      }
      this.ledger.count('two phases');
    });
  }

  async #prepare(name) {
    try {
      await this.session.query(`prepare transaction '${name}'`);
    } catch (error) {
      // What nobody acknowledged and may be there all the same would hold its locks for ever.
      if (isCutOff(error)) await this.session.insist(`rollback prepared '${name}'`).catch(() => {});
      throw error;
    }
  }

  // The process is gone, in the middle of a call, and what it held stays held until the lease runs out.
  async #die() {
    const claim = `select * from job_claim(worker => $1, lease => '3 s', wait => '2 s')`;
    const call = this.session.query(claim, [this.name])
      .catch(() => {});
    await sleep(this.random.between(0, 300));
    this.session.abandon();
    await call;
    this.leases.length = 0;
    this.ledger.count('died');
  }
}
