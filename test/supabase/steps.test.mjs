// Steps as a browser and a worker have them: embedded in their job, and decided on by a member.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { OWN, open } from './project.mjs';

let project;

before(async () => { project = await open(); });
beforeEach(() => project.sql('truncate jobs, job_attempts'));
after(() => project.close());

// The data of an answer, or its error raised.
const data = async (request) => {
  const answer = await request;
  if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
  return answer.data;
};
const rpc = (client, name, args) => data(client.rpc(name, args));
const select = (who, what) => data(project.as(who).from('jobs').select(what).is('parent_job_id', null));

async function awaited() {
  const { id } = await rpc(project.service, 'job_enqueue', { job_type: 'import-csv', organisation_id: OWN });
  await rpc(project.as('member'), 'job_steps_set',
    { id, steps: [{ step_name: 'read' }, { step_name: 'approve', step_type: 'action_required' }] });
  const [{ lease_id }] = await rpc(project.service, 'job_claim', { job_types: ['import-csv'] });
  await rpc(project.service, 'job_enqueue',
    { job_type: 'merge-menus', organisation_id: OWN, parent_job_id: id, job_id: 'the child' });
  await rpc(project.service, 'job_step_complete', { id, lease_id, step_number: 1, result: { rows: 3 }, received: 4 });
  await rpc(project.service, 'job_step_await', { id, lease_id, step_number: 2 });
  return id;
}

test('a job with its steps, attempts and children, in one request', async () => {
  await awaited();
  const [job] = await select('member',
    'status, current_step, total_steps, job_steps (step_number, status, received), job_attempts (attempt, outcome), ' +
    'children (job_id)');
  assert.deepEqual(job, {
    status: 'paused', current_step: 2, total_steps: 2,
    job_steps: [{ step_number: 1, status: 'completed', received: 4 },
      { step_number: 2, status: 'action_required', received: null }],
    job_attempts: [{ attempt: 1, outcome: 'released' }],
    children: [{ job_id: 'the child' }],
  });
  const [whole] = await select('member', '*, job_steps (*)');
  assert.deepEqual(whole.job_steps[0].result, { rows: 3 });
});

test('another organisation sees and decides nothing', async () => {
  const id = await awaited();
  assert.deepEqual(await select('other', '*, job_steps (*)'), []);
  assert.deepEqual(await data(project.as('other').from('job_steps').select('*')), []);
  await assert.rejects(rpc(project.as('other'), 'job_step_resolve', { id, step_number: 2, decision: true }),
    { code: 'PT404' });
});

test('a member decides, and the worker that comes next is told', async () => {
  const id = await awaited();
  const step = await rpc(project.as('member'), 'job_step_resolve', { id, step_number: 2, decision: { keep: [1] } });
  assert.deepEqual([step.status, step.decided_by], ['completed', project.ann]);
  const [job] = await rpc(project.service, 'job_claim', { job_types: ['import-csv'] });
  assert.equal(job.id, id);
  const told = await rpc(project.service, 'job_step_await', { id, lease_id: job.lease_id, step_number: 2 });
  assert.deepEqual([told.status, told.decision], ['completed', { keep: [1] }]);
});
