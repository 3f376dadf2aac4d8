/** Decoders whose layers turn, are normed or are added in another way than Llama's: what their configs ask for, and what is refused. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../trainer/model/family/decoder/decoder-families.ts';
import { pairsApart } from '../../../trainer/model/layer/rotary.ts';
import { unknownConfigKeys } from '../../../trainer/model/load-model.ts';
import { readRecord } from '../../support/files/read-json.ts';
import { forward } from './run-layer.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', 'golden', name, 'config.json'));

describe('EXAONE 4', () => {
  const { layer_types: _, ...config } = saved('exaone4');
  const read = (changes: ConfigJson) => decoderConfig('Exaone4ForCausalLM', { ...config, num_hidden_layers: 4, ...changes });
  const turns = (changes: ConfigJson) => read(changes).positions.map(Boolean);

  test('layers that see everything turn only where none has a window', () => {
    expect(turns({})).toEqual([true, true, true, false]);
    expect(turns({ sliding_window_pattern: 2 })).toEqual([true, false, true, false]);
    expect(turns({ sliding_window: null })).toEqual([true, true, true, true]);
    const listed = ['full_attention', ...Array(3).fill('sliding_attention')];
    expect(turns({ sliding_window_pattern: 'LLLG', layer_types: listed })).toEqual([false, true, true, true]);
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

  test('only "rope" turns', () => {
    expect(read({}).positions.every(Boolean)).toBe(true);
    for (const type of ['nope', null]) expect(read({ position_embedding_type: type }).positions.some(Boolean)).toBe(false);
  });

  test.each<[string, ConfigJson, RegExp]>([
    ['experts', { num_local_experts: 4 }, /num_local_experts 4 is not supported; supported is 0/],
    ['as many as Transformers has where none is given', { num_local_experts: undefined }, /num_local_experts 8 is not supported/],
    ['Mamba layers', { layer_types: ['mamba', 'attention'] }, /layer_types \["mamba","attention"\] is not supported; .*Mamba layers/],
    ['by the older key', { layer_types: null, layers_block_type: ['attention', 'mamba'] }, /layers_block_type .* is not supported/],
    ['all of them, where no list is given', { layer_types: null }, /layer_types .* is not supported/],
  ])('refused are %s', (_, changes, message) => {
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

test('pairs of neighbors are moved apart, and features that do not turn stay', async () => {
  const x = { data: Float32Array.of(0, 1, 2, 3, 4, 5), shape: [1, 1, 1, 6] };
  expect(await forward({ x }, (graph, inputs) => pairsApart(graph, inputs.x, 4))).toEqual([0, 2, 1, 3, 4, 5]);
});
