/** The memory of a plan's passes as the device's own compiler has counted it, once all of them were compiled. */
import type { KnownPrograms } from '../../graph/known-programs.ts';
import type { RecomputePolicy } from '../../graph/recompute.ts';
import { type PlannedPass, passOf, type RunPlan } from '../run-plan.ts';

/** Bytes in addition to the variables. */
export interface CountedPasses {
  /** By shape of batch, the most of its passes. */
  readonly training: readonly number[];
  readonly evaluation: readonly number[];
  /** The signatures that write answers, and answer questions. */
  readonly answers: readonly number[];
}

/** Undefined as soon as one is not known: numbers of the compiler and of a model are not mixed. */
export function countedPasses(plan: RunPlan, recompute: RecomputePolicy, known: KnownPrograms): CountedPasses | undefined {
  const bytesOf = ({ signature, variables }: PlannedPass): number | undefined => known.workingBytes(signature, variables);
  const training = everyOne(plan.trainShapes, shape => {
    const passes = everyOne(plan.passesOf(shape), pass => bytesOf(plan.trainPass(pass, recompute)));
    return passes && Math.max(...passes);
  });
  const evaluation = training && everyOne(plan.evalShapes, shape => bytesOf(plan.evalPass(shape)));
  const answers = evaluation && everyOne(Object.values(plan.answerTraces()), traced => bytesOf(passOf(traced)));
  return answers && { training, evaluation, answers };
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
