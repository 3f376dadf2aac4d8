/** Tests the images of LFM2-VL: the keys of published files, tiles, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';

const MODEL = 'Lfm2VlForConditionalGeneration';
const text = {
  ...{ architectures: ['Lfm2ForCausalLM'], block_auto_adjust_ff_dim: true, block_dim: 1024, block_ff_dim: 6656, block_multiple_of: 256 },
  ...{
    conv_L_cache: 3,
    full_attn_idxs: [2, 5, 8, 10, 12, 14],
    hidden_size: 1024,
    model_type: 'lfm2',
    norm_eps: 1e-5,
    num_hidden_layers: 16,
  },
  ...{ num_attention_heads: 16, num_key_value_heads: 8, rope_theta: 1e6, tie_embedding: true, vocab_size: 65536 },
};
const eyes = {
  ...{ attention_dropout: 0, hidden_act: 'gelu_pytorch_tanh', hidden_size: 768, intermediate_size: 3072, layer_norm_eps: 1e-6 },
  ...{
    model_type: 'siglip2_vision_model',
    num_attention_heads: 12,
    num_channels: 3,
    num_hidden_layers: 12,
    num_patches: 256,
    patch_size: 16,
  },
  ...{ vision_use_head: false },
};
/** The config of LFM2-VL-450M. */
const published: ConfigJson = {
  ...{ architectures: [MODEL], do_image_splitting: true, downsample_factor: 2, encoder_patch_size: 16, image_token_index: 396 },
  ...{ max_image_tokens: 256, max_num_patches: 1024, max_pixels_tolerance: 2, max_tiles: 10, min_image_tokens: 64, min_tiles: 2 },
  ...{ model_type: 'lfm2_vl', projector_bias: true, projector_hidden_act: 'gelu', projector_hidden_size: 2560, tile_size: 512 },
  ...{ use_image_special_tokens: true, use_thumbnail: true, vision_feature_layer: -1, text_config: text, vision_config: eyes },
};
const processor: ConfigJson = {
  ...{ crop_size: null, default_to_square: true, do_image_splitting: true, do_normalize: true, do_pad: true, do_rescale: true },
  ...{ do_resize: true, downsample_factor: 2, encoder_patch_size: 16, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
  ...{ image_processor_type: 'Lfm2VlImageProcessorFast', max_image_tokens: 256, max_num_patches: 1024, max_pixels_tolerance: 2 },
  ...{ max_tiles: 10, min_image_tokens: 64, min_tiles: 2, processor_class: 'Lfm2VlProcessor', resample: 2, rescale_factor: 1 / 255 },
  ...{ return_row_col_info: true, size: { height: 512, width: 512 }, tile_size: 512, use_image_special_tokens: true, use_thumbnail: true },
};
const encoder = (config: ConfigJson = {}, changes: ConfigJson = {}) =>
  required(visionEncoder(MODEL, { config: { ...published, ...config }, processor: { ...processor, ...changes } }), 'the encoder');

describe('config.json and preprocessor_config.json', () => {
  test('the keys of published files are known', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(unknownConfigKeys({ ...published, vision_config: { ...eyes, window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
    const model = causalModel(published);
    expect(model.vision).toEqual({ imageToken: 396, positions: 'counted', deepstack: 0, attendsWithin: false });
    expect(model.remark).toBeUndefined();
  });

  test('the key of the whole model decides about the head, whose older name takes precedence', () => {
    const head = (changes: ConfigJson) => causalModel({ ...published, ...changes }).head.name;
    expect(head({})).toBe('model.language_model.embed_tokens');
    expect(head({ tie_word_embeddings: false })).toBe('lm_head');
    expect(head({ tie_word_embeddings: false, tie_embedding: true })).toBe('model.language_model.embed_tokens');
  });

  test('the projector of newer models has no norm', () => {
    const names = (config: ConfigJson) => encoder(config).parameters.map(({ name }) => name);
    expect(names({})).toContain('model.multi_modal_projector.layer_norm.weight');
    expect(names({ projector_use_layernorm: false })).not.toContain('model.multi_modal_projector.layer_norm.weight');
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['vectors of another block', { vision_feature_layer: -2 }, {}, /vision_feature_layer -2 is not supported; supported is -1/],
    ['a table that is no square', { vision_config: { ...eyes, num_patches: 250 } }, {}, /num_patches 250 positions do not form a square/],
    ['heads that share no width', { vision_config: { ...eyes, num_attention_heads: 7 } }, {}, /hidden_size 768 is not a multiple/],
    ['other patches', {}, { encoder_patch_size: 14 }, /encoder_patch_size is 14, and patch_size in vision_config of config.json is 16/],
    ['other squares', { downsample_factor: 4 }, {}, /downsample_factor is 2, and downsample_factor of config.json is 4/],
    ['tiles that are cut', {}, { tile_size: 500 }, /tile_size 500 is not a multiple of encoder_patch_size · downsample_factor 32/],
    ['many tiles at least', {}, { min_tiles: 3 }, /min_tiles 3 is not supported; supported are 1, 2/],
    ['single tiles', {}, { min_tiles: 1 }, /min_tiles 1 with max_tiles 10 is not supported/],
    ['no tiles at all', {}, { max_tiles: 1 }, /min_tiles 2 is greater than max_tiles 1/],
    ['limits that exclude each other', {}, { min_image_tokens: 300 }, /min_image_tokens 300 is greater than max_image_tokens 256/],
    ['images without padding', {}, { do_pad: false }, /do_pad false is not supported; supported is true/],
  ])('%s is refused', (_, config, changes, message) => {
    expect(() => encoder(config, changes)).toThrow(message);
  });
});

describe('layout', () => {
  // By Transformers' image processor.
  test.each([
    [1250, 1000, 3, 3, 544, 448],
    [1024, 512, 1, 1, 704, 352],
    [1024, 1024, 2, 2, 512, 512],
    [725, 724, 2, 2, 512, 480],
    [736, 720, 1, 1, 512, 480],
    [48, 16, 1, 1, 448, 160],
    [5000, 20, 1, 1, 4992, 32],
  ])('%i × %i pixels are %i × %i tiles, and %i × %i as a whole', (width, height, columns, rows, wide, high) => {
    const { views, text: written } = encoder().layout({ width, height });
    const tiles = columns * rows;
    expect(views).toHaveLength(tiles === 1 ? 1 : tiles + 1);
    expect(views.at(-1)?.resizes).toEqual([{ width: wide, height: high }]);
    const vectors = (tiles === 1 ? 0 : 256 * tiles) + (wide * high) / 32 ** 2;
    expect(views.reduce((sum, view) => sum + view.vectors, 0)).toBe(vectors);
    expect(written.split('<image>')).toHaveLength(vectors + 1);
    expect(/^<\|image_start\|>.*<\|image_end\|>$/.test(written)).toBe(true);
    expect(written.includes(`<|img_row_${rows}_col_${columns}|><image>`)).toBe(tiles > 1);
  });

  test('of two grids that are as close, the larger one is taken for a large image', () => {
    const { layout } = encoder({}, { max_tiles: 3 });
    expect(elementAt(layout({ width: 1250, height: 1000 }).views, 0).resizes).toEqual([{ width: 1024, height: 512 }]);
  });

  test('marks and the picture of the whole can be left out', () => {
    const { text: written, views } = encoder({}, { use_image_special_tokens: false, use_thumbnail: false }).layout({
      width: 1024,
      height: 1024,
    });
    expect(written).toBe('<image>'.repeat(1024));
    expect(views.map(({ part }) => [part?.left, part?.top])).toEqual([
      [0, 0],
      [512, 0],
      [0, 512],
      [512, 512],
    ]);
  });

  test('images are not divided if there is to be one tile, or if the pixels of two are too many', () => {
    const whole = [{ resizes: [{ width: 512, height: 512 }], vectors: 256 }];
    const image = { width: 2000, height: 2000 };
    expect(encoder({}, { do_image_splitting: false }).layout(image).views).toEqual(whole);
    expect(encoder({}, { min_tiles: 1, max_tiles: 1 }).layout(image).views).toEqual(whole);
    expect(encoder().layout(image, 500_000).views).toEqual(whole);
    expect(encoder().layout(image, 589_824).views).toHaveLength(3);
    expect(encoder().layout(image, 100_000).views).toEqual([{ resizes: [{ width: 288, height: 288 }], vectors: 81 }]);
  });
});
