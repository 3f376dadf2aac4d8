/** Exports of tuned classifiers of every family, with the head that they had or a new one for other labels. */
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { exportModel } from '../../../trainer/export/export-model.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { openReference } from '../../support/engines.ts';
import { HEADLESS, headlessBase } from '../../support/headless-base.ts';
import { temporaryFolder } from '../../support/tiny-adapter.ts';
import { NEW_LABELS, type TinyClassifierParams, tinyClassifierAdapter } from '../../support/tiny-classifier-adapter.ts';

const golden = join(import.meta.dirname, '..', '..', 'golden');
const engine = await openReference();

interface Case extends Omit<TinyClassifierParams, 'base'> {
  readonly family: string;
  readonly formats: readonly ('adapter' | 'merged' | 'peft')[];
}

const all = ['adapter', 'merged', 'peft'] as const;
const cases: readonly Case[] = [
  { family: 'bert', method: 'spsft', formats: all },
  { family: 'bert', method: 'bitfit', formats: ['adapter', 'merged'], ownHead: true },
  { family: 'deberta', method: 'lora', formats: all },
  { family: 'bert_torch', method: 'lora', formats: all },
  { family: 'deberta_torch', method: 'spsft', formats: all },
  { family: 'vit', method: 'dora', formats: all },
  { family: 'vit', method: 'head', formats: ['adapter', 'merged'] },
  { family: 'resnet', method: 'spsft', formats: all },
  { family: 'resnet', method: 'lora', formats: all, ownHead: true },
];

describe.each(cases)('$family by $method', tuning => {
  test.each(tuning.formats)('as %s', async format => {
    const base = join(await temporaryFolder(), tuning.family);
    await cp(join(golden, tuning.family), base, { recursive: true });
    const outputDir = join(await temporaryFolder(), 'out');
    const adapterPath = await tinyClassifierAdapter({ ...tuning, base });
    const openBase = () => openModel(base);
    const result = await exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase });
    expect(result.largestDifference).toBeLessThan(result.tolerance);
    if (format === 'merged') {
      const config = JSON.parse(await readFile(join(outputDir, 'config.json'), 'utf8')) as Record<string, unknown>;
      const merged = loadModel(config);
      expect(merged.kind === 'classifier' && !tuning.ownHead ? merged.labels : NEW_LABELS).toEqual(NEW_LABELS);
    } else {
      const adapter = await readAdapter(outputDir);
      expect(adapter.description.modules.length).toBeGreaterThan(0);
      await adapter.close();
    }
  });
});

test.each(HEADLESS)('$family as $architecture, without a head: merged it is the class that has one', async headless => {
  const base = await headlessBase(golden, headless);
  const adapterPath = await tinyClassifierAdapter({ base, method: 'lora' });
  const outputDir = join(await temporaryFolder(), 'out');
  const openBase = () => openModel(base);
  const { largestDifference, tolerance } = await exportModel({
    adapterPath,
    format: 'merged',
    outputDir,
    overwrite: false,
    engine,
    openBase,
  });
  expect(largestDifference).toBeLessThan(tolerance);
  const merged = await openModel(outputDir);
  expect(merged.config).toMatchObject({ architectures: [expect.stringMatching(/For(Sequence|Image)Classification$/)], num_labels: 5 });
  const names = loadModel(merged.config).parameters.map(({ name }) => name);
  expect([...merged.weights.tensors.keys()].filter(name => !/num_batches_tracked$/.test(name)).sort()).toEqual(names.sort());
  await merged.weights.close();
});

test('running statistics of batch norm that training changed are merged, and refused as peft', async () => {
  const base = join(golden, 'resnet');
  const adapterPath = await tinyClassifierAdapter({ base, method: 'lora', batchNorm: 'updated' });
  const run = async (format: 'merged' | 'peft') => {
    const outputDir = join(await temporaryFolder(), format);
    return exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase: () => openModel(base) });
  };
  const { largestDifference, tolerance } = await run('merged');
  expect(largestDifference).toBeLessThan(tolerance);
  await expect(run('peft')).rejects.toThrow(/batch_norm: updated changed \d+ running statistics \(resnet\.[^ ]+running_mean …\)/);
});
