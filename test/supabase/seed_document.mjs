// What stands in test/seed/seed.md, as written: its code and its queries, by the heading that they stand under.
import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../seed/seed.md', import.meta.url), 'utf8');

// The blocks of a language under a heading or a line in bold, up to the next heading of the document's second level.
function blocks(title, language) {
  const from = text.indexOf(title);
  if (from < 0) throw new Error(`the seed has no "${title}"`);
  const next = text.indexOf('\n## ', from + title.length);
  const section = text.slice(from, next < 0 ? undefined : next);
  const found = [...section.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```', 'gm'))];
  if (found.length === 0) throw new Error(`no ${language} under "${title}"`);
  return found.map(([, code]) => code);
}

const script = (title) => blocks(title, 'javascript')[0];

export const initialization = script('**Client Initialization Pattern:**');
export const userClient = script('**Code Pattern for User Client:**');
export const extractionJobs = script('**Current Usage in Code:**');
export const example = script('**Example Implementation:**');
export const integration = script('### Database Service Extension');

// Its seven queries, without the numbers.
export const testingQueries = blocks('## Testing Queries', 'sql')[0].split(/^-- Test \d+: .*\n/m).slice(1);

// Functions of its service, out of modules that stand one after another in one script, as they would in a file: so
// what is defined twice is defined by the last. What the seed takes for granted and none of them defines is ours.
export function service(modules, names, { require, process, client, Date: clock = Date }) {
  const quiet = { log() {}, warn() {}, error() {} };
  const scope = {
    require, process, console: quiet, Date: clock, client,
    isDatabaseAvailable: () => true,
    getCurrentOrganizationId: () => '00000000-0000-0000-0000-000000000000',
    getSupabaseClient: () => client,
  };
  const own = Object.entries(scope).filter(([name]) => !modules.some((code) => code.includes(`function ${name}(`)));
  return new Function(...own.map(([name]) => name), `${modules.join('\n')}\nreturn { ${names.join(', ')} };`)(
    ...own.map(([, value]) => value));
}
