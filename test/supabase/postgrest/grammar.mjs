// The little languages of PostgREST's query string: select, filters, order.
import { HttpError, notKnown } from './errors.mjs';

const COMPARISONS = {
  eq: '=', neq: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=', match: '~', imatch: '~*', cs: '@>', cd: '<@', ov: '&&',
  isdistinct: 'is distinct from', like: 'like', ilike: 'ilike',
};
const RESERVED = new Set(['select', 'columns', 'on_conflict']);
const MODIFIERS = new Set(['order', 'limit', 'offset']);

// Reads a text from left to right.
class Reader {
  #text;
  #what;
  #at = 0;

  constructor(text, what) {
    this.#text = text;
    this.#what = what;
  }

  get ended() { return this.#at === this.#text.length; }

  // What matches here, or null.
  match(pattern) {
    const sticky = new RegExp(pattern.source, `${pattern.flags.replace('y', '')}y`);
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#text);
    if (!found) return null;
    this.#at = sticky.lastIndex;
    return found;
  }

  takes(text) {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  require(text) {
    if (!this.takes(text)) this.fail(`expected "${text}"`);
  }

  rest() {
    const rest = this.#text.slice(this.#at);
    this.#at = this.#text.length;
    return rest;
  }

  name() {
    const quoted = this.match(/"((?:[^"\\]|\\.)*)"/);
    if (quoted) return quoted[1].replace(/\\(.)/g, '$1');
    return this.match(/(?:[\p{L}\p{N}_$ ]|-(?!>))+/u)?.[0] ?? this.fail('expected a name');
  }

  fail(why) {
    throw new HttpError(400, 'PGRST100', `failed to parse ${this.#what} (${this.#text})`,
      `${why} at character ${this.#at + 1}`);
  }
}

// A column, or a value inside of a JSON one: metadata->a->>b.
function readField(reader) {
  const field = { column: reader.name(), path: [] };
  for (let arrow; (arrow = reader.match(/->>|->/)); )
    field.path.push({ arrow: arrow[0], key: reader.name() });
  return field;
}

// select: the columns and what is embedded, as a list.

function readEmbedded(reader, name, alias) {
  const embedded = { name, alias: alias ?? name, hint: null, inner: false };
  while (reader.takes('!')) {
    const word = reader.name();
    if (word === 'inner') embedded.inner = true;
    else if (word !== 'left') embedded.hint = word;
  }
  reader.require('(');
  embedded.select = readList(reader);
  reader.require(')');
  return { embedded };
}

function readItem(reader) {
  if (reader.takes('*')) return { all: true };
  if (reader.takes('...')) throw notKnown('a spread (...) in select');
  let alias = null;
  let field = readField(reader);
  if (reader.match(/:(?!:)/)) {
    alias = field.column;
    field = readField(reader);
  }
  if (reader.match(/(?=[!(])/)) {
    if (reader.match(/(?=\(\))/)) throw notKnown('aggregates in select');
    return readEmbedded(reader, field.column, alias);
  }
  if (reader.match(/\.\w+\(\)/)) throw notKnown('aggregates in select');
  const cast = reader.takes('::') ? reader.match(/[\w ]+(\[\])?/)?.[0] ?? reader.fail('expected a type') : null;
  return { ...field, cast, alias: alias ?? (field.path.length ? field.path.at(-1).key : null) };
}

function readList(reader) {
  const items = [];
  if (reader.match(/(?=\))/)) return items;
  do items.push(readItem(reader)); while (reader.takes(','));
  return items;
}

export function parseSelect(text) {
  if (text === '') return [{ all: true }];
  const reader = new Reader(text, 'select parameter');
  const items = readList(reader);
  if (!reader.ended) reader.fail('expected "," or the end');
  return items;
}

// Filters: {field, operator, value, negated}, or {any | all: [filters], negated}.

function readOperator(reader) {
  const negated = reader.takes('not.');
  const name = reader.match(/\w+/)?.[0] ?? reader.fail('expected an operator');
  if (reader.takes('(')) throw notKnown(`the modifier of the operator ${name}(`);
  reader.require('.');
  if (!(name in COMPARISONS) && name !== 'is' && name !== 'in') throw notKnown(`the operator ${name}`);
  return { negated, name };
}

const unquote = (text) => text.slice(1, -1).replace(/\\(.)/g, '$1');

