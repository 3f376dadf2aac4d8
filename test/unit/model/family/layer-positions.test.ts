/** Tests rotary positions and windows that differ between the blocks of LFM3 and of Granite with sliding windows. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const saved = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', 'golden', name, 'config.json'));
const lfm3 = (changes: ConfigJson) => decoderConfig('Lfm3ForCausalLM', { ...saved('lfm3'), ...changes });
const graniteSwa = (changes: ConfigJson) => decoderConfig('GraniteSWAForCausalLM', { ...saved('granite_swa'), ...changes });

test('LFM3: positions and windows follow the type of a block, and blocks with a convolution have none', () => {
  const { positions, attention, convolution } = lfm3({});
  expect(positions.map(own => own?.theta)).toEqual([undefined, 1e4, 1e6, undefined]);
  expect(positions.map(own => own?.scaling.type)).toEqual([undefined, 'default', 'proportional', undefined]);
  expect(attention.layers.map(({ window }) => window)).toEqual([undefined, 5, undefined, undefined]);
  expect(convolution?.layers).toEqual([true, false, false, true]);
});

test('LFM3: without a list, the third of every four blocks has full attention, and the first, except block 0, a window', () => {
  const { attention, convolution } = lfm3({ layer_types: null, num_hidden_layers: 7 });
  expect(convolution?.layers).toEqual([true, true, false, true, false, true, false]);
  expect(attention.layers.map(({ window }) => window)).toEqual([undefined, undefined, undefined, undefined, 5, undefined, undefined]);
});

test('Granite: each block has the base that the list names, and 0 means no rotation', () => {
  const { positions, attention } = graniteSwa({});
  expect(positions.map(own => own?.theta)).toEqual([undefined, 1e4, 500]);
  expect(attention.layers.map(({ window }) => window)).toEqual([undefined, 5, 5]);
  const scaled = graniteSwa({ rope_parameters: { rope_type: 'linear', factor: 2, rope_theta: 7 } });
  expect(scaled.positions.map(own => own?.scaling.type)).toEqual([undefined, 'linear', 'linear']);
  expect(
    graniteSwa({ layer_rope_theta: null, rope_parameters: { rope_type: 'default', rope_theta: 7 } }).positions.map(own => own?.theta),
  ).toEqual([7, 7, 7]);
});

test('Granite with experts: windows, sinks and bases as without, and a shared MLP next to the experts', () => {
  const { positions, attention, experts } = decoderConfig('GraniteMoeSWAForCausalLM', saved('granitemoe_swa'));
  expect(positions.map(own => own?.theta)).toEqual([undefined, 1e4, 500]);
  expect(attention).toMatchObject({ sinks: true, layers: [{ window: undefined }, { window: 5 }, { window: 5 }] });
  expect(experts).toMatchObject({ count: 4, chosen: 2, shared: { intermediateSize: 20 } });
});

test.each<[string, () => unknown, RegExp]>([
  ['LFM3 without norms behind', () => lfm3({ use_sandwich_norm: false }), /use_sandwich_norm false is not supported/],
  [
    'a type without positions',
    () => lfm3({ rope_parameters: { full_attention: { rope_type: 'default', rope_theta: 1e4 } } }),
    /no record for the layers of the type "sliding_attention"/,
  ],
  ['a window without a size', () => lfm3({ sliding_window: null }), /sliding_window is null/],
  ['bases for other blocks', () => graniteSwa({ layer_rope_theta: [0] }), /layer_rope_theta has 1 entries for num_hidden_layers 3/],
  ['a wrong scaling', () => graniteSwa({ rope_parameters: { rope_type: 'yarn', rope_theta: 7 } }), /needs factor/],
])('%s is refused', (_, read, message) => {
  expect(read).toThrow(message);
});
