/** Saved scores: a safetensors file with a tensor a module, and a summary of them in JSON beside it. */
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { openSafetensors } from '../hub/safetensors-source.ts';
import { encodeFloat32, writeSafetensors } from '../hub/safetensors-writer.ts';
import type { ModuleSpec } from '../model/model-spec.ts';
import type { Scores } from '../selection.ts';
import { ImportanceError } from './score-model.ts';

/** Where scores come from, so that they are not used for something else. */
export interface ScoresOrigin {
  readonly measure: string;
  /** Fingerprint of the base weights. */
  readonly base: string;
  readonly seed: number;
  /** Samples that the measure looked at; 0 for measures without data. */
  readonly samples: number;
  readonly exact: boolean;
}

export const METADATA_KEY = 'rowtune';
export const originSchema = z.object({
  measure: z.string(),
  base: z.string(),
  seed: z.number(),
  samples: z.number(),
  exact: z.boolean(),
});

/** What the rows of a module are: enough to count the parameters that a selection trains. */
export interface ScoredModule {
  /** Of the weight; the first is the rows. */
  readonly shape: readonly number[];
  /** Each row has an entry of the bias too. */
  readonly bias: boolean;
}

export const MODULES_KEY = 'modules';
export const modulesSchema = z.record(z.string(), z.object({ shape: z.array(z.int().nonnegative()).min(1), bias: z.boolean() }));

/** Writes `path` (.safetensors) and its summary `path`.json: mean, largest and smallest score of each module. */
export async function saveScores(path: string, scores: Scores, origin: ScoresOrigin, specs: readonly ModuleSpec[]): Promise<void> {
  const entries = [...scores].map(([name, values]) => ({
    name,
    dtype: 'F32' as const,
    shape: [values.length],
    data: () => encodeFloat32(values, 'F32'),
  }));
  await writeSafetensors(path, entries, { [METADATA_KEY]: JSON.stringify(origin), [MODULES_KEY]: JSON.stringify(shapesOf(specs)) });
  const modules = Object.fromEntries([...scores].map(([name, values]) => [name, summary(values)]));
  await writeFile(`${path}.json`, `${JSON.stringify({ ...origin, modules }, null, 2)}\n`);
}

const shapesOf = (specs: readonly ModuleSpec[]): Readonly<Record<string, ScoredModule>> =>
  Object.fromEntries(specs.map(({ name, weight, bias }) => [name, { shape: weight.shape, bias: bias !== undefined }]));

function summary(values: Float32Array): Record<string, number> {
  let [sum, max, min] = [0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const value of values) {
    sum += value;
    max = Math.max(max, value);
    min = Math.min(min, value);
  }
  return { rows: values.length, mean: sum / values.length, max, min };
}

/** @throws ImportanceError where the file holds no scores of ours, or they belong to other weights */
export async function loadScores(path: string, base: string): Promise<{ scores: Scores; origin: ScoresOrigin }> {
  const source = await openSafetensors(path);
  try {
    const origin = originSchema.safeParse(JSON.parse(source.metadata[METADATA_KEY] ?? 'null'));
    if (!origin.success) throw new ImportanceError(`${path} holds no importance scores; make them with: rowtune importance`);
    if (origin.data.base !== base)
      throw new ImportanceError(`the scores in ${path} were computed on other weights than this model's; compute them again`);
    const scores = new Map<string, Float32Array>();
    for (const name of source.tensors.keys()) scores.set(name, await source.readFloat32(name));
    return { scores, origin: origin.data };
  } finally {
    await source.close();
  }
}
