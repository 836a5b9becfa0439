#!/usr/bin/env node
// A stand-in for PostgREST behind the gateway of a Supabase project: turns its forms of requests into SQL as it does,
// in transactions such as its own. Enough of it that supabase-js can't tell, for what the seed and
// examples/supabase do; what it does not know it refuses with 501. What it is not: a proof that the real one agrees.
//
//   postgrest.mjs [PORT]       prints a line of JSON with its URL and keys when it listens
//
// Connects as PGHOST, PGPORT and PGDATABASE say, as authenticator, with PGRST_POOL (10) sessions at most.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { sign } from './postgrest/jwt.mjs';
import { Schema } from './postgrest/schema.mjs';
import { serve } from './postgrest/server.mjs';

// The library of the examples: the one that the project installs.
const pg = createRequire(new URL('../../examples/package.json', import.meta.url))('pg');

// What is in the schema, read once, until PostgreSQL notifies that it has changed. A session that is lost is made anew.
function watchedSchema(connection) {
  let client = null, reading = null;
  const forget = () => { reading = null; };
  function lose() {
    client?.end().catch(() => {});
    client = null;
    forget();
  }
  async function read() {
    if (!client) {
      client = new pg.Client({ ...connection, application_name: 'stand-in: schema' });
      client.on('notification', forget);
      client.on('error', lose);
      await client.connect();
      await client.query('listen pgrst');
    }
    return Schema.read(client);
  }
  return { forget, lose, get: () => (reading ??= read().catch((error) => { lose(); throw error; })) };
}

// Options: pool, the number of sessions; port, 0 for any; secret, of the tokens; connection, as pg has it. Returns
// url, keys, the server, token(claims) for a user's token, reload() to have the schema read again at once, and stop().
export async function start({ pool: max = 10, port = 0, secret = 'the secret of a stand-in', connection = {} } = {}) {
  const login = { user: 'authenticator', application_name: 'stand-in', ...connection };
  const pool = new pg.Pool({ ...login, max });
  pool.on('error', () => {}); // of an idle session: the next request meets it
  const schema = watchedSchema(login);
  await schema.get();
  const server = serve({ secret, pool, schema: schema.get });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const token = (claims) => sign({ iss: 'stand-in', exp: Math.floor(Date.now() / 1000) + 3600, ...claims }, secret);
  return {
    url: `http://127.0.0.1:${server.address().port}`, server, pool, token,
    anonKey: token({ role: 'anon' }), serviceKey: token({ role: 'service_role' }),
    reload: schema.forget,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      schema.lose();
      await pool.end();
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const running = await start({ port: Number(process.argv[2] ?? 0), pool: Number(process.env.PGRST_POOL ?? 10) });
  const { url, anonKey, serviceKey } = running;
  console.log(JSON.stringify({ url, anonKey, serviceKey }));
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, running.stop);
}
