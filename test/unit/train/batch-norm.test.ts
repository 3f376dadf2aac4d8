/** Tests batch norm in training: `updated` moves the running statistics as PyTorch does and stores them; `frozen` does not change them. */

import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine, Session } from '../../../trainer/engine/engine.ts';
import { type ModelFolder, openModel } from '../../../trainer/hub/open-model.ts';
import { type Attachment, withBatchNorm } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import type { ClassifierModel } from '../../../trainer/model/model-spec.ts';
import type { BatchNormMode } from '../../../trainer/model/tracer.ts';
import { weightStream } from '../../../trainer/model/weight-stream.ts';
import { classifierTask } from '../../../trainer/objective/classifier/classifier-task.ts';
import { optimizerFeeds } from '../../../trainer/train/optimizer.ts';
import { readSnapshot } from '../../../trainer/train/snapshot.ts';
import { trainSignature } from '../../../trainer/train/train-passes.ts';
import { evalSignature, trainProgram } from '../../../trainer/train/train-program.ts';
import { loadVariables } from '../../../trainer/train/variables.ts';
import { feedsOfClassifier } from '../../../trainer/verify/classifier-reference.ts';
import { type Golden, imageSizeOf, readGolden } from '../../../trainer/verify/golden.ts';
import { openFast } from '../../support/engines.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import { settingsOf } from '../../support/models/method-settings.ts';
import { adamw } from '../../support/runs/tiny-training.ts';

const dir = join(import.meta.dirname, '..', '..', 'golden', 'resnet_basic');
let engine: Engine;
let folder: ModelFolder;
let golden: Golden;
let model: ClassifierModel;
beforeAll(async () => {
  [engine, folder, golden] = [await openFast(), await openModel(dir), await readGolden(join(dir, 'golden.json'))];
  model = classifierOf(folder.config, { imageSize: imageSizeOf(golden) });
});
afterAll(() => folder.weights.close());

/** Runs one step of only the head, then an evaluation of the same batch. */
async function trainOnce(mode: BatchNormMode) {
  const attachment = withBatchNorm(methods.head.attach(model, settingsOf(), new Map()), model, mode);
  const shape = { batch: golden.labels.data.length, tokens: 1, targets: golden.labels.data.length };
  const params = {
    task: classifierTask(model),
    attachment,
    optimizer: adamw,
    maxGradNorm: 0,
    accumulationSteps: 1,
    recompute: 'none',
  } as const;
  const session = await engine.compile(trainProgram({ ...params, trainShapes: [shape], evalShapes: [shape] }));
  try {
    await loadVariables(session, { model: weightStream(model, folder.weights), attachment, optimizer: adamw });
    const feeds = feedsOfClassifier(model, golden);
    const before = await session.run(evalSignature(shape), feeds);
    const step = await session.run(trainSignature(shape), { ...feeds, ...optimizerFeeds(adamw, 0, 1), seed: Int32Array.of(1, 1) });
    const after = await session.run(evalSignature(shape), feeds);
    return { trained: step.loss?.[0], before: before.loss?.[0], after: after.loss?.[0], snapshot: await tensorsOf(session, attachment) };
  } finally {
    await session.dispose();
  }
}

async function tensorsOf(session: Session, attachment: Attachment): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for await (const { spec, data } of readSnapshot(session, attachment, adamw)) found.set(spec.name, Array.from(data));
  return found;
}

describe('a step at a learning rate of 0', () => {
  test('updated: normalizes by the batch, and the running statistics are PyTorch’s after it', async () => {
    const { trained, before, after, snapshot } = await trainOnce('updated');
    expect(trained).toBeCloseTo(golden.train?.loss ?? 0, 5);
    expect(before).toBeCloseTo(golden.loss, 5);
    expect(after).not.toBeCloseTo(golden.loss, 5);
    const buffers = Object.entries(golden.train?.buffers ?? {});
    expect(buffers.length).toBe(18);
    for (const [name, { first4 }] of buffers)
      first4.forEach((value, i) => {
        expect(snapshot.get(name)?.[i], name).toBeCloseTo(value, 5);
      });
  });

  test('frozen: normalizes by the running statistics, and they stay', async () => {
    const { trained, before, after, snapshot } = await trainOnce('frozen');
    expect([trained, after]).toEqual([before, before]);
    expect([...snapshot.keys()].some(name => name.includes('running'))).toBe(false);
  });
});
