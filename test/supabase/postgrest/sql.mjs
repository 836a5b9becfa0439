// A request as one SQL statement of PostgREST's shape: what is asked for in `pgrst_source`, the answer from that as
// JSON. Values go in as parameters.
import { HttpError, notKnown } from './errors.mjs';
import { relationship } from './embedding.mjs';

const quote = (name) => `"${name.replaceAll('"', '""')}"`;
const inPublic = (name) => `"public".${quote(name)}`;
const literal = (text) => `'${text.replaceAll("'", "''")}'`;

class Parameters {
  values = [];

  add(value) {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

// Reading: a relation, what of it, and what is embedded.

function fieldSql(qualifier, { column, path }) {
  if (path.length === 0) return `${qualifier}.${quote(column)}`;
  const steps = path.map(({ arrow, key }) => `${arrow}${/^\d+$/.test(key) ? key : literal(key)}`);
  return `to_jsonb(${qualifier}.${quote(column)})${steps.join('')}`;
}

const arrayLiteral = (values) => `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;

function conditionSql(qualifier, filter, parameters) {
  const inner = filter.any ?? filter.all;
  let sql;
  if (inner)
    sql = `(${inner.map((each) => conditionSql(qualifier, each, parameters)).join(filter.any ? ' or ' : ' and ')})`;
  else if (filter.operator === 'is')
    sql = `${fieldSql(qualifier, filter.field)} is ${filter.value.toLowerCase().replace('_', ' ')}`;
  else if (filter.operator === 'in')
    sql = `${fieldSql(qualifier, filter.field)} = any (${parameters.add(arrayLiteral(filter.value))})`;
  else
    sql = `${fieldSql(qualifier, filter.field)} ${filter.operator} ${parameters.add(filter.value)}`;
  return filter.negated ? `not ${sql}` : sql;
}

const whereSql = (conditions) => (conditions.length ? ` where ${conditions.join(' and ')}` : '');

function orderSql(qualifier, terms = []) {
  if (terms.length === 0) return '';
  const sql = terms.map(({ field, direction, nulls }) =>
    `${fieldSql(qualifier, field)} ${direction}${nulls ? ` nulls ${nulls}` : ''}`);
  return ` order by ${sql.join(', ')}`;
}

function pageSql({ limit, offset }, parameters) {
  return (limit === undefined ? '' : ` limit ${parameters.add(limit)}::bigint`) +
    (offset === undefined ? '' : ` offset ${parameters.add(offset)}::bigint`);
}

class Reading {
  #schema;
  #query;
  #parameters;
  #aliases = 0;

  constructor(schema, query, parameters) {
    this.#schema = schema;
    this.#query = query;
    this.#parameters = parameters;
  }

  // from: the SQL of the FROM item, whose name is `qualifier`; filtered: whether the filters of this level still are
  // to be applied.
  select({ relation, from, qualifier, items, path = '', on = [], filtered = true }) {
    const level = this.#query.levels.get(path) ?? { filters: [] };
    const columns = [], joins = [], conditions = [...on];
    for (const item of items) {
      if (item.embedded) {
        const embedded = this.#embed(item.embedded, relation, qualifier, path);
        columns.push(embedded.column);
        joins.push(embedded.join);
        if (item.embedded.inner) conditions.push(embedded.exists);
      } else {
        columns.push(this.#column(item, qualifier));
      }
    }
    if (filtered) {
      conditions.push(...level.filters.map((filter) => conditionSql(qualifier, filter, this.#parameters)));
    }
    return `select ${columns.join(', ') || '1'} from ${from}${joins.join('')}${whereSql(conditions)}` +
      orderSql(qualifier, level.order) + (filtered ? pageSql(level, this.#parameters) : '');
  }

  #column(item, qualifier) {
    if (item.all) return `${qualifier}.*`;
    const sql = fieldSql(qualifier, item);
    const cast = item.cast ? `cast(${sql} as ${item.cast})` : sql;
    return item.alias ? `${cast} as ${quote(item.alias)}` : cast;
  }

  #embed(embedded, from, qualifier, path) {
    if (!from) throw new HttpError(400, 'PGRST200', 'Could not find a relationship: the result is of no table');
    const target = relationship(this.#schema, from, embedded);
    const name = quote(`${embedded.alias}_${++this.#aliases}`);
    const below = path ? `${path}.${embedded.alias}` : embedded.alias;
    // A row that went through a CTE has lost its type.
    const row = qualifier.replace(/^"public"\./, '');
    const source = target.function
      ? `${inPublic(target.function)}(${row}::${inPublic(from.name)})` : inPublic(target.to.name);
    const rows = this.select({ relation: target.to, from: `${source} as ${name}`, qualifier: name,
      items: embedded.select, path: below,
      on: target.pairs.map(([here, there]) => `${name}.${quote(there)} = ${qualifier}.${quote(here)}`) });
    const joined = quote(`joined_${this.#aliases}_${embedded.alias}`);
    const alias = quote(embedded.alias);
    if (target.one)
      return { join: ` left join lateral (${rows}) as ${joined} on true`, exists: `${joined} is distinct from null`,
        column: `row_to_json(${joined}.*) as ${alias}` };
    return {
      join: ` left join lateral (select json_agg(each) as rows from (${rows}) as each) as ${joined} on true`,
      exists: `${joined}.rows is not null`, column: `coalesce(${joined}.rows, '[]') as ${alias}` };
  }
}

// The answer.

const BODY = {
  rows: `coalesce(json_agg(_postgrest_t), '[]')`,
  object: `coalesce(json_agg(_postgrest_t)->0, 'null')`,
  scalar: `coalesce(json_agg(_postgrest_t.pgrst_scalar)->0, 'null')`,
  scalars: `coalesce(json_agg(_postgrest_t.pgrst_scalar), '[]')`,
  none: `''`,
};

function statement({ source, counted, total, body, rows, parameters }) {
  const text = `with pgrst_source as (${source})${counted ? `, pgrst_source_count as (${counted})` : ''} ` +
    `select ${total} as total_result_set, pg_catalog.count(_postgrest_t) as page_total, ` +
    `(${BODY[body]})::text as body from (${rows}) _postgrest_t`;
  return { text, values: parameters.values };
}

export function readStatement(schema, { relation, query, count, body }) {
  const parameters = new Parameters();
  const qualifier = inPublic(relation.name);
  const reading = new Reading(schema, query, parameters);
  const source = reading.select({ relation, from: qualifier, qualifier, items: query.select });
  let counted = null;
  if (count) {
    if (query.select.some((item) => item.embedded?.inner)) throw notKnown('count=exact with !inner');
    const conditions = query.levels.get('').filters.map((filter) => conditionSql(qualifier, filter, parameters));
    counted = `select 1 from ${qualifier}${whereSql(conditions)}`;
  }
  return statement({ source, counted, parameters, body, rows: 'select * from pgrst_source',
    total: count ? '(select pg_catalog.count(*) from pgrst_source_count)' : 'null::bigint' });
}

// Writing.

// The columns of the body, as a FROM item `pgrst_body`.
function bodySql(schema, relation, names, json, many, parameters) {
  const columns = names.map((name) => schema.column(relation, name));
  const list = columns.map(({ name }) => quote(name)).join(', ');
  const typed = columns.map(({ name, type }) => `${quote(name)} ${type}`).join(', ');
  return `(select ${parameters.add(json)}::json as json_data) pgrst_payload, lateral (select ${list} ` +
    `from json_to_record${many ? 'set' : ''}(pgrst_payload.json_data) as _(${typed})) pgrst_body`;
}

function namesIn(json, query) {
  const value = JSON.parse(json);
  const elements = [value].flat();
  if (query.columns) return { names: query.columns, many: Array.isArray(value), elements };
  const names = Object.keys(elements[0] ?? {});
  if (elements.some((element) => Object.keys(element).sort().join() !== [...names].sort().join()))
    throw new HttpError(400, 'PGRST102', 'All object keys must match');
  return { names, many: Array.isArray(value), elements };
}

// What a statement that writes gives back, which is only what was asked for: a column needs the right to SELECT it.
function returningSql(schema, relation, query, representation) {
  if (!representation) return ' returning 1';
  const qualifier = inPublic(relation.name);
  const columns = new Set();
  for (const item of query.select) {
    if (item.all) return ` returning ${qualifier}.*`;
    if (!item.embedded) {
      columns.add(item.column);
      continue;
    }
    const target = relationship(schema, relation, item.embedded);
    if (target.function) return ` returning ${qualifier}.*`;
    for (const [here] of target.pairs) columns.add(here);
  }
  return ` returning ${[...columns].map((name) => `${qualifier}.${quote(name)}`).join(', ') || '1'}`;
}

function written(schema, { relation, query, count, body, representation }, source, parameters) {
  const level = query.levels.get('');
  if (level.limit !== undefined || level.offset !== undefined) throw notKnown('limit and offset of what writes');
  const reading = new Reading(schema, query, parameters);
  const rows = representation
    ? reading.select({ relation, from: 'pgrst_source', qualifier: 'pgrst_source', items: query.select,
      filtered: false })
    : 'select * from pgrst_source';
  return statement({ source, parameters, rows, body: representation ? body : 'none',
    total: count ? '(select pg_catalog.count(*) from pgrst_source)' : 'null::bigint' });
}

function conflictSql(relation, { query, resolution }, names) {
  if (!resolution) return '';
  const key = query.onConflict ?? relation.key;
  if (key.length === 0) return '';
  const target = ` on conflict (${key.map(quote).join(', ')})`;
  if (resolution === 'ignore-duplicates') return `${target} do nothing`;
  return `${target} do update set ${names.map((name) => `${quote(name)} = excluded.${quote(name)}`).join(', ')}`;
}

export function insertStatement(schema, request) {
  const { relation, query, json } = request;
  const parameters = new Parameters();
  const { names, many, elements } = namesIn(json, query);
  const target = inPublic(relation.name);
  let rows;
  if (names.length > 0) {
    const list = names.map(quote).join(', ');
    rows = `(${list}) select ${names.map((name) => `pgrst_body.${quote(name)}`).join(', ')} ` +
      `from ${bodySql(schema, relation, names, json, many, parameters)}`;
  } else if (elements.length === 0) {
    rows = ` select null from ${target} where false`;
  } else {
    rows = ' default values';
  }
  const source = `insert into ${target}${rows}${conflictSql(relation, request, names)}` +
    returningSql(schema, relation, query, request.representation);
  return written(schema, request, source, parameters);
}

export function updateStatement(schema, request) {
  const { relation, query, json } = request;
  const parameters = new Parameters();
  const { names } = namesIn(json, query);
  if (names.length === 0) throw notKnown('an update of no column');
  const target = inPublic(relation.name);
  const body = bodySql(schema, relation, names, json, Array.isArray(JSON.parse(json)), parameters);
  const conditions = query.levels.get('').filters.map((filter) => conditionSql(target, filter, parameters));
  const source = `update ${target} set ` +
    names.map((name) => `${quote(name)} = pgrst_body.${quote(name)}`).join(', ') +
    ` from ${body}${whereSql(conditions)}${returningSql(schema, relation, query, request.representation)}`;
  return written(schema, request, source, parameters);
}

export function deleteStatement(schema, request) {
  const { relation, query } = request;
  const parameters = new Parameters();
  const target = inPublic(relation.name);
  const conditions = query.levels.get('').filters.map((filter) => conditionSql(target, filter, parameters));
  const source = `delete from ${target}${whereSql(conditions)}` +
    returningSql(schema, relation, query, request.representation);
  return written(schema, request, source, parameters);
}

// Calling a function: by POST its arguments are in a JSON object, by GET in the query string.

function argumentsSql(called, { json, given }, parameters) {
  const named = (source) => called.arguments.filter(({ name }) => given.includes(name)).map(source).join(', ');
  if (json === null) {
    return { from: '', list: named(({ name, type }) =>
      `${quote(name)} := ${parameters.add(called.values[name])}::${type}`) };
  }
  if (given.length === 0) return { from: '', list: '' };
  return {
    from: `(select ${parameters.add(json)}::json as json_data) pgrst_payload, lateral (select ` +
      `${named(({ name }) => quote(name))} from json_to_record(pgrst_payload.json_data) as ` +
      `_(${named(({ name, type }) => `${quote(name)} ${type}`)}) limit 1) pgrst_body, `,
    list: named(({ name }) => `${quote(name)} := pgrst_body.${quote(name)}`) };
}

export function callStatement(schema, { called, query, count, body, json, given, values }) {
  const parameters = new Parameters();
  const { from, list } = argumentsSql({ ...called, values }, { json, given }, parameters);
  const call = `${inPublic(called.name)}(${list})`;
  const lateral = from ? 'lateral ' : '';
  const total = count ? '(select pg_catalog.count(*) from pgrst_source)' : 'null::bigint';
  if (!called.composite) {
    const source = `select pgrst_call.pgrst_scalar from ${from}${lateral}(select ${call} as pgrst_scalar) pgrst_call`;
    const kind = called.void ? 'none' : called.set ? 'scalars' : 'scalar';
    return statement({ source, total, parameters, rows: 'select * from pgrst_source', body: kind });
  }
  const source = `select pgrst_call.* from ${from}${lateral}${call} pgrst_call`;
  const reading = new Reading(schema, query, parameters);
  const qualifier = quote(called.name);
  const rows = reading.select({ relation: schema.relationOfType(called.row_type), items: query.select, qualifier,
    from: `pgrst_source as ${qualifier}` });
  return statement({ source, total, parameters, rows, body: called.set ? body : 'object' });
}
