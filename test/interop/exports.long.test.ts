/** Tests that our exports load in Transformers and PEFT with our logits (1e-4). Python is that of `scripts/python-venv.mjs`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { applyAdapter } from '../../trainer/adapter/apply-adapter.ts';
import { readAdapter } from '../../trainer/adapter/read-adapter.ts';
import { exportModel } from '../../trainer/artifact/export-model.ts';
import { sequenceLogits } from '../../trainer/artifact/smoke-test.ts';
import type { ExportFormat } from '../../trainer/catalog/artifacts.ts';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { valueFor } from '../../trainer/narrow.ts';
import { largestDifference } from '../../trainer/verify/verify-model.ts';
import { cacheDir } from '../support/cache-dir.ts';
import { openFast } from '../support/engines.ts';
import { temporaryFolder } from '../support/machine/temporary-folder.ts';
import { TINY_LLAMA, type TinyAdapterParams, tinyAdapter } from '../support/models/tiny-adapter.ts';
import { locatePython, runOnRequest } from './python.ts';

const python = await locatePython(cacheDir);
const ids = Array.from({ length: 24 }, (_, i) => (i * 41 + 5) % 64);

type Case = Omit<TinyAdapterParams, 'engine'> & { readonly name: string; readonly format: Extract<ExportFormat, 'merged' | 'peft'> };

/** The layers of which PEFT takes factors, for families where it refuses some. */
const ofPeft: Readonly<Record<string, readonly string[]>> = {
  nemotron_h: ['embeddings', 'in_proj', 'q_proj', 'o_proj', 'up_proj', 'down_proj', 'norm_f'],
  falcon_h1: ['in_proj', 'q_proj', 'k_proj', 'o_proj', 'gate_proj', 'down_proj'],
};

/** One folder of each decoder family except Llama: rows with norms merged, and rows as a PEFT adapter. */
const DECODERS = [
  'qwen3',
  'qwen3_5',
  'olmo_hybrid',
  'afmoe',
  'mellum',
  'gemma',
  'gemma2',
  'gemma3',
  'gemma3n',
  'gemma4',
  'gemma4_untied',
  'smollm3',
  'olmo2',
  'olmo3',
  'granite',
  'granite4',
  'granite4_mamba',
  'nemotron_h',
  'falcon_h1',
  'lfm2',
  'lfm3',
  'glm4',
  'exaone4',
  'seed_oss',
  'apertus',
  'gpt_neox',
  'gpt_neox_sequential',
  'gpt2',
  'gpt2_bare',
  'starcoder2',
  'stablelm',
  'phi',
  'vaultgemma',
  'jais2',
  'helium',
  'arcee',
  'youtu',
  'ernie4_5',
  'hunyuan',
  'cohere',
  'cohere2',
  'cwm',
  'nanochat',
  'modernbert_decoder',
  'modernbert_decoder_biased',
  'phi3',
  'phi3_long',
  'ministral',
  'ministral3',
  'gemma3_images',
  'gemma4_images',
  'mistral3_images',
  'qwen3_5_images',
  'smolvlm',
  'internvl',
  'lfm3_vl',
  'minicpm_v',
  'lighton_ocr',
  'glm4v',
  'glm_ocr',
  'paddleocr_vl',
];
const ofFamilies = DECODERS.flatMap((folder): Case[] => {
  const base = join(TINY_LLAMA, '..', folder);
  // NanoChat's norms have no weights.
  const targets = ['all-linear', ...(folder === 'nanochat' ? [] : ['/norm|ln_/'])];
  // Some layers with a recurrent state have only two rows.
  const budget = { r: folder.startsWith('qwen3_5') ? 2 : 3 };
  return [
    { name: `${folder}, spsft merged`, method: 'spsft', budget, targets, base, format: 'merged' },
    { name: `${folder}, spsft peft`, method: 'spsft', budget, base, format: 'peft', ...(ofPeft[folder] && { targets: ofPeft[folder] }) },
  ];
});

