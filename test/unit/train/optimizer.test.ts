/** Compares each optimizer, on whole weights and on their rows, with a naive one in double precision, which is checked against PyTorch. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { assemble } from '../../../trainer/graph/program.ts';
import type { Trainable } from '../../../trainer/method/method.ts';
import { elementAt, required } from '../../../trainer/narrow.ts';
import { declareFeeds, optimizerFeeds, optimizerState, update } from '../../../trainer/train/optimizer.ts';
import type { OptimizerSettings } from '../../../trainer/train/optimizer-settings.ts';
import { updateGroups } from '../../../trainer/train/update-group.ts';
import { describeOn, openAllOthers, openReference } from '../../support/engines.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { expectClose } from '../../support/numbers/closeness.ts';

const numbers = z.array(z.number());
const stepsForm = z.array(numbers);
const trace = readGoldenJson(
  'optimizer_trace.json',
  z.object({
    start: numbers,
    gradients: stepsForm,
    learning_rate: z.number(),
    weight_decay: z.number(),
    betas: z.tuple([z.number(), z.number()]),
    epsilon: z.number(),
    momentum: z.number(),
    after: z.object({ adamw: stepsForm, adam: stepsForm, sgd: stepsForm, momentum: stepsForm }),
  }),
);
const common = { weightDecay: trace.weight_decay, beta1: trace.betas[0], beta2: trace.betas[1], epsilon: trace.epsilon };
const cases: Record<keyof typeof trace.after, OptimizerSettings> = {
  adamw: { ...common, name: 'adamw', momentum: 0 },
  adam: { ...common, name: 'adam', momentum: 0 },
  sgd: { ...common, name: 'sgd', momentum: 0 },
  momentum: { ...common, name: 'sgd', momentum: trace.momentum },
};

/** Updates each element separately, by the textbook formula. */
function naive(settings: OptimizerSettings, rate: number): (w: number, g: number) => number {
  let [m, v, b, step] = [0, 0, 0, 0];
  const { beta1, beta2, epsilon, momentum, weightDecay: decay } = settings;
  return (w, gradient) => {
    step++;
    const decoupled = settings.name === 'adamw';
    const g = decoupled ? gradient : gradient + decay * w;
    if (settings.name === 'sgd') {
      b = momentum * b + g;
      return w - rate * b;
    }
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const change = m / (1 - beta1 ** step) / (Math.sqrt(v / (1 - beta2 ** step)) + epsilon);
    return (decoupled ? w * (1 - rate * decay) : w) - rate * change;
  };
}

function naiveSteps(settings: OptimizerSettings, rate = trace.learning_rate): number[][] {
  const one = trace.start.map(() => naive(settings, rate));
  let w = trace.start;
  return trace.gradients.map(g => {
    w = w.map((x, i) => elementAt(one, i)(x, g[i] as number));
    return w;
  });
}

test.each(namesOf(cases))('the naive %s equals PyTorch', name => {
  naiveSteps(cases[name]).forEach((w, step) => {
    expectClose(w, elementAt(trace.after[name], step), 1e-12);
  });
});

/** The five elements as one column: all of the variable, or its rows 1, 2, 4, 5, 7. */
async function ourSteps(
  engine: Engine,
  settings: OptimizerSettings,
  rows?: Int32Array,
  more: Partial<Trainable> = {},
): Promise<{ steps: number[][]; others: number[] }> {
  const count = trace.start.length;
  const places = rows ?? Int32Array.from(trace.start.keys());
  const variable = { name: 'w', shape: [rows ? 8 : count, 1], dtype: 'float32' as const };
  const rowSpec = { name: 'w.rows', shape: [count], dtype: 'int32' as const };
  const trainable: Trainable = {
    name: 'w',
    variable,
    shape: [count, 1],
    ...more,
    ...(rows && { rows: { variable: rowSpec, indices: rows } }),
  };
  const group = elementAt(updateGroups([trainable], settings), 0);
  const graph = new Graph();
  const effects = update(graph, { settings, group, gradient: graph.feed('gradient', [count, 1]), feeds: declareFeeds(graph) });
  const session = await engine.compile(assemble({ step: { graph, outputs: { done: graph.scalar(1) }, effects } }));
  const start = new Float32Array(variable.shape[0] as number).fill(9);
  places.forEach((row, i) => {
    start[row] = trace.start[i] as number;
  });
  await session.load([
    { name: 'w', data: start },
    ...(rows ? [{ name: 'w.rows', data: rows }] : []),
    ...optimizerState(settings, group).map(({ name }) => ({ name, data: 'zeros' as const })),
  ]);
  const steps: number[][] = [];
  for (const [i, g] of trace.gradients.entries()) {
    await session.run('step', { gradient: Float32Array.from(g), ...optimizerFeeds(settings, trace.learning_rate, i + 1) });
    const w = await session.read('w');
    steps.push(Array.from(places, row => w[row] as number));
  }
  const last = await session.read('w');
  await session.dispose();
  return { steps, others: Array.from(last).filter((_, i) => !places.includes(i)) };
}

