/** The handler of each kind of job. */
import { setImageLibrary } from '../data/image/image-library.ts';
import { importSharp } from '../engine/install/image-packages.ts';
import type { Job } from '../job/job.ts';
import type { JobScope } from '../job/job-scope.ts';
import type { JobKind, JobRequest } from '../protocol/messages/job-messages.ts';
import { chatJob } from './chat-facts.ts';
import type { EngineKind, Handler, Handlers } from './handler.ts';
import type { JobResults } from './job-results.ts';
import { previewDataJob } from './preview-data.ts';

/** Loads the handlers with an engine on demand: a page of samples appears sooner without the training code. */
const withEngine =
  <Kind extends EngineKind>(kind: Kind): Handler<Kind> =>
  async (request, scope) =>
    (await import('./engine-handlers.ts')).engineHandlers[kind](request, scope);

const handlers: Handlers = {
  chat: chatJob,
  data: previewDataJob,
  train: withEngine('train'),
  resume: withEngine('resume'),
  sweep: withEngine('sweep'),
  'find-rate': withEngine('find-rate'),
  importance: withEngine('importance'),
  evaluate: withEngine('evaluate'),
  generate: withEngine('generate'),
  export: withEngine('export'),
  serve: withEngine('serve'),
  verify: withEngine('verify'),
  card: withEngine('card'),
  doctor: withEngine('doctor'),
};

const handle = <Kind extends JobKind>(kind: Kind, request: JobRequest, scope: JobScope): Promise<JobResults[Kind]> =>
  // Callers pass the request's own kind, which TypeScript cannot track through a union.
  handlers[kind](request as Extract<JobRequest, { kind: Kind }>, scope);

/** Resolves with the value of the job's result event. */
export function runJob<Kind extends JobKind>(request: JobRequest & { readonly kind: Kind }, job: Job): Promise<JobResults[Kind]> {
  const { context } = request;
  setImageLibrary(() => importSharp(context.cacheDir));
  const { clearedVariables = [] } = context;
  // The doctor reports these itself.
  if (clearedVariables.length > 0 && request.kind !== 'doctor')
    job.log('info', `the worker ignores these environment variables: ${clearedVariables.join(', ')}`);
  return handle(request.kind, request, { job, context });
}
