/** Schemas of the heatmap page's messages and of its saved state. */
import { z } from 'zod';
import type { HeatmapFromPage } from '../../trainer/protocol/view/heatmap.ts';

/** Maximum number of sources: more can't be told apart in a list. */
export const MAX_SOURCES = 16;
/** Maximum size of a saved file: a picture or table of the largest model takes a tenth of this. */
const MAX_SAVED_BYTES = 64 * 2 ** 20;

const sourceSchema = z.object({ path: z.string().min(1), label: z.string(), jobId: z.string().optional(), isHere: z.boolean().optional() });
export const stateSchema = z.object({ sources: z.array(sourceSchema).max(MAX_SOURCES) });
export const fromPageSchema: z.ZodType<HeatmapFromPage> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('want'), sets: z.array(z.object({ path: z.string(), key: z.string() })).max(MAX_SOURCES) }),
  z.object({ type: z.literal('add-source'), source: sourceSchema }),
  z.object({ type: z.literal('remove-source'), path: z.string() }),
  z.object({ type: z.literal('open-run'), path: z.string() }),
  z.object({
    type: z.literal('save'),
    suggestedName: z.string().regex(/^[^/\\]{1,200}$/),
    content: z.union([z.string().max(MAX_SAVED_BYTES), z.instanceof(Uint8Array)]),
  }),
]);