const reference = await openReference();
const engines = [{ name: 'portable, cpu', engine: reference }, ...(await openAllOthers())];
describe('a trainable may have a learning rate of its own', () => {
  for (const [name, settings] of Object.entries(cases))
    for (const rows of [undefined, Int32Array.of(1, 2, 4, 5, 7)])
      test(`${name}, ${rows ? 'rows' : 'whole'}`, async () => {
        const { steps } = await ourSteps(reference, settings, rows, { rateFactor: 3 });
        steps.forEach((w, step) => {
          expectClose(w, required(naiveSteps(settings, 3 * trace.learning_rate)[step], 'a step'), 1e-5, `step ${step + 1}`);
        });
      });

  test('and is then not grouped with others for its update', () => {
    const settings: OptimizerSettings = { ...common, name: 'adamw', momentum: 0, eightBitFrom: 1 };
    const one = (name: string, extra: Partial<Trainable>): Trainable => {
      const shape = [4, 4];
      return { name, variable: { name, shape, dtype: 'float32' }, shape, batch: 'layer 0', ...extra };
    };
    const groups = updateGroups([one('a', {}), one('b', { rateFactor: 16 }), one('c', { rateFactor: 1 })], settings);
    expect(groups.map(({ members }) => members.map(member => member.name))).toEqual([['a', 'c'], ['b']]);
  });
});

describe('weight decay leaves a trainable alone that says so', () => {
  const undecayed = (settings: OptimizerSettings) => (step: number) => elementAt(naiveSteps({ ...settings, weightDecay: 0 }), step);
  for (const [name, settings] of Object.entries(cases))
    for (const rows of [undefined, Int32Array.of(1, 2, 4, 5, 7)])
      test(`${name}, ${rows ? 'rows' : 'whole'}`, async () => {
        const { steps } = await ourSteps(reference, settings, rows, { undecayed: true });
        steps.forEach((w, step) => {
          expectClose(w, undecayed(settings)(step), 1e-5, `step ${step + 1}`);
        });
      });

  test('also with moments in 8 bits, in a group of its own', () => {
    const settings: OptimizerSettings = { ...common, name: 'adamw', momentum: 0, eightBitFrom: 1 };
    const one = (name: string, extra: Partial<Trainable>): Trainable => {
      const shape = [4, 4];
      return { name, variable: { name, shape, dtype: 'float32' }, shape, batch: 'layer 0', ...extra };
    };
    const groups = updateGroups([one('a', {}), one('b', { undecayed: true }), one('c', {})], settings);
    expect(groups.map(({ members }) => members.map(member => member.name))).toEqual([['a', 'c'], ['b']]);
  });
});

describeOn(engines, engine => {
  for (const [name, settings] of Object.entries(cases))
    for (const rows of [undefined, Int32Array.of(1, 2, 4, 5, 7)])
      for (const weightDecay of [settings.weightDecay, 0])
        test(`${name}, decay ${weightDecay}, ${rows ? 'rows' : 'whole'}`, async () => {
          const chosen = { ...settings, weightDecay };
          const { steps, others } = await ourSteps(engine, chosen, rows);
          naiveSteps(chosen).forEach((w, step) => {
            expectClose(elementAt(steps, step), w, 1e-5, `step ${step + 1}`);
          });
          expect(others).toEqual(rows ? [9, 9, 9] : []);
        });
});
