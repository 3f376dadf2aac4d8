/** UltraBERT: the keys of its first files, its windows, and what is refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ConfigJson } from '../../../../../trainer/model/config-json.ts';
import { ultraBertConfig } from '../../../../../trainer/model/family/text/ultrabert.ts';
import { unknownConfigKeys } from '../../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../../support/files/read-json.ts';

const configOf = (name: string): ConfigJson => readRecord(join(import.meta.dirname, '..', '..', '..', '..', 'golden', name, 'config.json'));

const read = (changes: ConfigJson, name = 'ultrabert_mean') =>
  ultraBertConfig('UltrabertForSequenceClassification', { prefix: 'ultrabert.', hasHead: true }, { ...configOf(name), ...changes }, {});
const windowsOf = ({ blocks }: ReturnType<typeof read>) => blocks.attention.layers.map(({ window }) => window);
const basesOf = ({ blocks }: ReturnType<typeof read>) => blocks.positions.map(own => own?.theta);

test('windows and bases of the first files, which describe each block, are those of the newer keys', () => {
  const first = read({});
  expect([windowsOf(first), basesOf(first)]).toEqual([
    [undefined, 4, 4],
    [5000, 50, 50],
  ]);
  expect(unknownConfigKeys(configOf('ultrabert_mean'))).toEqual([]);
  const { attention_windows: _, rope_theta: __, ...others } = configOf('ultrabert_mean');
  const newer = {
    layer_types: ['full_attention', 'sliding_attention', 'sliding_attention'],
    sliding_window: 3,
    rope_parameters: {
      full_attention: { rope_type: 'default', rope_theta: 5000 },
      sliding_attention: { rope_type: 'default', rope_theta: 50 },
    },
  };
  const same = ultraBertConfig('UltrabertForSequenceClassification', { prefix: 'ultrabert.', hasHead: true }, { ...others, ...newer }, {});
  expect(same).toEqual(first);
});

test('without a list, every third block has no window, and both kinds have bases of their own', () => {
  const usual = read({ layer_types: null, rope_parameters: null, num_hidden_layers: 4 }, 'ultrabert');
  expect([windowsOf(usual), basesOf(usual)]).toEqual([
    [3, 3, undefined, 3],
    [10_000, 10_000, 2_560_000, 10_000],
  ]);
});

test.each<[string, ConfigJson, RegExp]>([
  ['windows of two sizes', { attention_windows: [null, 3, 5] }, /attention_windows has windows of 3 and 5/],
  ['a window that another key contradicts', { sliding_window: 7 }, /attention_windows has windows of 7 and 3/],
  ['windows of other blocks', { attention_windows: [null, 3] }, /attention_windows has 2 entries for 3 blocks/],
  ['bases that differ within a kind', { rope_theta: [5000, 50, 60] }, /rope_theta needs a base for each of 3 blocks, the same/],
  ['bases of other blocks', { rope_theta: [5000, 50] }, /rope_theta needs a base for each of 3 blocks/],
  ['one base for all', { rope_theta: 5000 }, /rope_theta/],
])('%s are refused', (_, changes, message) => {
  expect(() => read(changes)).toThrow(message);
});
