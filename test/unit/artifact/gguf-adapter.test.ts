/** Tests adapters for llama.cpp: each opens again as what was trained, and llama.cpp, if installed, computes the same. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { mergedWeights } from '../../../trainer/adapter/merge.ts';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { type ExportParams, type ExportResult, exportModel } from '../../../trainer/artifact/export-model.ts';
import { compareWithLlamaCpp } from '../../../trainer/artifact/gguf/llama-check.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { cacheDir } from '../../support/cache-dir.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, fileOf, headerOf, LLAMA_CPP } from '../../support/files/gguf-export.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, type TinyAdapterParams, tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { type TinyDecoderParams, tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
/** A quantized file that llama.cpp loads. */
let quantized = '';
beforeAll(async () => {
  engine = await openFast();
  const adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 1 }, base: await tinyDecoder({ like: 'llama' }) });
  quantized = fileOf(await exportAs(adapterPath, { format: 'gguf', type: 'Q8_0' }));
});

const exportAs = async (adapterPath: string, form: Pick<ExportParams, 'format' | 'type'>): Promise<ExportResult> =>
  exportModel({
    ...form,
    adapterPath,
    outputDir: join(await temporaryFolder(), 'out'),
    overwrite: false,
    engine,
    cacheDir,
    openBase: ({ source }) => openModel(source),
  });

async function exportOf(tuning: Omit<TinyAdapterParams, 'engine' | 'budget'>): Promise<ExportResult> {
  const budget = tuning.method === 'spsft+lora' ? { ratio: 0.1 } : { r: 3 };
  return exportAs(await tinyAdapter({ engine, budget, ...tuning }), { format: 'gguf-adapter' });
}

describe('families', () => {
  const sliding = {
    query_pre_attn_scalar: 12,
    num_hidden_layers: 6,
    layer_types: undefined,
    _sliding_window_pattern: undefined,
    sliding_window_pattern: 6,
  };
  test.each([
    // The only case whose rows of queries and keys have another order in the file.
    ['llama', 'lora', { like: 'llama' }],
    ['llama', 'spsft', { like: 'llama' }],
    ['llama', 'spsft+lora', { like: 'llama' }],
    ['qwen2', 'lora', { like: 'qwen2' }],
    ['qwen3', 'spsft', { like: 'qwen3' }],
    ['gemma3', 'lora', { like: 'gemma3', changes: sliding }],
    // The columns of o read heads, whose order is the same in the file.
    ['llama', 'columns', { like: 'llama' }],
    ['phi3', 'spsft', { like: 'phi3', changes: { sliding_window: 200 } }],
    ['granite', 'lora', { like: 'granite' }],
    ['lfm2', 'lora', { like: 'lfm2', changes: { layer_types: ['full_attention', 'conv', 'conv'] } }],
    // Value heads have another order in the file, as rows of some layers and as columns of one.
    ['qwen35', 'lora', { like: 'qwen3_5', changes: { linear_value_head_dim: 8 } }],
    ['qwen35moe', 'lora', { like: 'qwen3_5_moe', changes: { linear_value_head_dim: 8 } }],
    ['qwen35', 'columns', { like: 'qwen3_5', changes: { linear_value_head_dim: 8 } }],
  ] as const satisfies readonly (readonly [string, string, TinyDecoderParams])[])('%s by %s', async (architecture, method, like) => {
    const base = await tinyDecoder(like);
    const result = await exportOf(method === 'columns' ? { method: 'spsft', base, settings: { trains: 'columns' } } : { method, base });
    expectVerified(result);
    const { metadata, tensors } = await headerOf(fileOf(result));
    expect(['general.architecture', 'general.type', 'adapter.type'].map(key => metadata.get(key))).toEqual([
      architecture,
      'adapter',
      'lora',
    ]);
    expect(tensors.length).toBeGreaterThan(7);
    const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
    const stem = ['phi3', 'qwen35', 'qwen35moe'].includes(architecture) ? 'blk.0.attn_qkv.weight' : 'blk.0.attn_q.weight';
    expect(shapes.get(`${stem}.lora_a`)?.[0]).toBe(shapes.get(`${stem}.lora_b`)?.[1]);
    expect(result.files.filter(name => name.endsWith('.gguf'))).toHaveLength(1);
  });
});

