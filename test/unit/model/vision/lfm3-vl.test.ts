/** Tests the images of LFM3-VL: default sizes, layouts, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';

const MODEL = 'Lfm3VlForConditionalGeneration';
const text = { ...{ model_type: 'lfm3', hidden_size: 2048, num_hidden_layers: 24 }, ...{ vocab_size: 128_000, use_sandwich_norm: true } };
/** A config with the sizes that Transformers takes for what it does not say. */
const config: ConfigJson = {
  architectures: [MODEL],
  model_type: 'lfm3_vl',
  text_config: text,
  vision_config: { model_type: 'lfm3_vl_vision' },
};
const processor: ConfigJson = {
  ...{ image_processor_type: 'Qwen2VLImageProcessorFast', patch_size: 16, merge_size: 2, temporal_patch_size: 2 },
  size: { shortest_edge: 65_536, longest_edge: 1_048_576 },
};
const encoder = (eyes: ConfigJson = {}, changes: ConfigJson = {}) =>
  required(visionEncoder(MODEL, { config: { ...config, vision_config: eyes }, processor: { ...processor, ...changes } }), 'the encoder');

describe('config.json and preprocessor_config.json', () => {
  test('the keys are known', () => {
    expect(unknownConfigKeys(config)).toEqual([]);
    expect(unknownProcessorKeys(MODEL, processor)).toEqual([]);
    expect(unknownConfigKeys({ ...config, vision_config: { window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
    expect(causalModel(config).vision).toEqual({ imageToken: 125_030, positions: 'counted', deepstack: 0, attendsWithin: false });
  });

  test('blocks have convolutions but for every other one from the third on', () => {
    const names = encoder().parameters.map(({ name }) => name);
    const attending = Array.from({ length: 14 }, (_, i) => i).filter(i =>
      names.includes(`model.vision_tower.layers.${i}.self_attn.q_proj.weight`),
    );
    expect(attending).toEqual([2, 4, 6, 8, 10, 12]);
    expect(encoder().parameters.find(({ name }) => name.endsWith('.0.conv.spatial_conv.weight'))?.shape).toEqual([1024, 1, 3, 3]);
    expect(encoder().parameters.find(({ name }) => name.endsWith('.2.self_attn.k_proj.weight'))?.shape).toEqual([512, 1024]);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['convolutions without a middle', { conv_kernel_size: 4 }, {}, /conv_kernel_size 4 is even/],
    ['a list of other length', { layer_types: ['conv'] }, {}, /layer_types has 1 entries for num_hidden_layers 14/],
    ['other types of blocks', { layer_types: Array(14).fill('sliding_attention') }, {}, /layer_types/],
    ['heads that do not share keys', { num_key_value_heads: 3 }, {}, /num_attention_heads 16 is not a multiple of num_key_value_heads 3/],
    ['heads that share no width', { num_attention_heads: 24 }, {}, /hidden_size 1024 is not a multiple of num_attention_heads 24/],
    ['other heads', { head_dim: 32 }, {}, /head_dim 32 is not supported; supported is 64/],
    ['other positions', { rope_parameters: { rope_type: 'default' } }, {}, /rope_type/],
    ['other patches', {}, { patch_size: 14 }, /patch_size is 14, and patch_size in vision_config of config.json is 16/],
    ['other squares', { spatial_merge_size: 4 }, {}, /merge_size is 2, and spatial_merge_size in vision_config of config.json is 4/],
  ])('%s are refused', (_, eyes, changes, message) => {
    expect(() => encoder(eyes, changes)).toThrow(message);
  });
});

test('the convolution of a patch reads the patches around it, and nothing beyond the borders', () => {
  const { feeds, layout } = encoder();
  const view = required(layout({ width: 512, height: 512 }).views[0], 'the view');
  expect(view.vectors).toBe(256);
  const values = new Float32Array(512 * 512 * 3);
  const { near, at } = feeds(view, { width: 512, height: 512, values });
  const [around, place] = [Array.from(required(near, 'the patches around')), Array.from(required(at, 'rows and columns'))];
  const count = 1024;
  for (let i = 0; i < count; i++)
    for (let tap = 0; tap < 9; tap++) {
      const [row, column] = [(place[i] ?? 0) + Math.floor(tap / 3) - 1, (place[count + i] ?? 0) + (tap % 3) - 1];
      const found = around[tap * count + i] ?? -1;
      if (row < 0 || column < 0 || row > 31 || column > 31) expect(found).toBe(count);
      else expect([place[found], place[count + found]]).toEqual([row, column]);
    }
});
