// A connection that comes back when it was cut, and what its errors mean.
import { createRequire } from 'node:module';
import { sleep } from './random.mjs';

// The library of the examples: the one that the project installs.
const pg = createRequire(new URL('../../../examples/package.json', import.meta.url))('pg');

// The server did not say what became of the statement: terminated, crashed, starting, or no connection at all.
const CUT_OFF = /^(57P0[123]|08...)$/;

export const isCutOff = (error) => !error.severity || CUT_OFF.test(error.code);

export class Session {
  #settings;
  #options;
  client = null;

  constructor(name, settings = [], options = {}) {
    this.#options = { application_name: name, ...options };
    this.#settings = settings;
  }

  async #connect() {
    const client = new pg.Client(this.#options);
    client.on('error', () => {});              // what is cut while nothing runs is met by the next query
    await client.connect();
    for (const setting of this.#settings) await client.query(setting);
    this.client = client;
  }

  // Rows of one statement. Throws what the server said; after a cut the next query is one of a new session.
  async query(text, values) {
    if (!this.client) await this.#connect();
    try {
      return (await this.client.query(text, values)).rows;
    } catch (error) {
      if (isCutOff(error)) this.abandon();
      throw error;
    }
  }

  // As somebody whose process dies: without a word to the server.
  abandon() {
    this.client?.connection.stream.destroy();
    this.client = null;
  }

  // Until the server answers again.
  async insist(text, values, patience = 60_000) {
    for (const end = Date.now() + patience; ;) {
      try {
        return await this.query(text, values);
      } catch (error) {
        if (!isCutOff(error) || Date.now() > end) throw error;
        await sleep(100);
      }
    }
  }

  async close() {
    await this.client?.end().catch(() => {});
    this.client = null;
  }
}
