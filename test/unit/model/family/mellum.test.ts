/** Mellum 2: what its config gives each block, the saved config, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', 'mellum', 'config.json'));
const read = (changes: ConfigJson) => decoderConfig('MellumForCausalLM', { ...saved, ...changes });

test('the type of a block gives its window, its positions and whether it has experts', () => {
  expect(unknownConfigKeys(saved)).toEqual([]);
  const { attention, positions, experts } = read({});
  expect(attention.layers.map(({ window }) => window)).toEqual([5, undefined, 5]);
  expect(positions.map(own => [own?.theta, own?.scaling.type])).toEqual([
    [500, 'default'],
    [10000, 'yarn'],
    [500, 'default'],
  ]);
  expect(experts).toMatchObject({ count: 8, chosen: 3, sumsToOne: true, layers: [false, true, true] });
});

test('a config of the model type alone has the sizes and positions of Transformers', () => {
  const { attention, positions, experts, hiddenSize, blocks } = decoderConfig('MellumForCausalLM', {
    architectures: ['MellumForCausalLM'],
  });
  expect([hiddenSize, blocks, attention.heads]).toEqual([2304, 28, 32]);
  expect(attention.layers[0]).toEqual({ kvHeads: 4, headDim: 128, window: undefined });
  expect(positions[0]).toMatchObject({ theta: 5e5, features: 128 });
  expect(experts).toMatchObject({ count: 64, chosen: 8, intermediateSize: 896, layers: new Array(28).fill(true) });
});

test('layers that guess further tokens, and keys that Transformers does not read, change nothing', () => {
  const unread = { rope_theta: 7, num_nextn_predict_layers: 1, mtp_layer_types: ['sliding_attention'], mlp_only_layers: [1] };
  expect(read(unread)).toEqual(read({}));
});

const ofFull = { full_attention: { rope_type: 'default', rope_theta: 10000 } };
test.each<[ConfigJson, RegExp]>([
  [{ rope_parameters: ofFull }, /rope_parameters has no rope_theta for "sliding_attention", which blocks have/],
  [{ rope_parameters: { rope_theta: 500 } }, /rope_parameters\.rope_theta 500 is not supported/],
  [{ rope_scaling: { rope_type: 'linear', factor: 2 } }, /rope_scaling .* is not supported/],
  [{ sliding_window: null }, /sliding_window is null, and layer_types has "sliding_attention"/],
  [{ mlp_layer_types: ['sparse'] }, /mlp_layer_types has 1 entries for num_hidden_layers 3/],
  [{ num_experts: 4 }, /num_experts 4 and num_local_experts 8 differ/],
  [{ output_router_logits: true }, /output_router_logits true is not supported/],
])('%j is refused', (changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
