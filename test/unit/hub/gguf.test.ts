/** Tests GGUF: compares a small whole model with the reference, and refuses false headers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ggufFamilies } from '../../../trainer/format/gguf/families/gguf-families.ts';
import { ggufConfig } from '../../../trainer/format/gguf/gguf-config.ts';
import type { GgufValue } from '../../../trainer/format/gguf/gguf-cursor.ts';
import { ggufKeys } from '../../../trainer/format/gguf/gguf-keys.ts';
import { openGguf } from '../../../trainer/format/gguf/gguf-source.ts';
import { missingOfGguf } from '../../../trainer/format/gguf/gguf-unsupported.ts';
import { llama3Factors } from '../../../trainer/format/gguf/rope-factors.ts';
import { ggufTokenizerFiles } from '../../../trainer/format/gguf/tokenizer/gguf-tokenizer.ts';
import { ModelFileError } from '../../../trainer/format/model-file-error.ts';
import { createTokenizer } from '../../../trainer/format/tokenizer/tokenizer.ts';
import { openModel, readModelHeaders } from '../../../trainer/hub/open-model.ts';
import { causalModel } from '../../../trainer/model/load-model.ts';
import { missingParts } from '../../../trainer/model/missing-parts.ts';
import { readGoldenJson, readRecord } from '../../support/files/read-json.ts';
import { GgufBuilder } from './gguf-builder.ts';
import { damaged, goldenPath, modelFileError, randomNumbers, temporaryFile } from './model-bytes.ts';

const tiny = goldenPath('gguf/tiny-llama.gguf');
const numbersForm = z.array(z.number());
const tensorForm = z.object({ shape: numbersForm, first8: numbersForm, sum: z.number(), abs: z.number(), max_error: z.number() });
const textForm = z.object({ text: z.string(), ids: numbersForm });
const expected = readGoldenJson(
  'gguf/tiny-llama.json',
  z.object({ tensors: z.record(z.string(), tensorForm), tokenization: z.array(textForm) }),
);

describe('a model that llama.cpp stored', () => {
  test('has the names, shapes and values of Hugging Face, q and k rows in their order', async () => {
    const model = await openModel(tiny);
    expect([...model.weights.tensors.keys()].sort()).toEqual(Object.keys(expected.tensors).sort());
    for (const [name, want] of Object.entries(expected.tensors)) {
      const values = await model.weights.readFloat32(name);
      expect(model.weights.tensors.get(name)?.shape, name).toEqual(want.shape);
      expect([...values.subarray(0, 8)], name).toEqual(want.first8);
      expect(
        values.reduce((n, v) => n + v, 0),
        name,
      ).toBeCloseTo(want.sum, 8);
      expect(
        values.reduce((n, v) => n + Math.abs(v), 0),
        name,
      ).toBeCloseTo(want.abs, 8);
    }
    await model.weights.close();
  });

  test('is within its quantization of the safetensors it came from', async () => {
    const [stored, original] = [await openModel(tiny), await openModel(goldenPath('llama'))];
    for (const [name, { max_error: tolerance }] of Object.entries(expected.tensors)) {
      const [a, b] = [await stored.weights.readFloat32(name), await original.weights.readFloat32(name)];
      expect(Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? Number.NaN)))), name).toBeLessThanOrEqual(tolerance * 1.000001);
    }
    expect(stored.weights.tensors.get('model.layers.0.self_attn.q_proj.weight')).toMatchObject({ dtype: 'GGML', quantization: 'Q8_0' });
    await Promise.all([stored.weights.close(), original.weights.close()]);
  });

  test('has the config of the original', async () => {
    const { config } = await readModelHeaders(tiny);
    const original = readRecord(goldenPath('llama/config.json'));
    const same = [
      'architectures',
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'num_key_value_heads',
      'head_dim',
      'vocab_size',
      'rms_norm_eps',
      'max_position_embeddings',
      'tie_word_embeddings',
      'attention_bias',
      'hidden_act',
    ];
    for (const key of same) expect(config[key], key).toEqual(original[key]);
    expect(config).toMatchObject({ rope_theta: 10000, rope_scaling: null, bos_token_id: 1, eos_token_id: 2, pad_token_id: 2 });
  });

  test('has a tokenizer with the ids of the reference', async () => {
    const model = await openModel(tiny);
    const tokenizer = await model.loadTokenizer();
    for (const { text, ids } of expected.tokenization) {
      expect(tokenizer.encode(text, { addSpecialTokens: true }), text).toEqual(ids);
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text);
    }
    expect(tokenizer).toMatchObject({ bosId: 1, eosIds: [2], padId: 2 });
    await model.weights.close();
  });
});

test('a SentencePiece vocabulary without merges gives the ids and texts of Transformers', async () => {
  const model = await openModel(goldenPath('gguf/tiny-spm.gguf'));
  const tokenizer = await model.loadTokenizer();
  const cases = readGoldenJson('gguf/tiny-spm.json', z.array(textForm.extend({ decoded: z.string() })));
  for (const { text, ids, decoded } of cases) {
    expect(tokenizer.encode(text, { addSpecialTokens: true }), text).toEqual(ids);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }), text).toBe(decoded);
    const stream = tokenizer.decodeStream({ skipSpecialTokens: true });
    expect(ids.map(id => stream.push(id)).join('') + stream.end(), text).toBe(decoded);
  }
  await model.weights.close();
});

describe('spaces of a SentencePiece vocabulary, as the tokenizer of the family in Transformers 5.24 reads them', () => {
  const tokens = [
    ...['<pad>', '<eos>', '<bos>', '<unk>', '  ', '   ', '\n\n', '▁a', 'ab', '▁ab', '▁', 'a', 'b', '\n', '<turn>'],
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  ];
  const types = tokens.map((_, id) => [3, 3, 3, 2, 4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 3][id] ?? 6);
  const texts = ['a', 'ab ab', '  ab', '▁ab', '▁▁', 'a   b', 'a    ab', '\n\n  a', 'é ▁ b<turn>  '];
  test.each<[string, number[][]]>([
    ['gemma3', [[11], [8, 9], [4, 8], [9], [4], [11, 5, 12], [11, 4, 4, 8], [6, 4, 11], [210, 184, 5, 12, 14, 4]]],
    ['phi3', [[7], [9, 9], [4, 9], [10, 9], [10, 10, 10], [7, 5, 10, 12], [7, 5, 10, 9], [6, 4, 7], [10, 210, 184, 10, 10, 10, 12, 14, 4]]],
    ['llama', [[7], [9, 9], [4, 8], [9], [10, 10], [7, 5, 12], [7, 5, 9], [6, 4, 11], [10, 210, 184, 10, 10, 10, 12, 14, 4]]],
  ])('%s', (architecture, ids) => {
    const lists = { tokens, token_type: types, scores: tokens.map((_, id) => -(id % 7)) };
    const numbers = { unknown_token_id: 3, bos_token_id: 2, model: 'llama' };
    const tokenizerKeys = Object.entries({ ...lists, ...numbers }).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const);
    const metadata = new Map<string, GgufValue>([['general.architecture', architecture], ...tokenizerKeys]);
    const files = ggufTokenizerFiles('x.gguf', { metadata });
    const tokenizer = createTokenizer({ source: 'x.gguf', files, generationConfig: undefined });
    expect(texts.map(text => tokenizer.encode(text, { addSpecialTokens: false }))).toEqual(ids);
  });
});

describe('config', () => {
  const base = (architecture: string): GgufBuilder => {
    const builder = new GgufBuilder().text('general.architecture', architecture);
    for (const key of ['embedding_length', 'feed_forward_length', 'context_length']) builder.u32(`${architecture}.${key}`, 64);
    return builder
      .u32(`${architecture}.attention.head_count`, 4)
      .u32(`${architecture}.block_count`, 1)
      .f32(`${architecture}.attention.layer_norm_rms_epsilon`, 1e-6);
  };
  const configOf = async (bytes: Uint8Array) => {
    const path = temporaryFile('x.gguf', bytes);
    const { header, weights, ropeFactors, ropeFactorsByLength } = await openGguf(path);
    await weights.close();
    return ggufConfig({ path, header, tensors: weights.tensors, ropeFactors, ropeFactorsByLength });
  };

  test('of Gemma 3: its norms, names, local positions and windows; the 1 that the converter added to norms is taken off', async () => {
    const bytes = base('gemma3')
      .u32('gemma3.attention.key_length', 16)
      .u32('gemma3.attention.sliding_window', 512)
      .tensor('token_embd.weight', [10, 64])
      .tensor('blk.0.post_ffw_norm.weight', [64])
      .build();
    expect(await configOf(bytes)).toMatchObject({
      architectures: ['Gemma3ForCausalLM'],
      ...{ head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 512, rope_local_base_freq: 10000, tie_word_embeddings: true },
    });
    const { weights } = await openGguf(temporaryFile('x.gguf', bytes));
    const norm = await weights.readFloat32('model.layers.0.post_feedforward_layernorm.weight');
    await weights.close();
    expect(norm).toEqual(new Float32Array(64).fill(-1));
  });

  test('of Phi-3: fused layers, a part of each head, and the factors of short and of long texts', async () => {
    const bytes = base('phi3')
      .u32('phi3.rope.dimension_count', 12)
      .u32('phi3.rope.scaling.original_context_length', 32)
      .f32('phi3.rope.scaling.attn_factor', 1.19)
      .u32('phi3.attention.sliding_window', 0)
      .tensor('blk.0.attn_qkv.weight', [32, 64])
      .tensor('blk.0.ffn_up.weight', [32, 64])
      .tensor('rope_factors_short.weight', [6], Float32Array.of(1, 1.1, 1.2, 1.3, 1.4, 1.5))
      .tensor('rope_factors_long.weight', [6], Float32Array.of(1, 2, 3, 4, 5, 6))
      .build();
    const config = await configOf(bytes);
    expect(config).toMatchObject({
      ...{ architectures: ['Phi3ForCausalLM'], partial_rotary_factor: 0.75, sliding_window: null, original_max_position_embeddings: 32 },
      rope_scaling: {
        ...{ rope_type: 'longrope', attention_factor: 1.19 },
        ...{ short_factor: [1, 1.1, 1.2, 1.3, 1.4, 1.5], long_factor: [1, 2, 3, 4, 5, 6] },
      },
    });
    expect(causalModel({ ...config, vocab_size: 10 }).ropeRescaling).toEqual({ length: 32, isReread: true });
    const { weights } = await openGguf(temporaryFile('x.gguf', bytes));
    await weights.close();
    expect([...weights.tensors.keys()]).toEqual(['model.layers.0.self_attn.qkv_proj.weight', 'model.layers.0.mlp.gate_up_proj.weight']);
  });

  test('of SmolLM3, OLMo 2 and 3, and Granite', async () => {
    const configs: [GgufBuilder, object][] = [
      [base('smollm3'), { architectures: ['SmolLM3ForCausalLM'], no_rope_layer_interval: 4 }],
      [base('olmo2').tensor('blk.0.post_ffw_norm.weight', [64]), { architectures: ['Olmo2ForCausalLM'] }],
      [base('olmo2').u32('olmo2.attention.sliding_window', 32), { architectures: ['Olmo3ForCausalLM'], sliding_window: 32 }],
      [
        base('granite').f32('granite.attention.scale', 0.015625).f32('granite.embedding_scale', 12).f32('granite.logit_scale', 8),
        { attention_multiplier: 0.015625, embedding_multiplier: 12, residual_multiplier: 1, logits_scaling: 8 },
      ],
    ];
    for (const [builder, expectedConfig] of configs) {
      const config = await configOf(builder.build());
      expect(config).toMatchObject(expectedConfig);
      expect(causalModel({ ...config, vocab_size: 10 }).blocks).toBe(1);
    }
  });

  test('rows of q are put in order by the heads of the own architecture', async () => {
    const values = Float32Array.from({ length: 64 * 2 }, (_, i) => Math.floor(i / 2));
    const path = temporaryFile('x.gguf', base('granite').tensor('blk.0.attn_q.weight', [64, 2], values).build());
    const { weights } = await openGguf(path);
    const read = await weights.readFloat32('model.layers.0.self_attn.q_proj.weight');
    await weights.close();
    expect([...read.filter((_, i) => i % 2 === 0)].slice(0, 16)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]);
  });

  test('of Qwen2: heads, embeddings tied when there is no output tensor', async () => {
    expect(
      await configOf(base('qwen2').u32('qwen2.attention.head_count_kv', 2).tensor('token_embd.weight', [10, 64]).build()),
    ).toMatchObject({
      architectures: ['Qwen2ForCausalLM'],
      num_key_value_heads: 2,
      head_dim: 16,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      vocab_size: 10,
      tie_word_embeddings: true,
    });
  });

  test('rotary scaling from metadata', async () => {
    expect(
      (await configOf(base('llama').text('llama.rope.scaling.type', 'linear').f32('llama.rope.scaling.factor', 4).build())).rope_scaling,
    ).toEqual({ rope_type: 'linear', factor: 4 });
    expect((await modelFileError(() => configOf(base('llama').text('llama.rope.scaling.type', 'bent').build()))).message).toContain(
      'rotary scaling bent',
    );
  });

  test('rotary scaling of Llama 3 from its tensor of factors', async () => {
    const scaling = {
      rope_type: 'llama3',
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    } as const;
    const factors = llama3Factors({ scaling, headDim: 64, theta: 500000 });
    expect([factors[0], factors.at(-1)]).toEqual([1, 32]);
    const bytes = base('llama')
      .u32('llama.rope.dimension_count', 64)
      .f32('llama.rope.freq_base', 500000)
      .tensor('rope_freqs.weight', [32], factors)
      .build();
    expect((await configOf(bytes)).rope_scaling).toEqual(scaling);
  });

  test('every key that llama.cpp lists is computed, without effect, or refused', () => {
    const { keys } = readGoldenJson('gguf_keys.json', z.object({ keys: z.array(z.string()) }));
    // Templates of keys of encoders, with the name of a layer in them.
    const templates = ['{dense}_feat_in', '{dense}_feat_out'];
    expect(keys.filter(key => !Object.hasOwn(ggufKeys, key))).toEqual(templates);
  });

  test.each<[string, (builder: GgufBuilder) => GgufBuilder]>([
    ['attention.sliding_window', builder => builder.u32('llama.attention.sliding_window', 32)],
    ['logit_scale', builder => builder.f32('llama.logit_scale', 0.0625)],
    ['embedding_scale', builder => builder.f32('llama.embedding_scale', 12)],
    ['final_logit_softcapping', builder => builder.f32('llama.final_logit_softcapping', 30)],
    ['expert_shared_count', builder => builder.u32('llama.expert_count', 8).u32('llama.expert_shared_count', 1)],
    ['expert_weights_scale', builder => builder.u32('llama.expert_count', 8).f32('llama.expert_weights_scale', 2.5)],
    ['attention.scale', builder => builder.f32('llama.attention.scale', 0.3)],
    ['attention.value_length', builder => builder.u32('llama.attention.value_length', 8)],
    ['rope.dimension_count', builder => builder.u32('llama.attention.key_length', 16).u32('llama.rope.dimension_count', 8)],
    ['some_key_of_tomorrow', builder => builder.u32('llama.some_key_of_tomorrow', 2)],
  ])('%s is refused by name', async (key, change) => {
    const error = await modelFileError(() => configOf(change(base('llama')).build()));
    expect(error.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(new RegExp(`^llama\\.${key} .* (not supported|not known)`)),
    ]);
  });

  test('values that ask for nothing are no reason to refuse a file, and mistral has its window', async () => {
    const neutral = base('llama')
      .u32('llama.expert_count', 0)
      .f32('llama.logit_scale', 1)
      .f32('llama.attention.scale', 0.25)
      .u32('llama.attention.value_length', 16)
      .u32('llama.attention.sliding_window', 64)
      .text('llama.tensor_data_layout', 'Meta AI original pth');
    expect(await configOf(neutral.build())).toMatchObject({ hidden_size: 64, architectures: ['LlamaForCausalLM'] });
    const experts = base('llama').u32('llama.expert_count', 8).u32('llama.expert_used_count', 2).f32('llama.expert_weights_scale', 1);
    expect(await configOf(experts.build())).toMatchObject({ architectures: ['MixtralForCausalLM'], num_local_experts: 8 });
    expect(await modelFileError(() => configOf(base('qwen3').u32('qwen3.expert_count', 8).build()))).toMatchObject({
      problems: [{ message: expect.stringMatching(/^qwen3\.expert_count 8 is not supported/) }],
    });
    expect(await configOf(base('mistral').u32('mistral.attention.sliding_window', 32).build())).toMatchObject({ sliding_window: 32 });
  });

  test('names every setting that is missing', async () => {
    const error = await modelFileError(() =>
      configOf(new GgufBuilder().text('general.architecture', 'llama').u32('llama.block_count', 2).build()),
    );
    expect(error.problems.length).toBe(5);
  });

  test.each([
    ['mamba', ': it needs state-space layers; the nearest supported architecture is granitehybrid. GGUF is read for llama, mistral, qwen2'],
    ['bailingmoe2', ': it needs a mixture of experts of this kind; the nearest supported architecture is qwen3moe. '],
    ['kimi-linear', ': it needs linear attention with a recurrent state; the nearest supported architecture is qwen35. '],
    ['exaone', 'not supported; the nearest supported architecture is exaone4. '],
    ['nomic-bert-moe', ': it is an encoder. GGUF is read for'],
    ['afmoe', '; use the safetensors files of this model.'],
    ['mellum', '; use the safetensors files of this model.'],
  ])('of the architecture %s says what is missing before it looks at tensors', async (architecture, answer) => {
    const file = new GgufBuilder().text('general.architecture', architecture).tensor('blk.0.ssm_in.weight', [8]);
    const { message } = await modelFileError(() => configOf(file.build()));
    expect(message).toContain(`is of the architecture ${architecture}, which is not supported`);
    expect(message).toContain(answer);
    expect(message).not.toContain('ssm_in');
  });

  test('a file that names no architecture says so', async () => {
    expect((await modelFileError(() => configOf(new GgufBuilder().build()))).message).toContain('names no architecture (general.arch');
  });

  test('what is missing is said in the words for config.json, of architectures that are not read; the nearest are', () => {
    const words = new Set(missingParts.map(({ needs }) => needs));
    for (const { needs, names, nearest = 'llama' } of missingOfGguf) {
      expect(words).toContain(needs);
      expect(ggufFamilies).toHaveProperty([nearest]);
      if (nearest !== 'qwen3moe') expect(Object.keys(ggufFamilies).filter(name => names.test(name))).toEqual([]);
    }
  });
});

describe('refuses', () => {
  const one = (name: string, shape: number[], change: { type?: number; offset?: number } = {}) =>
    new GgufBuilder().text('general.architecture', 'llama').tensor(name, shape, undefined, change);
  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'but has only 0'],
    ['another kind of file', Buffer.from('PK\x03\x04 and more of it to read'), 'does not begin with "GGUF"'],
    ['version 1', new GgufBuilder({ version: 1 }).build(), 'version 1'],
    ['a big-endian file', new GgufBuilder({ version: 0x03000000 }).build(), 'big-endian'],
    ['2^60 tensors', new GgufBuilder({ tensorCount: 1n << 60n }).build(), 'no file can have'],
    ['a million tensors that are not there', new GgufBuilder({ tensorCount: 1_000_000n }).build(), 'but has only'],
    ['more tensors than any model', new GgufBuilder({ tensorCount: 1_000_001n }).build(), 'at most 1000000 are read'],
    ['2^40 metadata entries', new GgufBuilder({ metadataCount: 1n << 40n }).build(), 'at most 65536 are read'],
    ['metadata that is not there', new GgufBuilder({ metadataCount: 60_000n }).build(), 'but has only'],
    ['dimensions that overflow', one('output.weight', [2 ** 52, 2 ** 52]).build(), 'the file ends at'],
    ['a string longer than the file', new GgufBuilder().raw('k', 8, [0, 0, 16, 0, 0, 0, 0, 0]).build(), 'but has only'],
    ['an array longer than the file', new GgufBuilder().raw('k', 9, [4, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0]).build(), 'but has only'],
    [
      'rotary factors by the million',
      new GgufBuilder().text('general.architecture', 'llama').tensor('rope_freqs.weight', [65_537], new Float32Array(65_537)).build(),
      'has 65537 values; at most 65536',
    ],
    ['a string of a terabyte', new GgufBuilder().raw('k', 8, [0, 0, 0, 0, 0, 1, 0, 0]).build(), 'at most'],
    ['an array of 2^31 values', new GgufBuilder().raw('k', 9, [0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 0, 0]).build(), 'more than'],
    ['an unknown value type', new GgufBuilder().raw('k', 77, [1]).build(), 'unknown type 77'],
    ['a key twice', new GgufBuilder().u32('k', 1).u32('k', 2).build(), 'twice'],
    ['an odd alignment', new GgufBuilder().u32('general.alignment', 7).build(), 'alignment 7'],
    ['five dimensions', one('output.weight', [1, 1, 1, 1, 1]).build(), '5 dimensions'],
    ['a type that is not read', one('output.weight', [1, 256], { type: 16 }).build(), 'IQ2_XXS; F32, F16'],
    ['rows that are no whole blocks', one('output.weight', [2, 33], { type: 8 }).build(), 'no multiple of the 32'],
    ['data behind the end', one('output.weight', [1000, 1024], { type: 8 }).build(), 'the file ends at'],
    ['an offset that is not aligned', one('output.weight', [8], { offset: 4 }).build(), 'not aligned'],
    ['a hole', new GgufBuilder({ extraBytes: 64 }).tensor('output.weight', [8], undefined, { offset: 64 }).build(), 'hole of 64'],
    ['an overlap', one('output.weight', [8]).tensor('output_norm.weight', [8], undefined, { offset: 0 }).build(), 'overlaps'],
    ['a tensor twice', one('output.weight', [8]).tensor('output.weight', [8]).build(), 'appears twice'],
    ['a tensor of another family', one('blk.0.ssm_in.weight', [8]).build(), 'not part of a model of the architecture llama'],
    ['an expert by itself', one('blk.0.ffn_gate.3.weight', [8]).build(), 'is one expert by itself, as converters wrote until 2024'],
    ['q rows that the heads do not divide', one('blk.0.attn_q.weight', [8, 4]).u32('llama.attention.head_count', 3).build(), '3 heads'],
  ])('%s', async (_, bytes, message) => {
    const path = temporaryFile('x.gguf', bytes);
    const error = await modelFileError(async () => (await openGguf(path)).weights.close());
    expect(error.message).toContain(message);
    expect(error.message).toContain(path);
  });

  test('300 damaged files end in ModelFileError or in a model that reads', async () => {
    const bytes = readFileSync(tiny);
    const random = randomNumbers(2);
    const path = temporaryFile('x.gguf', '');
    for (let i = 0; i < 300; i++) {
      writeFileSync(path, damaged(bytes, i % 2 === 0 ? 400 : 16000, random));
      try {
        const model = await openModel(path);
        await model.weights.close();
        await model.loadTokenizer();
      } catch (error) {
        expect(error).toBeInstanceOf(ModelFileError);
      }
    }
  });
});
