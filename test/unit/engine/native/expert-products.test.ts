/**
 * Tests products grouped by expert on several threads, with our kernels, or TensorFlow's own operations if those are missing. Runs if the
 * engine is installed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../../../trainer/engine/engine.ts';
import { loadAddon } from '../../../../trainer/engine/tensorflow/addon.ts';
import { lowerProgram } from '../../../../trainer/engine/tensorflow/lower.ts';
import { openSession } from '../../../../trainer/engine/tensorflow/session.ts';
import { singleSteps } from '../../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import type { DType, HostArray } from '../../../../trainer/graph/types.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { engineForTests } from '../engine-for-tests.ts';

// More threads than a small machine has cores, so that some must wait. The kernels read this once, before their first product.
process.env.TF_NUM_INTRAOP_THREADS = '3';
const { engine, installed, reason } = await engineForTests();
const plain = { plan: singleSteps, hasProducts: false, hasColumns: false, hasSums: false, hasNarrowKernels: false };

const random = createRandom(3);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform() * 2 - 1);
const whole = (count: number, below: number): Int32Array => Int32Array.from({ length: count }, () => Math.floor(random.uniform() * below));

/** Several panels, and less than one; the last expert has no rows, and the first has most of them. */
const [EXPERTS, OUT, WIDTH, ROWS, REPEATS] = [7, 600, 70, 90, 2];
const ids = whole(ROWS * REPEATS, EXPERTS - 1).map((id, t) => (t % 3 ? id : 0));
const chosen = whole(200, EXPERTS * OUT);

function program(dtype: DType) {
  const graph = new Graph();
  const feed = (name: string, shape: readonly number[]): Node => graph.cast(graph.feed(name, shape), dtype);
  const [x, y, w] = [feed('x', [ROWS, WIDTH]), feed('y', [ROWS * REPEATS, OUT]), feed('w', [EXPERTS * OUT, WIDTH])];
  const experts = graph.feed('ids', [ids.length], 'int32');
  const rows = graph.feed('rows', [chosen.length], 'int32');
  const outputs = {
    forward: graph.expertProduct(x, w, experts, { experts: EXPERTS, transposed: false }),
    back: graph.expertProduct(y, w, experts, { experts: EXPERTS, transposed: true }),
    all: graph.expertGradient(y, x, experts, EXPERTS),
    some: graph.expertGradient(y, x, experts, EXPERTS, rows),
  };
  const wide = Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, graph.cast(node, 'float32')]));
  return assemble({ run: { graph, outputs: wide, effects: [] } });
}

const feeds = { x: numbers(ROWS * WIDTH), y: numbers(ROWS * REPEATS * OUT), w: numbers(EXPERTS * OUT * WIDTH), ids, rows: chosen };

/** Computes the products in double precision, one assignment after the other. */
function expectedOf(): Record<string, Float64Array> {
  const forward = new Float64Array(ids.length * OUT);
  const back = new Float64Array(ids.length * WIDTH);
  const all = new Float64Array(EXPERTS * OUT * WIDTH);
  ids.forEach((expert, t) => {
    const row = Math.floor(t / REPEATS);
    for (let i = 0; i < OUT; i++)
      for (let j = 0; j < WIDTH; j++) {
        const at = (expert * OUT + i) * WIDTH + j;
        const [w, x, y] = [feeds.w[at] as number, feeds.x[row * WIDTH + j] as number, feeds.y[t * OUT + i] as number];
        (forward[t * OUT + i] as number) += w * x;
        (back[t * WIDTH + j] as number) += w * y;
        (all[at] as number) += y * x;
      }
  });
  const some = Float64Array.from([...chosen].flatMap(row => [...all.subarray(row * WIDTH, (row + 1) * WIDTH)]));
  return { forward, back, all, some };
}

const worst = (found: ArrayLike<number>, expected: Float64Array): number =>
  expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (found[i] as number))), 0);

describe.skipIf(!engine || !installed)(`products grouped by expert ${reason}`, () => {
  const expected = expectedOf();
  let ours: Session;
  beforeAll(async () => {
    ours = await required(engine, 'the engine').compile(program('float32'));
  });
  afterAll(() => ours.dispose());

  test('our kernels: each product is right, and the same to the bit in every run', async () => {
    const first = await ours.run('run', feeds);
    // Summands are in [−1, 1]; at most 600 of them round by ε/2 each.
    for (const [name, values] of Object.entries(expected)) expect(worst(required(first[name], name), values), name).toBeLessThan(1e-4);
    const bytesOf = (results: Record<string, HostArray>) =>
      Object.values(results).map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength));
    for (let i = 0; i < 10; i++) {
      const again = bytesOf(await ours.run('run', feeds));
      expect(bytesOf(first).every((bytes, part) => bytes.equals(elementAt(again, part)))).toBe(true);
    }
  });

  test.each([
    ['float32', 1e-4],
    ['bfloat16', 0.2],
  ] as const)("TensorFlow's own operations in %s", async (dtype, tolerance) => {
    if (!installed) return;
    const session = openSession(loadAddon(installed), program(dtype), { kernels: plain });
    const found = await session.run('run', feeds);
    await session.dispose();
    for (const [name, values] of Object.entries(expected)) expect(worst(required(found[name], name), values), name).toBeLessThan(tolerance);
  });

  test('an assignment to an expert that is not there is an error', async () => {
    await expect(ours.run('run', { ...feeds, ids: ids.map((id, t) => (t === 5 ? EXPERTS : id)) })).rejects.toThrow(/out of range/);
  });
});

test('without our kernels none of them is asked for', () => {
  const operations = (kernels: typeof plain) => lowerProgram(program('float32'), kernels).nodes.map(({ op }) => op);
  expect(operations(plain).filter(op => op.startsWith('RowtuneExpert'))).toEqual([]);
  expect(operations({ ...plain, hasProducts: true }).filter(op => op.startsWith('RowtuneExpert'))).toHaveLength(4);
});
