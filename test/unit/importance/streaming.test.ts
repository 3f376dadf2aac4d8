/** Predicts how much memory a measure takes beyond inference on Llama-3-8B, from the real programs and without loading weights. */
import { describe, expect, test } from 'vitest';
import type { MeasureName } from '../../../trainer/catalog/measures.ts';
import { singleSteps } from '../../../trainer/graph/fusion/step.ts';
import { Graph } from '../../../trainer/graph/graph.ts';
import { liveness } from '../../../trainer/graph/liveness.ts';
import type { Signature } from '../../../trainer/graph/program.ts';
import { byteSize, elementCount } from '../../../trainer/graph/types.ts';
import { accumulator, importanceProgram, scoreSignature } from '../../../trainer/importance/importance-program.ts';
import { targetModules } from '../../../trainer/method/targets.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { Tracer } from '../../../trainer/model/tracer.ts';
import { required } from '../../../trainer/narrow.ts';
import { causalTask } from '../../../trainer/objective/causal/causal-task.ts';
import { llama3Of8b } from '../../support/models/llama-sizes.ts';
import { signatureOf } from '../../support/numbers/signature-of.ts';

const model = causalModel(llama3Of8b);
const modules = targetModules(model, { targetModules: ['all-linear'], freeze: [] });
const task = causalTask(model);
const shape = { batch: 1, tokens: 512, targets: 8 };
const CLASSES = 20;
const MB = 1e6;

const programOf = (measure: MeasureName) =>
  importanceProgram({ measure, task, modules, shapes: [shape], recompute: 'block', classes: CLASSES, sweeps: [] });
const scoringBy = (measure: MeasureName): Signature => required(programOf(measure).signatures[scoreSignature(shape)], measure);
const peakOf = (signature: Signature): number => liveness(signature, singleSteps(signature)).peakBytes;

const graph = new Graph();
const inference = peakOf(signatureOf({ graph, outputs: task.evaluation(new Tracer({ graph }), shape), effects: [] }));
/** Inputs of the blocks, from which the backward pass recomputes. */
const boundaries = 32 * byteSize({ shape: [shape.tokens, 4096], dtype: 'float32' });
const largestWeight = byteSize({ shape: [14336, 4096], dtype: 'float32' });
/** True if a gradient, or anything else with the shape of a weight, is computed. */
const formsWeights = ({ schedule }: Signature): boolean =>
  schedule.some(node => node.op !== 'read' && node.phase === 1 && modules.some(({ weight }) => weight.shape.join() === node.shape.join()));

describe.each(['wanda', 'activation'] as const)('%s', measure => {
  test('needs the memory of inference and the squares of one activation', () => {
    const peak = peakOf(scoringBy(measure));
    expect(peak).toBeLessThan(inference + 2 * byteSize({ shape: [shape.tokens, 14336], dtype: 'float32' }));
  });
});

describe.each(['taylor_row', 'fisher', 'qm_taylor'] as const)('%s', measure => {
  test('forms no weight gradient: block inputs and one block at a time', () => {
    const signature = scoringBy(measure);
    expect(formsWeights(signature)).toBe(false);
    expect(peakOf(signature) - inference - boundaries).toBeLessThan(500 * MB);
  });

  test('keeps a few vectors from batch to batch', () => {
    const numbers = modules.reduce((sum, module) => sum + elementCount(accumulator({ measure, classes: CLASSES }, module).shape), 0);
    const rows = modules.reduce((sum, { weight }) => sum + (weight.shape[0] as number), 0);
    expect(numbers).toBe(measure === 'qm_taylor' ? CLASSES * rows : rows);
  });
});

describe.each(['taylor', 'taylor_squared'] as const)('%s', measure => {
  test('holds the gradient of one layer, with what it is reduced by', () => {
    const above = peakOf(scoringBy(measure)) - peakOf(scoringBy('taylor_row'));
    expect(above).toBeGreaterThan(0);
    expect(above).toBeLessThanOrEqual(2 * largestWeight + MB);
  });
});
