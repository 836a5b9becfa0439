// A worker as an Edge Function, which the platform ends after a time and which something calls now and then (pg_cron
// with pg_net, a webhook, a scheduler). A call works on jobs one after another as long as there are any and time is
// left, and answers with what became of them.
//
//   import { createWorker } from './worker.mjs';
//   Deno.serve(createWorker({
//     url: Deno.env.get('SUPABASE_URL'), key: Deno.env.get('SUPABASE_SERVICE_ROLE_KEY'), jobTypes: ['send-mail'],
//     work: async (job, { signal, progress }) => { … return result; },
//   }));
//
// A claim that waits keeps a session of the API's pool, and one whose caller was cut off sleeps on there and may take a
// job: hence short waits, short leases and heartbeats.
import { createClient } from '@supabase/supabase-js';

export class Permanent extends Error {}      // thrown by work(): pointless to try again

const LONGEST_WAIT = 2;                      // seconds
const TRIES = 3;                             // to say how a job ended: the server answers the same call the same again

const stopped = new Error('the worker stops');

// What the server will refuse again, not what did not reach it or met it at a bad time.
const isRefused = (error) => /^(PT\d{3}|(22|23|42)\w{3})$/.test(error?.code ?? '');

// Milliseconds: timeLimit, after which the platform ends us; reserve, how long before that we stop: half of it is for
// work() to end, the rest to give back what we hold. Seconds: wait, of a claim; lease; heartbeat. signal: stops us too.
// work(job, {signal, progress}) returns the result; it ought to end soon after its signal.
export function createWorker({ url, key, jobTypes = null, work, name = 'edge', timeLimit = 60_000, reserve = 5_000,
  wait = 1, lease = 30, heartbeat = lease / 3, signal = null }) {
  if (!url || !key) throw new Error('a worker needs the URL of the project and its service key');
  if (wait > LONGEST_WAIT) throw new RangeError(`a claim waits ${LONGEST_WAIT} s at most here, not ${wait}`);

  // That the caller hangs up stops nothing: pg_net does so after seconds.
  return async function handle() {
    const client = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
    const call = async (verb, args) => (await client.rpc(verb, args).throwOnError()).data;
    const worker = `${name}-${crypto.randomUUID()}`;
    const stop = new AbortController();
    const stopNow = () => stop.abort(stopped);
    const timer = setTimeout(stopNow, timeLimit - reserve);
    if (signal?.aborted) stopNow();
    signal?.addEventListener('abort', stopNow);
    globalThis.addEventListener?.('beforeunload', stopNow);      // how an Edge Function hears of its end
    const outcomes = [];
    try {
      while (!stop.signal.aborted) {
        const [job] = await call('job_claim',
          { job_types: jobTypes, worker, lease: `${lease} s`, wait: `${wait} s` });
        if (!job) break;
        const attempt = new Attempt({ call, job, lease, stop: stop.signal, grace: reserve / 2 });
        outcomes.push({ job_id: job.job_id, ...await attempt.run(work, heartbeat) });
      }
    } catch (error) {
      return Response.json({ worker, outcomes, error: error.message, code: error.code }, { status: 500 });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stopNow);
      globalThis.removeEventListener?.('beforeunload', stopNow);
    }
    return Response.json({ worker, outcomes });
  };
}

// One job that was claimed.
class Attempt {
  #call;
  #job;
  #lease;
  #stop;
  #grace;
  #end = new AbortController();              // tells work(): we stop, the job is cancelled, or its lease is lost
  #giveUp;
  #givenUp = new Promise((_, reject) => { this.#giveUp = reject; });
  #progress;

  constructor({ call, job, lease, stop, grace }) {
    [this.#call, this.#job, this.#lease, this.#stop, this.#grace] = [call, job, lease, stop, grace];
    this.#givenUp.catch(() => {});           // also where nobody is waiting for work() any more
  }

  // Its status afterwards, or why the server takes nothing from us any more (PT409: the lease is lost, the job is
  // another's by now).
  async run(work, heartbeat) {
    let late;
    const onStop = () => {
      this.#end.abort(stopped);
      late = setTimeout(() => this.#giveUp(stopped), this.#grace);
    };
    if (this.#stop.aborted) onStop();
    this.#stop.addEventListener('abort', onStop);
    const timer = setInterval(() => this.#beat(), heartbeat * 1000);
    try {
      const [verb, args] = await this.#outcome(work);
      return { status: (await this.#say(verb, args)).status };
    } catch (error) {
      return { error: error.message, code: error.code };
    } finally {
      clearInterval(timer);
      clearTimeout(late);
      this.#stop.removeEventListener('abort', onStop);
    }
  }

  async #beat() {
    try {
      const state = await this.#call('job_heartbeat',
        { ...this.#fence, progress: this.#progress, lease: `${this.#lease} s` });
      if (state.cancel_requested_at) this.#end.abort(new Error('cancelled'));
    } catch (error) {
      if (isRefused(error)) this.#end.abort(error);
    }
  }

  // A job that was cancelled ends as such when its worker says that it failed.
  async #outcome(work) {
    const { signal } = this.#end;
    try {
      signal.throwIfAborted();
      const working = work(this.#job, { signal, progress: (value) => { this.#progress = value; } });
      const result = await Promise.race([working, this.#givenUp]);
      return ['job_complete', { result: result ?? null }];
    } catch (error) {
      if (signal.reason === stopped) return ['job_release', {}];
      return ['job_fail', { error_message: String(error?.message ?? error), permanent: error instanceof Permanent }];
    }
  }

  async #say(verb, args) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#call(verb, { ...this.#fence, ...args });
      } catch (error) {
        if (isRefused(error) || tries === TRIES) throw error;
      }
    }
  }

  get #fence() { return { id: this.#job.id, lease_id: this.#job.lease_id }; }
}
