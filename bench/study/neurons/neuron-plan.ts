/** The plan of the experiment on whether chosen rows differ by task and seed: bases, tasks, measures and parts, as data. Pure. */
import { createHash } from 'node:crypto';
import type { MeasureName } from '../../../trainer/catalog/measures.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { type BaseName, COMMON, type TaskPlan, tasks } from '../plan.ts';

/** The bases that have several tasks in the study. */
export const bases = ['minilm', 'smollm2'] as const satisfies readonly BaseName[];
export type NeuronBase = (typeof bases)[number];

/** The measures of each base. `random` is drawn from each seed, so its overlap must match chance. */
export const measuresOf: Readonly<Record<NeuronBase, readonly MeasureName[]>> = {
  minilm: ['wanda', 'activation', 'taylor_row', 'movement', 'random'],
  smollm2: ['wanda', 'activation', 'taylor_row', 'random'],
};

/** The measures whose rows are ablated. */
export const ablatedMeasures: readonly MeasureName[] = ['wanda', 'taylor_row'];

/** Number of samples for scoring (each half has half of them), and of held-out samples for a loss. */
export const sizes: Readonly<Record<NeuronBase, { readonly scored: number; readonly heldOut: number }>> = {
  minilm: { scored: 96, heldOut: 120 },
  smollm2: { scored: 32, heldOut: 24 },
};

/** Seeds for drawing the samples and a classifier's new head. */
export const SEEDS = [2, 3] as const;

/** The sample sets of a choice: all samples of a seed, or one half of the first seed's. */
export const draws = ['seed 2', 'seed 3', 'half 1', 'half 2'] as const;
export type Draw = (typeof draws)[number];

const compared: Readonly<Record<NeuronBase, readonly string[]>> = {
  minilm: ['minilm-mails', 'minilm-definitions', 'minilm-kinds'],
  smollm2: ['smollm2-mails', 'smollm2-novel', 'smollm2-addresses'],
};

export const tasksOf = (base: NeuronBase): readonly TaskPlan[] => tasks.filter(({ name }) => compared[base].includes(name));

/** A part, which is computed in one go and becomes one line of the results. */
export type NeuronPart =
  | { readonly kind: 'overlap'; readonly base: NeuronBase; readonly measure: MeasureName }
  | { readonly kind: 'ablation'; readonly base: NeuronBase; readonly measure: MeasureName; readonly task: string };

export const neuronParts: readonly NeuronPart[] = bases.flatMap(base => [
  ...measuresOf[base].map(measure => ({ kind: 'overlap' as const, base, measure })),
  ...tasksOf(base).flatMap(task => ablatedMeasures.map(measure => ({ kind: 'ablation' as const, base, measure, task: task.name }))),
]);

export const partName = (part: NeuronPart): string =>
  [part.kind, part.base, part.measure, ...(part.kind === 'ablation' ? [part.task] : [])].join(' ');

/** A fingerprint of everything that the numbers of a part depend on. */
export const planOfPart = (part: NeuronPart): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        COMMON,
        SEEDS,
        sizes[part.base],
        tasksOf(part.base).map(({ settings, samples, budget }) => [settings, samples, budget]),
      ]),
    )
    .digest('hex')
    .slice(0, 12);

/** Kinds of compared pairs: halves and seeds within each task, and different tasks. */
export type PairKind = 'halves' | 'seeds' | 'tasks';

export interface DrawOf {
  readonly task: string;
  readonly draw: Draw;
}

export function pairsOf(names: readonly string[]): { readonly kind: PairKind; readonly a: DrawOf; readonly b: DrawOf }[] {
  const within = (kind: PairKind, a: Draw, b: Draw) => names.map(task => ({ kind, a: { task, draw: a }, b: { task, draw: b } }));
  const between = names.flatMap((one, i) =>
    names
      .slice(i + 1)
      .map(other => ({ kind: 'tasks' as const, a: { task: one, draw: 'seed 2' as const }, b: { task: other, draw: 'seed 2' as const } })),
  );
  return [...within('halves', 'half 1', 'half 2'), ...within('seeds', 'seed 2', 'seed 3'), ...between];
}

/** The indices of training samples that a draw uses. @param drawn indices of its seed, ascending */
export function placesOf(draw: Draw, drawn: readonly number[]): readonly number[] {
  if (draw === 'half 1') return drawn.filter((_, i) => i % 2 === 0);
  return draw === 'half 2' ? drawn.filter((_, i) => i % 2 === 1) : drawn;
}

export const seedOf = (draw: Draw): number => (draw === 'seed 3' ? elementAt(SEEDS, 1) : elementAt(SEEDS, 0));
