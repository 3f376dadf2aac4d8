/** Tests exports to GGUF: every type and family, read back and run by llama.cpp if installed; a GGUF base keeps every other byte. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readAdapter } from '../../../trainer/adapter/read-adapter.ts';
import { typeOfTensor } from '../../../trainer/artifact/gguf/quantization.ts';
import { typesOf } from '../../../trainer/catalog/artifacts.ts';
import type { Engine } from '../../../trainer/engine/engine.ts';
import { valueFor } from '../../../trainer/narrow.ts';
import { openFast } from '../../support/engines.ts';
import { expectVerified, exportGguf, fileOf, type GgufChange, headerOf, LLAMA_CPP } from '../../support/files/gguf-export.ts';
import { readGoldenJson } from '../../support/files/read-json.ts';
import { temporaryFolder } from '../../support/machine/temporary-folder.ts';
import { TINY_LLAMA, tinyAdapter } from '../../support/models/tiny-adapter.ts';
import { tinyDecoder } from '../../support/models/tiny-decoder.ts';

const GOLDEN = join(TINY_LLAMA, '..');

let engine: Engine;
beforeAll(async () => {
  engine = await openFast();
});

const exportOf = (base: string, change?: GgufChange) => exportGguf(engine, base, change);

describe('types', () => {
  let [base, adapterPath] = ['', ''];
  beforeAll(async () => {
    // Rows of 256 elements, a multiple of the K-quants' block size.
    const changes = {
      hidden_size: 256,
      intermediate_size: 256,
      head_dim: 64,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      num_hidden_layers: 2,
    };
    base = await tinyDecoder({ like: 'llama', changes, dtype: 'BF16' });
    adapterPath = await tinyAdapter({ engine, method: 'spsft', budget: { r: 4 }, base });
  });

  test.each(typesOf('gguf'))('%s', async type => {
    const result = await exportOf(base, { adapterPath, type });
    expectVerified(result);
    const { tensors, metadata } = await headerOf(fileOf(result));
    const types = new Map(tensors.map(({ name, type: { name: own } }) => [name, own]));
    expect(types.get('blk.1.attn_q.weight')).toBe(type === 'auto' || type === 'base' ? 'BF16' : type.replace('_M', ''));
    expect(types.get('blk.0.attn_norm.weight')).toBe('F32');
    expect(metadata.get('general.architecture')).toBe('llama');
    expect(metadata.get('tokenizer.chat_template')).toContain('<|im_start|>');
    expect(result.files).toContain('Modelfile');
    expect(Object.keys(result.commands ?? {})).toEqual(['Ollama', 'llama.cpp', 'LM Studio']);
    expect(result.changedTokens).toBeGreaterThanOrEqual(0);
    if (type === 'F32') expect([result.roundingDifference, result.changedTokens]).toEqual([0, 0]);
    else expect(result.roundingDifference).toBeGreaterThan(0);
  });

  test('a type that GGUF lacks is refused, and so is a type for a format without types', async () => {
    await expect(exportOf(base, { adapterPath, type: 'float16' })).rejects.toThrow(
      /GGUF has no type float16: choose one of auto, base, F32/,
    );
    await expect(exportOf(base, { adapterPath, format: 'peft', type: 'F16' })).rejects.toThrow(/has no types, so leave it out/);
  });

  test('mixtures such as Q4_K_M use more bits for the tensors that llama.cpp chooses', () => {
    const typeOf = (name: string, columns = 256, tied = false, experts = 0): string =>
      typeOfTensor('Q4_K_M', { name, shape: [8, columns], blocks: 16, tied, experts }).name;
    const more = Array.from({ length: 16 }, (_, block) => typeOf(`blk.${block}.ffn_down.weight`)).map(name => (name === 'Q6_K' ? 1 : 0));
    expect(more.join('')).toBe('1100100100100111');
    expect(typeOf('blk.3.attn_v.weight')).toBe('Q4_K');
    expect(typeOf('output.weight')).toBe('Q6_K');
    expect(typeOf('token_embd.weight')).toBe('Q4_K');
    expect(typeOf('token_embd.weight', 256, true)).toBe('Q6_K');
    // Rows whose length is not a multiple of 256, and not of 32.
    expect([typeOf('blk.3.attn_q.weight', 96), typeOf('output.weight', 96), typeOf('blk.3.attn_q.weight', 40)]).toEqual([
      'Q5_0',
      'Q8_0',
      'F16',
    ]);
    // Mixtures: routers stay unchanged, the experts' down matrices have the same types as others, and attention with eight experts gets
    // more bits.
    expect(typeOf('blk.3.ffn_gate_inp.weight')).toBe('F32');
    expect(['ffn_down_exps', 'ffn_up_exps'].map(name => typeOf(`blk.0.${name}.weight`))).toEqual(['Q6_K', 'Q4_K']);
    expect(['attn_v', 'attn_k', 'attn_output'].map(name => typeOf(`blk.3.${name}.weight`, 256, false, 8))).toEqual([
      'Q8_0',
      'Q8_0',
      'Q5_K',
    ]);
  });
});

test('a base of a type that is read and never written is refused by name, before anything is written', async () => {
  const bytes = readFileSync(join(GOLDEN, 'gguf', 'tiny-llama.gguf'));
  const name = 'blk.0.ffn_up.weight';
  // Blocks of Q4_0 and of IQ4_NL have the same size; the type follows the name and two dimensions.
  const at = bytes.indexOf(name) + name.length + 4 + 16;
  expect(bytes.readUInt32LE(at)).toBe(2);
  bytes.writeUInt32LE(20, at);
  const base = join(await temporaryFolder(), 'uneven.gguf');
  writeFileSync(base, bytes);
  await expect(exportOf(base, { type: 'base' })).rejects.toThrow(
    /blk\.0\.ffn_up\.weight is IQ4_NL, which is read but not written.*--type Q8_0/,
  );
});

describe('families', () => {
  const sliding = 'sliding_attention';
  /** Windows in the order that llama.cpp expects for Gemma 3. */
  const gemma3 = {
    ...{ query_pre_attn_scalar: 12, num_hidden_layers: 6, layer_types: undefined },
    ...{ _sliding_window_pattern: undefined, sliding_window_pattern: 6 },
  };
  test.each([
    ['llama', { like: 'llama' }],
    [
      'llama with frequency factors, tied',
      {
        like: 'llama3_tied',
        changes: {
          rope_parameters: undefined,
          rope_theta: 10000,
          rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
        },
      },
    ],
    ['llama', { like: 'mistral_window', changes: { sliding_window: null } }],
    ['qwen2', { like: 'qwen2' }],
    ['qwen3', { like: 'qwen3' }],
    ['qwen35', { like: 'qwen3_5', changes: { linear_value_head_dim: 8 } }],
    [
      'qwen35 that sees images',
      { like: 'qwen3_5_images', changes: { attention_bias: false, linear_value_head_dim: 8, linear_num_value_heads: 6 } },
    ],
    ['qwen35moe', { like: 'qwen3_5_moe', changes: { linear_value_head_dim: 8 } }],
    [
      'qwen35moe that sees images',
      { like: 'qwen3_5_moe_images', changes: { attention_bias: false, linear_value_head_dim: 8, linear_num_value_heads: 6 } },
    ],
    ['qwen3next', { like: 'qwen3_next', changes: { linear_value_head_dim: 8, mlp_only_layers: [] } }],
    ['lfm2', { like: 'lfm2' }],
    ['lfm2moe', { like: 'lfm2_moe' }],
    ['glm4moe', { like: 'glm4_moe' }],
    ['ernie4_5-moe', { like: 'ernie4_5_moe' }],
    ['olmoe', { like: 'olmoe', changes: { num_key_value_heads: 4 } }],
    ['granite', { like: 'granite4' }],
    ['granitemoe', { like: 'granitemoe' }],
    ['qwen2moe', { like: 'qwen2_moe', changes: { mlp_only_layers: [], use_sliding_window: false, layer_types: undefined } }],
    ['granitehybrid', { like: 'granite4_mamba' }],
    ['granitehybrid with experts', { like: 'granite4_experts', changes: { position_embedding_type: 'rope' } }],
    ['nemotron_h', { like: 'nemotron_h' }],
    ['nemotron_h_moe', { like: 'nemotron_h_experts', changes: { n_group: 1, topk_group: 1 } }],
    ['nemotron_h_moe with groups', { like: 'nemotron_h_experts' }],
    ['chatglm', { like: 'glm', changes: { head_dim: 8 } }],
    ['glm4', { like: 'glm4' }],
    ['exaone4', { like: 'exaone4_untied' }],
    ['seed_oss', { like: 'seed_oss' }],
    ['starcoder2', { like: 'starcoder2', changes: { sliding_window: 200 } }],
    ['stablelm', { like: 'stablelm' }],
    ['stablelm', { like: 'stablelm_parallel', changes: { tie_word_embeddings: false } }],
    ['phi2', { like: 'phi', changes: { qk_layernorm: false } }],
    ['arcee', { like: 'arcee', changes: { attention_bias: false, mlp_bias: false } }],
    ['ernie4_5', { like: 'ernie4_5', changes: { use_bias: false } }],
    ['hunyuan-dense', { like: 'hunyuan' }],
    ['command-r', { like: 'cohere', changes: { use_qk_norm: false, attention_bias: false, tie_word_embeddings: true } }],
    ['cohere2', { like: 'cohere2', changes: { num_hidden_layers: 4, layer_types: undefined } }],
    ['gemma', { like: 'gemma' }],
    ['gemma2', { like: 'gemma2', changes: { query_pre_attn_scalar: 12, layer_types: undefined, max_position_embeddings: 64 } }],
    ['gemma3', { like: 'gemma3', changes: gemma3 }],
    ['gemma3 that sees images', { like: 'gemma3_images', changes: gemma3 }],
    ['gemma4', { like: 'gemma4', changes: { vocab_size_per_layer_input: 320 }, queryNorm: 0.3 }],
    [
      'gemma4 with a window that no text fills',
      { like: 'gemma4', changes: { vocab_size_per_layer_input: 320, sliding_window: 4096 }, queryNorm: 0.3 },
    ],
    ['gemma4 with keys that are values', { like: 'gemma4_untied', changes: { attention_bias: false }, queryNorm: 0.3 }],
    ['gemma4 with experts', { like: 'gemma4_experts', queryNorm: 0.3 }],
    ['gemma4 that sees and hears', { like: 'gemma4_unified', queryNorm: 0.3 }],
    ['phi3', { like: 'phi3', changes: { sliding_window: 200 } }],
    ['granite', { like: 'granite' }],
    ['granite_swa', { like: 'granite_swa', changes: { layer_rope_theta: [0, 500, 500] } }],
    ['smollm3', { like: 'smollm3', changes: { num_hidden_layers: 4, layer_types: undefined, no_rope_layers: undefined } }],
    ['olmo2', { like: 'olmo2' }],
    ['mistral3', { like: 'ministral3' }],
    ['mistral3 that sees images', { like: 'mistral3_images' }],
    ['llama that sees images', { like: 'smolvlm' }],
    ['lfm2 that sees images', { like: 'lfm2_vl' }],
    ['qwen3 that sees images', { like: 'internvl' }],
    ['qwen3 that reads pages', { like: 'lighton_ocr' }],
    ['paddleocr', { like: 'paddleocr_vl', changes: { use_bias: false } }],
    ['qwen2vl', { like: 'qwen2_vl' }],
    ['qwen2vl of the second generation', { like: 'qwen2_5_vl' }],
    ['qwen3vl', { like: 'qwen3_vl' }],
    ['qwen3vlmoe', { like: 'qwen3_vl_moe', changes: { mlp_only_layers: [], decoder_sparse_step: 1 } }],
    ['llama with experts', { like: 'mixtral', changes: { sliding_window: null } }],
    ['qwen3moe', { like: 'qwen3_moe', changes: { mlp_only_layers: [] } }],
    ['gpt-oss', { like: 'gpt_oss', changes: { swiglu_limit: 7 } }],
    ['olmo2', { like: 'olmo3', changes: { num_hidden_layers: 4, layer_types: [sliding, sliding, sliding, 'full_attention'] } }],
  ] as const)('%s: $like', async (architecture, params) => {
    const result = await exportOf(await tinyDecoder(params), { type: 'F32' });
    expectVerified(result);
    expect((await headerOf(fileOf(result))).metadata.get('general.architecture')).toBe(architecture.split(' ')[0]);
  });

  test.each([
    [
      'windows in an order of its own',
      { like: 'gemma3', changes: { query_pre_attn_scalar: 12 } },
      /cannot hold the attention windows.* of this Gemma3/,
    ],
    ['a scale of its own', { like: 'gemma2', changes: { layer_types: undefined } }, /cannot hold the attention scale of this Gemma2/],
    ['a window', { like: 'mistral_window' }, /cannot hold the attention windows of this Mistral/],
    ['dynamic positions', { like: 'llama_dynamic' }, /cannot hold the rotary positions of this Llama/],
    ['blocks without experts', { like: 'qwen3_moe' }, /cannot hold the experts of this Qwen3Moe/],
    [
      'blocks without experts, next to a shared one',
      { like: 'qwen3_next', changes: { linear_value_head_dim: 8 } },
      /cannot hold the experts of this Qwen3Next/,
    ],
    [
      'weights of experts that sum to two',
      { like: 'lfm2_moe', changes: { routed_scaling_factor: 2 } },
      /cannot hold the experts of this Lfm2Moe/,
    ],
    [
      'an end to the blocks with experts',
      { like: 'ernie4_5_moe', changes: { moe_layer_end_index: 1 } },
      /cannot hold the experts of this Ernie4_5_Moe/,
    ],
    ['a gate of its own', { like: 'gpt_oss' }, /cannot hold the experts of this GptOss/],
    ['heads of values of a size of their own', { like: 'qwen3_5' }, /cannot hold the recurrent state of this Qwen3_5/],
    [
      'blocks in an order of their own',
      { like: 'qwen3_5', changes: { linear_value_head_dim: 8, layer_types: ['full_attention', 'linear_attention', 'full_attention'] } },
      /cannot hold the recurrent state of this Qwen3_5/,
    ],
    [
      'windows of EXAONE 4 in a model of another size',
      { like: 'exaone4' },
      /cannot hold the attention windows, the rotary positions of this Exaone4/,
    ],
    ['a base for each block', { like: 'granite_swa' }, /cannot hold the rotary positions of this GraniteSWA/],
    ['a head of its own', { like: 'cohere2_untied', changes: { attention_bias: false } }, /cannot hold the output head of this Cohere2/],
    ['biases', { like: 'arcee' }, /cannot hold the biases of this Arcee/],
    ['biases in MLPs', { like: 'ernie4_5' }, /cannot hold the biases of this Ernie4_5/],
    ['biases in MLPs of a model that sees images', { like: 'paddleocr_vl' }, /cannot hold the biases of this PaddleOCR/],
    ['convolutions with biases', { like: 'lfm2_untied' }, /cannot hold the recurrent state of this Lfm2/],
    ['another family', { like: 'ministral' }, /MinistralForCausalLM is not written to GGUF; written are Llama, Mistral, .*, Qwen2, /],
  ] as const)('%s: refused', async (_, params, message) => {
    await expect(exportOf(await tinyDecoder(params))).rejects.toThrow(message);
  });

  test('an added token without a row in the embedding is left out of the vocabulary', async () => {
    const base = await tinyDecoder({ like: 'llama' });
    const file = join(base, 'tokenizer.json');
    const { added_tokens: added, ...rest } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...rest, added_tokens: [...added, { ...added[0], id: 320, content: '<image>' }] }));
    const result = await exportOf(base, { type: 'F32' });
    expectVerified(result);
    expect((await headerOf(fileOf(result))).metadata.get('tokenizer.ggml.tokens')).not.toContain('<image>');
  });
});

