/**
 * Tests rows that start later than others in one group: each behaves as if trained alone from its own first update, and the old ones as
 * without them.
 */
import { expect, test } from 'vitest';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import { movedCheckpoint } from '../../../trainer/handlers/train/second-choice.ts';
import type { Attachment, Trainable } from '../../../trainer/method/method.ts';
import { withYoung } from '../../../trainer/method/young-rows.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';
import { declareFeeds, optimizerFeeds, optimizerState, update } from '../../../trainer/train/optimizer.ts';
import type { OptimizerSettings } from '../../../trainer/train/optimizer-settings.ts';
import { updateGroups } from '../../../trainer/train/update-group.ts';
import { describeOn, openAll } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { randomNumbers } from '../../support/numbers/operation-case.ts';

const engines = await openAll();
const WIDTH = 3;
const [BEGUN, STEPS, RATE] = [7, 6, 0.01];
const settings: OptimizerSettings = { name: 'adamw', weightDecay: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-3, momentum: 0 };

const trainableOf = (module: string, rows: readonly number[], count: number): Trainable => ({
  name: `${module}.weight`,
  variable: { name: `${module}.weight`, shape: [count, WIDTH], dtype: 'float32' },
  rows: { variable: { name: `${module}.rows`, shape: [rows.length], dtype: 'int32' }, indices: Int32Array.from(rows) },
  batch: 'layer 0',
  shape: [rows.length, WIDTH],
});
const attachmentOf = (...trainables: Trainable[]): Attachment => ({ method: 'spsft', trainables, initial: () => [] });
const numbers = (count: number, seed: number): Float32Array => Float32Array.from(randomNumbers(count, -1, 1, seed));

/** Textbook Adam on one value, `from` updates after its first. */
function adam(w: number, m: number, v: number, gradients: readonly number[], from: number): number {
  const { beta1, beta2, epsilon, weightDecay } = settings;
  for (const [i, g] of gradients.entries()) {
    const step = from + i + 1;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    w = w * (1 - RATE * weightDecay) - (RATE * (m / (1 - beta1 ** step))) / (Math.sqrt(v / (1 - beta2 ** step)) + epsilon);
  }
  return w;
}

describeOn(engines, engine => {
  test('moments of each row are corrected by the updates since its own first', async () => {
    const plain = attachmentOf(trainableOf('a', [1, 4], 6), trainableOf('b', [0, 2, 3], 5));
    const { trainables } = withYoung(plain, { step: BEGUN, kept: { a: [4], b: [0, 3] } });
    expect(trainables.map(({ young }) => [...(young ?? [])])).toEqual([
      [1, 0],
      [0, 1, 0],
    ]);
    const own = { ...settings, youngAfter: BEGUN };
    const group = elementAt(updateGroups(trainables, own), 0);
    const graph = new Graph();
    const effects = update(graph, { settings: own, group, gradient: graph.feed('gradient', group.shape), feeds: declareFeeds(graph) });
    const session = await engine.compile(assemble({ step: { graph, outputs: { done: graph.scalar(1) }, effects } }));
    const young = [1, 0, 0, 1, 0];
    const start = { a: numbers(6 * WIDTH, 1), b: numbers(5 * WIDTH, 2) };
    // Young rows start with moments of 0.
    const old = (seed: number) => numbers(5 * WIDTH, seed).map((value, i) => (young[Math.floor(i / WIDTH)] ? 0 : Math.abs(value)));
    const [m, v] = [old(3), old(4)];
    const [mName, vName] = optimizerState(own, group).map(({ name }) => name);
    await session.load([
      { name: 'a.weight', data: start.a },
      { name: 'b.weight', data: start.b },
      ...trainables.flatMap(({ rows }) => (rows ? [{ name: rows.variable.name, data: rows.indices }] : [])),
      { name: required(mName, 'm'), data: m },
      { name: required(vName, 'v'), data: v },
    ]);
    const gradients = Array.from({ length: STEPS }, (_, i) => numbers(5 * WIDTH, 10 + i));
    for (const [i, gradient] of gradients.entries()) await session.run('step', { gradient, ...optimizerFeeds(own, RATE, BEGUN + i + 1) });
    const after = { a: await session.read('a.weight'), b: await session.read('b.weight') };
    const places = [...[1, 4].map(row => ({ of: 'a' as const, row })), ...[0, 2, 3].map(row => ({ of: 'b' as const, row }))];
    for (const [i, { of, row }] of places.entries())
      for (let j = 0; j < WIDTH; j++) {
        const at = i * WIDTH + j;
        const own = gradients.map(gradient => elementAt([...gradient], at));
        const first = elementAt([...start[of]], row * WIDTH + j);
        const wanted = adam(first, elementAt([...m], at), elementAt([...v], at), own, young[i] ? 0 : BEGUN);
        expectClose([Number(after[of][row * WIDTH + j])], [wanted], 1e-5, `${of} row ${row}`);
      }
    await session.dispose();
  });
});

test('a moved checkpoint has the values and moments of rows that stay, the base and zeros for others', async () => {
  const before = attachmentOf(trainableOf('a', [1, 4], 6), trainableOf('b', [0, 2], 5));
  const after = attachmentOf(trainableOf('a', [0, 4], 6), trainableOf('b', [2, 3], 5));
  const base: Readonly<Record<string, Float32Array>> = { 'a.weight': numbers(6 * WIDTH, 1), 'b.weight': numbers(5 * WIDTH, 2) };
  const [group] = updateGroups(before.trainables, settings);
  const states = optimizerState(settings, required(group, 'a group'));
  const saved: Readonly<Record<string, Float32Array>> = {
    'a.weight': numbers(2 * WIDTH, 3),
    'b.weight': numbers(2 * WIDTH, 4),
    buffer: numbers(4, 9),
    ...Object.fromEntries(states.map(({ name }, i) => [name, numbers(4 * WIDTH, 5 + i)])),
  };
  const checkpoint = { read: async (name: string) => required(saved[name], name), check: () => undefined };
  const weights = { tensors: new Map(), readFloat32: async (name: string) => required(base[name], name) };
  const moved = movedCheckpoint({ checkpoint: checkpoint, before, after, optimizer: settings, weights });
  const row = (values: Float32Array | undefined, i: number): number[] => [
    ...required(values, 'values').subarray(i * WIDTH, (i + 1) * WIDTH),
  ];
  expect([...(await moved.read('a.weight'))]).toEqual([...row(base['a.weight'], 0), ...row(saved['a.weight'], 1)]);
  expect([...(await moved.read('b.weight'))]).toEqual([...row(saved['b.weight'], 1), ...row(base['b.weight'], 3)]);
  for (const { name } of states) {
    // a: rows 1, 4; b: rows 0, 2, one after the other.
    const zeros = new Array<number>(WIDTH).fill(0);
    expect([...(await moved.read(name))]).toEqual([...zeros, ...row(saved[name], 1), ...row(saved[name], 3), ...zeros]);
  }
  expect(await moved.read('buffer')).toBe(saved.buffer);
});
