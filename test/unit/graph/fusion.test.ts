/** Tests that fused steps give the interpreter's results for expressions of every kind. */
import { describe, expect, test } from 'vitest';
import { fusedSteps } from '../../../trainer/graph/fusion/plan.ts';
import type { Step } from '../../../trainer/graph/fusion/step.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { elementCount } from '../../../trainer/graph/types.ts';
import { rmsNorm } from '../../../trainer/model/layer/norm.ts';
import { elementAt } from '../../../trainer/narrow.ts';
import { createRandom } from '../../../trainer/random.ts';
import { openOthers } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';
import { movedNextTo } from './moved-next-to.ts';
import { runGraph } from './run-graph.ts';

const tensorflow = (await openOthers()).find(({ name }) => name === 'tensorflow')?.engine;
const fusing = tensorflow?.description.fuses ? tensorflow : undefined;
const reason = tensorflow?.description.unfused ?? 'no tensorflow engine: rowtune engine install';

/** Checks that every element that a program reads or writes is inside its tensor, and that it writes all of its output. */
function checkPlaces({ nodes, program }: Step): void {
  if (!program) return;
  const last = (stride: number, size: number): number => Math.max(0, stride * (size - 1));
  const loads = program.loads.map(load => ({ ...load, isIn: load.windows }));
  const stores = program.stores.map(store => ({ ...store, isIn: [] }));
  for (const { node, offset, column, lead, isIn: windows } of [...loads, ...stores]) {
    const sizes = program.lead.map((size, axis) => Math.min(size, ...windows.filter(each => each.axis === axis).map(({ high }) => high)));
    const begins = program.lead.map((_, axis) => Math.max(0, ...windows.filter(each => each.axis === axis).map(({ low }) => low)));
    const least = lead.reduce((sum, stride, axis) => sum + stride * (begins[axis] as number), offset);
    const most = lead.reduce((sum, stride, axis) => sum + last(stride, sizes[axis] as number), offset) + last(column, program.columns);
    const what = `${node.op} [${node.shape}] in ${nodes.map(({ op, shape }) => `${op} [${shape}]`)}`;
    expect(least, what).toBeGreaterThanOrEqual(0);
    expect(most, what).toBeLessThan(elementCount(node.shape));
  }
}

/** Tolerance per 1 + |value|: exp has another polynomial, and sums another order. */
const TOLERANCE = 1e-5;

async function compare(
  build: (graph: Graph) => Record<string, Node>,
  feeds: Record<string, Float32Array>,
  tolerance = TOLERANCE,
): Promise<void> {
  const trace = () => {
    const graph = new Graph();
    return { graph, outputs: build(graph), effects: [] };
  };
  fusedSteps(signatureOf(trace())).forEach(checkPlaces);
  const [ours, theirs] = [await runGraph(trace(), feeds, {}, fusing), await runGraph(trace(), feeds)];
  for (const [name, values] of Object.entries(theirs)) expectClose(ours[name] ?? [], values, tolerance, name);
}