describe('a GGUF base', () => {
  let base = '';
  beforeAll(async () => {
    base = fileOf(await exportOf(await tinyDecoder({ like: 'llama' }), { type: 'Q4_1' }));
  });

  test.each(['spsft', 'lora', 'full'] as const)('%s: only the bytes of rows that changed differ from the base', async method => {
    const adapterPath = await tinyAdapter({ engine, method, budget: { r: 4 }, base });
    const result = await exportOf(base, { adapterPath, type: 'base' });
    const [before, after] = [readFileSync(base), readFileSync(fileOf(result))];
    expect(after.length).toBe(before.length);
    const adapter = await readAdapter(adapterPath);
    const { rows } = adapter.description;
    await adapter.close();
    const { tensors } = await headerOf(base);
    const changed = new Map<string, Set<number>>();
    for (let at = 0; at < before.length; at++) {
      if (before[at] === after[at]) continue;
      const tensor = tensors.find(({ position, byteLength }) => at >= position && at < position + byteLength);
      if (tensor === undefined) throw new Error(`byte ${at} of the header changed`);
      const row = Math.floor((at - tensor.position) / (tensor.byteLength / (tensor.shape[0] as number)));
      changed.set(tensor.name, (changed.get(tensor.name) ?? new Set()).add(row));
    }
    expect(changed.size).toBeGreaterThan(5);
    expect(changed.has('output_norm.weight')).toBe(method === 'full');
    if (method !== 'spsft') return;
    for (const [name, found] of changed) expect(found.size, name).toBeLessThanOrEqual(4);
    // q is interleaved in the file: the model's rows at other positions.
    const headDim = 16;
    const own = [...valueFor(rows, 'model.layers.0.self_attn.q_proj')].map(row => {
      const within = row % headDim;
      return row - within + (within < headDim / 2 ? 2 * within : 2 * (within - headDim / 2) + 1);
    });
    expect([...valueFor(changed, 'blk.0.attn_q.weight')].sort((a, b) => a - b)).toEqual(own.sort((a, b) => a - b));
  });

  test('in another type: the metadata stays, except the file type', async () => {
    const result = await exportOf(base, { type: 'Q8_0' });
    const [before, after] = [await headerOf(base), await headerOf(fileOf(result))];
    for (const [key, value] of before.metadata) if (key !== 'general.file_type') expect(after.metadata.get(key), key).toEqual(value);
    expect(after.metadata.get('general.file_type')).toBe(7);
    expect(new Set(after.tensors.map(({ type }) => type.name))).toEqual(new Set(['F32', 'Q8_0']));
  });

  test('a run can start from the exported file', async () => {
    const first = await exportOf(base);
    const again = await tinyAdapter({ engine, method: 'spsft', budget: { r: 2 }, base: fileOf(first) });
    expectVerified(await exportOf(fileOf(first), { adapterPath: again }));
  });
});

