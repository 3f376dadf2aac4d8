/** Tests products of a few rows with weights in every stored form. Runs if the engine is installed. */
import { describe, expect, test } from 'vitest';
import { fewRowsOf } from '../../../../trainer/graph/fusion/few-rows.ts';
import { type Planner, planner } from '../../../../trainer/graph/fusion/plan.ts';
import { singleSteps } from '../../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { type Precision, WeightStorage } from '../../../../trainer/model/weight-storage.ts';
import { required, valueFor } from '../../../../trainer/narrow.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { largestDifference } from '../../../../trainer/verify/verify-model.ts';
import { floatsOf } from '../../../support/numbers/outputs.ts';
import { engineForTests } from '../engine-for-tests.ts';

// The kernels read this once, before their first product.
process.env.TF_NUM_INTRAOP_THREADS = '3';
const { engine, reason } = await engineForTests();

/** Several pieces, and a number of columns of the result that no tile divides. */
const spec = { name: 'w', shape: [1029, 192] };
const [OUT, IN] = [1029, 192];
const ROWS = [1, 2, 3, 4, 5, 8];

const random = createRandom(2);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform() * 2 - 1);
const [values, inputs] = [numbers(OUT * IN), numbers(8 * IN)];

/** The products of the first 1, 2, … rows with the weight, each [rows · OUT]. */
async function productsOf(precision: Precision, fuse: Planner): Promise<Map<number, Float32Array>> {
  const storage = new WeightStorage({ precision, parameters: [spec], quantized: new Set(['w']), floatParts: new Map() });
  const signatures = ROWS.map(rows => {
    const graph = new Graph();
    return [`rows${rows}`, { graph, outputs: { y: storage.linear(graph, graph.feed('x', [rows, IN]), spec) }, effects: [] }] as const;
  });
  const session = await required(engine, 'the engine').compile(assemble(Object.fromEntries(signatures)), { fuse });
  await session.load(storage.encode({ name: 'w', data: values }));
  const found = new Map<number, Float32Array>();
  for (const rows of ROWS) {
    found.set(rows, floatsOf(await session.run(`rows${rows}`, { x: inputs.slice(0, rows * IN) }), 'y'));
  }
  await session.dispose();
  return found;
}

describe.skipIf(engine === undefined)(`products of a few rows${reason ? ` (${reason})` : ''}`, () => {
  test.each<Precision>([
    { dtype: 'float32', quantize: 'none' },
    { dtype: 'float32', quantize: 'int8' },
    { dtype: 'float32', quantize: 'nf4' },
    { dtype: 'bfloat16', quantize: 'none' },
    { dtype: 'bfloat16', quantize: 'int8' },
    { dtype: 'bfloat16', quantize: 'nf4' },
  ])('$dtype, $quantize', async precision => {
    let planned = 0;
    const fuse = planner();
    const found = await productsOf(precision, signature => {
      const steps = fuse(signature);
      planned += steps.filter(({ fewRows }) => fewRows).length;
      return steps;
    });
    expect(planned).toBe(ROWS.length);
    const plain = await productsOf(precision, singleSteps);
    const whole = valueFor(found, 8);
    // Both add in float32 and round once to bfloat16, so they differ by at most one step of it.
    const largest = Math.max(...whole.map(Math.abs));
    const most = precision.dtype === 'float32' ? 1e-6 * largest : largest * 2 ** -7;
    for (const rows of ROWS) {
      expect(largestDifference(valueFor(found, rows), [...valueFor(plain, rows)])).toBeLessThanOrEqual(most);
      // The same bits, whatever other rows there are.
      expect(valueFor(found, rows)).toEqual(whole.subarray(0, rows * OUT));
    }
  });
});

test('more rows, small weights and blocks that no row ends with are products of their own', () => {
  const graph = new Graph();
  const weight = (shape: number[]) => graph.read({ name: `w${shape}`, shape, dtype: 'float32' });
  const product = (rows: number, shape: number[]) =>
    graph.matmul(graph.feed(`x${rows}${shape}`, [rows, shape[1] ?? 0]), weight(shape), { transposeB: true });
  expect(fewRowsOf(product(8, [512, 64]))).toBeDefined();
  for (const [rows, shape] of [
    [9, [512, 64]],
    [8, [64, 64]],
    [8, [8192, 6]],
  ] as const)
    expect(fewRowsOf(product(rows, [...shape]))).toBeUndefined();
});
