// What is in the exposed schema, read from the catalogs once and again when NOTIFY pgrst says so: relations with their
// columns, foreign keys, functions.
import { HttpError } from './errors.mjs';

const RELATIONS = `
  select c.relname as name, c.reltype::text as row_type,
         (select json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, null)) order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
         coalesce((select json_agg(a.attname order by k.n)
                   from pg_constraint p, unnest(p.conkey) with ordinality k (attnum, n)
                   join pg_attribute a on a.attnum = k.attnum
                   where p.conrelid = c.oid and p.contype = 'p' and a.attrelid = c.oid), '[]') as key
  from pg_class c
  where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')`;

const NAMES = (table, numbers) => `
  (select json_agg(a.attname order by k.n) from unnest(${numbers}) with ordinality k (attnum, n)
   join pg_attribute a on a.attrelid = ${table} and a.attnum = k.attnum)`;

const FOREIGN_KEYS = `
  select f.conname as name, r.relname as from, t.relname as to,
         ${NAMES('f.conrelid', 'f.conkey')} as columns, ${NAMES('f.confrelid', 'f.confkey')} as referenced,
         exists (select from pg_constraint u where u.conrelid = f.conrelid and u.contype in ('p', 'u')
                 and u.conkey <@ f.conkey and u.conkey @> f.conkey) as one_to_one
  from pg_constraint f
  join pg_class r on r.oid = f.conrelid
  join pg_class t on t.oid = f.confrelid
  where f.contype = 'f' and f.conparentid = 0
    and r.relnamespace = $1::regnamespace and t.relnamespace = $1::regnamespace`;

// Functions with arguments of a name each, or with one that is a row of a table: a computed relationship.
const FUNCTIONS = `
  select p.proname as name, p.provolatile = 'v' as volatile, p.proretset as set, p.prorows = 1 as one_row,
         t.typtype = 'c' or p.proargmodes && '{t,o,b}'::"char"[] as composite, t.typname = 'void' as void,
         t.oid::text as row_type,
         coalesce((select json_agg(json_build_object('name', coalesce(p.proargnames[a.n], ''),
                                                     'type', format_type(a.type, null), 'oid', a.type::text,
                                                     'required', a.n <= p.pronargs - p.pronargdefaults)
                                   order by a.n)
                   from unnest(p.proargtypes) with ordinality a (type, n)), '[]') as arguments,
         coalesce((select json_object_agg(split_part(s, '=', 1), substr(s, strpos(s, '=') + 1))
                   from unnest(p.proconfig) s
                   where split_part(s, '=', 1) in ('statement_timeout', 'default_transaction_isolation')), '{}')
           as settings
  from pg_proc p
  join pg_type t on t.oid = p.prorettype
  where p.pronamespace = $1::regnamespace and p.prokind = 'f'
    and t.typname not in ('trigger', 'event_trigger', 'internal')`;

// Of the roles that the authenticator may become: what ALTER ROLE … SET says, which a SET ROLE does not apply.
const ROLE_SETTINGS = `
  select r.rolname as role, split_part(s, '=', 1) as name, substr(s, strpos(s, '=') + 1) as value
  from pg_db_role_setting d
  join pg_roles r on r.oid = d.setrole, unnest(d.setconfig) s
  join pg_settings g on g.name = split_part(s, '=', 1) and g.context = 'user'
  where pg_has_role(current_user, r.oid, 'member') and r.rolname <> current_user
    and d.setdatabase in (0, (select oid from pg_database where datname = current_database()))`;

const SCHEMA = 'public';

export class Schema {
  relations;
  foreignKeys;
  #functions;
  #roleSettings;

  static async read(client) {
    const schema = new Schema();
    const rows = async (text, values = []) => (await client.query(text, values)).rows;
    schema.relations = new Map((await rows(RELATIONS, [SCHEMA])).map((row) =>
      [row.name, { ...row, columns: row.columns ?? [] }]));
    schema.foreignKeys = await rows(FOREIGN_KEYS, [SCHEMA]);
    schema.#functions = await rows(FUNCTIONS, [SCHEMA]);
    schema.#roleSettings = await rows(ROLE_SETTINGS);
    return schema;
  }

  relation(name) {
    const relation = this.relations.get(name);
    if (!relation)
      throw new HttpError(404, 'PGRST205', `Could not find the table '${SCHEMA}.${name}' in the schema cache`);
    return relation;
  }

  relationOfType(rowType) { return [...this.relations.values()].find((relation) => relation.row_type === rowType); }

  column(relation, name, status = 'PGRST204') {
    const column = relation.columns.find((candidate) => candidate.name === name);
    if (!column)
      throw new HttpError(400, status, `Could not find the '${name}' column of '${relation.name}' in the schema cache`);
    return column;
  }

  // The one function that can be called with these arguments.
  function(name, given) {
    const fitting = this.#functions.filter((candidate) => candidate.name === name &&
      given.every((argument) => candidate.arguments.some((own) => own.name === argument)) &&
      candidate.arguments.every((own) => !own.required || given.includes(own.name)));
    if (fitting.length === 1) return fitting[0];
    const call = `${SCHEMA}.${name}(${given.join(', ')})`;
    if (fitting.length > 1)
      throw new HttpError(300, 'PGRST203', `Could not choose the best candidate function between: ${call}`);
    throw new HttpError(404, 'PGRST202', `Could not find the function ${call} in the schema cache`,
      `Searched for the function ${call}, but no matches were found in the schema cache.`);
  }

  hasArgument(name, argument) {
    return this.#functions.some((candidate) => candidate.name === name &&
      candidate.arguments.some((own) => own.name === argument));
  }

  // A function of the relation's rows.
  computed(relation, name) {
    return this.#functions.find((candidate) => candidate.name === name && candidate.arguments.length === 1 &&
      candidate.arguments[0].oid === relation.row_type && this.relationOfType(candidate.row_type));
  }

  settingsOfRole(role) { return this.#roleSettings.filter((setting) => setting.role === role); }
}
