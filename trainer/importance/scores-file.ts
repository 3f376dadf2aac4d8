/**
 * Saved scores: a safetensors file, and a JSON summary next to it. The tensor `<module>` [rows] has the scores of the measure, and
 * `<module>@class:<name>` [rows] those of one class that they were computed from. Metadata: `rowtune` has their origin (`ScoresOrigin`),
 * `modules` the shapes of the weights. Scores of columns are stored as scores of rows of the transposed weights.
 */

import { z } from 'zod';
import { writeJson } from '../files/durable-file.ts';
import { encodeFloat32 } from '../format/float-format.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../format/safetensors/safetensors-writer.ts';
import type { RowSection } from '../model/module-specs.ts';
import type { RowsOf, Scores, TrainedUnit } from '../selection.ts';
import { ImportanceError } from './importance-error.ts';

/** The origin of scores, stored so that they are not used for another model or data. */
export interface ScoresOrigin {
  readonly measure: string;
  /** Fingerprint of the base weights. */
  readonly base: string;
  readonly seed: number;
  /** Number of samples that the measure used; 0 for measures without data. */
  readonly samples: number;
  readonly exact: boolean;
  /** Undefined for scores of rows. */
  readonly unit?: 'columns';
  /** The classes of class-wise measures, each with its number of samples. */
  readonly classes?: readonly { readonly name: string; readonly samples: number }[];
}

export const METADATA_KEY = 'rowtune';
export const originSchema = z.object({
  measure: z.string(),
  base: z.string(),
  seed: z.number(),
  samples: z.number(),
  exact: z.boolean(),
  unit: z.literal('columns').optional(),
  classes: z.array(z.object({ name: z.string(), samples: z.number() })).optional(),
});

/** The shape of a module: enough to count the parameters that a selection trains. */
export interface ScoredModule {
  /** The shape of the weight; its first dimension is the rows, or the columns if those are scored. */
  readonly shape: readonly number[];
  /** True if each row also has a bias entry. */
  readonly bias: boolean;
  /** Runs of rows that are shown as separate layers: see `ModuleSpec.sections`. */
  readonly sections?: readonly RowSection[] | undefined;
  /** Number of rows that are chosen together: see `RowsOf.block`. */
  readonly block?: number | undefined;
}

export const MODULES_KEY = 'modules';
const sectionSchema = z.object({ name: z.string(), rows: z.int().positive() });
export const modulesSchema = z.record(
  z.string(),
  z.object({
    shape: z.array(z.int().nonnegative()).min(1),
    bias: z.boolean(),
    sections: z.array(sectionSchema).min(1).optional(),
    block: z.int().positive().optional(),
  }),
);

/** Writes `path` (.safetensors) and its summary `path`.json: the mean, maximum and minimum score of each module. */
export async function saveScores(
  path: string,
  { scores, classes }: ModelScores,
  origin: ScoresOrigin,
  units: readonly RowsOf[],
): Promise<void> {
  const entry = (name: string, values: Float32Array) => ({
    name,
    dtype: 'F32' as const,
    shape: [values.length],
    data: () => encodeFloat32(values, 'F32'),
  });
  const entries = [...scores].flatMap(([name, values]) => [
    entry(name, values),
    ...(classes?.names ?? []).map((className, label) =>
      entry(`${name}${classKey(className)}`, rowsOfClass(classes?.scores.get(name), label, values.length)),
    ),
  ]);
  await writeSafetensors(path, entries, { [METADATA_KEY]: JSON.stringify(origin), [MODULES_KEY]: JSON.stringify(shapesOf(units)) });
  const modules = Object.fromEntries([...scores].map(([name, values]) => [name, summary(values)]));
  await writeJson(`${path}.json`, { ...origin, modules });
}

/** The suffix of a module's name in the tensor of a class; an `@` in the class would start another key. */
const classKey = (className: string): string => `@class:${className.replaceAll('@', ' at ')}`;

const rowsOfClass = (scores: Float32Array | undefined, label: number, rows: number): Float32Array =>
  scores?.subarray(label * rows, (label + 1) * rows) ?? new Float32Array(rows);

const shapesOf = (units: readonly RowsOf[]): Readonly<Record<string, ScoredModule>> =>
  Object.fromEntries(
    units.map(({ name, weight, bias, sections, block }) => [name, { shape: weight.shape, bias: bias !== undefined, sections, block }]),
  );

function summary(values: Float32Array): Record<string, number> {
  let [sum, max, min] = [0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const value of values) {
    sum += value;
    max = Math.max(max, value);
    min = Math.min(min, value);
  }
  return { rows: values.length, mean: sum / values.length, max, min };
}

/**
 * @throws ImportanceError if the file has no scores written by Rowtune, if they belong to other weights, or if they are not of these units
 */
export async function loadScores(
  path: string,
  base: string,
  wanted: TrainedUnit = 'rows',
): Promise<ModelScores & { readonly origin: ScoresOrigin }> {
  const source = await openSafetensors(path);
  try {
    const found = originSchema.safeParse(JSON.parse(source.metadata[METADATA_KEY] ?? 'null'));
    if (!found.success) throw new ImportanceError(`${path} holds no importance scores; make them with: rowtune importance`);
    const origin = found.data;
    if (origin.base !== base)
      throw new ImportanceError(`the scores in ${path} were computed on other weights than this model's; compute them again`);
    const { unit = 'rows' } = origin;
    if (unit !== wanted)
      throw new ImportanceError(
        `the scores in ${path} are of ${unit}, and this recipe trains ${wanted}; compute them again, or set trains: ${unit}`,
      );
    const scores = new Map<string, Float32Array>();
    for (const name of source.tensors.keys()) if (!name.includes('@')) scores.set(name, await source.readFloat32(name));
    if (!origin.classes) return { scores, origin };
    const classScores = new Map<string, Float32Array>();
    for (const [name, { length }] of scores) {
      const all = new Float32Array(length * origin.classes.length);
      for (const [label, { name: className }] of origin.classes.entries())
        all.set(await source.readFloat32(`${name}${classKey(className)}`), label * length);
      classScores.set(name, all);
    }
    const [names, counts] = [origin.classes.map(({ name }) => name), origin.classes.map(({ samples }) => samples)];
    return { scores, classes: { names, counts, scores: classScores }, origin };
  } finally {
    await source.close();
  }
}

export interface ModelScores {
  readonly scores: Scores;
  /** The class scores that class-wise scores were computed from. */
  readonly classes?: ClassScores;
}

export interface ClassScores {
  readonly names: readonly string[];
  /** Number of samples of each class. */
  readonly counts: readonly number[];
  /** Module → [classes, rows]. */
  readonly scores: ReadonlyMap<string, Float32Array>;
}
