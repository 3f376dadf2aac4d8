/** Tests relative positions of DeBERTa and MPNet: buckets as in Transformers, and scores compared with a naive sum. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  biasBucket,
  biasScores,
  logBucket,
  relativeIndices,
  relativeScores,
  rowsByDistance,
} from '../../../../trainer/model/layer/attention/relative-attention.ts';
import { required } from '../../../../trainer/narrow.ts';
import { readGoldenJson } from '../../../support/files/read-json.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { type BuildLayer, forward, gradients, inputsOf, numericGradients } from './run-layer.ts';

const table = z.object({ buckets: z.number(), max_distance: z.number(), rows: z.array(z.number()) });
const golden = readGoldenJson('deberta_buckets.json', z.object({ first: z.number(), tables: z.array(table) }));

test.each(golden.tables)('$buckets buckets up to $max_distance', ({ buckets, max_distance, rows }) => {
  expect(rows.map((_, i) => logBucket(golden.first + i, buckets, max_distance))).toEqual(rows);
});

test('32 buckets of biases, which are for distances of 128 and more', () => {
  const { first, rows } = readGoldenJson('mpnet_buckets.json', z.object({ first: z.number(), rows: z.array(z.number()) }));
  expect(rows.map((_, i) => biasBucket(first + i, { buckets: 32, maxDistance: 128 }))).toEqual(rows);
});

test('rows of a table never fall and stay inside it', () => {
  const rows = relativeIndices(80, { span: 8, buckets: 8, maxDistance: 64 });
  expect(rows).toEqual(rows.toSorted((a, b) => a - b));
  expect([rows[0], rows.at(-1)]).toEqual([0, 15]);
  expect(relativeIndices(3, { span: 16, buckets: 0, maxDistance: 16 })).toEqual([14, 15, 16, 17, 18]);
});

describe('scores', () => {
  const [BATCH, HEADS, TOKENS, DIM] = [2, 2, 4, 3] as const;
  const rows = [0, 0, 1, 2, 3, 4, 4];
  const scale = 0.7;
  const inputs = inputsOf({
    q: [BATCH, HEADS, TOKENS, DIM],
    k: [BATCH, HEADS, TOKENS, DIM],
    keys: [5, HEADS * DIM],
    queries: [5, HEADS * DIM],
  });
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);

  test.each([
    ['content to position', true, false],
    ['position to content', false, true],
    ['both', true, true],
  ])('%s', async (_, c2p, p2c) => {
    const used = Object.fromEntries(Object.entries(inputs).filter(([name]) => (name === 'keys' || name === 'q' ? c2p : p2c)));
    const build: BuildLayer = (graph, given) => {
      const terms = { positionKeys: c2p ? given.keys : undefined, positionQueries: p2c ? given.queries : undefined };
      const [q, k] = [c2p ? given.q : given.k, p2c ? given.k : given.q];
      return required(relativeScores(graph, { q, k, ...terms, rows, scale }), 'the scores');
    };
    const naive = ({ q = [], k = [], keys = [], queries = [] }: Readonly<Record<string, number[]>>): number[] =>
      range(BATCH * HEADS).flatMap(bh =>
        range(TOKENS).flatMap(i =>
          range(TOKENS).map(j => {
            const row = rows[i - j + TOKENS - 1] as number;
            const product = (x: readonly number[], token: number, table: readonly number[]) =>
              range(DIM).reduce(
                (sum, d) => sum + (x[(bh * TOKENS + token) * DIM + d] ?? 0) * (table[(row * HEADS + (bh % HEADS)) * DIM + d] ?? 0),
                0,
              );
            return scale * (product(q, i, keys) + product(k, j, queries));
          }),
        ),
      );
    const numbers = Object.fromEntries(Object.entries(used).map(([name, { data }]) => [name, Array.from(data)]));
    expectClose(await forward(used, build), naive(numbers), 2e-6, 'forward');
    const [ours, theirs] = [await gradients(used, build), numericGradients(used, naive)];
    for (const name of Object.keys(used)) expectClose(ours[name] ?? [], theirs[name] ?? [], 2e-5, `gradient of ${name}`);
  });
});

test.each([
  ['as long as the rows', 4],
  ['shorter', 3],
])('biases of texts that are %s', async (_, tokens) => {
  const HEADS = 2;
  // Of the distances 3 … −3.
  const rows = [0, 0, 1, 2, 3, 4, 4];
  const inputs = inputsOf({ keys: [5, HEADS] });
  const build: BuildLayer = (graph, { keys }) => biasScores(graph, graph.gather(keys, rowsByDistance(graph, tokens, rows)));
  const naive = ({ keys = [] }: Readonly<Record<string, number[]>>): number[] =>
    Array.from({ length: HEADS * tokens ** 2 }, (_, at) => {
      const [head, query, key] = [Math.floor(at / tokens ** 2), Math.floor(at / tokens) % tokens, at % tokens];
      return keys[(rows[key - query + 3] as number) * HEADS + head] ?? 0;
    });
  expectClose(await forward(inputs, build), naive({ keys: Array.from(inputs.keys?.data ?? []) }), 1e-6, 'forward');
  expectClose((await gradients(inputs, build)).keys ?? [], numericGradients(inputs, naive).keys ?? [], 2e-5, 'gradient');
});
