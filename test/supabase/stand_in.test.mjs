// The stand-in itself: that it turns each form of request that supabase-js makes into the SQL that PostgREST runs, and
// refuses what it does not know.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { OTHER, OWN, open } from './project.mjs';
import { sign } from './postgrest/jwt.mjs';

let project;

before(async () => {
  project = await open({ pool: 2 });
  await project.sql(`
    drop function if exists public.seen, public.nothing, public.numbers, public.patient, public.menus_of, public.raised;
    create function public.seen() returns json language sql as $$
      select json_build_object('query', current_query(), 'role', current_user, 'path', current_setting('search_path'),
        'timeout', current_setting('statement_timeout'), 'lock_timeout', current_setting('lock_timeout'),
        'claims', current_setting('request.jwt.claims')::json, 'read_only', current_setting('transaction_read_only'),
        'session_user', session_user, 'method', current_setting('request.method')) $$;
    create function public.nothing() returns void language sql as $$ $$;
    create function public.numbers(first integer, last integer default 3) returns setof integer
      language sql stable as $$ select generate_series(first, last) $$;
    create function public.patient() returns text language sql set statement_timeout = '55s'
      as $$ select current_setting('statement_timeout') $$;
    create function public.menus_of(public.restaurants) returns setof public.menus rows 5 language sql stable
      as $$ select m.* from public.menus m where m.restaurant_id = $1.id $$;
    create function public.raised(state text) returns void language plpgsql as
      $$ begin raise exception 'of %', state using errcode = state, detail = 'a detail', hint = 'a hint'; end $$;
    grant execute on all functions in schema public to service_role;
    grant all on public.menus to service_role;
    delete from public.menus; delete from public.restaurants;
    insert into public.restaurants values
      ('33333333-3333-3333-3333-333333333331', 'Alba', 'alba', '${OWN}'),
      ('33333333-3333-3333-3333-333333333332', 'Brio, the', 'brio', '${OWN}'),
      ('33333333-3333-3333-3333-333333333333', 'Cena', null, '${OTHER}');
    insert into public.menus (restaurant_id, is_merged) select id, false from public.restaurants where slug = 'alba';
    insert into public.menus (restaurant_id, is_merged) select id, true from public.restaurants where slug = 'alba';
  `);
  project.reload();
});

after(async () => {
  await project.sql('delete from public.menus; delete from public.restaurants');
  await project.close();
});

const names = ({ data, error }) => (error ? error : data.map((row) => row.name).sort().join(' '));
const restaurants = (select = '*', options) => project.service.from('restaurants').select(select, options);

test('filters: each operator that supabase-js has for a scalar', async () => {
  assert.equal(names(await restaurants().eq('name', 'Alba')), 'Alba');
  assert.equal(names(await restaurants().neq('name', 'Alba')), 'Brio, the Cena');
  assert.equal(names(await restaurants().gt('name', 'Alba').lt('name', 'Cena')), 'Brio, the');
  assert.equal(names(await restaurants().gte('name', 'Alba').lte('name', 'B')), 'Alba');
  assert.equal(names(await restaurants().like('name', '%e%')), 'Brio, the Cena');
  assert.equal(names(await restaurants().ilike('name', 'a%')), 'Alba');
  assert.equal(names(await restaurants().is('slug', null)), 'Cena');
  assert.equal(names(await restaurants().not('slug', 'is', null)), 'Alba Brio, the');
  assert.equal(names(await restaurants().in('name', ['Alba', 'Brio, the'])), 'Alba Brio, the');
  assert.equal(names(await restaurants().in('name', [])), '');
  assert.equal(names(await restaurants().not('name', 'in', '(Alba,Cena)')), 'Brio, the');
});

test('filters: or, and, not, nested', async () => {
  assert.equal(names(await restaurants().or('name.eq.Alba,slug.is.null')), 'Alba Cena');
  assert.equal(names(await restaurants().or('and(name.gt.A,name.lt.B),name.in.(Cena)')), 'Alba Cena');
  assert.equal(names(await restaurants().or('not.and(name.gt.A,name.lt.B)')), 'Brio, the Cena');
  assert.equal(names(await restaurants().or('name.eq."Brio, the"')), 'Brio, the');
});

test('a value is a parameter, never SQL', async () => {
  assert.equal(names(await restaurants().eq('name', `x' or '1' = '1`)), '');
  assert.equal((await restaurants().eq('name" = name --', 'x')).error.code, 'PGRST100');
  assert.equal((await restaurants().eq('"name = name --"', 'x')).error.code, '42703');
  assert.equal((await restaurants('name, (select 1)')).error.code, 'PGRST100');
  assert.equal((await restaurants().order('name; select 1')).error.code, 'PGRST100');
});

