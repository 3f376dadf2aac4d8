/** The lines of neurons.jsonl: one per part, appended when it is computed. */
import { appendFile, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { codeOf } from '../../../trainer/protocol/error-facts.ts';

const common = { plan: z.string(), base: z.string(), measure: z.string(), cpuSeconds: z.number(), machine: z.string(), date: z.string() };

const overlapSchema = z.object({
  kind: z.literal('overlap'),
  ...common,
  /** Number of rows that a choice has, of all available rows. */
  chosen: z.number(),
  rows: z.number(),
  /** Mean over modules of the overlap expected by chance. */
  chance: z.number(),
  pairs: z.array(
    z.object({
      kind: z.enum(['halves', 'seeds', 'tasks']),
      a: z.string(),
      b: z.string(),
      /** Mean overlap over all modules, and over the modules of each block in order. */
      mean: z.number(),
      byLayer: z.array(z.number()),
    }),
  ),
  /** Share of each task's rows that no other task chooses, for the first seed. */
  ownShare: z.record(z.string(), z.number()),
});

const ablationSchema = z.object({
  kind: z.literal('ablation'),
  ...common,
  /** The task of the tuned model and the held-out samples. */
  task: z.string(),
  samples: z.number(),
  /** Loss of the tuned model, and of the base with its head. */
  tuned: z.number(),
  sets: z.array(
    z.object({
      /** Whose rows are ablated. */
      of: z.enum(['own', 'others', 'only own', 'only others', 'random']),
      from: z.string(),
      rows: z.number(),
      /** Loss with these rows set to zero, and with these rows reset to their values before tuning. */
      zeroed: z.number(),
      reset: z.number(),
    }),
  ),
});

const rowSchema = z.discriminatedUnion('kind', [overlapSchema, ablationSchema]);

export type NeuronRow = z.infer<typeof rowSchema>;
export type OverlapRow = z.infer<typeof overlapSchema>;
export type AblationRow = z.infer<typeof ablationSchema>;

/** @throws Error with the number of a line that is not valid */
export async function readNeuronRows(file: string): Promise<NeuronRow[]> {
  const text = await readFile(file, 'utf8').catch(error => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const parsed = rowSchema.safeParse(JSON.parse(line));
    if (!parsed.success) throw new Error(`${file}:${i + 1} is not a valid row: ${parsed.error.issues[0]?.message}`);
    return [parsed.data];
  });
}

export const appendNeuronRow = (file: string, row: NeuronRow): Promise<void> => appendFile(file, `${JSON.stringify(row)}\n`);
