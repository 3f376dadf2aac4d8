/** Validates the events of a worker. A worker runs native code on untrusted files, so it may send anything. */
import { z } from 'zod';
import type { WorkerEvent } from '../protocol/messages/job-messages.ts';

const text = z.string();
/** JSON has no NaN: a diverged loss arrives as null. */
const number = z.number().nullable();

const workerEvent = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('phase'), name: text, message: text }),
  z.looseObject({ type: z.literal('progress'), phase: text, done: z.number(), total: z.number(), unit: text }),
  z.looseObject({ type: z.literal('metrics'), step: z.number(), values: z.record(text, number) }),
  z.looseObject({ type: z.literal('log'), level: z.enum(['debug', 'info', 'warning', 'error']), message: text }),
  z.looseObject({ type: z.literal('text'), chunk: text }),
  z.looseObject({ type: z.literal('samples'), page: z.looseObject({ samples: z.array(z.looseObject({ file: text })) }) }),
  z.looseObject({ type: z.literal('statistics'), statistics: z.looseObject({ parts: z.array(z.looseObject({ samples: z.number() })) }) }),
  z.looseObject({ type: z.literal('serving'), port: z.int() }),
  z.looseObject({ type: z.literal('result') }),
  z.looseObject({ type: z.literal('failed'), code: text, message: text, hint: text.optional() }),
]);

const isWorkerEvent = (message: unknown): message is WorkerEvent => workerEvent.safeParse(message).success;

/** Returns the event; undefined if the message is not one. */
export const readWorkerEvent = (message: unknown): WorkerEvent | undefined => (isWorkerEvent(message) ? message : undefined);
