/** The handler of each kind of job. */
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import type { JobKind, JobRequest } from '../protocol/job-messages.ts';
import type { JobResults } from './job-results.ts';

type Handler<Kind extends JobKind> = (request: Extract<JobRequest, { kind: Kind }>, scope: JobScope) => Promise<JobResults[Kind]>;
type Handlers = { readonly [Kind in JobKind]: Handler<Kind> };

/** Each is loaded with what it needs when its job starts: a page of samples appears sooner without the code of training. */
const handlers: Handlers = {
  train: async (request, scope) => (await import('./train/train-run.ts')).trainJob(request, scope),
  resume: async (request, scope) => (await import('./train/train-run.ts')).resumeJob(request, scope),
  sweep: async (request, scope) => (await import('../sweep/sweep-job.ts')).sweepJob(request, scope),
  'find-rate': async (request, scope) => (await import('./train/find-rate.ts')).findRateJob(request, scope),
  importance: async (request, scope) => (await import('./importance-run.ts')).importanceJob(request, scope),
  evaluate: async (request, scope) => (await import('./evaluate-run.ts')).evaluateJob(request, scope),
  generate: async (request, scope) => (await import('./model-jobs.ts')).generateJob(request, scope),
  export: async (request, scope) => (await import('./model-jobs.ts')).exportJob(request, scope),
  chat: async (request, scope) => (await import('./chat-facts.ts')).chatJob(request, scope),
  serve: async (request, scope) => (await import('./serve-models.ts')).serveJob(request, scope),
  data: async (request, scope) => (await import('./preview-data.ts')).previewDataJob(request, scope),
  verify: async (request, scope) => (await import('./verify-run.ts')).verifyJob(request, scope),
  card: async (request, scope) => (await import('./card-memory.ts')).cardJob(request, scope),
  doctor: async ({ engine }, { context }) =>
    (await import('../engine/doctor.ts')).diagnose({
      requested: engine,
      fromEnvironment: context.engineFromEnvironment,
      cacheDir: context.cacheDir,
      clearedVariables: context.clearedVariables,
    }),
};

const handle = <Kind extends JobKind>(kind: Kind, request: JobRequest, scope: JobScope): Promise<JobResults[Kind]> =>
  // Callers give the request's own kind; TypeScript cannot follow that through a union.
  handlers[kind](request as Extract<JobRequest, { kind: Kind }>, scope);

/** Resolves with the value of the job's result event. */
export function runJob<Kind extends JobKind>(request: JobRequest & { readonly kind: Kind }, job: Job): Promise<JobResults[Kind]> {
  const { context } = request;
  const { clearedVariables = [] } = context;
  // Doctor reports these itself.
  if (clearedVariables.length > 0 && request.kind !== 'doctor')
    job.log('info', `the worker ignores these environment variables: ${clearedVariables.join(', ')}`);
  return handle(request.kind, request, { job, context });
}
