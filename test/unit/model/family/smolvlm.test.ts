/** Tests SmolVLM and Idefics3: the keys of published files, the sizes of tiles, and the entries of patches in the table of positions. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { bucketedGrid } from '../../../../trainer/model/layer/positions/bucketed-grid.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';
import { GOLDEN, readRecord } from '../../../support/files/read-json.ts';

const text = {
  ...{ architectures: ['VLlama3ForCausalLM'], model_type: 'llama', is_llama_config: true, neftune_noise_alpha: 0, pixel_shuffle_factor: 4 },
  ...{ head_dim: 64, hidden_size: 960, intermediate_size: 2560, num_hidden_layers: 32, num_attention_heads: 15, num_key_value_heads: 5 },
  ...{ max_position_embeddings: 8192, pad_token_id: 2, qk_layer_norms: false, rms_norm_eps: 1e-5, rope_interleaved: false },
  ...{ rope_theta: 100000, torch_dtype: 'bfloat16', use_resampler: false, vocab_size: 49280 },
};
const eyes = {
  ...{ hidden_size: 768, image_size: 512, max_image_size: { longest_edge: 512 }, model_type: 'smolvlm_vision', num_attention_heads: 12 },
  ...{ patch_size: 16, size: { longest_edge: 2048 }, tie_word_embeddings: false, use_base_siglip: false },
};
/** The config of SmolVLM2-500M. */
const published: ConfigJson = {
  ...{ architectures: ['SmolVLMForConditionalGeneration'], model_type: 'smolvlm', image_token_id: 49190, pad_token_id: 128002 },
  ...{ scale_factor: 4, tie_word_embeddings: false, torch_dtype: 'float32', transformers_version: '4.47.1', use_cache: false },
  ...{ use_reentrant_checkpointing: false, vocab_size: 49280, text_config: text, vision_config: eyes },
};
const processor: ConfigJson = {
  ...{ do_convert_rgb: true, do_image_splitting: true, do_normalize: true, do_pad: true, do_rescale: true, do_resize: true },
  ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], image_processor_type: 'SmolVLMImageProcessor', resample: 1 },
  ...{ max_image_size: { longest_edge: 512 }, processor_class: 'SmolVLMProcessor', rescale_factor: 0.00392156862745098 },
  ...{ size: { longest_edge: 2048 }, video_sampling: { fps: 1, max_frames: 64, video_size: { longest_edge: 512 } }, image_seq_len: 64 },
};
const encoder = (config: ConfigJson = {}, changes: ConfigJson = {}) =>
  required(
    visionEncoder('SmolVLMForConditionalGeneration', { config: { ...published, ...config }, processor: { ...processor, ...changes } }),
    'the encoder',
  );

describe('config.json and preprocessor_config.json', () => {
  test('the keys of published files are known', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    const model = causalModel(published);
    expect(model.vision).toEqual({ imageToken: 49190, positions: 'counted', deepstack: 0, attendsWithin: false });
    expect(model.remark).toBeUndefined();
    expect(encoder().scale).toEqual({ kernel: 'lanczos3', rescale: 0.00392156862745098, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] });
  });

  test('unknown keys of the tower are reported', () => {
    expect(unknownConfigKeys({ ...published, vision_config: { ...eyes, window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    [
      'patches that cannot be joined',
      { scale_factor: 5 },
      {},
      /tiles of 512 pixels have 32 patches per side.*not a multiple of scale_factor 5/,
    ],
    ['gray towers', { vision_config: { ...eyes, num_channels: 1 } }, {}, /num_channels 1 is not supported/],
    ['heads that share no width', { vision_config: { ...eyes, num_attention_heads: 7 } }, {}, /hidden_size 768 is not a multiple/],
    ['another filter', {}, { resample: 5 }, /preprocessor_config.json: resample 5 is not supported; supported are 1, 2, 3/],
    ['numbers that are not scaled', {}, { do_rescale: false }, /preprocessor_config.json: do_rescale false is not supported/],
    ['a size by height', {}, { size: { height: 512, width: 512 } }, /preprocessor_config.json does not describe.*size.longest_edge/],
  ])('%s', (_, config, changes, message) => {
    expect(() => encoder(config, changes)).toThrow(message);
  });
});

describe('layout', () => {
  test.each([
    [1600, 1200, 4, 3],
    [300, 300, 4, 4],
    [100, 3000, 1, 4],
    [6000, 10, 4, 1],
  ])('%d × %d pixels are %d × %d tiles', (width, height, columns, rows) => {
    const { views, text: written } = encoder().layout({ width, height });
    expect(views).toHaveLength(columns * rows + 1);
    expect(views.map(({ part }) => part?.left).at(columns - 1)).toBe(512 * (columns - 1));
    expect(views.at(-1)?.resizes.at(-1)).toEqual({ width: 512, height: 512 });
    expect(written.split('<image>').length - 1).toBe(64 * views.length);
    expect(written).toContain(`<row_${rows}_col_${columns}><image>`);
    expect(written).toContain('\n\n<fake_token_around_image><global-img><image>');
  });

  test('an image that is one tile is seen once', () => {
    const { views, text: written } = encoder({}, { do_resize: false }).layout({ width: 512, height: 512 });
    expect(views).toEqual([{ resizes: [], vectors: 64 }]);
    expect(written).toBe(`<fake_token_around_image><global-img>${'<image>'.repeat(64)}<fake_token_around_image>`);
  });
});

test('a tower of 25 patches per side has the roundings of PyTorch', () => {
  const same = (side: number) => Array.from({ length: side ** 2 }, (_, i) => i);
  for (const side of [14, 26, 27, 32]) expect(bucketedGrid([side, side], side)).toEqual(same(side));
  const row = [...[0, 1, 2, 3, 4, 4, 6, 7, 8, 8, 9, 10, 11], ...[12, 14, 14, 16, 17, 17, 19, 19, 21, 22, 22, 24]];
  expect(bucketedGrid([25, 25], 25).slice(0, 25)).toEqual(row);
});

test('the head is that of the file', () => {
  const config = readRecord(join(GOLDEN, 'idefics3', 'config.json'));
  expect(causalModel(config).head.name).toBe('model.text_model.embed_tokens');
  expect(causalModel({ ...config, tie_word_embeddings: undefined }).head.name).toBe('lm_head');
});
