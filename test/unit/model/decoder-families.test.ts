/** Decoders whose layers differ from Llama's in rotary positions, norms or residuals: what their configs require, and what is refused. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../trainer/model/family/decoder/decoder-families.ts';
import { deinterleavePairs } from '../../../trainer/model/layer/positions/rotary.ts';
import { causalModel, unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { forward } from './layer/run-layer.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json'));

describe('EXAONE 4', () => {
  const { layer_types: _, ...config } = saved('exaone4');
  const read = (changes: ConfigJson) => decoderConfig('Exaone4ForCausalLM', { ...config, num_hidden_layers: 4, ...changes });
  const rotates = (changes: ConfigJson) => read(changes).positions.map(Boolean);

  test('layers that see everything turn only where none has a window', () => {
    expect(rotates({})).toEqual([true, true, true, false]);
    expect(rotates({ sliding_window_pattern: 2 })).toEqual([true, false, true, false]);
    expect(rotates({ sliding_window: null })).toEqual([true, true, true, true]);
    const listed = ['full_attention', ...Array(3).fill('sliding_attention')];
    expect(rotates({ sliding_window_pattern: 'LLLG', layer_types: listed })).toEqual([false, true, true, true]);
  });

  test('a pattern in letters needs a list', () => {
    expect(() => read({ sliding_window_pattern: 'LLLG' })).toThrow(/sliding_window_pattern "LLLG" does not say which layers have a window/);
  });
});

describe('HunYuan', () => {
  const positions = (rope: ConfigJson) =>
    decoderConfig('HunYuanDenseV1ForCausalLM', { ...saved('hunyuan'), rope_parameters: rope }).positions[0];

  test('alpha stretches the base for texts of all lengths', () => {
    const rope = { rope_type: 'dynamic', rope_theta: 10000, alpha: 50, factor: 1 };
    expect(positions(rope)).toMatchObject({ theta: 10000 * 50 ** (16 / 14), scaling: { type: 'default' } });
    expect(positions({ ...rope, alpha: null, factor: 2 })).toMatchObject({ theta: 10000, scaling: { type: 'dynamic' } });
  });

  test('no other family has it', () => {
    const rope = { rope_type: 'dynamic', rope_theta: 10000, alpha: 50, factor: 1 };
    expect(() => decoderConfig('SeedOssForCausalLM', { ...saved('seed_oss'), rope_parameters: rope })).toThrow(
      /rope_parameters.alpha 50 is not supported/,
    );
  });
});

describe('Granite 4', () => {
  const read = (changes: ConfigJson) => decoderConfig('GraniteMoeHybridForCausalLM', { ...saved('granite4'), ...changes });

  test('only "rope" rotates', () => {
    expect(read({}).positions.every(Boolean)).toBe(true);
    for (const type of ['nope', null]) expect(read({ position_embedding_type: type }).positions.some(Boolean)).toBe(false);
  });

  test.each<[string, ConfigJson, boolean[] | undefined]>([
    ['a list says', { layer_types: ['mamba', 'attention'] }, [true, false]],
    ['the older key says', { layer_types: null, layers_block_type: ['full_attention', 'linear_attention'] }, [false, true]],
    ['no list is given: all of them', { layer_types: null }, [true, true]],
    ['a list says: none', {}, undefined],
  ])('layers are of Mamba where %s', (_, changes, layers) => {
    expect(read(changes).mamba?.layers).toEqual(layers);
  });

  test('sizes and limits of Mamba, and what its layers cache in place of keys and values', () => {
    const config = { ...saved('granite4_mamba_untied'), mamba_d_head: 'auto' };
    const { mamba } = decoderConfig('GraniteMoeHybridForCausalLM', config);
    expect(mamba).toMatchObject({ heads: 4, headDim: 16, groups: 1, stateDim: 6, width: 3, chunk: 256, steps: { least: 0.3, most: 0.8 } });
    expect(read({ layer_types: null }).mamba?.steps).toEqual({ least: 0, most: Number.POSITIVE_INFINITY });
    const model = causalModel(saved('granite4_mamba'));
    expect(model.keyValues.map(own => own?.headDim)).toEqual([undefined, 8, undefined]);
    expect(model.states?.get(0)).toEqual({ recent: [3, 88], memory: [2, 6, 32] });
  });

  test('the keys of a published model are known', () => {
    const published = { init_method: 'mup', normalization_function: 'rmsnorm', rope_theta: 10000, layer_types: ['mamba', 'attention'] };
    expect(unknownConfigKeys({ ...saved('granite4_experts'), ...published, mamba_expand: 2, num_experts_per_tok: 2 })).toEqual([]);
  });

  const mamba: ConfigJson = { layer_types: ['mamba', 'attention'] };
  test.each<[ConfigJson, RegExp]>([
    [{ ...mamba, mamba_d_head: 8 }, /mamba_n_heads 4 of 8 features are not mamba_expand · hidden_size, 64/],
    [{ ...mamba, mamba_n_groups: 3 }, /mamba_n_heads 4 is not a multiple of mamba_n_groups 3/],
    [{ ...mamba, time_step_limit: [1, 0.5] }, /time_step_limit begins at 1 and ends at 0.5/],
    [{ ...mamba, layer_types: ['mamba'] }, /layer_types has 1 entries for num_hidden_layers 2/],
    [{ ...mamba, layer_types: null, layers_block_type: ['mamba'] }, /layers_block_type has 1 entries for num_hidden_layers 2/],
    [{ num_local_experts: 4, num_experts_per_tok: 5 }, /num_experts_per_tok 5 is above num_local_experts 4/],
    [{ num_local_experts: 4, output_router_logits: true }, /output_router_logits true is not supported/],
    [{ normalization_function: 'layernorm' }, /normalization_function "layernorm" is not supported/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

describe('Nemotron-H', () => {
  const read = (changes: ConfigJson) => decoderConfig('NemotronHForCausalLM', { ...saved('nemotron_h_experts'), ...changes });
  /** As NVIDIA publishes it: letters in place of a list, and keys that Transformers does not read. */
  const published: ConfigJson = {
    ...{ layers_block_type: undefined, hybrid_override_pattern: 'ME*-', num_hidden_layers: 4, attention_head_dim: 8, rope_theta: 10000 },
    ...{ partial_rotary_factor: 1, norm_eps: 1e-5, rms_norm_eps: 1e-6, time_step_rank: 256, mamba_hidden_act: 'silu', hidden_dropout: 0.1 },
  };

  test('a list says what each block is, or letters do; no block rotates, and padding is no row of its own', () => {
    expect(read({}).parts).toEqual(['mixer', 'mlp', 'mixer']);
    expect(unknownConfigKeys({ ...saved('nemotron_h_experts'), ...published })).toEqual([]);
    const config = read(published);
    expect(config.parts).toEqual(['mixer', 'mlp', 'mixer', 'mlp']);
    expect(config.mamba?.layers).toEqual([true, false, false, false]);
    expect(config.experts?.layers).toEqual([false, true, false, false]);
    expect(config.positions).toEqual(new Array(4).fill(undefined));
    expect(config).toMatchObject({ paddingRow: undefined, norms: { epsilon: 1e-5 }, mamba: { steps: { least: 0.02 } } });
    // Experts that no block has.
    expect(read({ layers_block_type: ['mamba', 'attention'], n_group: 3 }).experts).toBeUndefined();
  });

  test('blocks of an MLP alone cache nothing', () => {
    const model = causalModel(saved('nemotron_h'));
    expect(model.keyValues.map(own => own?.headDim)).toEqual([undefined, undefined, 16]);
    expect([...(model.states?.keys() ?? [])]).toEqual([0]);
  });

  test.each<[ConfigJson, RegExp]>([
    [{ ...published, num_hidden_layers: 5 }, /num_hidden_layers 5 is not the 4 of hybrid_override_pattern/],
    [{ ...published, hybrid_override_pattern: 'MX' }, /hybrid_override_pattern: is not made of M, \*, - and E/],
    [{ attention_head_dim: 16 }, /attention_head_dim 16 is not supported; supported is what head_dim says/],
    [{ n_groups: 3 }, /mamba_num_heads 4 is not a multiple of n_groups 3/],
    [{ n_group: 3 }, /n_group 3 does not divide n_routed_experts 8/],
    [{ tie_word_embeddings: true }, /tie_word_embeddings true is not supported/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

test.each<[ConfigJson, RegExp]>([
  [{ clip_qkv: 8 }, /clip_qkv 8 is not supported/],
  [{ head_dim: 16 }, /head_dim 16 is not hidden_size 32 over num_attention_heads 4/],
  [{ num_experts_per_tok: 7 }, /num_experts_per_tok 7 is above num_experts 6/],
  [{ output_router_logits: true }, /output_router_logits true is not supported/],
])('OLMoE with %j is refused', (changes, message) => {
  expect(() => decoderConfig('OlmoeForCausalLM', { ...saved('olmoe'), ...changes })).toThrow(message);
});

test('the keys of a published Cohere 2 are known', () => {
  const published = {
    ...{ ...saved('cohere2'), cache_implementation: 'hybrid', position_embedding_type: 'rope_gptj', sliding_window_pattern: 4 },
    ...{
      use_embedding_sharing: true,
      use_gated_activation: true,
      use_parallel_block: true,
      use_parallel_embedding: true,
      use_qk_norm: false,
    },
    rotary_pct: 1,
  };
  expect(unknownConfigKeys(published)).toEqual([]);
});

test('the keys of a published ERNIE 4.5 are known', () => {
  const published = {
    ...{ architectures: ['Ernie4_5ForCausalLM'], bos_token_id: 1, eos_token_id: 2, head_dim: 128, hidden_act: 'silu', hidden_size: 1024 },
    ...{
      initializer_range: 0.02,
      intermediate_size: 3072,
      max_position_embeddings: 131072,
      model_type: 'ernie4_5',
      num_attention_heads: 16,
    },
    ...{ num_hidden_layers: 18, num_key_value_heads: 2, pad_token_id: 0, rms_norm_eps: 1e-5, rope_scaling: null, rope_theta: 500000 },
    ...{ torch_dtype: 'bfloat16', transformers_version: '4.54.0.dev0', use_bias: false, use_cache: true, vocab_size: 103424 },
  };
  expect(unknownConfigKeys(published)).toEqual([]);
});

test('the keys of a published Arcee are known, and its MLPs have no gate', () => {
  const rope = { beta_fast: 32, beta_slow: 1, factor: 20, mscale: 1, original_max_position_embeddings: 4096, rope_type: 'yarn' };
  const published = {
    ...{ architectures: ['ArceeForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 128000, eos_token_id: 128001 },
    ...{ head_dim: 128, hidden_act: 'relu2', hidden_size: 2560, initializer_range: 0.02, intermediate_size: 18432 },
    ...{ max_position_embeddings: 65536, mlp_bias: false, model_type: 'arcee', num_attention_heads: 20, num_hidden_layers: 36 },
    ...{ num_key_value_heads: 4, rms_norm_eps: 1e-5, rope_scaling: { ...rope, type: 'yarn' }, rope_theta: 10000 },
    ...{ tie_word_embeddings: false, torch_dtype: 'bfloat16', transformers_version: '4.52.4', use_cache: true, vocab_size: 128004 },
  };
  expect(unknownConfigKeys(published)).toEqual([]);
  const names = causalModel(published).modules.flatMap(({ name, layer }) => (layer === 0 && name.includes('mlp') ? [name] : []));
  expect(names).toEqual(['model.layers.0.mlp.up_proj', 'model.layers.0.mlp.down_proj']);
});

describe('GPT-2', () => {
  const published = {
    ...{ activation_function: 'gelu_new', architectures: ['GPT2LMHeadModel'], attn_pdrop: 0.1, bos_token_id: 50256, embd_pdrop: 0.1 },
    ...{ eos_token_id: 50256, initializer_range: 0.02, layer_norm_epsilon: 1e-5, model_type: 'gpt2', n_ctx: 1024, n_embd: 768 },
    ...{ n_head: 12, n_layer: 6, n_positions: 1024, resid_pdrop: 0.1, summary_activation: null, summary_first_dropout: 0.1 },
    ...{ summary_proj_to_labels: true, summary_type: 'cls_index', summary_use_proj: true, vocab_size: 50257 },
    ...{ task_specific_params: { 'text-generation': { do_sample: true, max_length: 50 } } },
    ...{ _num_labels: 1, id2label: { 0: 'LABEL_0' }, label2id: { LABEL_0: 0 } },
  };
  const read = (changes: ConfigJson) => decoderConfig('GPT2LMHeadModel', { ...published, ...changes });

  test('the keys of a published DistilGPT-2 are known, and its sizes are read', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(read({})).toMatchObject({ hiddenSize: 768, blocks: 6, maxPositions: 1024, tied: true, mlp: { activation: 'gelu_new' } });
    expect(read({})).toMatchObject({ attention: { heads: 12, scale: 0.125, dividesByLayer: false, dropout: 0.1 }, residualDropout: 0.1 });
    expect(read({}).mlp.intermediateSizes).toEqual(new Array(6).fill(3072));
    expect(read({ n_inner: 100 }).mlp.intermediateSizes[0]).toBe(100);
    expect(read({ scale_attn_weights: false }).attention.scale).toBe(1);
  });

  test("Transformers' own names of sizes take precedence", () => {
    expect(read({ hidden_size: 96, num_hidden_layers: 3 })).toMatchObject({ hiddenSize: 96, blocks: 3 });
  });

  test.each<[ConfigJson, RegExp]>([
    [{ add_cross_attention: true }, /add_cross_attention true is not supported; supported is false/],
    [{ n_embd: 770 }, /hidden_size 770 over num_attention_heads 12 gives no even head size/],
    [{ n_positions: 0 }, /n_positions: Too small/],
    [{ activation_function: 'other' }, /activation_function "other" is not supported/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

describe('GPT-NeoX', () => {
  const published = {
    ...{ architectures: ['GPTNeoXForCausalLM'], bos_token_id: 0, eos_token_id: 0, hidden_act: 'gelu', hidden_size: 512 },
    ...{ initializer_range: 0.02, intermediate_size: 2048, layer_norm_eps: 1e-5, max_position_embeddings: 2048, model_type: 'gpt_neox' },
    ...{ num_attention_heads: 8, num_hidden_layers: 6, rotary_emb_base: 10000, rotary_pct: 0.25, tie_word_embeddings: false },
    ...{ torch_dtype: 'float16', transformers_version: '4.24.0', use_cache: true, use_parallel_residual: true, vocab_size: 50304 },
  };
  const read = (changes: ConfigJson) => decoderConfig('GPTNeoXForCausalLM', { ...published, ...changes });

  test('the keys of a published Pythia are known, and a quarter of each head turns', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(read({})).toMatchObject({ sideBySide: true, positions: { 0: { theta: 10000, features: 16 } } });
    expect(read({ rotary_pct: null, rotary_emb_base: 500 })).toMatchObject({ positions: { 0: { theta: 500, features: 16 } } });
    expect(read({ rope_parameters: { rope_type: 'default', rope_theta: 700, partial_rotary_factor: 0.5 } })).toMatchObject({
      positions: { 0: { theta: 700, features: 32 } },
    });
  });

  test('padding is trained as any other row, and is no last token of a text', () => {
    expect(read({ pad_token_id: 1 })).toMatchObject({ padId: 1, paddingRow: undefined });
  });

  test.each<[ConfigJson, RegExp]>([
    [{ rope_theta: 500 }, /rope_theta 500 is not supported; supported is 10000/],
    [{ partial_rotary_factor: 1 }, /partial_rotary_factor 1 is not supported; supported is 0.25/],
    [{ head_dim: 32 }, /head_dim 32 is not supported; supported is 64/],
    [{ rotary_pct: 0.3 }, /partial_rotary_factor 0.3 of a head of 64 features rotates 19/],
    [{ sliding_window: 5 }, /sliding_window 5 is not supported/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

test('the keys of a published Apertus are known, and only its own activation is computed', () => {
  const rope = { factor: 8, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 8192, rope_type: 'llama3' };
  const published = {
    ...{ architectures: ['ApertusForCausalLM'], attention_bias: false, attention_dropout: 0, bos_token_id: 1, dtype: 'bfloat16' },
    ...{ eos_token_id: 68, hidden_act: 'xielu', hidden_dropout: 0, hidden_size: 4096, initializer_range: 0.02, intermediate_size: 21504 },
    ...{ max_position_embeddings: 65536, mlp_bias: false, model_type: 'apertus', num_attention_heads: 32, num_hidden_layers: 32 },
    ...{ num_key_value_heads: 8, pad_token_id: 3, post_norm: false, qk_norm: true, rms_norm_eps: 1e-5, rope_theta: 12000000 },
    ...{ rope_scaling: { ...rope, type: 'llama3' }, tie_word_embeddings: false, use_cache: true, vocab_size: 131072 },
  };
  expect(unknownConfigKeys(published)).toEqual([]);
  expect(decoderConfig('ApertusForCausalLM', published).positions[0]).toMatchObject({ theta: 12e6, scaling: { type: 'llama3' } });
  const other = { ...published, hidden_act: 'relu2' };
  expect(() => decoderConfig('ApertusForCausalLM', other)).toThrow(/hidden_act "relu2" is not supported; supported is "xielu"/);
});

test('pairs of neighbors are moved apart, and features that do not turn stay', async () => {
  const x = { data: Float32Array.of(0, 1, 2, 3, 4, 5), shape: [1, 1, 1, 6] };
  expect(await forward({ x }, (graph, inputs) => deinterleavePairs(graph, inputs.x, 4))).toEqual([0, 2, 1, 3, 4, 5]);
});
