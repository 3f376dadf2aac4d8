/** Tests GGUF files of families in both directions: exports of folders and of files, exact and quantized, tuned whole and by factors. */
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { BYTE_LEVEL_PRE_TOKENIZERS } from '../../../trainer/format/gguf/tokenizer/gguf-pre-tokenizers.ts';
import { openModel } from '../../../trainer/hub/open-model.ts';
import { nameInDecoder } from '../../../trainer/model/family/decoder/blocks/names.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, headerOf } from '../../support/files/gguf-export.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { type TinyDecoderParams, tinyDecoder } from '../../support/models/tiny-decoder.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const endless = [0, { __float__: 'Infinity' }];
const llama3 = { rope_type: 'llama3', rope_theta: 10000, factor: 8, low_freq_factor: 1, high_freq_factor: 4 };

const gemma3n = {
  ...{ altup_num_inputs: 4, altup_active_idx: 0, laurel_rank: 64, hidden_size_per_layer_input: 256, final_logit_softcapping: 30 },
  ...{ attention_bias: false, intermediate_size: 4096, layer_types: undefined, activation_sparsity_pattern: undefined },
  vocab_size_per_layer_input: 320,
};

const sparse = { num_hidden_layers: 5, activation_sparsity_pattern: Array(5).fill(0.95) };

/** All layers to which llama.cpp applies adapters. */
const ADAPTED = ['/self_attn.*_proj$/', '/mlp/', '/laurel.linear/', 'per_layer_input_gate', 'per_layer_projection'];

interface Case extends TinyDecoderParams {
  readonly architecture: string;
  /** Modules that factors are trained in; by default, all linear layers. */
  readonly factors?: readonly string[];
  /** Set for many blocks with random weights, in which errors of 8-bit activations add up. */
  readonly isDeep?: true;
}

const cases: Readonly<Record<string, Case>> = {
  'Falcon-H1': { architecture: 'falcon-h1', like: 'falcon_h1' },
  'Falcon-H1 with norms, biases and a tied head': {
    architecture: 'falcon-h1',
    like: 'falcon_h1_normed',
    changes: {
      ...{ attention_bias: false, mamba_proj_bias: false, projectors_bias: false, mamba_conv_bias: true, mamba_norm_before_gate: false },
      ...{ embedding_multiplier: 2, lm_head_multiplier: 2, time_step_limit: endless },
    },
  },
  Apertus: {
    architecture: 'apertus',
    like: 'apertus',
    changes: { rope_parameters: { ...llama3, rope_theta: 500000, original_max_position_embeddings: 8192 } },
  },
  'GPT-NeoX': { architecture: 'gptneox', like: 'gpt_neox' },
  'GPT-NeoX, one part after the other': { architecture: 'gptneox', like: 'gpt_neox', changes: { use_parallel_residual: false } },
  'GLM-OCR': { architecture: 'glm4', like: 'glm_ocr' },
  'GLM-4V, half of whose features rotate': { architecture: 'glm4', like: 'glm4v' },
  // Sizes of the published models, which llama.cpp does not read from the file.
  'Gemma 3n': {
    architecture: 'gemma3n',
    like: 'gemma3n',
    changes: { ...gemma3n, ...sparse, num_kv_shared_layers: 0 },
    factors: ADAPTED,
    queryNorm: 0.3,
  },
  'Gemma 3n whose last blocks read keys of others, next to parts that see and hear': {
    architecture: 'gemma3n',
    like: 'gemma3n_text',
    changes: { ...gemma3n, num_hidden_layers: 22, num_kv_shared_layers: 2, intermediate_size: 1024, vocab_size_per_layer_input: 300 },
    queryNorm: 0.3,
    factors: ADAPTED,
    isDeep: true,
  },
};

