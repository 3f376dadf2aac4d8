/**
 * Cases of attention as one kernel. In float32, only the interpreter supports it; kernels of devices are compared with chunks on the device
 * itself.
 */
import type { AttentionScores } from '../../../../trainer/graph/attributes.ts';
import { type CaseTable, floats, ints, type OperationCase, whole } from '../operation-case.ts';

interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly tokens: number;
  readonly width: number;
  readonly lengths?: readonly number[];
}

type Inputs = Readonly<Record<string, readonly number[]>>;

const isSeen = ({ causal, window = Number.POSITIVE_INFINITY }: AttentionScores, query: number, key: number, length: number): boolean =>
  (!causal || key <= query) && query - key < window && key < length;

/** Calls `visit` with the index of each query in q, the exponentials of its scores (0 for hidden keys), and the index of its first key. */
function forEachQuery(
  { batch, heads, kvHeads, tokens, width, lengths }: Sizes,
  scores: AttentionScores,
  { q = [], k = [] }: Inputs,
  visit: (exponentials: readonly number[], keys: number) => void,
): void {
  for (let sample = 0; sample < batch; sample++)
    for (let head = 0; head < heads; head++) {
      const keys = (sample * kvHeads + Math.floor((head * kvHeads) / heads)) * tokens * width;
      for (let query = 0; query < tokens; query++) {
        const at = ((sample * heads + head) * tokens + query) * width;
        const product = (key: number): number => {
          let sum = 0;
          for (let i = 0; i < width; i++) sum += (q[at + i] as number) * (k[keys + key * width + i] as number);
          return sum;
        };
        const length = lengths?.[sample] ?? tokens;
        visit(
          Array.from({ length: tokens }, (_, key) => (isSeen(scores, query, key, length) ? Math.exp(scores.scale * product(key)) : 0)),
          keys,
        );
      }
    }
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function naiveOutput(sizes: Sizes, scores: AttentionScores, inputs: Inputs): number[] {
  const y: number[] = [];
  const { v = [] } = inputs;
  forEachQuery(sizes, scores, inputs, (exponentials, keys) => {
    for (let i = 0; i < sizes.width; i++)
      y.push(total(exponentials.map((e, key) => e * (v[keys + key * sizes.width + i] as number))) / total(exponentials));
  });
  return y;
}

function naiveLogSum(sizes: Sizes, scores: AttentionScores, inputs: Inputs): number[] {
  const y: number[] = [];
  forEachQuery(sizes, scores, inputs, exponentials => y.push(Math.log(total(exponentials))));
  return y;
}

const feedsOf = ({ batch, heads, kvHeads, tokens, width, lengths }: Sizes) => ({
  q: floats([batch, heads, tokens, width], { seed: 1 }),
  k: floats([batch, kvHeads, tokens, width], { seed: 2 }),
  v: floats([batch, kvHeads, tokens, width], { seed: 3 }),
  ...(lengths && { lengths: ints([batch], lengths) }),
});

const output = (title: string, sizes: Sizes, scores: AttentionScores): OperationCase => ({
  title: `attention: ${title}`,
  engine: 'portable',
  feeds: feedsOf(sizes),
  build: (graph, inputs) => ({ y: graph.fusedAttention(inputs.q, inputs.k, inputs.v, scores, sizes.lengths && inputs.lengths) }),
  expected: inputs => naiveOutput(sizes, scores, inputs),
  gradients: whole('q', 'k', 'v'),
});

const small: Sizes = { batch: 2, heads: 4, kvHeads: 2, tokens: 5, width: 3 };
const causal: AttentionScores = { scale: 0.6, causal: true };

export const attentionCases: Pick<CaseTable, 'attention' | 'attentionGradient'> = {
  attention: [
    output('causal, heads share keys', small, causal),
    output('every query sees every key', { ...small, kvHeads: 4 }, { scale: 0.6, causal: false }),
    output('a window of two keys', { ...small, kvHeads: 1 }, { ...causal, window: 2 }),
    output('samples of several lengths', { ...small, lengths: [5, 2] }, { scale: 0.6, causal: false }),
    output('samples of several lengths, causal', { ...small, lengths: [3, 4] }, causal),
    {
      title: 'attention: the logarithms of its sums',
      engine: 'portable',
      feeds: feedsOf(small),
      build: (graph, { q, k, v }) => ({ y: graph.node('attention', [q, k, v], { ...causal, of: 'logSum' }) }),
      expected: inputs => naiveLogSum(small, causal, inputs),
    },
  ],
  // Creates the gradients that the cases above compare with finite differences.
  attentionGradient: [
    {
      title: 'attentionGradient: toward values, of a single key',
      engine: 'portable',
      feeds: { ...feedsOf({ ...small, tokens: 1 }), dy: floats([2, 4, 1, 3], { seed: 4 }) },
      build: (graph, { q, k, v, dy }) => {
        const logSum = graph.node('attention', [q, k, v], { ...causal, of: 'logSum' });
        return { y: graph.node('attentionGradient', [q, k, v, logSum, graph.zeros(q.shape), dy], { ...causal, toward: 'v' }) };
      },
      // A single key has probability 1, so each value gets the gradients of the two heads that share it.
      expected: ({ dy = [] }) =>
        Array.from({ length: 12 }, (_, i) => {
          const [pair, at] = [Math.floor(i / 3), i % 3];
          return (dy[6 * pair + at] as number) + (dy[6 * pair + 3 + at] as number);
        }),
    },
  ],
};
