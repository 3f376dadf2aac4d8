/** Schemas with which a client checks a daemon's messages, limited to the parts that it uses. A remote daemon may be any program. */
import { z } from 'zod';
import { JOB_KINDS } from '../../protocol/messages/job-messages.ts';
import type {
  ParamsOf,
  RequestName,
  RequestResult,
  ServerNotificationName,
  serverNotifications,
} from '../../protocol/messages/rpc-messages.ts';
import { DaemonError } from '../daemon-error.ts';

const text = z.string().max(4096);

const jobRecord = z.looseObject({
  id: text,
  kind: z.enum(JOB_KINDS),
  state: z.enum(['queued', 'running', 'stopping', 'succeeded', 'stopped', 'aborted', 'failed']),
  priority: z.number(),
  title: z.string(),
  runDir: text.optional(),
  pid: z.int().positive().optional(),
  createdAt: text,
  startedAt: text.optional(),
  endedAt: text.optional(),
  phase: text.optional(),
  progress: z.looseObject({ phase: text, done: z.number(), total: z.number(), unit: text }).optional(),
  // JSON has no NaN: a diverged loss arrives as null.
  metrics: z.looseObject({ step: z.number(), values: z.record(z.string(), z.number().nullable()) }).optional(),
  failure: z.looseObject({ code: text, message: z.string(), hint: z.string().optional(), isReported: z.boolean().optional() }).optional(),
  resume: z.looseObject({ runDir: text }).optional(),
});

const jobEvent = z.looseObject({ seq: z.int().nonnegative(), jobId: text, event: z.looseObject({ type: text }) });

const answers: { readonly [Name in RequestName]?: z.ZodType } = {
  initialize: z.looseObject({
    protocol: z.int(),
    version: text,
    pid: z.int().positive(),
    startedAt: text,
    capabilities: z.looseObject({ requests: z.array(text) }),
    seq: z.int().nonnegative(),
  }),
  listJobs: z.array(jobRecord),
  eventsSince: z.looseObject({ events: z.array(jobEvent), complete: z.boolean(), epoch: text }),
  train: jobRecord,
  resume: jobRecord,
  sweep: jobRecord,
  importance: jobRecord,
  evaluate: jobRecord,
  generate: jobRecord,
  previewData: jobRecord,
  exportRun: jobRecord,
  verify: jobRecord,
  doctor: jobRecord,
  waitForJob: jobRecord,
  stopJob: jobRecord,
  abortJob: jobRecord,
  prioritizeJob: jobRecord,
};

const notifications: { readonly [Name in ServerNotificationName]: z.ZodType } = { jobChanged: jobRecord, jobEvent };

const isAnswerTo = <Name extends RequestName>(name: Name, answer: unknown): answer is RequestResult<Name> =>
  answers[name]?.safeParse(answer).success ?? true;

const isNotification = <Name extends ServerNotificationName>(
  name: Name,
  params: unknown,
): params is ParamsOf<(typeof serverNotifications)[Name]> => notifications[name].safeParse(params).success;

/** @throws DaemonError 'bad-answer' */
export function checkAnswer<Name extends RequestName>(name: Name, answer: unknown): RequestResult<Name> {
  if (isAnswerTo(name, answer)) return answer;
  const wrong = answers[name]?.safeParse(answer).error?.issues[0];
  const place = [name, ...(wrong?.path ?? [])].join('.');
  throw new DaemonError('bad-answer', `the daemon's answer is not valid: ${place}: ${wrong?.message}`, {
    hint: 'Check that the address is that of a rowtune daemon, and that both have the same version',
  });
}

/** Returns the parameters; undefined if they are invalid, in which case the notification is ignored. */
export function checkNotification<Name extends ServerNotificationName>(
  name: Name,
  params: unknown,
): ParamsOf<(typeof serverNotifications)[Name]> | undefined {
  return isNotification(name, params) ? params : undefined;
}
