/** Tests the images of Mistral 3: the keys of published files, sizes, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import { processorSettings } from '../../../../trainer/format/image/processor-config.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';

const MODEL = 'Mistral3ForConditionalGeneration';
const text = {
  ...{ attention_dropout: 0, head_dim: 128, hidden_act: 'silu', hidden_size: 5120, initializer_range: 0.02, intermediate_size: 32768 },
  ...{ max_position_embeddings: 131072, model_type: 'mistral', num_attention_heads: 32, num_hidden_layers: 40, num_key_value_heads: 8 },
  ...{ rms_norm_eps: 1e-5, rope_theta: 1e9, sliding_window: null, use_cache: true, vocab_size: 131072 },
};
const eyes = {
  ...{ attention_dropout: 0, head_dim: 64, hidden_act: 'silu', hidden_size: 1024, image_size: 1540, initializer_range: 0.02 },
  ...{ intermediate_size: 4096, model_type: 'pixtral', num_attention_heads: 16, num_channels: 3, num_hidden_layers: 24, patch_size: 14 },
  ...{ rope_theta: 10000 },
};
/** The config of Mistral Small 3.1. */
const published: ConfigJson = {
  ...{ architectures: [MODEL], image_token_index: 10, model_type: 'mistral3', multimodal_projector_bias: false },
  ...{ projector_hidden_act: 'gelu', spatial_merge_size: 2, torch_dtype: 'bfloat16', vision_feature_layer: -1 },
  ...{ text_config: text, vision_config: eyes },
};
const whole = {
  ...{ image_break_token: '[IMG_BREAK]', image_end_token: '[IMG_END]', image_token: '[IMG]', patch_size: 14 },
  ...{ processor_class: 'PixtralProcessor', spatial_merge_size: 2 },
};
const own = {
  ...{ crop_size: null, data_format: 'channels_first', default_to_square: true, device: null, do_center_crop: null, do_convert_rgb: true },
  ...{ do_normalize: true, do_rescale: true, do_resize: true, image_mean: [0.48145466, 0.4578275, 0.40821073], input_data_format: null },
  ...{
    image_processor_type: 'PixtralImageProcessorFast',
    image_std: [0.26862954, 0.26130258, 0.27577711],
    resample: 3,
    return_tensors: null,
  },
  ...{ patch_size: { height: 16, width: 16 }, rescale_factor: 0.00392156862745098, size: { longest_edge: 1540 } },
};
const encoder = (config: ConfigJson = {}, processor: ConfigJson = {}) => {
  const files = { config: { ...published, ...config }, processor: { ...processorSettings(whole, own), ...processor } };
  return required(visionEncoder(MODEL, files), 'the encoder');
};

describe('config.json and processor_config.json', () => {
  test('the keys of published files are known', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(unknownConfigKeys({ ...published, vision_config: { ...eyes, window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
    const model = causalModel(published);
    expect(model.vision).toEqual({ imageToken: 10, positions: 'counted', deepstack: 0, attendsWithin: false });
    expect(model.remark).toBeUndefined();
  });

  test('newer files have all settings in one file, and another name for the positions', () => {
    const newer = processorSettings({ ...whole, image_processor: { ...own, do_pad: null, image_seq_length: null, pad_size: null } });
    const rope = { rope_theta: 10000, rope_type: 'default' };
    const files = { config: { ...published, vision_config: { ...eyes, rope_parameters: rope } }, processor: newer };
    const size = { width: 300, height: 200 };
    expect(visionEncoder(MODEL, files)?.layout(size)).toEqual(encoder().layout(size));
  });

  test('older files have shorter names', () => {
    const forms = encoder().parameters.map(({ stack }) => JSON.stringify(stack?.forms));
    expect(forms.filter(form => /"(vision_tower|multi_modal_projector)\./.test(form ?? ''))).toHaveLength(forms.length);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    [
      'vectors of another block',
      { vision_feature_layer: -2 },
      {},
      /config.json: vision_feature_layer -2 is not supported; supported is -1/,
    ],
    ['a gray tower', { vision_config: { ...eyes, num_channels: 1 } }, {}, /num_channels 1 is not supported/],
    ['other widths of heads', { vision_config: { ...eyes, head_dim: 32 } }, {}, /head_dim 32 is not supported; supported is 64/],
    [
      'heads that cannot turn',
      { vision_config: { ...eyes, head_dim: 2, hidden_size: 512, num_attention_heads: 256 } },
      {},
      /heads of 2 features cannot be rotated by row and column/,
    ],
    ['other patches', {}, { patch_size: 16 }, /patch_size is 16, and patch_size in vision_config of config.json is 14/],
    ['other squares', {}, { spatial_merge_size: 1 }, /spatial_merge_size is 1, and spatial_merge_size in config.json is 2/],
    ['no limit', {}, { size: { shortest_edge: 5 } }, /size needs longest_edge, or height and width/],
    ['another processor', {}, { image_processor_type: 'ViTImageProcessor' }, /image_processor_type "ViTImageProcessor" is not supported/],
  ])('%s is refused', (_, config, processor, message) => {
    expect(() => encoder(config, processor)).toThrow(message);
  });

  test('a folder without the files of a processor is refused', () => {
    expect(() => visionEncoder(MODEL, { config: published, processor: {} })).toThrow(
      /processor_config.json and .* are missing.*Take the files/,
    );
  });
});

describe('layout', () => {
  // By Transformers' get_resize_output_image_size.
  test.each([
    [1920, 1080, 1540, 868],
    [1540, 1540, 1540, 1540],
    [6000, 4000, 1540, 1036],
    [30, 20, 56, 28],
    [3000, 10, 1540, 28],
    [28, 29, 28, 56],
  ])('%i × %i pixels become %i × %i', (width, height, wide, high) => {
    const { views, text: written } = encoder().layout({ width, height });
    const [rows, columns] = [high / 28, wide / 28];
    expect(views).toEqual([{ resizes: [{ width: wide, height: high }], vectors: rows * columns }]);
    const lines = written.replace(/\[IMG_END\]$/, '').split('[IMG_BREAK]');
    expect(lines).toEqual(Array(rows).fill('[IMG]'.repeat(columns)));
  });

  test('sides have limits of their own, and a number of pixels another', () => {
    const { layout } = encoder({}, { size: { height: 280, width: 560 } });
    const resized = (maxPixels?: number) => elementAt(elementAt(layout({ width: 2000, height: 900 }, maxPixels).views, 0).resizes, 0);
    expect(resized()).toEqual({ width: 560, height: 252 });
    expect(resized(100_000)).toEqual({ width: 448, height: 196 });
    expect(resized(1)).toEqual({ width: 84, height: 28 });
  });

  test('an image of which nothing would be left is refused', () => {
    expect(() => encoder().layout({ width: 3100, height: 1 })).toThrow(/no image of 3100 × 1 pixels.*Crop the image/);
  });
});
