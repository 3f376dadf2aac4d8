/** Compares the gated delta rule in chunks with the recurrence token by token, in double precision: values, gradients and states. */
import { describe, expect, test } from 'vitest';
import type { Graph } from '../../../../trainer/graph/graph.ts';
import { affineScan } from '../../../../trainer/model/layer/recurrent/affine-scan.ts';
import { causalConvolution } from '../../../../trainer/model/layer/recurrent/causal-convolution.ts';
import { deltaRule } from '../../../../trainer/model/layer/recurrent/delta-rule.ts';
import { unitLowerInverse } from '../../../../trainer/model/layer/recurrent/triangular-inverse.ts';
import { required } from '../../../../trainer/narrow.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { type BuildLayer, forward, gradients, type Inputs, inputsOf, numericGradients } from './run-layer.ts';

type Numbers = Readonly<Record<string, readonly number[]>>;
const [BATCH, KEY_HEADS, HEADS, KEYS, VALUES] = [2, 1, 2, 3, 2] as const;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const numbersOf = (inputs: Inputs): Record<string, number[]> =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Array.from(data)]));

/** Keys of at most unit length, decays below 0 and rates between 0 and 1. */
function deltaInputs(tokens: number, hasState: boolean): Inputs {
  const made = inputsOf({
    q: [BATCH, KEY_HEADS, tokens, KEYS],
    k: [BATCH, KEY_HEADS, tokens, KEYS],
    v: [BATCH, HEADS, tokens, VALUES],
    decay: [BATCH, HEADS, tokens],
    rate: [BATCH, HEADS, tokens],
    ...(hasState && { state: [BATCH, HEADS, KEYS, VALUES] }),
  });
  const change = (name: string, by: (x: number) => number) => ({
    ...required(made[name], name),
    data: required(made[name], name).data.map(by),
  });
  return { ...made, k: change('k', x => x / Math.sqrt(KEYS)), decay: change('decay', x => x - 1), rate: change('rate', x => (x + 1) / 2) };
}

/** Computes token by token: the output of each, then the states after the last one. */
function recurrence(tokens: number, { q = [], k = [], v = [], decay = [], rate = [], state }: Numbers, positions?: readonly number[]) {
  const y: number[] = [];
  const states: number[] = [];
  for (let head = 0; head < BATCH * HEADS; head++) {
    const keyHead = Math.floor(head / (HEADS / KEY_HEADS));
    let s = range(KEYS).map(i => range(VALUES).map(j => state?.[(head * KEYS + i) * VALUES + j] ?? 0));
    for (let t = 0; t < tokens; t++) {
      const begins = positions?.[Math.floor(head / HEADS) * tokens + t] === 0;
      const at = (x: readonly number[], i: number) => x[(keyHead * tokens + t) * KEYS + i] ?? 0;
      const left = begins ? 0 : Math.exp(decay[head * tokens + t] ?? 0);
      s = s.map(row => row.map(x => x * left));
      const read = range(VALUES).map(j => range(KEYS).reduce((sum, i) => sum + at(k, i) * (s[i]?.[j] ?? 0), 0));
      const added = range(VALUES).map(j => ((v[(head * tokens + t) * VALUES + j] ?? 0) - (read[j] ?? 0)) * (rate[head * tokens + t] ?? 0));
      s = s.map((row, i) => row.map((x, j) => x + at(k, i) * (added[j] ?? 0)));
      y.push(...range(VALUES).map(j => range(KEYS).reduce((sum, i) => sum + at(q, i) * (s[i]?.[j] ?? 0), 0)));
    }
    states.push(...s.flat());
  }
  return { y, states };
}

interface RuleCase {
  readonly title: string;
  readonly tokens: number;
  readonly chunk?: number;
  readonly inTurn?: number;
  readonly hasState?: boolean;
  readonly positions?: readonly number[];
}

