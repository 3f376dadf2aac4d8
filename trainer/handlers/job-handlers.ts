/** The handler of each kind of job. */
import { diagnose } from '../engine/doctor.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import type { JobKind, JobRequest } from '../protocol/job-messages.ts';
import { sweepJob } from '../sweep/sweep-job.ts';
import { cardJob } from './card-memory.ts';
import { chatJob } from './chat-facts.ts';
import { evaluateJob } from './evaluate-run.ts';
import { importanceJob } from './importance-run.ts';
import type { JobResults } from './job-results.ts';
import { exportJob, generateJob } from './model-jobs.ts';
import { previewDataJob } from './preview-data.ts';
import { serveJob } from './serve-models.ts';
import { findRateJob } from './train/find-rate.ts';
import { resumeJob, trainJob } from './train/train-run.ts';
import { verifyJob } from './verify-run.ts';

type Handler<Kind extends JobKind> = (request: Extract<JobRequest, { kind: Kind }>, scope: JobScope) => Promise<JobResults[Kind]>;
type Handlers = { readonly [Kind in JobKind]: Handler<Kind> };

const handlers: Handlers = {
  train: trainJob,
  resume: resumeJob,
  sweep: sweepJob,
  'find-rate': findRateJob,
  importance: importanceJob,
  evaluate: evaluateJob,
  generate: generateJob,
  export: exportJob,
  chat: chatJob,
  serve: serveJob,
  data: previewDataJob,
  verify: verifyJob,
  card: cardJob,
  doctor: ({ engine }, { context }) =>
    diagnose({
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
export function runJob(request: JobRequest, job: Job): Promise<JobResults[JobKind]> {
  const { context } = request;
  const { clearedVariables = [] } = context;
  // Doctor reports these itself.
  if (clearedVariables.length > 0 && request.kind !== 'doctor')
    job.log('info', `the worker ignores these environment variables: ${clearedVariables.join(', ')}`);
  return handle(request.kind, request, { job, context });
}
