/** The plan of the question whether chosen rows differ by task and seed: bases, tasks, measures and parts, as data. Pure. */
import { createHash } from 'node:crypto';
import type { MeasureName } from '../../../trainer/catalog/measures.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { type BaseName, COMMON, type TaskPlan, tasks } from '../plan.ts';

/** The bases with several tasks of the study. */
export const bases = ['minilm', 'smollm2'] as const satisfies readonly BaseName[];
export type NeuronBase = (typeof bases)[number];

/** `random` is drawn anew by each seed, and must come out as chance says. */
export const measuresOf: Readonly<Record<NeuronBase, readonly MeasureName[]>> = {
  minilm: ['wanda', 'activation', 'taylor_row', 'movement', 'random'],
  smollm2: ['wanda', 'activation', 'taylor_row', 'random'],
};

/** The measures whose rows are taken away. */
export const ablatedMeasures: readonly MeasureName[] = ['wanda', 'taylor_row'];

/** Samples that a measure looks at, of which each half has half, and held-out samples for a loss. */
export const sizes: Readonly<Record<NeuronBase, { readonly scored: number; readonly heldOut: number }>> = {
  minilm: { scored: 96, heldOut: 120 },
  smollm2: { scored: 32, heldOut: 24 },
};

/** They draw the samples and the new head of a classifier. */
export const SEEDS = [2, 3] as const;

/** The samples of a choice: those of a seed, or one half of those of the first. */
export const draws = ['seed 2', 'seed 3', 'half 1', 'half 2'] as const;
export type Draw = (typeof draws)[number];

const compared: Readonly<Record<NeuronBase, readonly string[]>> = {
  minilm: ['minilm-mails', 'minilm-definitions', 'minilm-kinds'],
  smollm2: ['smollm2-mails', 'smollm2-novel', 'smollm2-addresses'],
};

export const tasksOf = (base: NeuronBase): readonly TaskPlan[] => tasks.filter(({ name }) => compared[base].includes(name));

/** A part is computed at once, and is a line of the results. */
export type NeuronPart =
  | { readonly kind: 'overlap'; readonly base: NeuronBase; readonly measure: MeasureName }
  | { readonly kind: 'ablation'; readonly base: NeuronBase; readonly measure: MeasureName; readonly task: string };

export const neuronParts: readonly NeuronPart[] = bases.flatMap(base => [
  ...measuresOf[base].map(measure => ({ kind: 'overlap' as const, base, measure })),
  ...tasksOf(base).flatMap(task => ablatedMeasures.map(measure => ({ kind: 'ablation' as const, base, measure, task: task.name }))),
]);

export const partName = (part: NeuronPart): string =>
  [part.kind, part.base, part.measure, ...(part.kind === 'ablation' ? [part.task] : [])].join(' ');

/** A fingerprint of what the numbers of a part depend on. */
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

/** The pairs of draws that are compared: halves and seeds within each task, and tasks with each other. */
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

/** The places in the training data that a draw looks at. @param drawn those of its seed, ascending */
export function placesOf(draw: Draw, drawn: readonly number[]): readonly number[] {
  if (draw === 'half 1') return drawn.filter((_, i) => i % 2 === 0);
  return draw === 'half 2' ? drawn.filter((_, i) => i % 2 === 1) : drawn;
}

export const seedOf = (draw: Draw): number => (draw === 'seed 3' ? elementAt(SEEDS, 1) : elementAt(SEEDS, 0));
