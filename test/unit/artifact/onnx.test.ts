/** Tests exports to ONNX: every family of classifiers and encoders, read back and run by ONNX Runtime if installed. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ExportParams, type ExportResult, exportModel } from '../../../trainer/artifact/export-model.ts';
import { lowerModel } from '../../../trainer/artifact/onnx/lower.ts';
import { compareWithOnnxRuntime } from '../../../trainer/artifact/onnx/runtime-check.ts';
import { readOnnx } from '../../../trainer/format/onnx/onnx-reader.ts';
import { writeOnnx } from '../../../trainer/format/onnx/onnx-writer.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { hasOnnxRuntime, onnxRuntimePackages } from '../../../trainer/onnxruntime/onnxruntime-packages.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { openFast } from '../../support/engines.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { classifierOf } from '../../support/models/classifier-of.ts';
import {
  copyOfGolden,
  goldenFolder,
  type TinyClassifierParams,
  tinyClassifierAdapter,
} from '../../support/models/tiny-classifier-adapter.ts';

const engine = await openFast();

/** True if ONNX Runtime is installed here. */
const ONNX_RUNTIME = hasOnnxRuntime(cacheDir);

async function exportOf(tuning: TinyClassifierParams, change: Partial<ExportParams> = {}): Promise<ExportResult> {
  return exportModel({
    adapterPath: await tinyClassifierAdapter(tuning),
    format: 'onnx',
    outputDir: join(await temporaryFolder(), 'out'),
    overwrite: false,
    engine,
    cacheDir,
    openBase: () => openModel(tuning.base),
    ...change,
  });
}

/** Expects that logits are within the tolerance, and that ONNX Runtime computed the same or was reported missing. */
function expectVerified({ largestDifference, tolerance, crossCheck }: ExportResult): void {
  expect(largestDifference).toBeLessThanOrEqual(tolerance);
  if (ONNX_RUNTIME) expect(crossCheck).toMatchObject({ program: expect.stringMatching(/^onnxruntime \d/), inputs: expect.any(Array) });
  else expect(crossCheck).toEqual({ missing: expect.stringContaining('rowtune engine install --with onnxruntime') });
}

const fileOf = ({ outputDir }: ExportResult): string => join(outputDir, 'onnx', 'model.onnx');

describe('families', () => {
  const texts = ['input_ids', 'attention_mask'];
  const segments = [...texts, 'token_type_ids'];
  test.each([
    ['bert', 'spsft', segments],
    ['bert_several', 'lora', segments],
    ['roberta', 'lora', texts],
    ['xlm_roberta_tokens', 'spsft', texts],
    ['deberta', 'lora', texts],
    ['deberta_c2p', 'spsft', texts],
    ['deberta_own_keys', 'spsft', segments],
    ['deberta_regression', 'bitfit', texts],
    ['distilbert_tokens', 'dora', texts],
    ['electra_wide', 'spsft', texts],
    ['albert', 'spsft', segments],
    ['mpnet', 'lora', texts],
    ['nomic_bert', 'spsft', segments],
    ['eurobert', 'lora', texts],
    ['ultrabert', 'spsft', texts],
    ['esm', 'spsft', texts],
    ['esm_learned', 'lora', texts],
    ['modernbert', 'spsft', texts],
    ['modernbert_mean', 'lora', texts],
    ['vit', 'dora', ['pixel_values']],
    ['deit_teacher', 'head', ['pixel_values']],
    ['dinov2_registers', 'lora', ['pixel_values']],
    ['dinov3_gated', 'spsft', ['pixel_values']],
    ['siglip', 'spsft', ['pixel_values']],
    ['timm_convnextv2', 'lora', ['pixel_values']],
    ['timm_swin', 'spsft', ['pixel_values']],
    ['swin_uneven', 'spsft', ['pixel_values']],
    ['timm_resnext', 'spsft', ['pixel_values']],
  ] as const)('%s by %s', async (family, method, inputs) => {
    const result = await exportOf({ base: await copyOfGolden(family), method, ownHead: true });
    expectVerified(result);
    expect(result.files).toEqual(expect.arrayContaining(['config.json', 'onnx/model.onnx']));
    const { inputs: names, outputs } = await readOnnx(fileOf(result));
    expect([names.toSorted(), outputs]).toEqual([inputs.toSorted(), ['logits']]);
  });
});