// (a,"b,c")
function readValues(reader) {
  const values = [];
  reader.require('(');
  if (reader.takes(')')) return values;
  do {
    const quoted = reader.match(/"(?:[^"\\]|\\.)*"/);
    values.push(quoted ? unquote(quoted[0]) : reader.match(/[^,)]*/)[0]);
  } while (reader.takes(','));
  reader.require(')');
  return values;
}

function condition(field, { negated, name }, value) {
  if (name === 'is' && !/^(null|not_null|true|false|unknown)$/i.test(value))
    throw new HttpError(400, 'PGRST100', `failed to parse filter (is.${value})`, 'is takes null, true, false, unknown');
  const wildcards = name === 'like' || name === 'ilike' ? value.replaceAll('*', '%') : value;
  return { field, negated, operator: COMPARISONS[name] ?? name, value: wildcards };
}

function readInTree(reader) {
  const negated = reader.takes('not.');
  const word = reader.match(/(and|or)(?=\()/);
  if (word) return { negated, ...readTree(reader, word[1]) };
  const field = readField(reader);
  reader.require('.');
  const operator = readOperator(reader);
  operator.negated ||= negated;
  if (operator.name === 'in') return condition(field, operator, readValues(reader));
  const value = reader.match(/"(?:[^"\\]|\\.)*"/);
  if (value) return condition(field, operator, unquote(value[0]));
  return condition(field, operator, reader.match(/\{[^}]*\}|[^,)]*/)[0]);
}

function readTree(reader, word) {
  const filters = [];
  reader.require('(');
  do filters.push(readInTree(reader)); while (reader.takes(','));
  reader.require(')');
  return { [word === 'or' ? 'any' : 'all']: filters };
}

function parseTree(text, word, negated) {
  const reader = new Reader(text, 'logic tree');
  const tree = { negated, ...readTree(reader, word) };
  if (!reader.ended) reader.fail('expected the end');
  return tree;
}

function parseFilter(column, text) {
  const reader = new Reader(text, 'filter');
  const name = new Reader(column, 'name of a column');
  const field = readField(name);
  if (!name.ended) name.fail('expected the end');
  const operator = readOperator(reader);
  return condition(field, operator, operator.name === 'in' ? readValues(reader) : reader.rest());
}

function parseOrder(text) {
  const reader = new Reader(text, 'order');
  const terms = [];
  do {
    const field = readField(reader);
    if (reader.match(/(?=\()/)) throw notKnown('an order by what is embedded');
    const direction = reader.match(/\.(asc|desc)/)?.[1] ?? 'asc';
    const nulls = reader.match(/\.nulls(first|last)/)?.[1] ?? null;
    terms.push({ field, direction, nulls });
  } while (reader.takes(','));
  if (!reader.ended) reader.fail('expected "," or the end');
  return terms;
}

function parseNumber(name, text) {
  if (!/^\d+$/.test(text)) throw new HttpError(400, 'PGRST100', `failed to parse ${name} (${text})`);
  return Number(text);
}

// The whole query string, for the resource itself ('') and for each that is embedded ('restaurants', 'a.b').
// isArgument: of a function that is called by GET, whose arguments stand among the filters.
export function parseQuery(parameters, isArgument = () => false) {
  const query = { select: parseSelect(parameters.get('select')?.trim() ?? ''), columns: null, onConflict: null,
    levels: new Map(), given: {} };
  const level = (path) => {
    if (!query.levels.has(path)) query.levels.set(path, { filters: [] });
    return query.levels.get(path);
  };
  level('');
  for (const [key, value] of parameters) {
    if (RESERVED.has(key)) continue;
    if (isArgument(key)) {
      query.given[key] = value;
      continue;
    }
    const [, path, negated, name] = /^(?:(.*?)\.)??(not\.)?((?:[^."]|"[^"]*")+)$/.exec(key) ??
      [null, '', undefined, key];
    const at = level(path ?? '');
    if (name === 'order') at.order = parseOrder(value);
    else if (MODIFIERS.has(name)) at[name] = parseNumber(name, value);
    else if (name === 'and' || name === 'or') at.filters.push(parseTree(value, name, Boolean(negated)));
    else at.filters.push(parseFilter(name, value));
  }
  const names = (text) => text && text.split(',').map((name) => name.trim().replace(/^"(.*)"$/, '$1'));
  query.columns = names(parameters.get('columns'));
  query.onConflict = names(parameters.get('on_conflict'));
  return query;
}
