// The API of a project for test/tap/supabase_page.pl: the stand-ins for PostgREST and Realtime. Prints a line of JSON
// with URL and keys when they listen; then, for each line of input, an answer: for claims, the token that has them; for
// "subscribers", how many there are. Goes at the end of its input.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { start } from './postgrest.mjs';
import { serveRealtime } from './realtime.mjs';

const pg = createRequire(new URL('../../examples/package.json', import.meta.url))('pg');
const admin = new pg.Client();
await admin.connect();
const api = await start();
const realtime = await serveRealtime(api, async (text) => (await admin.query(text)).rows);
const { url, anonKey, serviceKey } = api;
console.log(JSON.stringify({ url, anonKey, serviceKey }));
for await (const line of createInterface({ input: process.stdin }))
  console.log(line === 'subscribers' ? realtime.subscribers() : api.token(JSON.parse(line)));
process.exit();