test('a new head: config.json has the labels of the run', async () => {
  const result = await exportOf({ base: goldenFolder('electra'), method: 'lora', labels: ['cat', 'dog', 'fox'] });
  expectVerified(result);
  const config = readRecord(join(result.outputDir, 'config.json'));
  expect(config).toMatchObject({ id2label: { 0: 'cat', 1: 'dog', 2: 'fox' } });
});

test('images have the size that the model was tuned for', async () => {
  const result = await exportOf({ base: goldenFolder('dinov2'), method: 'spsft', imageSize: [8, 8] });
  expectVerified(result);
  expect(readRecord(join(result.outputDir, 'preprocessor_config.json'))).toMatchObject({ size: { height: 8, width: 8 } });
});

test.each(['mean', 'cls', 'max', 'lasttoken'] as const)('an embedder that takes the %s gives states and vectors', async mode => {
  const pooling = { mode, normalize: mode === 'mean' };
  const result = await exportOf({ base: goldenFolder('bert'), method: 'spsft', problem: 'embedding', pooling });
  expectVerified(result);
  expect((await readOnnx(fileOf(result))).outputs).toEqual(['last_hidden_state', 'sentence_embedding']);
  expect(await readdir(result.outputDir)).toContain('modules.json');
});

test('without ONNX Runtime the export warns that it was not verified there', async () => {
  const messages: string[] = [];
  const result = await exportOf(
    { base: goldenFolder('distilbert'), method: 'spsft', ownHead: true },
    {
      cacheDir: await temporaryFolder(),
      onEvent: event => {
        if (event.type === 'log' && event.level === 'warning') messages.push(event.message);
      },
    },
  );
  expect(result.crossCheck).toEqual({ missing: expect.stringContaining('rowtune engine install --with onnxruntime') });
  expect(messages).toContainEqual(expect.stringContaining('not verified in another program'));
});

test.runIf(ONNX_RUNTIME)('weights in a file next to the model are found there', async () => {
  const { config, weights } = await openModel(goldenFolder('albert_tokens'));
  const model = classifierOf(config);
  const path = join(await temporaryFolder(), 'model.onnx');
  const bytesOf = async (name: string) => new Uint8Array((await weights.readFloat32(name)).buffer);
  await writeOnnx(path, { ...lowerModel(model, bytesOf), producerVersion: '0' }, 0);
  const exported = { model, weights: await readOnnx(path), close: async () => {} };
  expect(await compareWithOnnxRuntime({ path, model, exported, engine, cacheDir })).toMatchObject({
    inputs: ['1 text of 6 tokens', '3 texts of 16 tokens', '2 texts of 16 tokens'],
  });
  await weights.close();
});

test.runIf(ONNX_RUNTIME)('an export whose numbers differ in ONNX Runtime is refused with the largest difference', async () => {
  const { outputDir } = await exportOf({ base: goldenFolder('distilbert'), method: 'spsft', ownHead: true });
  const { config, weights } = await openModel(goldenFolder('distilbert'));
  const model = classifierOf(config);
  // The base, whose weights differ from the export's.
  const exported = { model, weights, close: async () => {} };
  await expect(compareWithOnnxRuntime({ path: join(outputDir, 'onnx', 'model.onnx'), model, exported, engine, cacheDir })).rejects.toThrow(
    /ONNX Runtime computes something else: for 1 text of 6 tokens the largest difference in logits is/,
  );
  await weights.close();
});

test('a system without a compiled binary is named', () => {
  expect(() => onnxRuntimePackages('darwin', 'x64')).toThrow(/no compiled binary for darwin x64/);
  expect(onnxRuntimePackages('win32', 'x64').packages).toHaveProperty('onnxruntime-node');
});

test('a decoder that classifies is refused by name', async () => {
  const tuning = { base: goldenFolder('llama_score'), method: 'spsft', ownHead: true } as const;
  await expect(exportOf(tuning)).rejects.toThrow(/a llama is a decoder, which is not written to ONNX/);
});
