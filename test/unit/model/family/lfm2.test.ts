/** LFM2: which layers use attention, what the others cache, and the width of the MLP. The laws of its states are in `states.test.ts`. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved: ConfigJson = readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', 'lfm2', 'config.json'));
const { layer_types: _, ...rest } = saved;
const read = (config: ConfigJson) => decoderConfig('Lfm2ForCausalLM', config);

describe('config.json', () => {
  test('layers attend that a list names, or all where none does', () => {
    const layersOf = (changes: ConfigJson) => read({ ...rest, ...changes }).convolution?.layers;
    expect(layersOf({ full_attn_idxs: [1] })).toEqual([true, false, true]);
    expect(layersOf({ full_attn_idxs: null })).toEqual([false, false, false]);
    expect(layersOf({ full_attn_idxs: [1], layer_types: ['conv', 'conv', 'full_attention'] })).toEqual([true, true, false]);
  });

  test.each<[ConfigJson, number]>([
    [{}, 40],
    [{ block_ffn_dim_multiplier: 1.3 }, 60],
    [{ block_ffn_dim_multiplier: null }, 32],
    [{ block_auto_adjust_ff_dim: false }, 48],
    [{ block_ff_dim: 60 }, 40],
    [{ block_ff_dim: 60, block_auto_adjust_ff_dim: false }, 60],
  ])('%j: an MLP of %i features', (changes, size) => {
    expect(read({ ...saved, ...changes }).mlp.intermediateSizes).toEqual([size, size, size]);
  });

  test('the older key of a tied head goes before the newer one', () => {
    expect(read({ ...saved, tie_word_embeddings: true, tie_embedding: false }).tied).toBe(false);
  });

  test('the keys of a published model are known', () => {
    const published = {
      ...{ ...saved, block_dim: 32, block_ff_dim: 48, block_mlp_init_scale: 1, block_norm_eps: 1e-5, block_out_init_scale: 1 },
      ...{ block_use_swiglu: true, block_use_xavier_init: true, conv_dim: 32, conv_dim_out: 32, conv_use_xavier_init: true },
      ...{ num_heads: 4, rope_theta: 1e6, theta: 1e6, use_pos_enc: true, tie_embedding: true },
    };
    expect(unknownConfigKeys(published)).toEqual([]);
  });

  test.each<[string, ConfigJson, RegExp]>([
    ['a list of another length', { layer_types: ['conv'] }, /layer_types has 1 entries for num_hidden_layers 3/],
    ['a layer of another type', { layer_types: Array(3).fill('sliding_attention') }, /layer_types/],
  ])('%s', (_, changes, message) => {
    expect(() => read({ ...rest, ...changes })).toThrow(message);
  });
});

test('layers with a convolution cache the tokens that it reads, in place of keys and values', () => {
  const model = causalModel(saved);
  expect(model.keyValues.map(own => own?.headDim)).toEqual([undefined, 8, undefined]);
  expect([...(model.states ?? [])]).toEqual([
    [0, { recent: [2, 32] }],
    [2, { recent: [2, 32] }],
  ]);
});
