/** Computes gradients by central differences, with the loss summed in double precision. */
import type { Engine } from '../../../trainer/engine/engine.ts';
import type { HostArray } from '../../../trainer/graph/types.ts';
import { required } from '../../../trainer/narrow.ts';
import type { OperationCase } from './operation-case.ts';
import { floatsOf } from './outputs.ts';
import { forwardProgram, inputsOf, lossWeights, withSession } from './run-case.ts';

/**
 * The step. Truncation is O(step²) ≈ 1e-5 for functions of unit scale; float32 rounding of the outputs adds about 6e-8 · √n / step ≈ 1e-5.
 */
export const STEP = 4e-3;

/** Returns ∂(Σ y·w)/∂input for each element of one input, in order. */
export function finiteDifferences(engine: Engine, test: OperationCase, name: string): Promise<number[]> {
  return withSession(engine, test, forwardProgram(test), async run => {
    const inputs = inputsOf(test);
    const original = floatsOf(inputs, name);
    const loss = async (entry: number, step: number): Promise<{ value: number; x: number }> => {
      const moved = original.slice();
      moved[entry] = (moved[entry] as number) + step;
      const { y } = await run({ ...inputs, [name]: moved });
      return { value: weigh(required(y, 'y')), x: moved[entry] as number };
    };
    const slopes: number[] = [];
    for (let entry = 0; entry < original.length; entry++) {
      const [up, down] = [await loss(entry, STEP), await loss(entry, -STEP)];
      slopes.push((up.value - down.value) / (up.x - down.x));
    }
    return slopes;
  });
}

function weigh(y: HostArray): number {
  const weights = lossWeights(y.length);
  return Array.from(y).reduce((sum, value, i) => sum + value * (weights[i] as number), 0);
}