const cases: readonly Case[] = [
  { name: 'spsft merged', method: 'spsft', budget: { r: 5 }, format: 'merged' },
  {
    name: 'spsft with norms and embedding, merged',
    method: 'spsft',
    budget: { r: 5 },
    targets: ['all-linear', 'embed_tokens', 'norm', 'input_layernorm'],
    format: 'merged',
  },
  { name: 'lora merged', method: 'lora', budget: { r: 4 }, format: 'merged' },
  { name: 'full merged', method: 'full', budget: { r: 1 }, format: 'merged' },
  {
    name: 'spsft on GGUF, merged',
    method: 'spsft',
    budget: { r: 5 },
    base: join(TINY_LLAMA, '..', 'gguf', 'tiny-llama.gguf'),
    format: 'merged',
  },
  // The head is the embedding, with a bias of its own.
  {
    name: 'full of a head with a bias, merged',
    method: 'full',
    budget: { r: 1 },
    base: join(TINY_LLAMA, '..', 'modernbert_decoder'),
    format: 'merged',
  },
  // Experts are written back to one tensor per expert.
  { name: 'spsft of experts, merged', method: 'spsft', budget: { r: 3 }, base: join(TINY_LLAMA, '..', 'mixtral'), format: 'merged' },
  {
    name: 'spsft of experts next to an MLP, merged',
    method: 'spsft',
    budget: { r: 3 },
    base: join(TINY_LLAMA, '..', 'gemma4_experts'),
    format: 'merged',
  },
  // Experts are written back to one tensor for all, if the file has them so; one layer has all rows that belong to a key head.
  ...(
    [
      'qwen3_5_moe',
      'qwen3_5_moe_images',
      'qwen3_vl_moe',
      'qwen3_next',
      'lfm2_moe',
      'glm4_moe',
      'deepseek_v2',
      'deepseek_v3',
      'mistral4',
      'ernie4_5_moe',
      'olmoe',
      'granitemoe',
      'granitemoe_swa',
      'qwen2_moe',
      'cohere2_moe',
      'flint',
      'kolibri1',
      'granite4_experts',
      'nemotron_h_experts',
    ] as const
  ).map(
    (folder): Case => ({
      name: `spsft of experts and other layers of ${folder}, merged`,
      method: 'spsft',
      budget: { r: 2 },
      base: join(TINY_LLAMA, '..', folder),
      targets: ['all-linear', '/experts/', '/norm/'],
      format: 'merged',
    }),
  ),
  { name: 'full with experts, merged', method: 'full', budget: { r: 1 }, base: join(TINY_LLAMA, '..', 'qwen3_moe'), format: 'merged' },
  {
    name: 'lora of a model with experts, peft',
    method: 'lora',
    budget: { r: 3 },
    targets: ['q_proj', 'o_proj'],
    base: join(TINY_LLAMA, '..', 'qwen3_moe'),
    format: 'peft',
  },
  {
    name: 'lora of latent attention, peft',
    method: 'lora',
    budget: { r: 3 },
    targets: ['q_a_proj', 'q_b_proj', 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj'],
    base: join(TINY_LLAMA, '..', 'deepseek_v3'),
    format: 'peft',
  },
  // Adapters on the experts themselves, as parameters: gate and up are one, and the router is not a linear layer in Transformers 5.
  ...(
    [
      'qwen3_moe',
      'qwen3_5_moe',
      'qwen3_5_moe_images',
      'qwen3_vl_moe',
      'qwen3_next',
      'mixtral',
      'gpt_oss',
      'gemma4_experts',
      'lfm2_moe',
      'glm4_moe',
      'ernie4_5_moe',
      'granite4_experts',
      'nemotron_h_experts',
    ] as const
  ).map(
    (folder): Case => ({
      name: `lora of the experts of ${folder}, peft`,
      method: 'lora',
      budget: { r: 3 },
      targets: [
        '/experts/',
        'q_proj',
        '/(mlp|mixer|block_sparse_moe|feed_forward)\\.(gate|router(\\.layer)?)$|router\\.proj$|shared_expert|in_proj_qkvz/',
      ],
      base: join(TINY_LLAMA, '..', folder),
      format: 'peft',
    }),
  ),
  {
    name: 'spsft of experts and of layers named like them, peft',
    method: 'spsft',
    budget: { r: 3 },
    base: join(TINY_LLAMA, '..', 'qwen3_moe'),
    targets: ['all-linear', '/experts/'],
    format: 'peft',
  },
  { name: 'spsft peft', method: 'spsft', budget: { r: 5 }, format: 'peft' },
  { name: 'spsft of a tenth, ranks differ, peft', method: 'spsft', budget: { ratio: 0.1 }, format: 'peft' },
  {
    name: 'lora of some modules, peft',
    method: 'lora',
    budget: { r: 3 },
    targets: ['q_proj', 'model.layers.1.mlp.down_proj'],
    format: 'peft',
  },
  { name: 'dora peft', method: 'dora', budget: { r: 3 }, format: 'peft' },
  { name: 'dora merged', method: 'dora', budget: { r: 3 }, format: 'merged' },
  { name: 'vera peft', method: 'vera', budget: { r: 8 }, format: 'peft' },
  { name: 'vera merged', method: 'vera', budget: { r: 8 }, format: 'merged' },
  { name: 'vera of two modules, peft', method: 'vera', budget: { r: 8 }, targets: ['q_proj', 'up_proj'], format: 'peft' },
  { name: 'rosa merged', method: 'rosa', budget: { r: 3 }, format: 'merged' },
  { name: 'shira peft', method: 'shira', budget: { r: 3 }, format: 'peft' },
  { name: 'shira of biased layers, peft', method: 'shira', budget: { r: 3 }, base: join(TINY_LLAMA, '..', 'llama_biased'), format: 'peft' },
  { name: 'spsft+lora peft', method: 'spsft+lora', budget: { ratio: 0.1 }, format: 'peft' },
  { name: 'head merged', method: 'head', budget: { r: 1 }, format: 'merged' },
  {
    name: 'lora with a whole head and norm, peft',
    method: 'lora',
    budget: { r: 3 },
    settings: { modulesToSave: ['head', 'model.norm'] },
    format: 'peft',
  },
  {
    name: 'spsft of embedding, norm, head and linear layer, peft',
    method: 'spsft',
    budget: { r: 3 },
    targets: ['embed_tokens', 'model.norm', 'lm_head', 'q_proj'],
    format: 'peft',
  },
  { name: 'spsft with biases, peft', method: 'spsft', budget: { r: 3 }, base: join(TINY_LLAMA, '..', 'llama_biased'), format: 'peft' },
  ...ofFamilies,
];

describe.skipIf('missing' in python)(`Transformers and PEFT${'missing' in python ? ` (skipped: ${python.missing})` : ''}`, () => {
  const ours = new Map<string, Float32Array>();
  let theirs: Record<string, number[][]> = {};

  beforeAll(async () => {
    const engine = await openFast();
    const folders: Record<'merged' | 'peft', Record<string, string>> = { merged: {}, peft: {} };
    const work = await temporaryFolder();
    for (const [i, { name, format, ...tuning }] of cases.entries()) {
      const adapterPath = await tinyAdapter({ engine, ...tuning });
      const outputDir = join(work, `export-${i}`);
      const openBase = ({ source }: { source: string }) => openModel(source);
      await exportModel({ adapterPath, format, outputDir, overwrite: false, engine, openBase });
      folders[format][name] = outputDir;
      const folder = await openModel(tuning.base ?? TINY_LLAMA);
      const adapter = await readAdapter(adapterPath);
      const model = causalModel(folder.config);
      const tuned = await applyAdapter({ model, weights: folder.weights, fingerprint: await folder.weights.fingerprint(), adapter });
      ours.set(name, await sequenceLogits(engine, { model, ...tuned }, Int32Array.from(ids)));
      await Promise.all([adapter.close(), folder.weights.close()]);
    }
    const bases = Object.fromEntries(cases.map(({ name, base = TINY_LLAMA }) => [name, base]));
    if ('python' in python) theirs = await runOnRequest(python.python, 'load_exports.py', { ids, bases, ...folders });
  }, 600_000);

  test.each(cases)('$name', ({ name }) => {
    expect(existsSync(TINY_LLAMA)).toBe(true);
    expect(largestDifference(valueFor(ours, name), theirs[name]?.flat() ?? [])).toBeLessThan(1e-4);
  });
});
