// The job operations of a service over a Supabase project with jobs_ext, to take the place of functions that read and
// write the table `jobs` themselves. Each is one request; what goes wrong is thrown, as a PostgrestError with the code,
// details and hint of the server.
//
//   const jobs = require('./job-service');                     with the service key: a backend, a worker
//   const jobs = require('./job-service').asUser(token);       as the user whose access token this is
//
// SUPABASE_URL, and SUPABASE_SERVICE_ROLE_KEY for the one, SUPABASE_ANON_KEY for the other; there is no way from the
// one to the other by a key that is missing. Each operation makes a client of its own, which costs no connection: one
// that requests share would sooner or later carry the token of another request.
const { createClient } = require('@supabase/supabase-js');

function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const stateless = { auth: { persistSession: false, autoRefreshToken: false } };

const newClient = (key, options = {}) =>
  createClient(setting('SUPABASE_URL'), setting(key), { ...stateless, ...options });

const serviceClient = () => newClient('SUPABASE_SERVICE_ROLE_KEY');
const userClient = (token) => newClient('SUPABASE_ANON_KEY', { accessToken: async () => token });

// Arguments that are undefined are left out of a call, and the function's default holds.
async function call(client, name, args, options) {
  const { data } = await client.rpc(name, args, options).throwOnError();
  return data;
}

// By GET, in a transaction that can't write.
const look = (client, name, args) => call(client, name, args, { get: true });

const isText = (value) => typeof value === 'string' && value !== '';

// A job is named by its job_id; one that was claimed is passed as getNextQueuedJob() gave it, since it knows the lease.
function named(jobId) {
  if (!isText(jobId)) throw new TypeError('a job_id is a text that is not empty');
  return { job_id: jobId };
}

function held(job) {
  if (!job?.id || !job.lease_id) throw new TypeError('not a job that was claimed: it has no id and lease_id');
  return { id: job.id, lease_id: job.lease_id };
}

// Which function leads to a status: of a job that is held by its worker, of one named by job_id.
const MOVES = {
  pending: { held: 'job_release', named: 'job_resume' },
  queued: { held: 'job_release', named: 'job_resume' },
  paused: { named: 'job_pause' },
  completed: { held: 'job_complete' },
  failed: { held: 'job_fail', args: { permanent: true } },
  cancelled: { named: 'job_cancel' },
};

function moveTo(status, job) {
  if (status === 'in_progress') throw new RangeError('only getNextQueuedJob() makes a job in_progress');
  if (!Object.hasOwn(MOVES, status)) throw new RangeError(`unknown status: ${status}`);
  const { held: byWorker, named: byAnybody, args } = MOVES[status];
  if (isText(job)) {
    if (byAnybody) return { name: byAnybody, args: named(job) };
    throw new TypeError(`${status}: only its worker can say so, with the job that getNextQueuedJob() gave`);
  }
  if (byWorker) return { name: byWorker, args: { ...held(job), ...args } };
  throw new TypeError(`${status}: pass the job_id`);
}

