/** Compares the losses of classifiers with naive ones, and their gradients with finite differences. */
import { expect, test } from 'vitest';
import { classificationLoss } from '../../../../trainer/model/layer/loss/classification-loss.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { type BuildLayer, forward, gradients, type Inputs, inputsOf, numericGradients } from './run-layer.ts';

const WEIGHTS = [0.5, 0.25, 0];

async function compare(inputs: Inputs, build: BuildLayer, naive: (x: readonly number[]) => number): Promise<void> {
  expectClose(await forward(inputs, build), [naive(Array.from(inputs.logits?.data ?? []))], 2e-6, 'loss');
  const theirs = numericGradients(inputs, ({ logits = [] }) => [naive(logits)]);
  expectClose((await gradients(inputs, build)).logits ?? [], theirs.logits ?? [], 2e-5, 'gradient');
}

test('cross-entropy: Σ weight · −log softmax at the label; a weight of 0 fills up', () => {
  const labels = [2, 0, 1];
  return compare(
    inputsOf({ logits: [3, 4] }),
    (graph, { logits }) =>
      classificationLoss(graph, {
        problem: 'single_label',
        logits,
        labels: graph.constant(Int32Array.from(labels), [3], 'int32'),
        weights: graph.constant(Float32Array.from(WEIGHTS), [3], 'float32'),
      }).loss,
    logits =>
      labels.reduce((sum, label, row) => {
        const values = logits.slice(row * 4, row * 4 + 4);
        return sum + (WEIGHTS[row] as number) * (Math.log(values.reduce((all, z) => all + Math.exp(z), 0)) - (values[label] as number));
      }, 0),
  );
});

test('cross-entropy of large logits stays finite', async () => {
  const inputs = { logits: { shape: [1, 2], data: Float32Array.of(1000, -1000) } };
  const losses = await forward(
    inputs,
    (graph, { logits }) =>
      classificationLoss(graph, {
        problem: 'single_label',
        logits,
        labels: graph.constant(Int32Array.of(1), [1], 'int32'),
        weights: graph.scalar(1),
      }).losses,
  );
  expect(losses).toEqual([2000]);
});

test('regression: Σ weight · squared error', () => {
  const targets = [0.5, -1, 3];
  return compare(
    inputsOf({ logits: [3, 1] }),
    (graph, { logits }) =>
      classificationLoss(graph, {
        problem: 'regression',
        logits,
        labels: graph.constant(Float32Array.from(targets), [3], 'float32'),
        weights: graph.constant(Float32Array.from(WEIGHTS), [3], 'float32'),
      }).loss,
    logits => targets.reduce((sum, target, i) => sum + (WEIGHTS[i] as number) * ((logits[i] as number) - target) ** 2, 0),
  );
});