test('order, limit, range and count', async () => {
  const ordered = async (query) => (await query).data.map((row) => row.name[0]).join('');
  assert.equal(await ordered(restaurants().order('name', { ascending: false })), 'CBA');
  assert.equal(await ordered(restaurants().order('slug', { nullsFirst: true })), 'CAB');
  assert.equal(await ordered(restaurants().order('slug').order('name').limit(2)), 'AB');
  assert.equal(await ordered(restaurants().order('name').range(1, 2)), 'BC');
  const page = await restaurants('*', { count: 'exact' }).order('name').range(1, 1);
  assert.deepEqual([page.status, page.count, page.data.length], [206, 3, 1]);
  const head = await restaurants('*', { count: 'exact', head: true }).eq('name', 'Alba');
  assert.deepEqual([head.count, head.data], [1, null]);
  const beyond = await restaurants('*', { count: 'exact' }).range(7, 9);
  assert.deepEqual([beyond.status, beyond.error.code], [416, 'PGRST103']);
});

test('select: columns, aliases, casts, values inside of JSON', async () => {
  assert.deepEqual((await restaurants('name, short:slug').eq('slug', 'alba')).data, [{ name: 'Alba', short: 'alba' }]);
  assert.deepEqual((await restaurants('id::text').eq('slug', 'alba')).data,
    [{ id: '33333333-3333-3333-3333-333333333331' }]);
  await project.service.from('jobs').insert({ job_id: 'with-metadata', job_type: 'import-csv', organisation_id: OWN,
    metadata: { tag: { color: 'red' } } }).throwOnError();
  const jobs = () => project.service.from('jobs');
  assert.deepEqual((await jobs().select('metadata->tag->>color, tag:metadata->tag').eq('metadata->tag->>color', 'red'))
    .data, [{ color: 'red', tag: { color: 'red' } }]);
});

test('single() wants one row: PGRST116, and what was written is undone', async () => {
  const none = await restaurants().eq('name', 'nobody').single();
  assert.deepEqual([none.status, none.error.code, none.error.details], [406, 'PGRST116', 'The result contains 0 rows']);
  assert.equal((await restaurants().eq('slug', 'alba').single()).data.name, 'Alba');
  assert.equal((await restaurants().eq('name', 'nobody').maybeSingle()).data, null);
  const many = await project.service.from('restaurants').update({ slug: 'x' }).neq('name', '').select().single();
  assert.equal(many.error.code, 'PGRST116');
  assert.equal(names(await restaurants().eq('slug', 'x')), '');
});

test('embedding by foreign keys, to one and to many, nested, filtered, inner', async () => {
  const alba = await restaurants('name, organisations (name), menus (is_merged)').eq('slug', 'alba')
    .order('is_merged', { referencedTable: 'menus' }).single();
  assert.deepEqual(alba.data,
    { name: 'Alba', organisations: { name: 'own' }, menus: [{ is_merged: false }, { is_merged: true }] });
  const brio = await restaurants('name, menus (*)').eq('slug', 'brio').single();
  assert.deepEqual(brio.data.menus, []);
  const nested = await project.service.from('menus').select('r:restaurants (name, organisations (name))')
    .eq('is_merged', true).single();
  assert.deepEqual(nested.data, { r: { name: 'Alba', organisations: { name: 'own' } } });
  const one = await restaurants('name, menus (is_merged)').eq('slug', 'alba').eq('menus.is_merged', true).single();
  assert.equal(one.data.menus.length, 1);
  assert.equal(names(await restaurants('name, menus!inner (id)')), 'Alba');
  assert.equal(names(await restaurants('name, organisations!inner (name)').eq('organisations.name', 'other')), 'Cena');
  const hinted = await restaurants('o:organisations!restaurants_organisation_id_fkey (name)')
    .eq('slug', 'alba').single();
  assert.deepEqual(hinted.data, { o: { name: 'own' } });
  assert.equal((await restaurants('platforms (name)')).error.code, 'PGRST200');
});

test('embedding by a function of the row, when reading and when writing', async () => {
  const read = await restaurants('name, menus_of (is_merged)').eq('slug', 'alba').single();
  assert.equal(read.data.menus_of.length, 2);
  const wrote = await project.service.from('restaurants').update({ name: 'Alba' }).eq('slug', 'alba')
    .select('name, menus_of (is_merged), organisations (name)').single();
  assert.equal(wrote.data.menus_of.length, 2);
  assert.deepEqual(wrote.data.organisations, { name: 'own' });
});

