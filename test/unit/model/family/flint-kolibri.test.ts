/** Flint and Kolibri 1: the defaults of their published sizes, names in files, and what is refused. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));

describe('Flint', () => {
  const read = (changes: ConfigJson) => decoderConfig('FlintForCausalLM', { ...saved('flint'), ...changes });

  test('a config that leaves everything out means the published sizes', () => {
    const { experts, attention, positions, hiddenSize, blocks } = decoderConfig('FlintForCausalLM', { model_type: 'flint' });
    expect([hiddenSize, blocks, attention.heads, attention.sinks]).toEqual([2048, 49, 32, true]);
    expect(experts).toMatchObject({ count: 256, chosen: 6, intermediateSize: 512, shared: { intermediateSize: 1024, gated: false } });
    expect(experts?.layers.map(Number).join('')).toBe(`00${'1'.repeat(47)}`);
    const global = attention.layers.flatMap(({ window }, layer) => (window === undefined ? [layer] : []));
    expect(global).toEqual([0, 1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 41, 45, 48]);
    expect(attention.layers[2]?.window).toBe(513);
    expect(positions.flatMap((own, layer) => (own === undefined ? [layer] : []))).toEqual(global);
  });

  test('all keys of a saved config are known, and files name the sinks as an offset of the softmax', () => {
    expect(unknownConfigKeys(saved('flint'))).toEqual([]);
    const names = causalModel(saved('flint')).parameters.map(({ name }) => name);
    expect(names).toContain('model.layers.0.self_attn.softmax_offset');
    expect(names).toContain('model.layers.1.mlp.shared_expert.up_proj.weight');
  });

  test.each<[ConfigJson, RegExp]>([
    [{ use_sliding_window: false }, /use_sliding_window false is not supported; supported is true/],
    [{ qkv_bias: true }, /qkv_bias true is not supported/],
    [{ mlp_only_layers: [7] }, /mlp_only_layers names layer 7 for num_hidden_layers 3/],
    [{ num_experts_per_tok: 9 }, /num_experts_per_tok 9 is above num_experts 8/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});

describe('Kolibri 1', () => {
  const read = (changes: ConfigJson) => decoderConfig('Kolibri1ForCausalLM', { ...saved('kolibri1'), ...changes });

  test('a config that leaves everything out means the published sizes', () => {
    const { experts, attention, positions, hiddenSize, blocks } = decoderConfig('Kolibri1ForCausalLM', { model_type: 'kolibri1' });
    expect([hiddenSize, blocks, attention.heads]).toEqual([2560, 50, 48]);
    expect(experts).toMatchObject({ count: 384, chosen: 6, sumsToOne: false, shared: { intermediateSize: 512, gated: false } });
    expect(attention.layers.slice(0, 6).map(({ window }) => window)).toEqual([513, 513, 513, 513, undefined, 513]);
    expect(positions.slice(0, 6).map(Boolean)).toEqual([true, true, true, true, false, true]);
  });

  test('without a window, every block rotates', () => {
    const layers = ['full_attention', 'full_attention', 'full_attention'];
    expect(read({ sliding_window: null, layer_types: layers }).positions.map(Boolean)).toEqual([true, true, true]);
  });

  test('all keys of a saved config are known, and the bias of the choice is not trained', () => {
    expect(unknownConfigKeys(saved('kolibri1'))).toEqual([]);
    const { parameters } = causalModel(saved('kolibri1'));
    expect(parameters.find(({ name }) => name === 'model.layers.0.moe.router.expert_bias')).toMatchObject({ buffer: true, float32: true });
  });

  test.each<[ConfigJson, RegExp]>([
    [{ attention_bias: true }, /attention_bias true is not supported/],
    [{ mlp_only_layers: [0] }, /mlp_only_layers \[0\] is not supported/],
    [{ sliding_window: null }, /sliding_window is null, and layer_types has "sliding_attention"/],
    [{ num_local_experts: 2 }, /num_experts_per_tok 3 is above num_local_experts 2/],
  ])('%j is refused', (changes, message) => {
    expect(() => read(changes)).toThrow(message);
  });
});
