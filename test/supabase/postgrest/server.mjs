// HTTP: what a request asks for, and the answer. As the gateway of a Supabase project does, it serves /rest/v1 and
// wants an apikey.
import { createServer } from 'node:http';
import { HttpError, fromPostgres, notKnown } from './errors.mjs';
import { parseQuery } from './grammar.mjs';
import { verify } from './jwt.mjs';
import { callStatement, deleteStatement, insertStatement, readStatement, updateStatement } from './sql.mjs';
import { run } from './transaction.mjs';

const OBJECT = 'application/vnd.pgrst.object+json';
const ANSWERS = new Set([OBJECT, 'application/json', 'application/vnd.pgrst.array+json', '*/*']);
const PREFERENCES = {
  return: ['representation', 'minimal'], count: ['exact'], resolution: ['merge-duplicates', 'ignore-duplicates'],
  handling: ['strict', 'lenient'],
};

// The headers.

function callerOf(headers, secret) {
  if (!headers.apikey) throw new HttpError(401, 'gateway', 'No API key found in request');
  verify(headers.apikey, secret);
  const token = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers.apikey;
  const claims = verify(token, secret);
  return { claims, role: claims.role ?? 'anon' };
}

function preferencesOf(header = '') {
  const preferences = {};
  for (const each of header.split(',').map((text) => text.trim()).filter(Boolean)) {
    const [name, value] = each.split('=');
    if (!PREFERENCES[name]?.includes(value)) throw notKnown(`the preference ${each}`);
    preferences[name] = value;
  }
  return preferences;
}

function acceptOf(header = '*/*') {
  const accepted = header.split(',').map((text) => text.trim()).find((text) => ANSWERS.has(text));
  if (!accepted) throw notKnown(`an answer of the type ${header}`);
  return accepted === OBJECT ? 'object' : 'rows';
}

function checkProfile(headers) {
  for (const name of ['accept-profile', 'content-profile'])
    if (headers[name] && headers[name] !== 'public')
      throw new HttpError(406, 'PGRST106', `Invalid schema: ${headers[name]}`, null,
        'Only the following schemas are exposed: public');
}

function applyRange(header, level) {
  if (!header) return;
  const [, first, last] = /^(\d+)-(\d*)$/.exec(header) ?? [];
  if (first === undefined) throw new HttpError(416, 'PGRST103', 'Requested range not satisfiable');
  level.offset ??= Number(first);
  if (last) level.limit ??= Number(last) - Number(first) + 1;
}

// What is to be done: a statement, in which kind of transaction, and the status of success.

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, 'PGRST102', 'Empty or invalid json');
  }
}

function callPlan(schema, request, name) {
  const byPost = request.method === 'POST';
  if (!byPost && request.method !== 'GET' && request.method !== 'HEAD')
    throw new HttpError(405, 'PGRST101', `Cannot use the ${request.method} method on RPC`);
  const query = parseQuery(request.parameters,
    byPost ? undefined : (key) => schema.hasArgument(name, key));
  const body = byPost ? parseJson(request.body || '{}') : query.given;
  if (!isObject(body)) throw notKnown('a function that is called with an array');
  const given = Object.keys(body);
  const called = schema.function(name, given);
  if (request.preferences.count && !called.composite) throw notKnown('count of what is no row');
  return {
    readOnly: !byPost || !called.volatile, settings: called.settings, status: called.void ? 204 : 200,
    single: request.accept === 'object' && called.set, paged: query,
    statement: callStatement(schema, { called, query, given, values: body, json: byPost ? request.body || '{}' : null,
      count: request.preferences.count, body: request.accept }),
  };
}

const WRITES = {
  POST: { statement: insertStatement, status: [201, 201] },
  PATCH: { statement: updateStatement, status: [204, 200] },
  DELETE: { statement: deleteStatement, status: [204, 200] },
};

