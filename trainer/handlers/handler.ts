/** The types of job handlers. */
import type { JobScope } from '../job/job-scope.ts';
import type { JobKind, JobRequest } from '../protocol/messages/job-messages.ts';
import type { JobResults } from './job-results.ts';

export type Handler<Kind extends JobKind> = (request: Extract<JobRequest, { kind: Kind }>, scope: JobScope) => Promise<JobResults[Kind]>;

export type Handlers<Kinds extends JobKind = JobKind> = { readonly [Kind in Kinds]: Handler<Kind> };

/** The jobs that run a model on an engine, or look for one. */
export type EngineKind = Exclude<JobKind, 'chat' | 'data'>;