test('insert, many at once, upsert, update, delete', async () => {
  const platforms = () => project.service.from('platforms');
  const id = '44444444-4444-4444-4444-444444444441';
  const made = await platforms().insert({ id, name: 'one' });
  assert.deepEqual([made.status, made.data], [201, null]);
  const many = await platforms().insert([{ name: 'two' }, { name: 'three' }]).select('name');
  assert.deepEqual(many.data, [{ name: 'two' }, { name: 'three' }]);
  assert.equal((await platforms().insert({ id, name: 'again' })).error.code, '23505');
  assert.equal((await platforms().insert({ id, name: 'again' })).status, 409);
  assert.equal((await platforms().upsert({ id, name: 'merged' }).select().single()).data.name, 'merged');
  const ignored = await platforms().upsert({ id, name: 'x' }, { onConflict: 'id', ignoreDuplicates: true }).select();
  assert.deepEqual(ignored.data, []);
  assert.equal((await platforms().update({ name: 'changed' }).eq('id', id)).status, 204);
  assert.deepEqual((await platforms().delete().eq('id', id).select('name')).data, [{ name: 'changed' }]);
  assert.equal((await platforms().delete({ count: 'exact' }).neq('name', '')).count, 2);
  const wrong = await platforms().insert({ color: 'red' });
  assert.deepEqual([wrong.status, wrong.error.code], [400, 'PGRST204']);
});