describe.skipIf(!fusing)(`against the interpreter${fusing ? '' : ` (skipped: ${reason})`}`, () => {
  const ODD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1e-30, 87, -87, 3e38, -3e38, 0.2, -0.2, 1, -1, 5, -5];

  const unary = ['neg', 'abs', 'floor', 'exp', 'log', 'sqrt', 'square', 'reciprocal', 'tanh', 'sigmoid', 'erf', 'relu'] as const;
  test.each(unary)('%s of odd numbers, NaN and infinity among them', op =>
    compare(graph => ({ y: graph[op](graph.mul(graph.feed('x', [ODD.length]), 1)) }), { x: Float32Array.from(ODD) }),
  );

  const binary = ['add', 'sub', 'mul', 'div', 'equal', 'less', 'greaterEqual'] as const;
  test.each(binary)('%s of odd numbers', op =>
    compare(
      graph => {
        const [a, b] = [graph.feed('a', [ODD.length, 1]), graph.feed('b', [1, ODD.length])];
        const y = graph[op](a, graph.neg(b));
        return { y: y.dtype === 'bool' ? graph.select(y, a, b) : y };
      },
      { a: Float32Array.from(ODD), b: Float32Array.from(ODD) },
    ),
  );

  test('a NaN passes through sums, maxima and softmax', async () => {
    const x = Float32Array.from(randomNumbers(5 * 70, -2, 2, 3));
    x[100] = Number.NaN;
    await compare(
      graph => {
        const doubled = graph.mul(graph.feed('x', [5, 70]), 2);
        return { sum: graph.sum(doubled, [-1]), p: graph.softmax(doubled), all: graph.sumAll(graph.square(doubled)) };
      },
      { x },
    );
  });

  // The kernel works in parts of 1024 elements on several threads; no part may overwrite what all of them read.
  test.each([
    [[1], [100_000]],
    [
      [3, 1],
      [3, 100_000],
    ],
    [
      [1, 1],
      [5000, 20],
    ],
  ] as const)('numbers [%s] stay what they are until all parts of [%s] have read them', (few, many) =>
    compare(
      graph => {
        const sums = graph.reshape(graph.matmul(graph.feed('a', [few[0], 8]), graph.feed('b', [8, 1])), few);
        const root = graph.sqrt(sums);
        const share = graph.minimum(graph.div(graph.scalar(1), graph.add(root, 1e-6)), 1);
        return { root, y: graph.mul(graph.sub(graph.mul(graph.feed('x', many), share), 2), 0.1) };
      },
      {
        x: Float32Array.from(randomNumbers(elementCount(many), -1, 1, 9)),
        a: new Float32Array(few[0] * 8).fill(2),
        b: new Float32Array(8).fill(3),
      },
    ),
  );

  const numbers = (shape: readonly number[], seed: number): Float32Array =>
    Float32Array.from(randomNumbers(elementCount(shape), -1, 1, seed));

  test.each([256, 1024])('a move of %i numbers is kept in addition to what is made of them', columns =>
    compare(
      movedNextTo(columns),
      { p: numbers([2, 3, 8], 1), q: numbers([2, 8, columns], 2), r: numbers([2, columns, 4], 3) },
      // Sums of a thousand products, in another order.
      1e-4,
    ),
  );

  test('a pad of what is the same along the padded axis', () =>
    compare(
      graph => {
        const [x, w, v] = [graph.feed('x', [3, 8]), graph.feed('w', []), graph.feed('v', [8])];
        const ones = graph.pad(graph.broadcast(graph.scalar(1), [2, 8]), [1, 0], [0, 0]);
        const same = graph.pad(graph.broadcast(graph.tanh(w), [2, 8]), [1, 0], [0, 0]);
        const behind = graph.pad(graph.broadcast(graph.tanh(w), [2, 8]), [0, 0], [1, 0]);
        const rows = graph.pad(graph.broadcast(v, [2, 8]), [1, 0], [0, 0]);
        return { a: graph.add(ones, x), b: graph.add(same, x), c: graph.add(behind, x), s: graph.sum(rows, [-1]) };
      },
      { x: numbers([3, 8], 1), w: Float32Array.of(0.7), v: numbers([8], 2) },
    ));

  test('a slice or pad of a concat', () =>
    compare(
      graph => {
        const feed = (name: string, shape: number[]) => graph.feed(name, shape);
        const along = graph.concat([graph.neg(feed('a', [4, 8])), graph.square(feed('b', [4, 8]))], 0);
        const beside = graph.concat([graph.neg(feed('c', [3, 4])), graph.square(feed('d', [3, 4]))], 1);
        return { y: graph.sliceAxis(along, 0, 0, 4), z: graph.pad(beside, [1, 0], [0, 0]) };
      },
      { a: numbers([4, 8], 1), b: numbers([4, 8], 2), c: numbers([3, 4], 3), d: numbers([3, 4], 4) },
    ));

  test.each([1, 2, 3, 31, 64, 65, 1000, 1023, 1025, 4097])('rows of %i numbers', columns =>
    compare(
      graph => {
        const x = graph.feed('x', [7, columns]);
        const scale = graph.feed('scale', [columns]);
        return { y: rmsNorm(graph, { x, scale, epsilon: 1e-5 }), p: graph.softmax(graph.mul(x, scale)) };
      },
      { x: Float32Array.from(randomNumbers(7 * columns, -2, 2, 1)), scale: Float32Array.from(randomNumbers(columns, 0.5, 2, 2)) },
    ),
  );

  test('bfloat16 is rounded at every operation', () =>
    compare(
      graph => {
        const x = graph.cast(graph.feed('x', [9, 33]), 'bfloat16');
        const y = graph.mul(graph.add(x, x), graph.cast(graph.sigmoid(graph.cast(x, 'float32')), 'bfloat16'));
        return { y: graph.cast(y, 'float32'), narrow: y };
      },
      { x: Float32Array.from(randomNumbers(9 * 33, -3, 3, 5)) },
      // One unit in the last place of bfloat16: the two exp() may round to different sides.
      2 ** -8,
    ));

  test('bfloat16 through a concat, a pad and a sum with a bias', () =>
    compare(
      graph => {
        const x = graph.feed('x', [6, 33]);
        const narrow = graph.cast(graph.concat([graph.exp(x), graph.neg(x)], 0), 'bfloat16');
        const padded = graph.pad(graph.cast(graph.sliceAxis(narrow, 0, 2, 3), 'float32'), [1, 0], [2, 0]);
        const biased = graph.add(graph.cast(narrow, 'float32'), graph.sliceAxis(x, 0, 0, 1));
        return { narrow, late: graph.add(padded, x), both: graph.mul(graph.sigmoid(biased), biased) };
      },
      { x: Float32Array.from(randomNumbers(6 * 33, -3, 3, 7)) },
      2 ** -8,
    ));

  test('bytes are cut off, whoever reads them', () =>
    compare(
      graph => {
        const code = graph.cast(graph.mul(graph.feed('x', [70, 300]), 200), 'uint8');
        return { code, twice: graph.mul(graph.cast(code, 'float32'), 2) };
      },
      { x: Float32Array.from(randomNumbers(70 * 300, 0, 1.2, 8)) },
    ));

  test('a padded slice, a concat and a transpose of the same tensor', () =>
    compare(
      graph => {
        const x = graph.exp(graph.feed('x', [2, 6, 3, 4]));
        const rows = graph.transpose(x, [0, 2, 1, 3]);
        const late = graph.pad(graph.sliceAxis(graph.feed('x', [2, 6, 3, 4]), 1, 2, 3), [0, 1, 0, 0], [0, 2, 0, 0]);
        return { joined: graph.concat([graph.neg(rows), graph.square(rows)], 2), late: graph.add(late, x), rows };
      },
      { x: Float32Array.from(randomNumbers(144, -1, 1, 6)) },
    ));

  // The first expressions fit in one part of the kernel; the others are cut into parts and distributed to threads.
  test.each(Array.from({ length: 110 }, (_, seed) => seed))('random expression %i', seed => {
    const shapes = randomShapes(seed);
    const feeds = Object.fromEntries(
      shapes.map((shape, i) => [`x${i}`, Float32Array.from(randomNumbers(elementCount(shape), -1.5, 1.5, seed * 10 + i))]),
    );
    return compare(graph => randomExpression(graph, seed), feeds, 5e-5);
  });
});

