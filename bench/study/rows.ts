/** The rows of the study: one per run, appended to a file when the run ends and never removed. */
import { appendFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { readRegularText } from '../../trainer/files/regular-file.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';

const count = z.number().int().nonnegative();
/** The held-out result of a tuned model; a language model whose answers are not checked has no accuracy. */
const resultSchema = z.object({ loss: z.number(), accuracy: z.number().optional() });

const rowSchema = z.object({
  task: z.string(),
  /** Fingerprint of everything that the numbers of a task depend on, from `planOf`. */
  plan: z.string(),
  /** Fingerprint of the base's weights; a base trained on another machine is a different base. */
  base: z.string(),
  arm: z.string(),
  /** tune: on the validation data, to choose the learning rate. test: on the test data, at the chosen rate. */
  purpose: z.enum(['tune', 'test']),
  learningRate: z.number().positive(),
  seed: count,
  /** Absent if the run diverged. */
  result: resultSchema.optional(),
  /** The model before its first update, on the same data. */
  before: resultSchema.optional(),
  /** Number of trained parameters, including those of a new head, and number of parameters of the whole model. */
  trainable: count,
  parameters: count,
  steps: count,
  samples: count,
  /** For language models, on general text: increase of the loss and KL(base ‖ tuned), in nats per token. */
  forgetting: z.object({ loss: z.number(), divergence: z.number() }).optional(),
  /** Processor time of the whole run, which other work on the machine hardly changes. */
  cpuSeconds: z.number().optional(),
  /** Duration of the whole run, including loading and compilation, on `threads` cores. */
  seconds: z.number(),
  threads: count,
  /** True if processes outside the study ran on the same machine; the page then omits the seconds. */
  beside: z.literal(true).optional(),
  /** The predicted memory that training takes beyond the weights. */
  memoryBytes: z.number().optional(),
  machine: z.string(),
  date: z.string(),
});

export type StudyRow = z.infer<typeof rowSchema>;

/** Maximum size of the file; a row takes about 500 bytes. */
const MAX_BYTES = 64 * 2 ** 20;

/** Returns the rows of a file; none if the file does not exist. @throws Error with the number of a line that is not a row */
export async function readRows(file: string): Promise<StudyRow[]> {
  const text = await readRegularText(file, MAX_BYTES).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [parseRow(line, `${path.basename(file)}, line ${i + 1}`)]));
}

function parseRow(line: string, where: string): StudyRow {
  try {
    return rowSchema.parse(JSON.parse(line));
  } catch (error) {
    throw new Error(`${where} is not a row of the study: ${messageOf(error)}. Remove the line.`);
  }
}

export async function appendRow(file: string, row: StudyRow): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await appendFile(file, `${JSON.stringify(row)}\n`, { flush: true });
}

/** The identity of a run: rows that agree in all of these fields describe the same run. */
export type RunKey = Pick<StudyRow, 'task' | 'plan' | 'base' | 'arm' | 'purpose' | 'learningRate' | 'seed'>;

export const isSameRun = (a: RunKey, b: RunKey): boolean =>
  a.task === b.task &&
  a.plan === b.plan &&
  a.base === b.base &&
  a.arm === b.arm &&
  a.purpose === b.purpose &&
  a.learningRate === b.learningRate &&
  a.seed === b.seed;