// The operations. The first argument is the client; callers do not pass it.
const operations = {
  // Creates a job and returns its state: id, job_id, status, …, created. jobKey lets it be repeated: the same one
  // again, in the organisation, gives the job that is there, with created = false. The job_id is the server's, one that
  // no other call gets, unless jobId says it.
  createJob: (client, jobData, organisationId = null) => call(client, 'job_enqueue', {
    job_type: jobData.jobType,
    job_category: jobData.jobCategory,
    input_payload: jobData.inputPayload,
    restaurant_id: jobData.restaurantId,
    created_by: jobData.createdBy,
    priority: jobData.priority,
    max_retries: jobData.maxRetries,
    parent_job_id: jobData.parentJobId,
    metadata: jobData.metadata,
    run_at: jobData.runAt,
    expires_at: jobData.expiresAt,
    job_key: jobData.jobKey,
    job_id: jobData.jobId,
    organisation_id: organisationId,
  }),

  // Moves a job. pending, queued, paused, cancelled: by job_id; pending, queued, completed, failed: by its worker.
  // details: further arguments of the function, such as {result}, {error_message}, {reason}, {run_at}.
  async updateJobStatus(client, job, status, details = {}) {
    const { name, args } = moveTo(status, job);
    return call(client, name, { ...details, ...args });
  },

  // Keeps the lease. What comes back says with cancel_requested_at whether to stop.
  updateJobProgress: async (client, job, progress) => call(client, 'job_heartbeat', { ...held(job), progress }),

  // Completes a job; the server knows how long it took.
  updateJobResult: async (client, job, result) => call(client, 'job_complete', { ...held(job), result }),

  // Retries it after a while, or ends it as failed when no retry is left, or when it is permanent.
  markJobFailed: async (client, job, errorMessage, { permanent, runAt, details } = {}) => call(client, 'job_fail', {
    ...held(job), error_message: errorMessage, permanent, run_at: runAt, error_details: details,
  }),

  // The job, also an archived one, or null.
  getJob: async (client, jobId) => (await look(client, 'job_get', named(jobId)))[0] ?? null,

  // Newest first.
  getJobs: (client, { status, jobType, restaurantId, organisationId, limit = 50, offset = 0 } = {}) =>
    look(client, 'job_list', {
      status: status ?? undefined,
      job_type: jobType ?? undefined,
      restaurant_id: restaurantId ?? undefined,
      organisation_id: organisationId ?? undefined,
      max_rows: limit,
      skip_rows: offset,
    }),

  // Claims the best job that is due, of these types or of any, or null. wait: how long to wait for one ('2s').
  async getNextQueuedJob(client, jobTypes = null, { worker, lease, wait } = {}) {
    const types = jobTypes?.length ? jobTypes : undefined;
    return (await call(client, 'job_claim', { job_types: types, worker, lease, wait }))[0] ?? null;
  },

  // Brings a failed or cancelled job back.
  retryFailedJob: async (client, jobId, { runAt } = {}) =>
    call(client, 'job_retry', { ...named(jobId), run_at: runAt }),

  // A waiting job at once, a running one when its worker hears of it, or at once with force.
  cancelJob: async (client, jobId, reason, { force } = {}) =>
    call(client, 'job_cancel', { ...named(jobId), reason, force }),

  // A row for each type.
  getJobMetrics: async (client) => (await client.from('jobs_metrics').select('*').throwOnError()).data,

  // The jobs that failed for good, newest first.
  getFailedJobsSummary: async (client, { limit = 50, offset = 0 } = {}) =>
    (await client.from('jobs_failed_summary').select('*').range(offset, offset + limit - 1).throwOnError()).data,
};

const withClients = (makeClient) => Object.fromEntries(Object.entries(operations).map(([name, operation]) =>
  [name, async (...args) => operation(makeClient(), ...args)]));

function asUser(token) {
  if (!isText(token)) throw new TypeError('asUser() takes an access token');
  return withClients(() => userClient(token));
}

const {
  createJob, updateJobStatus, updateJobProgress, updateJobResult, markJobFailed, getJob, getJobs, getNextQueuedJob,
  retryFailedJob, cancelJob, getJobMetrics, getFailedJobsSummary,
} = withClients(serviceClient);

module.exports = {
  createJob,                    // Create new job
  updateJobStatus,              // Update job status
  updateJobProgress,            // Update job progress
  updateJobResult,              // Update job result after completion
  markJobFailed,                // Mark job as failed with error
  getJob,                       // Get single job
  getJobs,                      // Get multiple jobs with filters
  getNextQueuedJob,             // Get next job to execute (for worker)
  retryFailedJob,               // Retry a failed job
  cancelJob,                    // Cancel a running job
  getJobMetrics,                // Get queue metrics
  getFailedJobsSummary,         // Get jobs needing attention
  asUser,                       // The same twelve for one user
};
