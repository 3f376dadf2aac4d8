/**
 * Tests the head with a teacher: compares its gradient in one sweep with the gradient of the loss, over several chunks, and checks its
 * memory.
 */
import { describe, expect, test } from 'vitest';
import { openPortable } from '../../../../trainer/engine/portable/engine.ts';
import { planner } from '../../../../trainer/graph/fusion/plan.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import { liveness } from '../../../../trainer/graph/liveness.ts';
import { type HeadLossParams, headLoss, headLossWithGradient, targetChunk } from '../../../../trainer/model/layer/loss/cross-entropy.ts';
import { atLeast, elementAt, required, valueFor } from '../../../../trainer/narrow.ts';
import { declareTeacher, type TeacherSettings } from '../../../../trainer/objective/causal/causal-task.ts';
import { expectClose } from '../../../support/numbers/closeness.ts';
import { randomNumbers } from '../../../support/numbers/operation-case.ts';
import { signatureOf } from '../../../support/numbers/signature-of.ts';
import { runGraph } from '../../graph/run-graph.ts';

const FEATURES = 3;

interface Shape {
  readonly vocabulary: number;
  readonly targets: number;
  readonly features?: number;
}

function declare({ vocabulary, targets, features = FEATURES }: Shape, settings: TeacherSettings) {
  const graph = new Graph();
  const soft = declareTeacher(graph, { batch: 1, tokens: targets, targets }, settings);
  const params: HeadLossParams = {
    hidden: graph.feed('hidden', [targets, features]),
    weight: graph.read({ name: 'weight', shape: [vocabulary, features], dtype: 'float32' }),
    targetPositions: graph.constant(
      Int32Array.from({ length: targets }, (_, i) => (i * 5) % targets),
      [targets],
      'int32',
    ),
    targetIds: graph.constant(
      Int32Array.from({ length: targets }, (_, i) => (i * 7 + 2) % vocabulary),
      [targets],
      'int32',
    ),
    targetWeights: graph.constant(
      Float32Array.from({ length: targets }, (_, i) => (i % 3) / 10),
      [targets],
      'float32',
    ),
    soft,
  };
  return { graph, params };
}

/** The teacher lists tokens k apart, each half as likely as the previous one. */
function values({ vocabulary, targets }: Shape, k: number) {
  return {
    feeds: {
      hidden: Float32Array.from(randomNumbers(targets * FEATURES, -2, 2, 1)),
      teacherIds: Int32Array.from(
        { length: targets * k },
        (_, at) => (Math.floor(at / k) * 5 + (at % k) * Math.floor(vocabulary / k)) % vocabulary,
      ),
      teacherLogs: Float32Array.from({ length: targets * k }, (_, at) => -Math.LN2 * ((at % k) + 1)),
    },
    variables: { weight: Float32Array.from(randomNumbers(vocabulary * FEATURES, -2, 2, 2)) },
  };
}

const engine = await openPortable({ backend: 'wasm' });

const kinds = [
  { beta: 0, rest: 'bucket', temperature: 1 },
  { beta: 1, rest: 'bucket', temperature: 1.7 },
  { beta: 0.4, rest: 'bucket', temperature: 0.7 },
  { beta: 0, rest: 'renormalize', temperature: 1.7 },
  { beta: 1, rest: 'renormalize', temperature: 1 },
  { beta: 0.4, rest: 'renormalize', temperature: 1 },
] as const;

describe.each([{ name: 'plain logits' }, { name: 'capped logits', cap: 0.6 }])('$name', ({ cap }) => {
  test.each(kinds)('the gradient of $rest, beta $beta, temperature $temperature', async kind => {
    const shape = { vocabulary: 13, targets: 8 };
    const settings = { ...kind, topK: 4, alpha: 0.6 };
    const { feeds, variables } = values(shape, settings.topK);
    const whole = declare(shape, settings);
    const { loss } = headLoss(whole.graph, { ...whole.params, cap });
    const wrt = new Map([whole.params.hidden, whole.params.weight].map(node => [node, {}]));
    const found = backward(whole.graph, { seeds: [{ node: loss, gradient: whole.graph.scalar(1) }], wrt, policy: 'none' });
    const outputs = { loss, hidden: valueFor(found, whole.params.hidden), weight: valueFor(found, whole.params.weight) };
    const expected = await runGraph({ graph: whole.graph, outputs, effects: [] }, feeds, variables, engine);
    const swept = declare(shape, settings);
    const own = headLossWithGradient(swept.graph, { ...swept.params, cap }, { weight: 'all' });
    const [{ gradient: hidden }, { gradient: weight }] = atLeast(own.seeds, 2);
    const got = await runGraph({ graph: swept.graph, outputs: { loss: own.loss, hidden, weight }, effects: [] }, feeds, variables, engine);
    for (const name of ['loss', 'hidden', 'weight'] as const) expectClose(got[name] ?? [], expected[name] ?? [], 2e-6);
  });
});

test('several chunks have the losses of the naive formula', async () => {
  const shape = { vocabulary: 300_000, targets: 24 };
  const settings = { beta: 0, rest: 'bucket', temperature: 1, topK: 4, alpha: 0.5 } as const;
  expect(targetChunk([shape.vocabulary, FEATURES], shape.targets)).toBeLessThan(shape.targets);
  const { feeds, variables } = values(shape, settings.topK);
  const { graph, params } = declare(shape, settings);
  const { soft } = headLossWithGradient(graph, params, { weight: 'none' });
  const found = await runGraph({ graph, outputs: { soft: required(soft, 'soft') }, effects: [] }, feeds, variables, engine);
  const expected = Array.from({ length: shape.targets }, (_, t) => {
    const h = feeds.hidden.subarray(((t * 5) % shape.targets) * FEATURES).subarray(0, FEATURES);
    const logits = Array.from({ length: shape.vocabulary }, (_, v) =>
      h.reduce((sum, x, i) => sum + x * (variables.weight[v * FEATURES + i] as number), 0),
    );
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
    let [loss, p, s] = [0, 1, 1];
    for (let i = 0; i < settings.topK; i++) {
      const log = feeds.teacherLogs[t * settings.topK + i] as number;
      const own = (logits[feeds.teacherIds[t * settings.topK + i] as number] as number) - Math.log(total);
      loss += Math.exp(log) * (log - own);
      p -= Math.exp(log);
      s -= Math.exp(own);
    }
    return loss + p * Math.log(p / s);
  });
  expectClose(found.soft ?? [], expected, 1e-5);
});

test.each([160, 510, 2046])('the head of Gemma 3 with a teacher takes a share of the logits of %i targets', targets => {
  const [vocabulary, features] = [262_144, 640];
  const settings = { beta: 0, rest: 'bucket', temperature: 2, topK: 64, alpha: 0.5 } as const;
  const { graph, params } = declare({ vocabulary, targets, features }, settings);
  const { loss, seeds } = headLossWithGradient(graph, params, { weight: 'none' });
  const outputs = { loss, gradHidden: elementAt(seeds, 0).gradient };
  const signature = signatureOf({ graph, outputs, effects: [] });
  const { peakBytes } = liveness(signature, planner()(signature));
  // Hidden states, the rows of the targets and the gradient exist however the logits are computed.
  expect(peakBytes - 16 * targets * features).toBeLessThan(0.4 * 4 * targets * vocabulary);
  // Four times the logits of a chunk; without a teacher, each exists once.
  expect(peakBytes - 16 * targets * features).toBeLessThan(4.2 * 4 * targetChunk([vocabulary, features], targets) * vocabulary);
});
