// What "restaurants (name)" in a select means: by which foreign key, or function of the row, one relation leads to
// another.
import { HttpError, notKnown } from './errors.mjs';

// A join is the pairs of columns that must be equal, here and there; a computed one is a function.
function candidates(schema, from, name, hint) {
  const found = [];
  for (const key of schema.foreignKeys) {
    const hinted = (other) => hint === null || [key.name, other, ...key.columns].includes(hint);
    const pairs = key.columns.map((column, i) => [column, key.referenced[i]]);
    if (key.from === from.name && hinted(key.to) && [key.to, key.name, key.columns[0]].includes(name))
      found.push({ to: schema.relation(key.to), one: true, pairs, by: key.name });
    if (key.to === from.name && hinted(key.from) && [key.from, key.name].includes(name))
      found.push({ to: schema.relation(key.from), one: key.one_to_one,
        pairs: pairs.map(([here, there]) => [there, here]), by: key.name });
  }
  return found;
}

// PostgREST takes a table for a link when its primary key is made of both foreign keys.
function throughAnother(schema, from, name) {
  const inKey = (key) => key.columns.every((column) => schema.relation(key.from).key.includes(column));
  const links = schema.foreignKeys.filter(inKey);
  const leadsTo = (target) => links.filter((key) => key.to === target).map((key) => key.from);
  return leadsTo(from.name).some((table) => leadsTo(name).includes(table));
}

// A table that refers to itself has one key and two directions.
export function relationship(schema, from, { name, hint }) {
  const computed = schema.computed(from, name);
  if (computed)
    return { to: schema.relationOfType(computed.row_type), one: !computed.set || computed.one_row, pairs: [],
      function: computed.name };
  const found = candidates(schema, from, name, hint);
  if (found.length === 1) return found[0];
  if (found.length > 1)
    throw new HttpError(300, 'PGRST201',
      `Could not embed because more than one relationship was found for '${from.name}' and '${name}'`,
      JSON.stringify(found.map((each) => each.by)), `Name one of them: '${name}!${found[0].by}'.`);
  if (throughAnother(schema, from, name))
    throw notKnown(`an embedding through a third table: ${from.name}, ${name}`);
  throw new HttpError(400, 'PGRST200',
    `Could not find a relationship between '${from.name}' and '${name}' in the schema cache`,
    `Searched for a foreign key relationship between '${from.name}' and '${name}' in the schema 'public', ` +
    'but no matches were found.');
}
