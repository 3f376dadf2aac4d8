/** The passes that turn a schedule into fused steps, in order. */
import type { Signature } from '../program.ts';
import { BuildMemo } from './build-memo.ts';
import { fuse } from './fuse.ts';
import { narrowedEarly } from './narrow-early.ts';
import { Schedule } from './schedule.ts';
import { type Step, singleSteps } from './step.ts';

/** A pass takes the steps of a signature and returns steps that give the same values. `rowtune graph --fused --after <name>` prints them. */
export interface FusionPass {
  readonly name: string;
  readonly summary: string;
  readonly run: (steps: readonly Step[], context: PassContext) => readonly Step[];
}

interface PassContext {
  readonly signature: Signature;
  readonly memo: Pick<BuildMemo, 'build'>;
}

const scheduleOf = (steps: readonly Step[], { outputs }: Signature) =>
  new Schedule(
    steps.flatMap(({ nodes }) => nodes),
    Object.values(outputs),
  );

/** The passes, in order. No step takes more memory than the nodes that it replaces. */
export const FUSION_PASSES: readonly FusionPass[] = [
  {
    name: 'narrow-early',
    summary: 'casts to fewer bytes follow the last reader of the wide value',
    run: (steps, { signature }) => singleSteps({ schedule: narrowedEarly(scheduleOf(steps, signature)) }),
  },
  {
    name: 'fuse',
    summary: 'nodes between two products become steps of one pass over memory each',
    run: (steps, { signature, memo }) => fuse(scheduleOf(steps, signature), memo),
  },
];

/** Returns the passes up to and including `name`; all of them by default. */
export const passesThrough = (name?: string): readonly FusionPass[] =>
  name === undefined ? FUSION_PASSES : FUSION_PASSES.slice(0, FUSION_PASSES.findIndex(pass => pass.name === name) + 1);

/** Divides a signature into steps, either one per node or fused. It may memoize plans. */
export type Planner = (signature: Signature) => readonly Step[];

/** Returns a planner for any number of signatures. `memo` keeps built programs, because the blocks of a model are nearly identical. */
export const planner =
  (memo: Pick<BuildMemo, 'build'> = new BuildMemo(), passes: readonly FusionPass[] = FUSION_PASSES): Planner =>
  signature =>
    passes.reduce<readonly Step[]>((steps, pass) => pass.run(steps, { signature, memo }), singleSteps(signature));

/** Returns the fused steps of one signature. */
export const fusedSteps = (signature: Signature): readonly Step[] => planner()(signature);
