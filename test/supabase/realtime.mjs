// A stand-in for Realtime beside that for PostgREST: channels that ask for changes of a table get them, from a slot of
// wal2json, which Realtime takes as well. Whom a change concerns is asked as the subscriber, by its token: row security
// and the filter have to show the row. It runs until its process ends. What it is not: a proof that the real one
// agrees.
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const { WebSocketServer } = createRequire(new URL('../../examples/package.json', import.meta.url))('ws');
const SLOT = 'stand_in_for_realtime';
const KINDS = { I: 'INSERT', U: 'UPDATE', D: 'DELETE' };

// The changes since the last call, of tables that are published.
async function changes(sql) {
  const rows = await sql(
    `select c.data::jsonb as data from pg_logical_slot_get_changes('${SLOT}', null, null, 'format-version', '2') c
     where exists (select from pg_publication_tables p where p.pubname = 'supabase_realtime'
                   and p.schemaname = c.data::jsonb ->> 'schema' and p.tablename = c.data::jsonb ->> 'table')`);
  return rows.map(({ data }) => data).filter(({ action }) => KINDS[action]);
}

const rowOf = (columns = []) => Object.fromEntries(columns.map(({ name, value }) => [name, value]));

async function isShown(url, apikey, { token, wanted }, { table }, row) {
  const filter = wanted.filter ? `&${wanted.filter}` : '';
  const answer = await fetch(`${url}/rest/v1/${table}?select=id&id=eq.${row.id}${filter}`,
    { headers: { apikey, authorization: `Bearer ${token}` } });
  return answer.ok && (await answer.json()).length === 1;
}

const concerns = ({ wanted }, { action, schema, table }) => wanted.schema === schema && wanted.table === table &&
  (wanted.event === '*' || wanted.event === KINDS[action]);

// server, url, apikey: of the stand-in for PostgREST. sql(text) returns rows, and may read the slot.
export async function serveRealtime({ server, url, anonKey: apikey }, sql) {
  await sql(`select pg_create_logical_replication_slot('${SLOT}', 'wal2json')`);
  const subscriptions = new Map();
  let last = 0;
  const events = {
    phx_join(socket, topic, { config, access_token: token }) {
      const bound = config.postgres_changes.map((wanted) => ({ ...wanted, id: last += 1 }));
      for (const wanted of bound) subscriptions.set(wanted.id, { socket, topic, token: token ?? apikey, wanted });
      return { postgres_changes: bound };
    },
    // A user's token may come after the channel, and is renewed.
    access_token(socket, topic, { access_token: token }) {
      for (const each of subscriptions.values()) if (each.socket === socket && each.topic === topic) each.token = token;
    },
  };
  const answers = new WebSocketServer({ server, path: '/realtime/v1/websocket' });
  answers.on('connection', (socket) => socket.on('message', (text) => {
    const [joined, reference, topic, event, payload] = JSON.parse(text);
    const response = events[event]?.(socket, topic, payload) ?? {};
    socket.send(JSON.stringify([joined, reference, topic, 'phx_reply', { status: 'ok', response }]));
  }));
  const tell = async (change) => {
    const record = rowOf(change.columns);
    for (const [id, subscription] of subscriptions) {
      if (!concerns(subscription, change)) continue;
      if (change.action !== 'D' && !await isShown(url, apikey, subscription, change, record)) continue;
      const data = { schema: change.schema, table: change.table, type: KINDS[change.action], record,
        commit_timestamp: new Date().toISOString(), errors: null, old_record: rowOf(change.identity),
        columns: (change.columns ?? []).map(({ name, type }) => ({ name, type })) };
      subscription.socket.send(JSON.stringify(
        [null, null, subscription.topic, 'postgres_changes', { ids: [id], data }]));
    }
  };
  (async () => {
    for (; ; await sleep(50)) for (const change of await changes(sql)) await tell(change);
  })();
  // How many there are with a user's token.
  return { subscribers: () => [...subscriptions.values()].filter(({ token }) => token !== apikey).length };
}
