/** The rows of the study: one per run, appended to a file as soon as the run ends and never removed. */
import { appendFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { readRegularText } from '../../trainer/files/regular-file.ts';
import { messageOf } from '../../trainer/protocol/error-facts.ts';

const count = z.number().int().nonnegative();
/** A tuned model's held-out result; a language model whose answers nothing checks has no accuracy. */
const resultSchema = z.object({ loss: z.number(), accuracy: z.number().optional() });

const rowSchema = z.object({
  task: z.string(),
  /** Fingerprint of everything that the numbers of a task depend on: `planOf`. */
  plan: z.string(),
  /** Fingerprint of the base's weights: a base that is trained on another machine is another base. */
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
  /** Trained parameters, those of a new head among them, and the parameters of the whole model. */
  trainable: count,
  parameters: count,
  steps: count,
  samples: count,
  /** Language models on general text: how much the loss grew, and KL(base ‖ tuned), in nats per token. */
  forgetting: z.object({ loss: z.number(), divergence: z.number() }).optional(),
  /** Processor time of the whole run, which work next to it changes little. */
  cpuSeconds: z.number().optional(),
  /** The time of the whole run, including loading and compilation, on `threads` cores. */
  seconds: z.number(),
  threads: count,
  /** Work that is not of the study ran on the same machine: the page leaves the seconds out. */
  beside: z.literal(true).optional(),
  /** Predicted: what training holds in addition to the weights. */
  memoryBytes: z.number().optional(),
  machine: z.string(),
  date: z.string(),
});

export type StudyRow = z.infer<typeof rowSchema>;

/** Every run of a language model's page is a line of some 500 bytes. */
const MAX_BYTES = 64 * 2 ** 20;

/** The rows of a file, or none if there is no file. @throws Error that names the line that is not a row */
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

/** The identity of a run: two rows that agree in all of it are the same run. */
export type RunKey = Pick<StudyRow, 'task' | 'plan' | 'base' | 'arm' | 'purpose' | 'learningRate' | 'seed'>;

export const isSameRun = (a: RunKey, b: RunKey): boolean =>
  a.task === b.task &&
  a.plan === b.plan &&
  a.base === b.base &&
  a.arm === b.arm &&
  a.purpose === b.purpose &&
  a.learningRate === b.learningRate &&
  a.seed === b.seed;
