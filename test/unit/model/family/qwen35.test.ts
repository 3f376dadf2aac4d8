/** Tests Qwen3.5: which layers use attention, and what they cache. The laws of its states are in `states.test.ts`. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { decoderConfig } from '../../../../trainer/model/family/decoder/decoder-families.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { readRecord } from '../../../support/files/read-json.ts';

const folder = join(import.meta.dirname, '..', '..', '..', 'golden', 'qwen3_5');
const saved: ConfigJson = readRecord(join(folder, 'config.json'));
const { layer_types: _, ...rest } = saved;
const model = causalModel(saved);
const read = (config: ConfigJson) => decoderConfig('Qwen3_5ForCausalLM', config);

describe('config.json', () => {
  test('every fourth layer attends, where no list says which', () => {
    const layersOf = (changes: ConfigJson) => read({ ...rest, num_hidden_layers: 8, ...changes }).delta?.layers;
    expect(layersOf({})).toEqual([true, true, true, false, true, true, true, false]);
    expect(layersOf({ full_attention_interval: 3 })).toEqual([true, true, false, true, true, false, true, true]);
  });

  test('the keys of a published text part are known', () => {
    const published = {
      ...{ architectures: ['Qwen3_5ForConditionalGeneration'], model_type: 'qwen3_5', tie_word_embeddings: true },
      ...{ image_token_id: 248056, video_token_id: 248057, vision_start_token_id: 248053, vision_end_token_id: 248054, vision_config: {} },
      text_config: {
        ...{ ...saved, architectures: undefined },
        ...{
          attn_output_gate: true,
          output_gate_type: 'swish',
          full_attention_interval: 4,
          mamba_ssm_dtype: 'float32',
          mlp_only_layers: [],
        },
        ...{ mtp_num_hidden_layers: 1, mtp_use_dedicated_embeddings: false },
      },
    };
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(causalModel(published).vision).toEqual({ imageToken: 248056, positions: 'grid', deepstack: 0, attendsWithin: false });
    expect(causalModel(published).remark).toBeUndefined();
  });

  test.each<[string, ConfigJson, RegExp]>([
    [
      'value heads that share no key head',
      { linear_num_value_heads: 3 },
      /linear_num_value_heads 3 is not a multiple of linear_num_key_heads 2/,
    ],
    ['attention without gates', { attn_output_gate: false }, /attn_output_gate false is not supported/],
    ['another gate', { output_gate_type: 'sigmoid' }, /output_gate_type "sigmoid" is not supported/],
    ['a list of another length', { layer_types: ['linear_attention'] }, /layer_types has 1 entries for num_hidden_layers 3/],
    ['a layer of another type', { layer_types: Array(3).fill('sliding_attention') }, /layer_types/],
  ])('%s', (_, changes, message) => {
    expect(() => read({ ...rest, ...changes })).toThrow(message);
  });
});

test('layers with a state cache it in place of keys and values', () => {
  expect(model.keyValues.map(own => own?.headDim)).toEqual([undefined, 16, undefined]);
  const shape = { recent: [3, 2 * 2 * 8 + 4 * 6], memory: [4, 8, 6] };
  expect([...(model.states ?? [])]).toEqual([
    [0, shape],
    [2, shape],
  ]);
});