const inGguf = { linear_value_head_dim: 8, mlp_only_layers: [] };
test.each([
  ...(['base', 'F16', 'BF16', 'Q8_0'] as const).map(type => ['qwen3_5', type] as const),
  // Queries, keys, values and gates are in two tensors.
  ['qwen3_next', 'base'] as const,
])('a GGUF base whose rows stand otherwise than in the model: %s to %s', async (like, type) => {
  const folder = await tinyDecoder({ like, changes: inGguf });
  const base = fileOf(await exportOf(folder, { type: 'F32' }));
  const targets = ['all-linear', '/conv1d|A_log|dt_bias|norm/'];
  const adapterPath = await tinyAdapter({ engine, method: 'full', budget: { r: 1 }, base, targets });
  expectVerified(await exportOf(base, { adapterPath, type }));
});

test.skipIf(!LLAMA_CPP)(
  `what llama.cpp cannot load is not exported${LLAMA_CPP ? '' : ' (skipped: llama.cpp is not installed)'}`,
  async () => {
    // The embedding has fewer rows than the tokenizer has tokens.
    const base = join(GOLDEN, 'gguf', 'tiny-llama.gguf');
    await expect(exportOf(base)).rejects.toThrow(/llama\.cpp cannot load[\s\S]+token_embd\.weight[\s\S]+nothing was written/);
  },
);

