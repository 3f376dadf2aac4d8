/** Tests sums of many values in single precision: their error does not grow with the count, in any order of axes. */
import { describe, expect, test } from 'vitest';
import { openPortable } from '../../../trainer/engine/portable/engine.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { createRandom } from '../../../trainer/random.ts';
import { floatsOf } from '../../support/numbers/outputs.ts';

const engine = await openPortable({ backend: 'wasm' });
const random = createRandom(1);

async function run(shape: readonly number[], data: Float32Array, build: (graph: Graph, x: Node) => Node): Promise<Float32Array> {
  const graph = new Graph();
  const outputs = { y: build(graph, graph.feed('x', [...shape])) };
  const session = await engine.compile(assemble({ step: { graph, outputs, effects: [] } }));
  try {
    return floatsOf(await session.run('step', { x: data }), 'y').slice();
  } finally {
    await session.dispose();
  }
}

const positive = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform() ** 4);
const worst = (actual: Float32Array, expected: readonly number[]): number =>
  Math.max(...expected.map((value, i) => Math.abs((actual[i] as number) / value - 1)));

describe('on WebAssembly', () => {
  // Lengths of SmolLM2: its width, inner width and vocabulary; and a prime, which blocks do not divide.
  test.each([127, 128, 576, 1536, 8191, 49_152])('the sum of %i numbers', async length => {
    const data = positive(3 * length);
    const rows = [0, 1, 2].map(row => data.subarray(row * length, (row + 1) * length).reduce((sum, x) => sum + x, 0));
    expect(worst(await run([3, length], data, (graph, x) => graph.sum(x, [1])), rows)).toBeLessThan(1e-6);
    const columns = [0, 1, 2].map(column => data.filter((_, i) => i % 3 === column).reduce((sum, x) => sum + x, 0));
    expect(worst(await run([length, 3], data, (graph, x) => graph.sum(x, [0], true)), columns)).toBeLessThan(1e-6);
    const all = [columns.reduce((sum, x) => sum + x, 0)];
    expect(worst(await run([3, length], data, (graph, x) => graph.sum(x, [0, 1])), all)).toBeLessThan(1e-6);
  });

  test.each([1536, 8191, 49_152])('softmax of %i numbers', async length => {
    const data = Float32Array.from({ length }, () => (random.uniform() + random.uniform() + random.uniform() - 1.5) * 16);
    // The difference to the largest value, up to 48, is rounded, too.
    const powers = Array.from(data, x => Math.exp(x));
    const total = powers.reduce((sum, x) => sum + x, 0);
    const probabilities = powers.map(power => power / total);
    expect(worst(await run([1, length], data, (graph, x) => graph.softmax(x)), probabilities)).toBeLessThan(3e-6);
  });
});
