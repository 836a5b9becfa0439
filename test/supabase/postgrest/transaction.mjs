// One request is one transaction, of a session that logged in as authenticator: the role of the token, its claims and
// the settings of that role for this transaction alone, one statement, COMMIT.
import { createHash } from 'node:crypto';

const ISOLATION = /^(read committed|repeatable read|serializable)$/;

function settingsOf(schema, request) {
  const settings = [
    ['search_path', '"public", "extensions"'],
    ['role', request.role],
    ['request.jwt.claims', JSON.stringify(request.claims)],
    ['request.method', request.method],
    ['request.path', request.path],
    ['request.headers', JSON.stringify(request.headers)],
    ['request.cookies', '{}'],
  ];
  for (const { name, value } of schema.settingsOfRole(request.role))
    if (name !== 'default_transaction_isolation') settings.push([name, value]);
  // Of the function, last: it may raise what its caller has.
  for (const [name, value] of Object.entries(request.settings ?? {}))
    if (name !== 'default_transaction_isolation') settings.push([name, value]);
  return settings;
}

function beginOf(schema, request) {
  const isolation = request.settings?.default_transaction_isolation ??
    schema.settingsOfRole(request.role).find(({ name }) => name === 'default_transaction_isolation')?.value ??
    'read committed';
  if (!ISOLATION.test(isolation)) throw new Error(`isolation level: ${isolation}`);
  return `begin isolation level ${isolation} read ${request.readOnly ? 'only' : 'write'}`;
}

// Prepared in the session under a name, and so planned once for many requests, of whatever role.
const prepared = ({ text, values }) =>
  ({ name: createHash('sha1').update(text).digest('hex'), text, values });

// What the statement gives; check() may throw, which rolls back.
export async function run(pool, schema, request, statement, check) {
  const client = await pool.connect();
  let broken;
  try {
    await client.query(beginOf(schema, request));
    const settings = settingsOf(schema, request);
    await client.query(prepared({
      text: `select ${settings.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`).join(', ')}`,
      values: settings.flat(),
    }));
    const { rows: [answer] } = await client.query(prepared(statement));
    check(answer);
    await client.query('commit');
    return answer;
  } catch (error) {
    await client.query('rollback').catch((lost) => { broken = lost; });
    throw error;
  } finally {
    client.release(broken);
  }
}
