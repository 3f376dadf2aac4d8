/** Tests matrix products on several threads, at sizes around those of tiles, panels and parts. Runs if the engine is installed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '../../../../trainer/engine/engine.ts';
import { Graph, type Node } from '../../../../trainer/graph/graph.ts';
import { assemble } from '../../../../trainer/graph/program.ts';
import { required } from '../../../../trainer/narrow.ts';
import { createRandom } from '../../../../trainer/random.ts';
import { multiply, transpose2d } from '../../../support/numbers/naive.ts';
import { floatsOf } from '../../../support/numbers/outputs.ts';
import { engineForTests } from '../engine-for-tests.ts';

// More threads than a small machine has cores, so that some must wait. The kernels read this once, before their first product.
process.env.TF_NUM_INTRAOP_THREADS = '3';
const { engine, reason } = await engineForTests();

interface Sizes {
  readonly lead?: number;
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

const SIZES: readonly Sizes[] = [
  // One tile and less, panels of one and two vectors, and one or several parts of k.
  ...[4, 13, 14, 15, 29].flatMap(m => [1, 15, 16, 17, 33, 64].map(n => ({ m, k: 31, n }))),
  { m: 40, k: 1, n: 40 },
  { m: 30, k: 385, n: 50 },
  { m: 9, k: 1024, n: 70 },
  // Shared by threads: by rows and by columns, many small ones of a batch, and columns that no panel divides.
  { m: 300, k: 100, n: 130 },
  { m: 20, k: 160, n: 700 },
  { lead: 7, m: 70, k: 40, n: 64 },
  { lead: 5, m: 33, k: 48, n: 16 },
];
const flags = [false, true].flatMap(a => [false, true].map(b => [a, b] as const));
const cases = SIZES.flatMap(sizes => flags.map(([transposeA, transposeB]) => ({ ...sizes, transposeA, transposeB })));
type Case = (typeof cases)[number];

const nameOf = ({ lead = 1, m, k, n, transposeA, transposeB }: Case) =>
  `${lead} of ${m}x${k}x${n}${transposeA ? ' Aᵀ' : ''}${transposeB ? ' Bᵀ' : ''}`;

function graphOf({ lead, m, k, n, transposeA, transposeB }: Case) {
  const graph = new Graph();
  const before = lead === undefined ? [] : [lead];
  const a = graph.feed('a', [...before, ...(transposeA ? [k, m] : [m, k])]);
  const b = graph.feed('b', [...before, ...(transposeB ? [n, k] : [k, n])]);
  const outputs: Record<string, Node> = { c: graph.matmul(a, b, { transposeA, transposeB }) };
  return { graph, outputs, effects: [] };
}

const random = createRandom(1);
const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.uniform() * 2 - 1);

function feedsOf({ lead = 1, m, k, n }: Case) {
  return { a: numbers(lead * m * k), b: numbers(lead * k * n) };
}

/** Computes the product in double precision. */
function expectedOf({ lead = 1, m, k, n, transposeA, transposeB }: Case, { a, b }: ReturnType<typeof feedsOf>): number[] {
  return Array.from({ length: lead }, (_, i) => {
    const left = Array.from(a.subarray(i * m * k, (i + 1) * m * k));
    const right = Array.from(b.subarray(i * k * n, (i + 1) * k * n));
    return multiply(transposeA ? transpose2d(left, k, m) : left, transposeB ? transpose2d(right, n, k) : right, m, k, n);
  }).flat();
}

describe.skipIf(!engine)(`products ${reason}`, () => {
  let session: Session;
  beforeAll(async () => {
    const program = assemble(Object.fromEntries(cases.map(each => [nameOf(each), graphOf(each)])));
    session = await required(engine, 'the engine').compile(program);
  });
  afterAll(() => session.dispose());
  const run = async (each: Case, feeds: ReturnType<typeof feedsOf>): Promise<Float32Array> =>
    floatsOf(await session.run(nameOf(each), feeds), 'c');

  test.each(cases.map(each => [nameOf(each), each] as const))('%s', async (_, each) => {
    const feeds = feedsOf(each);
    const c = await run(each, feeds);
    const expected = expectedOf(each, feeds);
    // Summands are in [−1, 1]: each of k sums of at most about √k rounds by ε/2.
    const tolerance = 2 ** -24 * each.k * 4;
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (c[i] as number))), 0);
    expect(worst).toBeLessThan(tolerance);
  });

  test('the same bits in every run, whoever computed what', async () => {
    for (const each of cases.filter(({ m, n, lead }) => m * n * (lead ?? 1) > 10_000)) {
      const feeds = feedsOf(each);
      // An assertion over a million values takes longer than their products.
      const bits = async (): Promise<Buffer> => Buffer.from((await run(each, feeds)).slice().buffer);
      const first = await bits();
      for (let i = 0; i < 20; i++) expect(first.equals(await bits()), nameOf(each)).toBe(true);
    }
  });

  test('infinity and NaN stay in their row and column', async () => {
    const each = { m: 29, k: 31, n: 33, transposeA: false, transposeB: true };
    const feeds = feedsOf(each);
    feeds.a[3 * 31 + 7] = Number.POSITIVE_INFINITY;
    feeds.b[32 * 31 + 30] = Number.NaN;
    const c = await run(each, feeds);
    const finite = Array.from(c, Number.isFinite);
    expect(finite).toEqual(finite.map((_, i) => Math.floor(i / 33) !== 3 && i % 33 !== 32));
  });
});