test('of Qwen3-Next, but for the layer that llama.cpp has in two', async () => {
  const base = await tinyDecoder({ like: 'qwen3_next', changes: { linear_value_head_dim: 8, mlp_only_layers: [] } });
  expectVerified(await exportOf({ method: 'lora', base, targets: ['/self_attn.*_proj$/', 'out_proj', 'in_proj_ba', '/shared_expert/'] }));
  await expect(exportOf({ method: 'lora', base })).rejects.toThrow(
    /model\.layers\.0\.linear_attn\.in_proj_qkvz has no tensor of its own in llama\.cpp: export it as gguf/,
  );
});

test('of Granite 4, but for the layer that llama.cpp has in two', async () => {
  const base = await tinyDecoder({ like: 'granite4' });
  expectVerified(await exportOf({ method: 'lora', base, targets: ['/self_attn/', 'output_linear'] }));
  await expect(exportOf({ method: 'lora', base })).rejects.toThrow(
    /model\.layers\.0\.shared_mlp\.input_linear has no tensor of its own in llama\.cpp: export it as gguf/,
  );
});

test('of Gemma 4, but for the layer to which llama.cpp applies no adapter', async () => {
  const base = await tinyDecoder({ like: 'gemma4', changes: { vocab_size_per_layer_input: 320 }, queryNorm: 0.3 });
  expectVerified(await exportOf({ method: 'lora', base, targets: ['/_proj$/', 'per_layer_input_gate', 'per_layer_projection'] }));
  await expect(exportOf({ method: 'lora', base })).rejects.toThrow(
    /applies no adapter to model\.per_layer_model_projection: export it as gguf/,
  );
});

test('over a quantized file as the base, with a Modelfile that puts one over the other', async () => {
  const result = await exportOf({ method: 'lora', base: quantized });
  expectVerified(result);
  const stem = basename(quantized, '.gguf');
  expect(result.commands).toEqual({
    Ollama: expect.stringMatching(/^ollama create \S+-lora -f Modelfile && ollama run \S+-lora$/),
    'llama.cpp': `llama-cli -m ${stem}.gguf --lora ${stem}-lora.gguf -cnv`,
  });
  expect(readFileSync(join(result.outputDir, 'Modelfile'), 'utf8')).toContain(`\nFROM ./${stem}.gguf\nADAPTER ./${stem}-lora.gguf\n`);
});

test.skipIf(!LLAMA_CPP)('llama.cpp without the adapter computes something else, which the comparison finds', async () => {
  const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 8 }, base: quantized, settings: { loraAlpha: 256 } });
  const [adapter, folder] = [await readAdapter(adapterPath), await openModel(quantized)];
  const exported = { model: causalModel(folder.config), weights: mergedWeights(folder.weights, adapter), close: async () => undefined };
  await expect(compareWithLlamaCpp({ path: quantized, exported, engine, cacheDir })).rejects.toThrow(/llama\.cpp computes something else/);
  await adapter.close();
  await folder.weights.close();
});

test.each([
  ['dora', {}, /have no .*lora_magnitude_vector/],
  ['vera', {}, /has no factors of/],
  ['full', {}, /has no factors/],
  ['spsft', { targets: ['embed_tokens', 'q_proj'] }, /model\.embed_tokens \(of the kind embedding\): export it as gguf/],
  ['spsft', { base: join(TINY_LLAMA, '..', 'llama_biased') }, /\(its bias was trained\)/],
  ['lora', { settings: { modulesToSave: ['head'] } }, /lm_head \(trained whole\)/],
] as const)('%s with %j is refused by name', async (method, tuning, message) => {
  await expect(exportOf({ method, ...tuning })).rejects.toThrow(message);
});
