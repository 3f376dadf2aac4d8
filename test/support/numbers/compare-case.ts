/** Compares one case of an operation on an engine with the slow, obvious interpreter: values, variables and gradients. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import { largestError } from './largest-error.ts';
import type { OperationCase } from './operation-case.ts';
import { type CaseResult, runCase, runGradients } from './run-case.ts';

/** Tolerance between two float32 implementations, per 1 + |value|: sums have another order, and exp another polynomial. */
export const ENGINE_TOLERANCE = 1e-5;

export interface Deviation {
  /** The name of the value, variable or gradient that deviates. */
  readonly what: string;
  /** The largest |actual − expected| / (1 + |expected|). */
  readonly error: number;
  readonly actual: readonly number[];
  readonly expected: readonly number[];
}

interface Computed extends CaseResult {
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

async function compute(engine: Engine, test: OperationCase): Promise<Computed> {
  const result = await runCase(engine, test);
  const wanted = gradientsOf(test);
  return { ...result, gradients: wanted.length === 0 ? {} : await runGradients(engine, test, wanted, false) };
}

const gradientsOf = (test: OperationCase): string[] => Object.keys({ ...test.gradients, ...test.expectedGradients });

/** Results of the reference, computed once for all engines. */
const known = new WeakMap<Engine, Map<OperationCase, Promise<Computed>>>();

function computeOnce(reference: Engine, test: OperationCase): Promise<Computed> {
  const found = known.get(reference) ?? new Map<OperationCase, Promise<Computed>>();
  known.set(reference, found);
  const computed = found.get(test) ?? compute(reference, test);
  found.set(test, computed);
  return computed;
}

/** Returns the results that deviate from the reference by more than the tolerance of the case. */
export async function compareCase(engine: Engine, reference: Engine, test: OperationCase): Promise<Deviation[]> {
  const tolerance = test.tolerance ?? ENGINE_TOLERANCE;
  const compare = (what: string, actual: readonly number[] = [], expected: readonly number[] = []): Deviation[] => {
    const error = largestError(actual, expected);
    return error <= tolerance ? [] : [{ what, error, actual: actual.slice(0, 24), expected: expected.slice(0, 24) }];
  };
  const [actual, expected] = [await compute(engine, test), await computeOnce(reference, test)];
  const variables = Object.entries(expected.variables).flatMap(([name, values]) => compare(name, actual.variables[name], values));
  const gradients = gradientsOf(test).flatMap(input => compare(`gradient of ${input}`, actual.gradients[input], expected.gradients[input]));
  return [...compare('value', actual.y, expected.y), ...variables, ...gradients];
}