const cases: readonly RuleCase[] = [
  { title: 'one token', tokens: 1 },
  { title: 'one chunk', tokens: 5 },
  { title: 'two chunks, the last not full', tokens: 7, chunk: 4 },
  { title: 'many chunks, one after the other', tokens: 19, chunk: 4 },
  { title: 'many chunks in pairs', tokens: 19, chunk: 2, inTurn: 2 },
  { title: 'an odd number of chunks in pairs of pairs', tokens: 13, chunk: 1, inTurn: 3 },
  { title: 'a token behind a state', tokens: 1, hasState: true },
  { title: 'a chunk behind a state', tokens: 4, hasState: true },
  { title: 'several chunks behind a state', tokens: 11, chunk: 4, hasState: true },
  { title: 'several texts in one chunk', tokens: 6, positions: [0, 1, 0, 0, 1, 2, 0, 1, 2, 3, 4, 5] },
  {
    title: 'texts that begin in chunks, between them and before them',
    tokens: 11,
    chunk: 3,
    positions: [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3],
  },
  { title: 'such texts with chunks in pairs', tokens: 8, chunk: 1, inTurn: 2, positions: [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4, 5] },
];

describe('the rule in chunks', () => {
  const ruleOf = (graph: Graph, given: Parameters<BuildLayer>[1], { tokens, positions, chunk, inTurn, hasState }: RuleCase) =>
    deltaRule(graph, {
      ...{ q: given.q, k: given.k, v: given.v, decay: given.decay, rate: given.rate },
      ...(hasState && { state: given.state }),
      ...(positions && { positions: graph.constant(Int32Array.from(positions), [BATCH, tokens], 'int32') }),
      ...(chunk && { chunk }),
      ...(inTurn && { inTurn }),
    });

  test.each(cases)('$title', async one => {
    const inputs = deltaInputs(one.tokens, one.hasState ?? false);
    const naive = (given: Numbers) => recurrence(one.tokens, given, one.positions).y;
    const build: BuildLayer = (graph, given) => ruleOf(graph, given, one).y;
    expectClose(await forward(inputs, build), naive(numbersOf(inputs)), 2e-6, 'forward');
    const last: BuildLayer = (graph, given) => ruleOf(graph, given, one).last();
    if (!one.positions) expectClose(await forward(inputs, last), recurrence(one.tokens, numbersOf(inputs)).states, 2e-6, 'the last state');
    if (one.hasState) return;
    const [ours, theirs] = [await gradients(inputs, build), numericGradients(inputs, naive)];
    for (const name of Object.keys(inputs)) expectClose(ours[name] ?? [], theirs[name] ?? [], 2e-5, `gradient of ${name}`);
  });
});

/** Computes (I + N)⁻¹ by substitution. */
function substituted(n: readonly number[], count: number, size: number): number[] {
  return range(count).flatMap(piece => {
    const at = (i: number, j: number) => n[(piece * size + i) * size + j] ?? 0;
    const rows: number[][] = [];
    for (const i of range(size)) {
      const below = range(size).map(j => rows.reduce((sum, row, l) => sum + at(i, l) * (row[j] ?? 0), 0));
      rows.push(range(size).map(j => Number(i === j) - (below[j] ?? 0)));
    }
    return rows.flat();
  });
}

