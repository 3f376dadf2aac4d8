/** Compares the selective state space in chunks with the recurrence token by token, in double precision: values, gradients and states. */
import { expect, test } from 'vitest';
import type { Graph } from '../../../../trainer/graph/graph.ts';
import { stateSpace } from '../../../../trainer/model/layer/recurrent/state-space.ts';
import { required } from '../../../../trainer/narrow.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { type BuildLayer, forward, gradients, type Inputs, inputsOf, numericGradients } from './run-layer.ts';

type Numbers = Readonly<Record<string, readonly number[]>>;
const [BATCH, GROUPS, HEADS, STATE, VALUES] = [2, 2, 4, 3, 2] as const;
const SHARED = HEADS / GROUPS;
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const numbersOf = (inputs: Inputs): Record<string, number[]> =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, Array.from(data)]));

/** Inputs with decays below 0. */
function spaceInputs(tokens: number, hasState: boolean): Inputs {
  const made = inputsOf({
    x: [BATCH, tokens, HEADS * VALUES],
    b: [BATCH, tokens, GROUPS * STATE],
    c: [BATCH, tokens, GROUPS * STATE],
    decay: [BATCH, tokens, HEADS],
    rate: [BATCH, tokens, HEADS],
    ...(hasState && { state: [BATCH, GROUPS, STATE, SHARED * VALUES] }),
  });
  const decay = required(made.decay, 'decay');
  return { ...made, decay: { ...decay, data: decay.data.map(x => x - 1) } };
}

/** Computes token by token: the output of each, then the states after the last one. */
function recurrence(tokens: number, { x = [], b = [], c = [], decay = [], rate = [], state }: Numbers, positions?: readonly number[]) {
  const y: number[] = new Array<number>(x.length).fill(0);
  const states: number[] = new Array<number>(BATCH * HEADS * STATE * VALUES).fill(0);
  for (const text of range(BATCH)) {
    for (const head of range(HEADS)) {
      const group = Math.floor(head / SHARED);
      const placeOf = (i: number, j: number) => ((text * GROUPS + group) * STATE + i) * SHARED * VALUES + (head % SHARED) * VALUES + j;
      let s = range(STATE).map(i => range(VALUES).map(j => state?.[placeOf(i, j)] ?? 0));
      for (const t of range(tokens)) {
        const at = text * tokens + t;
        const left = positions?.[at] === 0 ? 0 : Math.exp(decay[at * HEADS + head] ?? 0);
        const of = (matrix: readonly number[], i: number) => matrix[(at * GROUPS + group) * STATE + i] ?? 0;
        const value = (j: number) => (x[(at * HEADS + head) * VALUES + j] ?? 0) * (rate[at * HEADS + head] ?? 0);
        s = s.map((row, i) => row.map((each, j) => each * left + of(b, i) * value(j)));
        for (const j of range(VALUES))
          y[(at * HEADS + head) * VALUES + j] = range(STATE).reduce((sum, i) => sum + of(c, i) * (s[i]?.[j] ?? 0), 0);
      }
      for (const [i, row] of s.entries()) for (const [j, each] of row.entries()) states[placeOf(i, j)] = each;
    }
  }
  return { y, states };
}

interface SpaceCase {
  readonly title: string;
  readonly tokens: number;
  readonly chunk: number;
  readonly hasState?: boolean;
  readonly positions?: readonly number[];
}

const cases: readonly SpaceCase[] = [
  { title: 'one token', tokens: 1, chunk: 4 },
  { title: 'one chunk', tokens: 4, chunk: 4 },
  { title: 'many chunks, the last not full', tokens: 11, chunk: 3 },
  { title: 'a token behind a state', tokens: 1, chunk: 4, hasState: true },
  { title: 'several chunks behind a state', tokens: 7, chunk: 3, hasState: true },
  { title: 'several texts in one chunk', tokens: 6, chunk: 8, positions: [0, 1, 0, 0, 1, 2, 0, 1, 2, 3, 4, 5] },
  {
    title: 'texts that begin in chunks, between them and before them',
    tokens: 11,
    chunk: 3,
    positions: [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3],
  },
];

test.each(cases)('$title', async one => {
  const { tokens, chunk, positions, hasState = false } = one;
  const inputs = spaceInputs(tokens, hasState);
  const spaceOf = (graph: Graph, given: Parameters<BuildLayer>[1]) =>
    stateSpace(graph, {
      ...{ x: given.x, b: given.b, c: given.c, decay: given.decay, rate: given.rate, groups: GROUPS, chunk },
      ...(hasState && { state: given.state }),
      ...(positions && { positions: graph.constant(Int32Array.from(positions), [BATCH, tokens], 'int32') }),
    });
  const naive = (given: Numbers) => recurrence(tokens, given, positions).y;
  const build: BuildLayer = (graph, given) => spaceOf(graph, given).y;
  expectClose(await forward(inputs, build), naive(numbersOf(inputs)), 2e-6, 'forward');
  const last: BuildLayer = (graph, given) => spaceOf(graph, given).last();
  if (!positions) expectClose(await forward(inputs, last), recurrence(tokens, numbersOf(inputs)).states, 2e-6, 'the last state');
  if (hasState) return;
  const [ours, theirs] = [await gradients(inputs, build), numericGradients(inputs, naive)];
  for (const name of Object.keys(inputs)) expectClose(ours[name] ?? [], theirs[name] ?? [], 2e-5, `gradient of ${name}`);
});

test('a head that forgets everything at once leaves no more than its last token, and no number that is none', async () => {
  const inputs = spaceInputs(9, false);
  const rushed: Inputs = { ...inputs, decay: { shape: [BATCH, 9, HEADS], data: new Float32Array(BATCH * 9 * HEADS).fill(-3e4) } };
  const build: BuildLayer = (graph, { x, b, c, decay, rate }) => stateSpace(graph, { x, b, c, decay, rate, groups: GROUPS, chunk: 4 }).y;
  expectClose(await forward(rushed, build), recurrence(9, numbersOf(rushed)).y, 2e-6, 'forward');
  expect(
    Object.values(await gradients(rushed, build))
      .flat()
      .every(Number.isFinite),
  ).toBe(true);
});
