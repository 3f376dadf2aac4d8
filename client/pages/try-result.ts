/** Reads the end of an answer from the result of its job. */
import { z } from 'zod';
import type { JobRecord } from '../../trainer/protocol/messages/rpc-messages.ts';
import { counted, grouped } from '../../trainer/protocol/text/format.ts';
import { DATA_PARTS } from '../../trainer/protocol/view/data.ts';
import type { TryAnswer } from '../../trainer/protocol/view/try.ts';

/** Schema of the entities in an answer. */
export const entitiesSchema = z.array(z.object({ type: z.string(), start: z.number(), end: z.number(), score: z.number() }));

/** Schema of the labels in an answer. */
export const labelsSchema = z.array(z.object({ label: z.string(), probability: z.number() }));

/** Schema of the nearest texts in an answer. */
export const nearestSchema = z.array(z.object({ text: z.string(), similarity: z.number() }));

/** Schema of a sample with its scores in an answer. */
export const comparedSchema = z.object({
  part: z.enum(DATA_PARTS),
  index: z.number(),
  count: z.number(),
  measure: z.enum(['logp', 'reward']),
  prompt: z.string(),
  answers: z.array(
    z.object({
      side: z.enum(['chosen', 'rejected', 'desirable', 'undesirable']),
      text: z.string(),
      tokens: z.number(),
      base: z.number().optional(),
      tuned: z.number(),
    }),
  ),
});

const resultSchema = z.object({
  text: z.string(),
  reasoning: z.string().optional(),
  ids: z.array(z.number()),
  tokensPerSecond: z.number(),
  finishReason: z.string(),
  chat: z.boolean().optional(),
  asTrained: z.boolean().optional(),
  entities: entitiesSchema.optional(),
  labels: labelsSchema.optional(),
  nearest: nearestSchema.optional(),
  compared: comparedSchema.optional(),
});

/** Maximum number of labels that the page shows. */
const SHOWN_LABELS = 20;

export function endOf(job: JobRecord): Partial<TryAnswer> {
  if (job.state === 'failed') return { state: 'failed', note: [job.failure?.message, job.failure?.hint].filter(Boolean).join(' ') };
  const result = resultSchema.safeParse(job.result).data;
  if (job.state !== 'succeeded' || result === undefined) return { state: 'stopped', note: undefined };
  if (result.entities)
    return {
      state: 'done',
      text: result.text,
      entities: result.entities,
      note: `${result.entities.length} ${result.entities.length === 1 ? 'entity' : 'entities'}`,
    };
  if (result.labels) {
    const { text, labels } = result;
    const count = counted(labels.length, 'label');
    const note = labels.length > SHOWN_LABELS ? `the ${SHOWN_LABELS} most likely of ${count}` : count;
    return { state: 'done', text, labels: labels.slice(0, SHOWN_LABELS), note };
  }
  if (result.compared) {
    const { compared } = result;
    const note = `sample ${compared.index + 1} of ${grouped(compared.count)} of the ${compared.part === 'eval' ? 'held-out' : 'training'} data`;
    return { state: 'done', text: result.text, compared, note };
  }
  if (result.nearest) return { state: 'done', text: result.text, nearest: result.nearest, note: 'nearest texts of the data' };
  const rate = result.tokensPerSecond > 0 ? `, ${result.tokensPerSecond.toFixed(1)} per second` : '';
  const cut = result.finishReason.startsWith('max_') ? ', cut at the token limit' : '';
  // Take the complete text, because some of it may have arrived before the page listened.
  const how = result.asTrained ? ', prompt formatted as in training' : result.chat ? ', prompt formatted by the chat template' : '';
  const { text, reasoning } = result;
  return { state: 'done', text, reasoning, note: `${counted(result.ids.length, 'token')}${rate}${cut}${how}` };
}
