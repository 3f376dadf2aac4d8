/** Exports of tuned classifiers of every family, with the head that they had or a new one for other labels. */
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelOfAdapter } from '../../../trainer/adapter/adapter.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { describeAdapter, writeAdapter } from '../../../trainer/adapter/write-adapter.ts';
import { exportModel } from '../../../trainer/export/export-model.ts';
import { elementCount } from '../../../trainer/graph/types.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import type { MethodName, MethodSettings } from '../../../trainer/method/method.ts';
import { methods } from '../../../trainer/method/methods.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { openReference } from '../../support/engines.ts';
import { scattered, settingsOf } from '../../support/method-settings.ts';
import { randomNumbers } from '../../support/operation-case.ts';
import { temporaryFolder } from '../../support/tiny-adapter.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');
const engine = await openReference();
const labels = ['cat', 'dog', 'fox', 'hen', 'owl'];

interface Case {
  readonly family: string;
  readonly method: MethodName;
  readonly formats: readonly ('adapter' | 'merged' | 'peft')[];
  /** Keeps the base's head instead of a new one. */
  readonly ownHead?: boolean;
  readonly settings?: Partial<MethodSettings>;
}

const all = ['adapter', 'merged', 'peft'] as const;
const cases: readonly Case[] = [
  { family: 'bert', method: 'spsft', formats: all },
  { family: 'bert', method: 'bitfit', formats: ['adapter', 'merged'], ownHead: true },
  { family: 'deberta', method: 'lora', formats: all },
  { family: 'vit', method: 'dora', formats: all },
  { family: 'vit', method: 'head', formats: ['adapter', 'merged'] },
  { family: 'resnet', method: 'spsft', formats: all },
  { family: 'resnet', method: 'lora', formats: all, ownHead: true },
];

/** An adapter of random numbers near the base's. */
async function randomAdapter({ family, method, ownHead, settings: changes }: Case, base: string): Promise<string> {
  const folder = await openModel(base);
  const described = ownHead ? {} : { problem: 'single_label' as const, labels };
  const model = modelOfAdapter(folder.config, described);
  const settings = settingsOf({ budget: { r: 2 }, rank: 2, modulesToSave: ['head'], ...changes });
  const attachment = methods[method].attach(model, settings, scattered(model, method, settings));
  const description = {
    ...describeAdapter(attachment, { source: base, revision: '', fingerprint: await folder.weights.fingerprint() }),
    ...described,
  };
  const tensors = attachment.trainables.map(({ name, shape }, i) => ({
    name,
    shape,
    data: () =>
      Float32Array.from(
        randomNumbers(elementCount(shape), name.includes('magnitude') ? 0.5 : -0.2, name.includes('magnitude') ? 1 : 0.2, i + 1),
      ),
  }));
  await folder.weights.close();
  const dir = join(await temporaryFolder(), `${family} adapter`);
  await writeAdapter(dir, { description, tensors });
  return dir;
}

describe.each(cases)('$family by $method', tuning => {
  test.each(tuning.formats)('as %s', async format => {
    const base = join(await temporaryFolder(), tuning.family);
    await cp(join(golden, tuning.family), base, { recursive: true });
    const outputDir = join(await temporaryFolder(), 'out');
    const adapterPath = await randomAdapter(tuning, base);
    const openBase = () => openModel(base);
    const result = await exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase });
    expect(result.largestDifference).toBeLessThan(result.tolerance);
    if (format === 'merged') {
      const config = JSON.parse(await readFile(join(outputDir, 'config.json'), 'utf8')) as Record<string, unknown>;
      const merged = loadModel(config);
      expect(merged.kind === 'classifier' && !tuning.ownHead ? merged.labels : labels).toEqual(labels);
    } else {
      const adapter = await readAdapter(outputDir);
      expect(adapter.description.modules.length).toBeGreaterThan(0);
      await adapter.close();
    }
  });
});
