/** Cases of the matrix product. */
import { multiply, transpose2d } from '../naive.ts';
import { type CaseTable, floats, type OperationCase, whole } from '../operation-case.ts';

interface Sizes {
  readonly lead?: readonly number[];
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

function product(transposeA: boolean, transposeB: boolean, { lead = [], m, k, n }: Sizes, differences = true): OperationCase {
  const batch = lead.reduce((a, b) => a * b, 1);
  return {
    title: `matmul [${lead}] ${m}×${k}×${n}${transposeA ? ', Aᵀ' : ''}${transposeB ? ', Bᵀ' : ''}`,
    feeds: {
      a: floats([...lead, ...(transposeA ? [k, m] : [m, k])], { seed: 2 }),
      b: floats([...lead, ...(transposeB ? [n, k] : [k, n])], { seed: 6 }),
    },
    build: (graph, { a, b }) => ({ y: graph.matmul(a, b, { transposeA, transposeB }) }),
    expected: ({ a = [], b = [] }) =>
      Array.from({ length: batch }, (_, i) => {
        const left = a.slice(i * m * k, (i + 1) * m * k);
        const right = b.slice(i * k * n, (i + 1) * k * n);
        return multiply(transposeA ? transpose2d(left, k, m) : left, transposeB ? transpose2d(right, n, k) : right, m, k, n);
      }).flat(),
    gradients: differences ? whole('a', 'b') : undefined,
  };
}

const flags = [false, true].flatMap(a => [false, true].map(b => [a, b] as const));

export const productCases: Pick<CaseTable, 'matmul'> = {
  matmul: [
    ...flags.map(([a, b]) => product(a, b, { m: 3, k: 4, n: 2 })),
    ...flags.map(([a, b]) => product(a, b, { lead: [2], m: 2, k: 3, n: 2 })),
    product(false, true, { lead: [2, 2], m: 2, k: 3, n: 3 }),
    // Large enough for the fast paths of every engine.
    ...flags.map(([a, b]) => product(a, b, { m: 33, k: 47, n: 29 }, false)),
    product(true, true, { lead: [3], m: 33, k: 47, n: 29 }, false),
    {
      title: 'matmul: rows of a weight',
      feeds: { x: floats([4, 3], { seed: 2 }), w: floats([5, 3], { seed: 8 }) },
      build: (graph, { x, w }) => ({ y: graph.tanh(graph.matmul(x, w, { transposeB: true })) }),
      gradients: { x: {}, w: { rows: [0, 3] } },
    },
    {
      title: 'matmul: rows of a weight that is used twice and transposed on the left',
      feeds: { x: floats([3, 4], { seed: 2 }), w: floats([3, 3], { seed: 8 }) },
      build: (graph, { x, w }) => {
        const hidden = graph.matmul(x, w, { transposeA: true, transposeB: true });
        return { y: graph.matmul(graph.sin(hidden), w, { transposeB: true }) };
      },
      gradients: { x: {}, w: { rows: [2, 1] } },
    },
  ],
};