describe.each(Object.entries(cases))('%s', (_, { architecture, factors, isDeep, ...like }) => {
  let [folder, file] = ['', ''];
  beforeAll(async () => {
    folder = await tinyDecoder(like);
    const result = await exportGguf(engine, folder, { type: 'F32' });
    expectVerified(result);
    file = fileOf(result);
    expect((await headerOf(file)).metadata.get('general.architecture')).toBe(architecture);
  });

  test.each(isDeep ? (['F16'] as const) : (['F16', 'Q8_0'] as const))('a folder to %s', async type => {
    expectVerified(await exportGguf(engine, folder, { type }));
  });

  test.each(isDeep ? (['base'] as const) : (['base', 'Q8_0'] as const))('a file of which everything was tuned, to %s', async type => {
    const adapterPath = await tinyAdapter({ engine, method: 'full', budget: { r: 1 }, base: file, targets: ['/./'] });
    expectVerified(await exportGguf(engine, file, { adapterPath, type }));
  });

  test('a file to a merged folder, whose tensors have the names of the original', async () => {
    const { outputDir, largestDifference, tolerance } = await exportGguf(engine, file, { format: 'merged' });
    expect(largestDifference).toBeLessThanOrEqual(tolerance);
    const [written, original] = [await openModel(outputDir), await openModel(folder)];
    const names = [...written.weights.tensors.keys()].filter(name => !/layers\.2\d\.self_attn\.[kv]_/.test(name) || !isDeep);
    expect(names.sort()).toEqual([...original.weights.tensors.keys()].map(nameInDecoder).sort());
    await Promise.all([written.weights.close(), original.weights.close()]);
  });

  test('factors', async () => {
    for (const base of [folder, file]) {
      const adapterPath = await tinyAdapter({ engine, method: 'lora', budget: { r: 2 }, base, ...(factors && { targets: factors }) });
      expectVerified(await exportGguf(engine, base, { adapterPath, format: 'gguf-adapter' }));
    }
  });
});

test.each([
  [
    'biases, norms before gates, and a tied head with a multiplier of its own',
    { like: 'falcon_h1_normed' },
    /cannot hold the recurrent state, the biases, the multipliers of this FalconH1/,
  ],
  [
    'no biases, a tied head and another activation',
    { like: 'gpt_neox_sequential' },
    /cannot hold the biases, the activation, the output head of this GPTNeoX/,
  ],
  [
    'divided frequencies',
    { like: 'falcon_h1', changes: { rope_parameters: { ...llama3, original_max_position_embeddings: 64 } } },
    /cannot hold the rotary positions of this FalconH1/,
  ],
  [
    'other sizes',
    { like: 'gemma3n' },
    /compute something else: gemma3n\.embedding_length_per_layer_input 6 is not supported; supported is 256/,
  ],
  [
    'another rank, biases and gates that all count',
    { like: 'gemma3n', changes: { ...gemma3n, num_hidden_layers: 5, num_kv_shared_layers: 0, attention_bias: true, laurel_rank: 8 } },
    /gemma3n\.activation_sparsity_scale is not supported; supported is 1\.6448536 in the first 10 blocks/,
  ],
  [
    'another rank and biases',
    { like: 'gemma3n', changes: { ...gemma3n, ...sparse, num_kv_shared_layers: 0, attention_bias: true, laurel_rank: 8 } },
    /cannot hold the biases, the streams of states of this Gemma3n/,
  ],
] as const)('%s: refused', async (_, params, message) => {
  await expect(exportGguf(engine, await tinyDecoder(params))).rejects.toThrow(message);
});

test('the tokenizer of Apertus splits words as Mistral’s does', async () => {
  const pattern = BYTE_LEVEL_PRE_TOKENIZERS.tekken?.steps[0];
  const { tokenizer } = readGoldenJson('tokenizers/o200k.json.gz', z.object({ tokenizer: z.looseObject({ model: z.looseObject({}) }) }));
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const own = {
    ...tokenizer,
    model: { ...tokenizer.model, ignore_merges: true },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [pattern, bytes] },
  };
  const files = new Map([
    ['tokenizer.json', JSON.stringify(own)],
    ['tokenizer_config.json', '{}'],
  ]);
  const result = await exportGguf(engine, await tinyDecoder({ like: 'llama', rows: 2000, tokenizer: files }), { type: 'F32' });
  expectVerified(result);
  expect((await headerOf(fileOf(result))).metadata.get('tokenizer.ggml.pre')).toBe('tekken');
});