test('rpc by POST is one statement of PostgREST\'s shape, in a transaction of the caller\'s role', async () => {
  const { data } = await project.as('member').rpc('seen');
  assert.match(data.query, /^with pgrst_source as \(select pgrst_call\.pgrst_scalar from .*"public"\."seen"\(/);
  assert.deepEqual([data.role, data.session_user, data.path, data.method, data.read_only],
    ['authenticated', 'authenticator', '"public", "extensions"', 'POST', 'off']);
  assert.equal(data.claims.org_id, OWN);
});

test('the role\'s settings hold, then the authenticator\'s, then the function\'s', async () => {
  assert.equal((await project.anon.rpc('seen')).data.timeout, '3s');
  assert.equal((await project.service.rpc('seen')).data.timeout, '8s');
  assert.equal((await project.service.rpc('seen')).data.lock_timeout, '8s');
  assert.equal((await project.anon.rpc('patient')).data, '55s');
});

test('rpc by GET is read only, and what a function returns comes as it is', async () => {
  assert.equal((await project.service.rpc('seen', {}, { get: true })).data.read_only, 'on');
  assert.deepEqual((await project.service.rpc('numbers', { first: 2 }, { get: true })).data, [2, 3]);
  assert.deepEqual((await project.service.rpc('numbers', { first: 2, last: 2 })).data, [2]);
  const nothing = await project.service.rpc('nothing');
  assert.deepEqual([nothing.status, nothing.data], [204, null]);
  const writes = await project.service.rpc('job_enqueue', { job_type: 'import-csv' }, { get: true });
  assert.deepEqual([writes.status, writes.error.code], [405, '25006']);
});

test('rpc: rows may be filtered, ordered, cut and counted', async () => {
  await project.sql(`select job_enqueue('import-csv', job_id => 'rpc-' || n, priority => n)
    from generate_series(1, 3) n`);
  const listed = await project.service.rpc('job_list', { job_type: 'import-csv' }, { get: true, count: 'exact' })
    .select('job_id').like('job_id', 'rpc-%').order('priority', { ascending: false }).limit(2);
  assert.deepEqual(listed.data, [{ job_id: 'rpc-3' }, { job_id: 'rpc-2' }]);
  const one = await project.service.rpc('job_get', { job_id: 'rpc-1' }).single();
  assert.equal(one.data.priority, 1);
});

test('rpc: a function that is not there, or not with these arguments', async () => {
  for (const [name, args] of [['no_such', {}], ['numbers', {}], ['numbers', { first: 1, other: 2 }]]) {
    const { status, error } = await project.service.rpc(name, args);
    assert.deepEqual([status, error.code], [404, 'PGRST202']);
  }
});

test('errors: SQLSTATE to HTTP status, with message, details and hint', async () => {
  const expected = { PT404: 404, PT409: 409, PT413: 413, 22023: 400, P0001: 400, 23505: 409, 23503: 409, 23502: 400,
    42501: 403, 42883: 404, '42P01': 404, '42P17': 500, 42703: 400, 40001: 500, 55000: 500, 57014: 500, 54000: 500,
    53300: 503, 53400: 500, '08006': 503, 25006: 405, 28000: 403, 58030: 500, '0L000': 403, P0002: 500 };
  for (const [state, status] of Object.entries(expected)) {
    const raised = await project.service.rpc('raised', { state });
    assert.deepEqual([raised.error, raised.status],
      [{ code: state, message: `of ${state}`, details: 'a detail', hint: 'a hint' }, status]);
  }
});

test('who may not gets 401 as anon and 403 as anybody else', async () => {
  assert.deepEqual([401, '42501'], await project.anon.from('jobs').select().then((r) => [r.status, r.error.code]));
  assert.deepEqual([403, '42501'], await project.as('member').rpc('job_claim').then((r) => [r.status, r.error.code]));
});

const ask = (path, headers, options = {}) => fetch(project.url + path, { headers, ...options });

test('tokens: none, forged, expired, of no kind', async () => {
  const key = { apikey: project.anonKey };
  const status = async (authorization) => (await ask('/rest/v1/platforms', { ...key, authorization })).status;
  assert.equal((await ask('/rest/v1/platforms', {})).status, 401);
  assert.equal(await status(`Bearer ${sign({ role: 'service_role' }, 'another secret')}`), 401);
  assert.equal(await status(`Bearer ${project.token({ role: 'service_role', exp: 1 })}`), 401);
  assert.equal(await status('Bearer nonsense'), 401);
  assert.equal(await status(`Bearer ${project.serviceKey}`), 200);
  const unsigned = project.serviceKey.split('.');
  unsigned[0] = Buffer.from('{"alg":"none"}').toString('base64url');
  assert.equal(await status(`Bearer ${unsigned.join('.')}`), 401);
  assert.equal(await status(`Bearer ${project.token({ role: 'supabase_admin' })}`), 403);
});

test('what it does not know it refuses with 501', async () => {
  const headers = { apikey: project.serviceKey };
  for (const [path, more] of [['platforms?name=fts.x', {}], ['platforms?select=count()', {}],
    ['platforms?select=...organisations(name)', {}], ['platforms?name=eq(any).{a}', {}],
    ['platforms', { prefer: 'count=planned' }], ['platforms', { prefer: 'tx=rollback' }],
    ['platforms', { accept: 'text/csv' }]])
    assert.equal((await ask(`/rest/v1/${path}`, { ...headers, ...more })).status, 501, path);
  assert.equal((await ask('/rest/v1/platforms', headers, { method: 'PUT' })).status, 501);
  assert.equal((await ask('/rest/v1/', headers)).status, 404);
  assert.equal((await ask('/rest/v1/no_such', headers)).status, 404);
  assert.equal((await ask('/rest/v1/platforms', { ...headers, 'accept-profile': 'auth' })).status, 406);
});

test('requests share a pool of a given size, and leave nothing of theirs in it', async () => {
  const all = await Promise.all(Array.from({ length: 12 }, (_, i) =>
    (i % 2 ? project.as('member') : project.service).rpc('seen')));
  all.forEach(({ data }, i) => assert.equal(data.role, i % 2 ? 'authenticated' : 'service_role'));
  const sessions = await project.sql(
    `select pid from pg_stat_activity where application_name = 'stand-in' and datname = current_database()`);
  assert.ok(sessions.length <= 2, `${sessions.length} sessions`);
});

test('NOTIFY pgrst has the schema read again', async () => {
  await project.sql('create function public.made_later() returns integer language sql return 1');
  let answer;
  do answer = await project.service.rpc('made_later'); while (answer.error?.code === 'PGRST202');
  assert.equal(answer.data, 1);
  await project.ddl('drop function public.made_later()');
});

test('a session that is lost is replaced', async () => {
  await project.sql(`select pg_terminate_backend(pid, 10000) from pg_stat_activity
    where application_name like 'stand-in%' and datname = current_database()`);
  project.reload();
  let answer;
  do answer = await project.service.rpc('seen'); while (answer.error);
  assert.equal(answer.data.role, 'service_role');
});

test('by itself it says where it listens and with which keys, and ends when told', async () => {
  const child = spawn(process.execPath, [new URL('postgrest.mjs', import.meta.url).pathname],
    { stdio: ['ignore', 'pipe', 'inherit'], timeout: 30_000 });
  const { url, serviceKey } = JSON.parse(await once(child.stdout, 'data'));
  const answer = await fetch(`${url}/rest/v1/restaurants?select=name&slug=eq.alba`,
    { headers: { apikey: serviceKey } });
  assert.deepEqual(await answer.json(), [{ name: 'Alba' }]);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
