/**
 * Tests the distance that rows move: compares it with gradients of the same model recomputed after each step, and its memory with the
 * liveness of its parts.
 */
import { describe, expect, test } from 'vitest';
import { backward } from '../../../trainer/graph/gradient.ts';
import { Graph, type Node } from '../../../trainer/graph/graph.ts';
import { byteSize } from '../../../trainer/graph/types.ts';
import { movementProgram } from '../../../trainer/importance/movement.ts';
import { type ImportanceData, scoreModel } from '../../../trainer/importance/score-model.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { elementAt, required, valueFor } from '../../../trainer/narrow.ts';
import { describeOn, openOthers, openReference } from '../../support/engines.ts';
import { expectClose } from '../../support/numbers/closeness.ts';
import { runGraph } from '../graph/run-graph.ts';
import { dataOn, model, modules, source, task, values, weights } from './toy-task.ts';

const engine = await openReference();
const others = await openOthers();
const STEP = 0.05;
const dataOf = (batchSize: number, change: Partial<ImportanceData> = {}): ImportanceData =>
  dataOn(engine, batchSize, { sweepBytes: 0, stepSize: STEP, ...change });
const scoresOf = (data: ImportanceData, unit?: 'columns', only = modules) =>
  scoreModel({ measure: 'movement', model, modules: only, weights, seed: 0, data, ...(unit && { unit }) });

/** Returns the weights after a step per batch, each with gradients from a separate graph. */
async function movedWeights(batchSize: number): Promise<Record<string, Float32Array>> {
  const at = Object.fromEntries(Object.entries(values).map(([name, data]) => [name, Float32Array.from(data)]));
  const { plan, fill } = source(batchSize);
  for (const planned of plan.epoch(0)) {
    const graph = new Graph();
    const { seeds } = task.loss(new Tracer({ graph }), planned.bucket, () => 'none');
    const reads = new Map(modules.map(({ weight }): [string, Node] => [weight.name, graph.read({ ...weight, dtype: 'float32' })]));
    const found = backward(graph, { seeds, wrt: new Map([...reads.values()].map(node => [node, {}])), policy: 'none' });
    const outputs = Object.fromEntries([...reads].map(([name, node]) => [name, valueFor(found, node)]));
    const gradients = await runGraph({ graph, outputs, effects: [] }, (await fill(planned)).feeds(planned.rows.length), at);
    for (const [name, gradient] of Object.entries(gradients))
      at[name] = required(at[name], name).map((w, i) => w - STEP * (gradient[i] ?? Number.NaN));
  }
  return at;
}

describe.each([1, 2, 5])('batches of %i', batchSize => {
  test('rows are ranked by the length of their way', async () => {
    const [{ scores }, moved] = [await scoresOf(dataOf(batchSize)), await movedWeights(batchSize)];
    for (const { name, weight } of modules) {
      const rows = elementAt(weight.shape, 0);
      const [after, before] = [required(moved[weight.name], name), required(values[weight.name], name)];
      const width = before.length / rows;
      const expected = Array.from({ length: rows }, (_, i) =>
        Math.hypot(...Array.from({ length: width }, (_, j) => (after[i * width + j] as number) - (before[i * width + j] as number))),
      );
      expectClose([...valueFor(scores, name)], expected, 1e-5, name);
    }
  });
});

test('columns are ranked by theirs', async () => {
  const linear = modules.filter(({ kind }) => kind === 'linear');
  // With a single batch, it makes no difference whether other layers move, too.
  const [{ scores }, moved] = [await scoresOf(dataOf(5), 'columns', linear), await movedWeights(5)];
  const { name, weight } = elementAt(linear, 0);
  const [rows = 0, columns = 0] = weight.shape;
  const [after, before] = [required(moved[weight.name], name), required(values[weight.name], name)];
  const way = (row: number, column: number): number => (after[row * columns + column] ?? 0) - (before[row * columns + column] ?? 0);
  const expected = Array.from({ length: columns }, (_, column) =>
    Math.hypot(...Array.from({ length: rows }, (_, row) => way(row, column))),
  );
  expectClose([...valueFor(scores, name)], expected, 1e-5, name);
});

test('scores are deterministic, and the base stays unchanged', async () => {
  const before = Object.fromEntries(Object.entries(values).map(([name, data]) => [name, [...data]]));
  const { scores } = await scoresOf(dataOf(5));
  const found = await scoresOf(dataOf(5));
  expect(found.scores).toEqual(scores);
  for (const [name, data] of Object.entries(values)) expect([...data]).toEqual(before[name]);
});

test('holds the weights once and no sums: its variables are the parameters of the model', () => {
  const { variables } = movementProgram({ task, modules, shapes: source(2).plan.buckets, recompute: 'none', stepSize: STEP });
  const bytes = variables.reduce((sum, spec) => sum + byteSize(spec), 0);
  expect(bytes).toBe(Object.values(values).reduce((sum, { length }) => sum + 4 * length, 0));
});

describeOn(others, engine => {
  test('gives the scores of the interpreter', async () => {
    const [own, expected] = [await scoresOf(dataOf(2, { engine })), await scoresOf(dataOf(2))];
    for (const module of modules)
      expectClose([...valueFor(own.scores, module.name)], [...valueFor(expected.scores, module.name)], 1e-5, module.name);
  });
});
