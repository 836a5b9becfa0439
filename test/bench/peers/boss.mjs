// What pg-boss sends for a job: send, fetch, complete; for many: insert, fetch and complete.
import { gathered, sent, statement } from '../engine/peers.mjs';

const SIZE = 100;
const any = /\bjob\b/i;

export async function record(PgBoss, pg, connection, payload) {
  const boss = new PgBoss({ ...connection, supervise: false, schedule: false });
  await boss.start();
  await boss.createQueue('bench');
  const send = await sent(pg, () => boss.send('bench', payload), any);
  let [job] = [];
  const fetch = await sent(pg, async () => { [job] = await boss.fetch('bench'); }, any);
  const complete = await sent(pg, () => boss.complete('bench', job.id), any);
  const specs = Array.from({ length: SIZE }, () => ({ name: 'bench', data: payload }));
  const insert = await sent(pg, () => boss.insert(specs), any);
  let jobs = [];
  const fetchMany = await sent(pg, async () => { jobs = await boss.fetch('bench', { batchSize: SIZE }); }, any);
  const ids = jobs.map(({ id }) => id);
  const completeMany = await sent(pg, () => boss.complete('bench', ids), any);
  await boss.stop({ graceful: false });
  const enqueue = `${statement(send, [[payload, ':payload']])};`;
  const ready = `(select json_agg(json_build_object('name', 'bench', 'data', :'payload'::json))
    from generate_series(1, :jobs))`;
  return {
    values: { specs: insert.values[0] },
    enqueue: [enqueue],
    life: [enqueue, `${statement(fetch, [])} \\gset`, `${statement(complete, [[[job.id], 'array[:id]::uuid[]']])};`],
    batch: [`${statement(insert, [[insert.values[0], ':specs::json']])};`,
      `${gathered(statement(fetchMany, []), 'array_agg(id) as ids, array_agg(data::text) as payloads')} \\gset`,
      `${statement(completeMany, [[ids, ':ids']])};`],
    fill: [`${statement(insert, [[insert.values[0], ready]])};`],
  };
}
