/**
 * Compares four AdamW steps on classifiers of every family with PyTorch, for all parameters, rows, and low-rank factors: losses within
 * 1e-4.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { MethodName } from '../../trainer/catalog/methods.ts';
import type { Engine } from '../../trainer/engine/engine.ts';
import type { HostArray } from '../../trainer/graph/types.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { methods } from '../../trainer/method/methods.ts';
import type { ClassifierModel } from '../../trainer/model/model-spec.ts';
import { weightStream } from '../../trainer/model/weight-stream.ts';
import { classifierTask } from '../../trainer/objective/classifier/classifier-task.ts';
import { feedsOfClassifier } from '../../trainer/verify/classifier-reference.ts';
import { imageSizeOf, readGolden } from '../../trainer/verify/golden.ts';
import { classifierOf, withoutDropout } from '../support/models/classifier-of.ts';
import { openOthers, openReference } from '../support/engines.ts';
import { everyNth, lossesForm, lossTrace, waveFactors } from '../support/golden/loss-trace.ts';
import { settingsOf } from '../support/models/method-settings.ts';
import { readGoldenJson } from '../support/files/read-json.ts';

/** The weights whose rows train, those with low-rank factors, and the losses. */
const traceForm = lossesForm.extend({ rows: z.array(z.string()), low_rank: z.array(z.string()) });
type Trace = z.infer<typeof traceForm>;

const traces = readGoldenJson(
  'classifier_traces.json',
  z.object({ every: z.number(), rate: z.number(), rank: z.number(), alpha: z.number(), folders: z.record(z.string(), traceForm) }),
);

function attachmentOf(model: ClassifierModel, method: MethodName, trace: Trace) {
  const asked = new Set(method === 'spsft' ? trace.rows : trace.low_rank);
  const modules = model.modules.filter(({ weight }) => asked.has(weight.name));
  expect(modules.length).toBe(asked.size);
  const settings = settingsOf({ rank: traces.rank, loraAlpha: traces.alpha, ...(method !== 'full' && { targetModules: modules.map(({ name }) => name) }) });
  const attachment = methods[method].attach(model, settings, new Map(modules.map(({ name, weight }) => [name, everyNth(weight.shape[0] as number, traces.every)])));
  const start = method === 'lora' ? waveFactors(attachment, modules, ({ weight }) => weight.name) : new Map<string, HostArray>();
  return { attachment, start };
}

async function losses(engine: Engine, name: string, method: MethodName, trace: Trace): Promise<number[]> {
  const dir = join(import.meta.dirname, name);
  const folder = await openModel(dir);
  const golden = await readGolden(join(dir, 'golden.json'));
  const model = classifierOf(folder.config, { imageSize: imageSizeOf(golden) });
  const batch = golden.labels.shape[0] as number;
  const shape = { batch, tokens: golden.inputs.input_ids?.shape[1] ?? 1, targets: batch };
  const { attachment, start } = attachmentOf(model, method, trace);
  const found = await lossTrace(engine, {
    ...{ task: classifierTask(withoutDropout(model)), attachment, recompute: 'none', start, shape, rate: traces.rate },
    model: weightStream(model, folder.weights),
    feeds: feedsOfClassifier(model, golden),
  });
  await folder.weights.close();
  return found;
}

/** One engine is enough, because `verify.long.test.ts` checks the gradients of all: TensorFlow, if installed. */
const others = await openOthers();
const engine = others.find(each => each.name === 'tensorflow')?.engine ?? (await openReference());

describe.each(Object.entries(traces.folders))('%s', (name, trace) => {
  test.each(['full', 'spsft', 'lora'] as const)('%s', async method => {
    const found = await losses(engine, name, method, trace);
    found.forEach((loss, i) => expect(loss, `loss ${i}`).toBeCloseTo(trace[method][i] as number, 4));
  });
});
