/** The JSON file of cached tokens: everything about a data set except tokens and columns. */
import { z } from 'zod';
import { dataFormats } from '../types.ts';

const names = z.array(z.string()).readonly();
const count = z.number().int().nonnegative();
const counts = z.record(z.string(), count);

const stored = z.object({
  columns: z.object({ fileNames: names, labelNames: names, largestId: count }),
  samples: count,
  tokensChecksum: z.string(),
  columnsChecksum: z.string(),
  labels: names,
  report: z.object({
    format: z.enum([...dataFormats, 'tags', 'text groups']),
    formatReason: z.string(),
    files: count,
    read: count,
    drawnFrom: count.optional(),
    kept: count,
    dropped: counts,
    notes: counts.optional(),
    truncated: count,
    tokens: count,
    targets: count,
    lengths: z.object({ min: count, median: count, p90: count, p99: count, max: count }),
    labelCounts: counts,
  }),
});

export type Stored = z.infer<typeof stored>;

/** @throws Error for text of another form */
export const parseStored = (text: string): Stored => stored.parse(JSON.parse(text));
