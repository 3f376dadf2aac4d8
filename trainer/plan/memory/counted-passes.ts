/** The memory of a plan's passes as the device's own compiler has counted it. */
import type { KnownPrograms } from '../../graph/known-programs.ts';
import type { RecomputePolicy } from '../../graph/recompute.ts';
import { byteSize, type TensorSpec } from '../../graph/types.ts';
import { lastOf } from '../../narrow.ts';
import type { BatchShape } from '../../train/task.ts';
import { type PlannedPass, passOf, type RunPlan } from '../run-plan.ts';
import { heldVariables } from './held-variables.ts';

/** Bytes in addition to the variables; undefined for a pass that the model of buffers prices. */
export interface CountedPasses {
  /** By shape of batch, the most of its passes. */
  readonly training: readonly (number | undefined)[];
  readonly evaluation: readonly (number | undefined)[];
  /** The signatures that write answers, and answer questions. */
  readonly answers: readonly (number | undefined)[];
}

/** Undefined where nothing is known, and on a device whose runs compile all of their programs, as soon as one is not known. */
export function countedPasses(plan: RunPlan, recompute: RecomputePolicy, known: KnownPrograms): CountedPasses | undefined {
  const bytesOf = ({ signature, variables }: PlannedPass): number | undefined => known.workingBytes(signature, variables, plan.places);
  if (!known.mayHave(planMark(plan, recompute))) return undefined;
  if (known.ofCard) {
    const most = largestShape(plan);
    const step = bytesOf(trainingStep(plan, recompute));
    return step === undefined
      ? undefined
      : { training: plan.trainShapes.map(each => (each === most ? step : undefined)), evaluation: [], answers: [] };
  }
  const training = everyOne(plan.trainShapes, shape => {
    const passes = everyOne(plan.passesOf(shape), pass => bytesOf(plan.trainPass(pass, recompute)));
    return passes && Math.max(...passes);
  });
  const evaluation = training && everyOne(plan.evalShapes, shape => bytesOf(plan.evalPass(shape)));
  const answers = evaluation && everyOne(Object.values(plan.answerTraces()), traced => bytesOf(passOf(traced)));
  return answers && { training, evaluation, answers };
}

/** The step that is compiled for a card: the last signature of the largest batch. */
export const trainingStep = (plan: RunPlan, recompute: RecomputePolicy): PlannedPass =>
  plan.trainPass(lastOf(plan.passesOf(largestShape(plan))), recompute);

const largestShape = ({ trainShapes }: Pick<RunPlan, 'trainShapes'>): BatchShape =>
  trainShapes.reduce((most, shape) => (shape.batch * shape.tokens > most.batch * most.tokens ? shape : most));

/** Facts that tell most plans apart, and take no tracing: those that share a mark are told apart by their modules. */
export function planMark(plan: RunPlan, recompute: RecomputePolicy): string {
  const held = Object.values(heldVariables(plan)).map((specs: readonly TensorSpec[]) => [
    specs.length,
    specs.reduce((sum, spec) => sum + byteSize(spec), 0),
  ]);
  return JSON.stringify([plan.method, recompute, largestShape(plan), held]);
}

/** The values of all, or undefined from the first that has none. */
function everyOne<T, Value>(all: readonly T[], give: (one: T) => Value | undefined): Value[] | undefined {
  const values: Value[] = [];
  for (const one of all) {
    const value = give(one);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}
