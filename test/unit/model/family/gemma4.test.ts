/** Tests Gemma 4: sizes by kind of layer, keys and values of earlier layers, and what recompute levels keep of them. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { coupledGroups } from '../../../../trainer/coupling/coupled-groups.ts';
import { cacheVariables } from '../../../../trainer/generate/decode-program.ts';
import { backward } from '../../../../trainer/graph/gradient.ts';
import { Graph } from '../../../../trainer/graph/graph.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, loadModel } from '../../../../trainer/model/load-model.ts';
import { Tracer } from '../../../../trainer/model/tracer.ts';
import { openFast } from '../../../support/engines.ts';
import { readRecord } from '../../../support/files/read-json.ts';
import { lossesByLevel } from '../../../support/golden/losses-by-level.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'golden', 'gemma4');
const saved: ConfigJson = readRecord(join(folder, 'config.json'));
const { per_layer_config: _, ...rest } = saved;
/** The hub's form: one size for all layers with full attention. */
const published: ConfigJson = { ...rest, global_head_dim: 16, num_global_key_value_heads: 1, attention_k_eq_v: true };
const read = (config: ConfigJson) => decoderConfig('Gemma4ForCausalLM', config);

describe('config.json', () => {
  test('configs saved by Transformers and configs on the hub read the same', () => {
    expect(read({ ...rest, global_head_dim: 16 })).toEqual(read(saved));
    const own = { head_dim: 16, num_key_value_heads: 1 };
    const listed = { ...rest, attention_k_eq_v: true, per_layer_config: { 2: own, 4: own } };
    expect(read(listed)).toEqual(read(published));
  });

  test('layers that see everything have heads of another size, and the last two read the keys and values of others', () => {
    const { attention, mlp } = read(published);
    expect(attention.layers.map(({ headDim, kvHeads, window }) => [headDim, kvHeads, window])).toEqual([
      ...[8, 8].map(size => [size, 2, 5]),
      [16, 1, undefined],
      [8, 2, 5],
      [16, 1, undefined],
    ]);
    expect(attention.layers.map(({ keysFrom }) => keysFrom)).toEqual([undefined, undefined, undefined, 1, 2]);
    expect(mlp.intermediateSizes).toEqual([48, 48, 48, 96, 96]);
  });

  test('the last layer sees everything, whatever a list says', () => {
    const types = ['sliding_attention', 'full_attention', 'sliding_attention', 'sliding_attention', 'sliding_attention'];
    expect(read({ ...rest, layer_types: types }).attention.layers.map(({ window }) => window)).toEqual([5, undefined, 5, 5, undefined]);
  });

  test.each<[string, ConfigJson, RegExp]>([
    ['no layer makes keys for another', { num_kv_shared_layers: 4 }, /num_kv_shared_layers 4 leaves no layer of the type "full_attention"/],
    ['all layers read those of others', { num_kv_shared_layers: 5 }, /num_kv_shared_layers 5 leaves no layer/],
    ['a token without an input', { vocab_size_per_layer_input: 63 }, /vocab_size_per_layer_input 63 is less than vocab_size 64/],
    [
      'another key of a layer',
      { per_layer_config: { 2: { intermediate_size: 8 } } },
      /per_layer_config\.2\.intermediate_size 8 is not supported/,
    ],
    [
      'layers of a type that differ',
      { per_layer_config: { 2: { head_dim: 12 } } },
      /layers of the type "full_attention" heads of different sizes/,
    ],
    ['heads that do not divide', { attention_k_eq_v: true, num_global_key_value_heads: 3 }, /is not a multiple of 3 key-value heads/],
    [
      'experts without a number',
      { enable_moe_block: true, num_experts: 4 },
      /enable_moe_block needs top_k_experts.*needs moe_intermediate_size/,
    ],
    [
      'more experts than there are',
      { enable_moe_block: true, num_experts: 4, top_k_experts: 5, moe_intermediate_size: 8 },
      /top_k_experts 5 is above num_experts 4/,
    ],
    ['pictures in both directions', { use_bidirectional_attention: 'all' }, /use_bidirectional_attention "all" is not supported/],
  ])('%s', (_, changes, message) => {
    expect(() => read({ ...rest, ...changes })).toThrow(message);
  });
});

test('layers that read the keys and values of others have no weights for them and no cache', () => {
  const model = causalModel(saved);
  const layersOf = (part: string) => model.modules.filter(({ name }) => name.endsWith(part)).map(({ layer }) => layer);
  expect(layersOf('.q_proj')).toEqual([0, 1, 2, 3, 4]);
  for (const part of ['.k_proj', '.v_proj', '.k_norm']) expect(layersOf(part)).toEqual([0, 1, 2]);
  expect(cacheVariables(model, { tokens: 64 }).length).toBeGreaterThan(0);
  expect(model.keyValues.map(own => own?.headDim)).toEqual([8, 8, 16, undefined, undefined]);
});

test("the scale of a layer's output is a buffer, which no method trains", () => {
  const model = causalModel(saved);
  const scales = model.parameters.filter(({ name }) => name.endsWith('.layer_scalar'));
  expect(scales.map(({ shape, buffer }) => [shape, buffer])).toEqual(Array(5).fill([[1], true]));
  expect(model.modules.some(({ name }) => name.includes('layer_scalar'))).toBe(false);
  const scored = loadModel(saved, { problem: 'regression', labels: ['score'] });
  expect(scored.parameters.filter(({ buffer }) => buffer)).toEqual(scales);
});

test('values that two layers read are coupled with the output of attention of both', () => {
  const model = causalModel(saved);
  const group = coupledGroups(model).find(({ members }) =>
    members.some(({ module, part }) => module.name === 'model.layers.2.self_attn.v_proj' && part === 'rows'),
  );
  expect(group?.members.map(({ module, part }) => `${module.name.replace('model.layers.', '')} ${part}`)).toEqual([
    '2.self_attn.v_proj rows',
    '2.self_attn.o_proj columns',
    '4.self_attn.o_proj columns',
  ]);
});

describe('recomputation', () => {
  const model = causalModel(saved);

  test.each(['block', 'sqrt'] as const)('%s: keys and values that several layers read are not computed again', policy => {
    const graph = new Graph();
    for (const parameter of model.parameters) graph.declare({ ...parameter, dtype: 'float32' });
    const hidden = model.hidden(new Tracer({ graph }), { ids: graph.feed('ids', [1, 8], 'int32'), mask: { kind: 'causal' } });
    const wrt = new Map(graph.nodes.filter(({ op, shape }) => op === 'read' && shape.length === 2).map(node => [node, {}]));
    const shared = graph.nodes.filter(node => node.shared);
    expect(shared).toHaveLength(4);
    backward(graph, { seeds: [{ node: hidden, gradient: hidden }], wrt, policy });
    const again = new Set(graph.nodes.filter(node => node.recomputed).map(({ op, block, shape }) => `${op} ${block} ${shape}`));
    expect(again.size).toBeGreaterThan(0);
    for (const { op, block, shape } of shared) expect(again.has(`${op} ${block} ${shape}`), `${op} of layer ${block}`).toBe(false);
  });

  test('every level trains alike, to the bit', async () => {
    const ids = Int32Array.from({ length: 24 }, (_, i) => 3 + ((i * 37) % 60));
    const losses = await lossesByLevel({ engine: await openFast(), model, folder, ids });
    for (const own of losses) expect(own).toEqual(losses[0]);
  });
});