function tablePlan(schema, request, name) {
  const relation = schema.relation(name);
  const query = parseQuery(request.parameters);
  const { preferences, accept } = request;
  const single = accept === 'object';
  if (request.method === 'GET' || request.method === 'HEAD') {
    applyRange(request.headers.range, query.levels.get(''));
    return { readOnly: true, status: 200, single, paged: query,
      statement: readStatement(schema, { relation, query, count: preferences.count, body: accept }) };
  }
  const write = WRITES[request.method];
  if (!write) throw notKnown(`${request.method} on a table`);
  const json = request.method === 'DELETE' ? null : request.body;
  if (json !== null && typeof parseJson(json) !== 'object')
    throw new HttpError(400, 'PGRST102', 'Empty or invalid json');
  const representation = preferences.return === 'representation';
  return { readOnly: false, status: write.status[Number(representation)], single: single && representation,
    statement: write.statement(schema, { relation, query, json, representation, count: preferences.count, body: accept,
      resolution: preferences.resolution }) };
}

function planOf(schema, request) {
  const [, call, name] = /^\/rest\/v1\/(rpc\/)?([^/]+)$/.exec(request.path) ?? [];
  if (!name) throw new HttpError(404, 'PGRST125', 'Invalid path specified in request URL');
  const plan = call ? callPlan(schema, request, decodeURIComponent(name))
    : tablePlan(schema, request, decodeURIComponent(name));
  return { ...request, ...plan };
}

// The answer.

function checkSingle(plan) {
  return ({ page_total: count }) => {
    if (plan.single && Number(count) !== 1)
      throw new HttpError(406, 'PGRST116', 'Cannot coerce the result to a single JSON object',
        `The result contains ${count} rows`);
  };
}

// The numbers of the rows that it holds, of how many.
function rangeOf(plan, { page_total, total_result_set }) {
  const first = plan.paged?.levels.get('').offset ?? 0;
  const count = Number(page_total);
  const total = total_result_set === null ? null : Number(total_result_set);
  if (total !== null && first > 0 && first >= total)
    throw new HttpError(416, 'PGRST103', 'Requested range not satisfiable',
      `An offset of ${first} was requested, but there are only ${total} rows.`);
  return { text: `${count === 0 ? '*' : `${first}-${first + count - 1}`}/${total ?? '*'}`,
    partial: plan.paged && total !== null && count < total };
}

async function answerTo(request, { pool, schema }) {
  const asHttp = (error) => {
    throw error instanceof HttpError ? error : fromPostgres(error, request.role === 'anon');
  };
  const known = await schema().catch(asHttp);
  const plan = planOf(known, request);
  const result = await run(pool, known, plan, plan.statement, checkSingle(plan)).catch(asHttp);
  const range = rangeOf(plan, result);
  const status = range.partial && plan.status === 200 ? 206 : plan.status;
  return { status, body: status === 204 ? '' : result.body, headers: { 'content-range': range.text,
    'content-type': plan.single ? `${OBJECT}; charset=utf-8` : 'application/json; charset=utf-8' } };
}

async function bodyOf(message) {
  const parts = [];
  for await (const part of message) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function requestOf(message, secret) {
  const url = new URL(message.url, 'http://stand-in');
  const { headers } = message;
  const body = await bodyOf(message);
  checkProfile(headers);
  return { method: message.method, path: url.pathname, parameters: url.searchParams, headers, body,
    ...callerOf(headers, secret), accept: acceptOf(headers.accept), preferences: preferencesOf(headers.prefer) };
}

// state: the secret, the pool, and schema(), which gives the newest reading of it.
export function serve(state) {
  return createServer(async (message, response) => {
    let answer;
    try {
      answer = await answerTo(await requestOf(message, state.secret), state);
    } catch (error) {
      const said = error instanceof HttpError ? error
        : new HttpError(500, 'STANDIN', `the stand-in failed: ${error.stack}`);
      answer = { status: said.status, body: JSON.stringify(said.body),
        headers: { 'content-type': 'application/json; charset=utf-8' } };
    }
    response.writeHead(answer.status, answer.headers);
    response.end(message.method === 'HEAD' ? '' : answer.body);
  });
}
