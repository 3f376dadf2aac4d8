/** The memory of a plan's passes as counted by the device's own compiler. */
import type { KnownPrograms } from '../../graph/known-programs.ts';
import type { RecomputePolicy } from '../../graph/recompute.ts';
import { byteSize, type TensorSpec } from '../../graph/types.ts';
import { lastOf } from '../../narrow.ts';
import type { BatchShape } from '../../train/task.ts';
import { type PlannedPass, passOf, type RunPlan } from '../run-plan.ts';
import { heldVariables } from './held-variables.ts';

/** Bytes in addition to the variables; undefined for a pass whose memory is modeled instead. */
export interface CountedPasses {
  /** The largest pass for each batch shape. */
  readonly training: readonly (number | undefined)[];
  readonly evaluation: readonly (number | undefined)[];
  /** The signatures that write answers and answer questions. */
  readonly answers: readonly (number | undefined)[];
}

/**
 * Returns the counted passes; undefined if nothing is known, or, on a device whose runs compile all of their programs, if any is unknown.
 */
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

/** Returns the step that is compiled for a card: the last signature of the largest batch. */
export const trainingStep = (plan: RunPlan, recompute: RecomputePolicy): PlannedPass =>
  plan.trainPass(lastOf(plan.passesOf(largestShape(plan))), recompute);

const largestShape = ({ trainShapes }: Pick<RunPlan, 'trainShapes'>): BatchShape =>
  trainShapes.reduce((most, shape) => (shape.batch * shape.tokens > most.batch * most.tokens ? shape : most));

/** Returns a mark that distinguishes most plans without tracing: plans that share a mark are distinguished by their modules. */
export function planMark(plan: RunPlan, recompute: RecomputePolicy): string {
  const held = Object.values(heldVariables(plan)).map((specs: readonly TensorSpec[]) => [
    specs.length,
    specs.reduce((sum, spec) => sum + byteSize(spec), 0),
  ]);
  return JSON.stringify([plan.method, recompute, largestShape(plan), held]);
}

/** Returns the values of all items, or undefined as soon as one has none. */
function everyOne<T, Value>(all: readonly T[], give: (one: T) => Value | undefined): Value[] | undefined {
  const values: Value[] = [];
  for (const one of all) {
    const value = give(one);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return values;
}
