/** Tests the images of LightOnOCR: the keys of published files, layouts, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import { processorSettings } from '../../../../trainer/format/image/processor-config.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';

const MODEL = 'LightOnOcrForConditionalGeneration';
const text = {
  ...{ model_type: 'qwen3', hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28, num_attention_heads: 16, head_dim: 128 },
  ...{ num_key_value_heads: 8, vocab_size: 151_936, max_position_embeddings: 16_384, rms_norm_eps: 1e-6, rope_theta: 1e6 },
};
const eyes = {
  ...{ model_type: 'pixtral', hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 24, num_attention_heads: 16, head_dim: 64 },
  ...{ hidden_act: 'silu', image_size: 1540, patch_size: 14, rope_theta: 10_000, attention_dropout: 0, num_channels: 3 },
};
/** A config of LightOnOCR-1B, which has keys of Mistral 3 too. */
const published: ConfigJson = {
  ...{ architectures: [MODEL], model_type: 'lighton_ocr', image_token_id: 151_655, multimodal_projector_bias: false },
  ...{ projector_hidden_act: 'gelu', spatial_merge_size: 2, vision_feature_layer: -1, text_config: text, vision_config: eyes },
};
const images = {
  ...{ image_processor_type: 'PixtralImageProcessorFast', patch_size: 14, do_pad: true, resample: 3 },
  size: { longest_edge: 1540 },
};
const whole = { processor_class: 'LightOnOcrProcessor', patch_size: 14, spatial_merge_size: 2 };
const encoder = (config: ConfigJson = {}, own: ConfigJson = {}, outer: ConfigJson = {}) => {
  const processor = processorSettings({ ...whole, ...outer, image_processor: { ...images, ...own } });
  return required(visionEncoder(MODEL, { config: { ...published, ...config }, processor }), 'the encoder');
};

test('the keys of published files are known', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  expect(unknownProcessorKeys(MODEL, { ...whole, image_processor: images })).toEqual([]);
  const model = causalModel(published);
  expect(model.vision).toEqual({ imageToken: 151_655, positions: 'counted', deepstack: 0, attendsWithin: false });
  expect(model.head.name).toBe('model.language_model.embed_tokens');
});

// By Transformers' image processor.
test.each([
  [1000, 1414, 14, 1008, 1414, 36 * 50],
  [2000, 1000, 14, 1540, 770, 55 * 27],
  [1000, 1414, 28, 1008, 1428, 36 * 51],
])('%i × %i pixels with sides of multiples of %i are read as %i × %i, %i vectors', (width, height, step, wide, high, vectors) => {
  const { views, text: written } = encoder({}, { patch_size: step }).layout({ width, height });
  expect(views).toEqual([{ resizes: [{ width: wide, height: high }], vectors }]);
  expect(written).toBe('<|image_pad|>'.repeat(vectors));
});

test('an image is made smaller for a limit of pixels', () => {
  const { views } = encoder().layout({ width: 1000, height: 1414 }, 589_824);
  const { width, height } = required(views[0]?.resizes[0], 'the size');
  expect(width * height).toBeLessThanOrEqual(589_824);
  expect([width % 14, height % 14]).toEqual([0, 0]);
});

describe('refused', () => {
  test.each<[string, ConfigJson, ConfigJson, ConfigJson, RegExp]>([
    ['a biased projector', { multimodal_projector_bias: true }, {}, {}, /multimodal_projector_bias true is not supported/],
    ['other activations', { projector_hidden_act: 'relu' }, {}, {}, /projector_hidden_act "relu" is not supported; supported is "gelu"/],
    ['other patches', {}, {}, { patch_size: 16 }, /patch_size is 16, and patch_size in vision_config of config.json is 14/],
    ['other squares', {}, {}, { spatial_merge_size: 1 }, /spatial_merge_size is 1, and spatial_merge_size in config.json is 2/],
    [
      'sides that are no multiples',
      {},
      { patch_size: 16 },
      {},
      /patch_size of the image processor is 16: it must be square and a multiple/,
    ],
    ['oblong steps', {}, { patch_size: { height: 14, width: 28 } }, {}, /patch_size of the image processor is 14 × 28/],
    ['no size', {}, { size: {} }, {}, /size needs longest_edge, or height and width/],
  ])('%s', (_, config, own, outer, message) => {
    expect(() => encoder(config, own, outer)).toThrow(message);
  });

  test('images that become no vector', () => {
    expect(() => encoder().layout({ width: 1540, height: 10 })).toThrow(/takes no image of 1540 × 10 pixels: its shorter side/);
  });

  test('a folder without the files of the processor', () => {
    expect(() => visionEncoder(MODEL, { config: published, processor: {} })).toThrow(/processor_config\.json and .* are missing/);
  });
});
