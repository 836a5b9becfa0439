// What the tests of this folder share: a running stand-in, two organisations with a member each, and clients.
//
// The database is the one that PGHOST, PGPORT and PGDATABASE name, with shim.sql and the extension in it; we look
// behind the scenes as PGUSER, a superuser.
import { createRequire } from 'node:module';
import { start } from './postgrest.mjs';

export const require = createRequire(new URL('../../examples/supabase/job-service.js', import.meta.url));
const pg = require('pg');
const { createClient } = require('@supabase/supabase-js');

export const OWN = '11111111-1111-1111-1111-111111111111';
export const OTHER = '22222222-2222-2222-2222-222222222222';
export const NIL = '00000000-0000-0000-0000-000000000000';
const ANN = 'aaaaaaaa-0000-0000-0000-000000000000';
const BOB = 'bbbbbbbb-0000-0000-0000-000000000000';

const PREPARE = `
  truncate public.jobs, public.jobs_archive, public.job_attempts;
  insert into public.organisations values ('${OWN}', 'own'), ('${OTHER}', 'other') on conflict do nothing;
  insert into auth.users (id, email) values ('${ANN}', 'ann@example.org'), ('${BOB}', 'bob@example.org')
  on conflict do nothing;
  insert into public.profiles values ('${ANN}', '${OWN}'), ('${BOB}', '${OTHER}') on conflict do nothing`;

// One that has no session and asks no server for a token.
const client = (url, key, token) => createClient(url, key, {
  auth: { persistSession: false, autoRefreshToken: false },
  ...(token && { accessToken: async () => token }),
});

export async function open(options) {
  const admin = new pg.Client();
  await admin.connect();
  await admin.query(PREPARE);
  const standIn = await start(options);
  const user = (sub, claims) => standIn.token({ role: 'authenticated', sub, ...claims });
  const tokens = {
    member: user(ANN, { org_id: OWN }), other: user(BOB, { org_id: OTHER }), unclaimed: user(ANN),
  };
  process.env.SUPABASE_URL = standIn.url;
  process.env.SUPABASE_ANON_KEY = standIn.anonKey;
  process.env.SUPABASE_SERVICE_ROLE_KEY = standIn.serviceKey;
  return {
    ...standIn, tokens, ann: ANN,
    service: client(standIn.url, standIn.serviceKey),
    anon: client(standIn.url, standIn.anonKey),
    as: (who) => client(standIn.url, standIn.anonKey, tokens[who]),
    sql: async (text, values) => (await admin.query(text, values)).rows,
    // Several statements; the result of each.
    sqlAll: (text) => admin.query(text),
    // DDL, after which the stand-in reads the schema again.
    async ddl(text) {
      await admin.query(text);
      standIn.reload();
    },
    async close() {
      await standIn.stop();
      await admin.end();
    },
  };
}

// For assert.rejects.
export const withCode = (code) => (error) => error.code === code;
