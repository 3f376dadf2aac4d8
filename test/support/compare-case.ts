/** One case of an operation on an engine, next to the slow obvious interpreter: values, variables and gradients. */
import type { Engine } from '../../trainer/engine/engine.ts';
import { largestError } from './largest-error.ts';
import type { OperationCase } from './operation-case.ts';
import { runCase, runGradients } from './run-case.ts';

/** Between two float32 implementations, per 1 + |value|: sums in another order and other polynomials for exp. */
export const ENGINE_TOLERANCE = 1e-5;

export interface Deviation {
  /** The value, the variable or the gradient that deviates. */
  readonly what: string;
  /** The largest |actual − expected| / (1 + |expected|). */
  readonly error: number;
  readonly actual: readonly number[];
  readonly expected: readonly number[];
}

/** Whatever is further from the reference than the tolerance of the case. */
export async function compareCase(engine: Engine, reference: Engine, test: OperationCase): Promise<Deviation[]> {
  const tolerance = test.tolerance ?? ENGINE_TOLERANCE;
  const compare = (what: string, actual: readonly number[] = [], expected: readonly number[] = []): Deviation[] => {
    const error = largestError(actual, expected);
    return error <= tolerance ? [] : [{ what, error, actual: actual.slice(0, 24), expected: expected.slice(0, 24) }];
  };
  const [actual, expected] = [await runCase(engine, test), await runCase(reference, test)];
  const variables = Object.entries(expected.variables).flatMap(([name, values]) => compare(name, actual.variables[name], values));
  const wanted = Object.keys({ ...test.gradients, ...test.expectedGradients });
  if (wanted.length === 0) return [...compare('value', actual.y, expected.y), ...variables];
  const [ours, theirs] = [await runGradients(engine, test, wanted, false), await runGradients(reference, test, wanted, false)];
  const gradients = wanted.flatMap(input => compare(`gradient of ${input}`, ours[input], theirs[input]));
  return [...compare('value', actual.y, expected.y), ...variables, ...gradients];
}