/** Seeds below this are expressions over up to 1372 elements, and the others over up to 89,600. */
const SMALL = 60;

const sizesOf = (seed: number): [number, number, number] => {
  const random = createRandom(seed);
  const size = (most: number) => 1 + Math.floor(random.uniform() * most);
  const [rows, columns] = seed < SMALL ? [7, 7] : [40, 80];
  return [size(7), 2 * size(rows), 2 * size(columns)];
};

function randomShapes(seed: number): number[][] {
  const [a, b, c] = sizesOf(seed);
  return [[a, b, c], [a, b, c], [c], [b, 1], [a, 1, c]];
}

/** Thirty operations, each on earlier results; some are outputs, and some pass through a product. */
function randomExpression(graph: Graph, seed: number): Record<string, Node> {
  const random = createRandom(seed + 1000);
  const [a, b, c] = sizesOf(seed);
  const made: Node[] = randomShapes(seed).map((shape, i) => graph.feed(`x${i}`, shape));
  const full = [a, b, c];
  const any = (): Node => elementAt(made, Math.floor(random.uniform() * made.length));
  const whole = (): Node => graph.add(any(), graph.zeros(full));
  const row = (): Node => graph.reshape(graph.sliceAxis(graph.sliceAxis(whole(), 0, 0, 1), 1, 0, 1), [1, c]);
  const rules: (() => Node)[] = [
    () => graph.add(whole(), whole()),
    () => graph.sub(whole(), any()),
    () => graph.mul(whole(), graph.tanh(whole())),
    () => graph.div(whole(), graph.add(graph.square(whole()), 1)),
    () => graph.sigmoid(whole()),
    () => graph.softmax(whole()),
    () => graph.erf(whole()),
    () => graph.maximum(whole(), any()),
    () => graph.select(graph.less(whole(), any()), whole(), any()),
    () => graph.sum(whole(), [-1], true),
    () => graph.max(whole(), [-1], true),
    () => graph.mul(graph.sumAll(graph.tanh(whole())), 8 / (a * b * c)),
    () => graph.tanh(any()),
    () => graph.sqrt(graph.add(graph.square(graph.reshape(graph.matmul(row(), row(), { transposeB: true }), [])), 1)),
    () => graph.reshape(graph.transpose(graph.reshape(whole(), [a, b / 2, 2, c]), [0, 2, 1, 3]), full),
    () => graph.reshape(graph.transpose(whole(), [2, 0, 1]), full),
    () => graph.concat([graph.sliceAxis(whole(), 2, c / 2, c / 2), graph.neg(graph.sliceAxis(whole(), 2, 0, c / 2))], 2),
    () => graph.pad(graph.sliceAxis(whole(), 1, 1, b - 1), [0, 1, 0], [0, 0, 0]),
    () =>
      graph.reshape(
        graph.matmul(graph.reshape(graph.tanh(whole()), [a * b, c]), graph.constant(identityMatrix(c), [c, c], 'float32')),
        full,
      ),
  ];
  for (let i = 0; i < 30; i++) made.push(elementAt(rules, Math.floor(random.uniform() * rules.length))());
  const early = made.slice(5, -4).filter(() => random.uniform() < 0.3);
  return Object.fromEntries([...early, ...made.slice(-4)].map((node, i) => [`y${i}`, node]));
}

const identityMatrix = (size: number): Float32Array => Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