describe('tokenizers', () => {
  const tokenForm = z.looseObject({ id: z.number() });
  const modelForm = z.looseObject({ vocab: z.record(z.string(), z.number()) });
  const definitionOf = (name: string) => readGoldenJson(`tokenizers/${name}.json.gz`, z.object({ tokenizer: z.looseObject({}) })).tokenizer;

  test.each([
    ['llama3', 'llama', 'llama-bpe'],
    ['qwen2', 'qwen2', 'qwen2'],
    ['smollm2', 'llama', 'smollm'],
    ['gpt2', 'llama', 'gpt-2'],
    ['deepseek', 'llama', 'deepseek-v3'],
    ['o200k', 'llama', 'llama4'],
    ['llama2-legacy', 'llama', 'default'],
    ['llama2', 'llama', 'default'],
    ['gemma', 'gemma3', 'default'],
  ] as const)('%s', async (name, like, pre) => {
    const tokenizer = definitionOf(name);
    const { model, added_tokens: added } = z.looseObject({ model: modelForm, added_tokens: z.array(tokenForm) }).parse(tokenizer);
    const ids = [...Object.values(model.vocab), ...added.map(({ id }) => id)];
    const changes =
      like === 'gemma3'
        ? { query_pre_attn_scalar: 12, num_hidden_layers: 6, layer_types: undefined, _sliding_window_pattern: undefined }
        : {};
    const base = await tinyDecoder({
      like,
      changes,
      rows: Math.max(...ids) + 4,
      tokenizer: new Map([
        ['tokenizer.json', JSON.stringify(tokenizer)],
        ['tokenizer_config.json', JSON.stringify({ bos_token: '<s>', eos_token: '</s>' })],
      ]),
    });
    const result = await exportOf(base, { type: 'F16' });
    expectVerified(result);
    expect((await headerOf(fileOf(result))).metadata.get('tokenizer.ggml.pre')).toBe(pre);
  });

  test.each([
    ['cl100k', /splits text in a way that llama\.cpp has no name for/],
    ['bert-uncased', /tokenizer of the kind WordPiece/],
  ] as const)('%s is refused', async (name, message) => {
    const tokenizer = definitionOf(name);
    const base = await tinyDecoder({ like: 'llama', rows: 2000, tokenizer: new Map([['tokenizer.json', JSON.stringify(tokenizer)]]) });
    await expect(exportOf(base)).rejects.toThrow(message);
  });

  test('a base without a tokenizer is refused', async () => {
    await expect(exportOf(TINY_LLAMA)).rejects.toThrow(/no tokenizer, which a GGUF file has to hold/);
  });
});

test('a failed export leaves nothing behind', async () => {
  const parent = await temporaryFolder();
  await cp(join(GOLDEN, 'llama', 'config.json'), join(parent, 'config.json'));
  await expect(exportOf(TINY_LLAMA, { outputDir: join(parent, 'out') })).rejects.toThrow();
  expect(await readdir(parent)).toEqual(['config.json']);
});