describe('the inverse of a unit lower triangular matrix', () => {
  test.each([1, 2, 3, 5, 8])('of %i rows, with its gradient', async size => {
    const inputs = inputsOf({ n: [2, size, size] });
    const strictly = (x: readonly number[]) => x.map((value, at) => (Math.floor(at / size) % size > at % size ? value : 0));
    const mask = strictly(new Array<number>(2 * size * size).fill(1));
    const build: BuildLayer = (graph, { n }) =>
      unitLowerInverse(graph, graph.mul(n, graph.constant(Float32Array.from(mask), [2, size, size], 'float32')));
    const naive = ({ n = [] }: Numbers) => substituted(strictly(n), 2, size);
    expectClose(await forward(inputs, build), naive(numbersOf(inputs)), 2e-6, 'forward');
    expectClose((await gradients(inputs, build)).n ?? [], numericGradients(inputs, naive).n ?? [], 2e-5, 'gradient');
  });

  test('is exact where all keys are the same, and powers of the matrix reach 10¹⁸', async () => {
    const size = 64;
    const ones = Float32Array.from({ length: size * size }, (_, at) => Number(Math.floor(at / size) > at % size));
    const found = await forward({ n: { shape: [1, size, size], data: ones } }, (graph, { n }) => unitLowerInverse(graph, n));
    expect(found).toEqual(range(size * size).map(at => [1, -1][Math.floor(at / size) - (at % size)] ?? 0));
  });
});

test.each([2, 3, 4, 9])('the states of %i chunks, in turn and in pairs, are the same', async chunks => {
  const inputs = inputsOf({ transitions: [2, chunks, 3, 3], additions: [2, chunks, 3, 2] });
  const build =
    (inTurn: number): BuildLayer =>
    (graph, { transitions, additions }) =>
      affineScan(graph, { transitions, additions, first: undefined, inTurn });
  expectClose(await forward(inputs, build(1)), await forward(inputs, build(chunks)), 2e-6, 'forward');
  const [pairs, turns] = [await gradients(inputs, build(1)), await gradients(inputs, build(chunks))];
  for (const name of Object.keys(inputs)) expectClose(pairs[name] ?? [], turns[name] ?? [], 2e-5, `gradient of ${name}`);
});

describe('the convolution over tokens', () => {
  const [TOKENS, CHANNELS, WIDTH] = [6, 3, 4] as const;
  const inputs = inputsOf({ x: [BATCH, TOKENS, CHANNELS], weight: [CHANNELS, 1, WIDTH], before: [BATCH, WIDTH - 1, CHANNELS] });
  const naive =
    (positions: readonly number[] | undefined, hasBefore: boolean) =>
    ({ x = [], weight = [], before = [] }: Numbers): number[] =>
      range(BATCH * TOKENS * CHANNELS).map(at => {
        const [row, channel] = [Math.floor(at / CHANNELS), at % CHANNELS];
        const [text, token] = [Math.floor(row / TOKENS), row % TOKENS];
        return range(WIDTH).reduce((sum, back) => {
          if (back > (positions?.[row] ?? Number.POSITIVE_INFINITY)) return sum;
          const earlier = hasBefore ? (before[(text * (WIDTH - 1) + token - back + WIDTH - 1) * CHANNELS + channel] ?? 0) : 0;
          const value = token < back ? earlier : (x[(row - back) * CHANNELS + channel] ?? 0);
          return sum + value * (weight[channel * WIDTH + WIDTH - 1 - back] ?? 0);
        }, 0);
      });

  test.each([
    { title: 'of a text', positions: undefined, hasBefore: false },
    { title: 'of texts behind each other', positions: [0, 1, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5], hasBefore: false },
    { title: 'behind earlier tokens', positions: undefined, hasBefore: true },
  ])('$title', async ({ positions, hasBefore }) => {
    const build: BuildLayer = (graph, given) =>
      causalConvolution(graph, {
        ...{ x: given.x, weight: given.weight },
        positions: positions && graph.constant(Int32Array.from(positions), [BATCH, TOKENS], 'int32'),
        before: hasBefore ? given.before : undefined,
      });
    const used = hasBefore ? inputs : { x: required(inputs.x, 'x'), weight: required(inputs.weight, 'weight') };
    expectClose(await forward(used, build), naive(positions, hasBefore)(numbersOf(used)), 2e-6, 'forward');
    const [ours, theirs] = [await gradients(used, build), numericGradients(used, naive(positions, hasBefore))];
    for (const name of Object.keys(used)) expectClose(ours[name] ?? [], theirs[name] ?? [], 2e-5, `gradient of ${name}`);
  });
});
