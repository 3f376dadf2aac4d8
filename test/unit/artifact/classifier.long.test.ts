/** Tests exports of tuned classifiers of every family, with their own head or a new one for other labels. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { exportModel } from '../../../trainer/artifact/export-model.ts';
import { writtenParameters } from '../../../trainer/artifact/merged/classifier-form.ts';
import { hubTaskOf, objectiveCatalog } from '../../../trainer/catalog/objectives.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { loadModel } from '../../../trainer/model/load-model.ts';
import { heldTensors } from '../../../trainer/model/stored-form.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { HEADLESS, headlessBase } from '../../support/models/headless-base.ts';
import {
  copyOfGolden,
  goldenFolder,
  NEW_LABELS,
  type TinyClassifierParams,
  tinyClassifierAdapter,
} from '../../support/models/tiny-classifier-adapter.ts';

const engine = await openFast();

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
  // Its files have buffers, and layers that compute nothing.
  { family: 'esm', method: 'spsft', formats: all },
  { family: 'ultrabert_mean', method: 'lora', formats: ['merged'] },
  { family: 'esm_learned', method: 'lora', formats: ['merged'] },
  { family: 'vit', method: 'dora', formats: all },
  { family: 'vit', method: 'head', formats: ['adapter', 'merged'] },
  { family: 'resnet', method: 'spsft', formats: all },
  { family: 'resnet', method: 'lora', formats: all, ownHead: true },
  { family: 'resnet', method: 'dora', formats: all },
  // In PEFT's form, the filters of a grouped convolution cover all channels; we write zeros outside each group.
  { family: 'timm_resnext', method: 'lora', formats: ['merged', 'peft'] },
  { family: 'timm_resnext', method: 'spsft+lora', formats: ['peft'], settings: { budget: { ratio: 0.2 } } },
  { family: 'timm_resnext', method: 'dora', formats: ['merged'] },
  // Layers that share weights; MLP layers that are convolutions; queries, keys and values in one matrix.
  { family: 'albert_groups', method: 'lora', formats: all },
  { family: 'timm_convnextv2', method: 'lora', formats: ['merged', 'peft'] },
  { family: 'timm_swin', method: 'spsft', formats: ['merged', 'peft'] },
];

describe.each(cases)('$family by $method', tuning => {
  test.each(tuning.formats)('as %s', async format => {
    const base = await copyOfGolden(tuning.family);
    const outputDir = join(await temporaryFolder(), 'out');
    const adapterPath = await tinyClassifierAdapter({ ...tuning, base });
    const openBase = () => openModel(base);
    const result = await exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase });
    expect(result.largestDifference).toBeLessThan(result.tolerance);
    if (format === 'merged') {
      const config = readRecord(join(outputDir, 'config.json'));
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
  const base = await headlessBase(headless);
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
  const { tensors } = merged.weights;
  const names = new Set(writtenParameters(loadModel(merged.config)).flatMap(spec => heldTensors(spec, tensors).names));
  expect([...tensors.keys()].filter(name => !/(num_batches_tracked|mask_token)$/.test(name)).sort()).toEqual([...names].sort());
  await merged.weights.close();
});

test('a merged folder with other labels is a model of timm with as many, and a target that ends the names of others is a pattern', async () => {
  const base = await copyOfGolden('timm_resnext');
  const adapterPath = await tinyClassifierAdapter({ base, method: 'spsft', labels: ['yes', 'no'] });
  const hubTask = hubTaskOf(objectiveCatalog.image_classification);
  const card = { name: 'n', base, method: 'm', task: 't', hubTask, data: [], results: [], createdBy: 'rowtune' };
  const read = async (format: 'merged' | 'peft', file: string) => {
    const outputDir = join(await temporaryFolder(), format);
    await exportModel({ adapterPath, format, outputDir, overwrite: false, engine, card, openBase: () => openModel(base) });
    expect(readFileSync(join(outputDir, 'README.md'), 'utf8')).toContain(`\nlibrary_name: ${format === 'merged' ? 'timm' : 'peft'}\n`);
    return readRecord(join(outputDir, file));
  };
  const config = await read('merged', 'config.json');
  expect(config).toMatchObject({ num_classes: 2, label_names: ['yes', 'no'], model_args: { num_classes: 2 } });
  const { target_modules: targets, rank_pattern: ranks } = await read('peft', 'adapter_config.json');
  // PEFT applies conv1 to every name that ends with .conv1, too.
  expect(targets).toMatch(/^\^\(conv1\|layer1\\\.0\\\.conv1\|/);
  // Four groups, each as wide as the one with the most rows of the two.
  expect(ranks).toMatchObject({ 'layer1.0.conv2': expect.toBeOneOf([4, 8]) });
});

test('dora of grouped convolutions is refused as peft, by their names', async () => {
  const base = await copyOfGolden('timm_resnext');
  const adapterPath = await tinyClassifierAdapter({ base, method: 'dora' });
  const outputDir = join(await temporaryFolder(), 'peft');
  const run = exportModel({ adapterPath, format: 'peft', outputDir, overwrite: false, engine, openBase: () => openModel(base) });
  await expect(run).rejects.toThrow(/layer1\.0\.conv2 \(dora of a grouped convolution\)/);
});

test('running statistics of batch norm that training changed are merged, and refused as peft', async () => {
  const base = goldenFolder('resnet');
  const adapterPath = await tinyClassifierAdapter({ base, method: 'lora', batchNorm: 'updated' });
  const run = async (format: 'merged' | 'peft') => {
    const outputDir = join(await temporaryFolder(), format);
    return exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase: () => openModel(base) });
  };
  const { largestDifference, tolerance } = await run('merged');
  expect(largestDifference).toBeLessThan(tolerance);
  await expect(run('peft')).rejects.toThrow(/batch_norm: updated changed \d+ running statistics \(resnet\.[^ ]+running_mean …\)/);
});
