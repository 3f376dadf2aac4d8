/** Tests the images of Gemma 4: the keys of published files, sizes, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';

const types = ['sliding_attention', 'full_attention'];
const text = { hidden_size: 1536, hidden_size_per_layer_input: 0, layer_types: types, model_type: 'gemma4_text', num_hidden_layers: 2 };
const tower = {
  ...{ attention_bias: false, attention_dropout: 0, default_output_length: 280, global_head_dim: 64, head_dim: 64, hidden_size: 768 },
  ...{ hidden_activation: 'gelu_pytorch_tanh', intermediate_size: 3072, max_position_embeddings: 131072, model_type: 'gemma4_vision' },
  ...{ num_attention_heads: 12, num_hidden_layers: 16, num_key_value_heads: 12, patch_size: 16, pooling_kernel_size: 3 },
  ...{ position_embedding_size: 10240, rope_parameters: { rope_theta: 100, rope_type: 'default' }, use_clipped_linears: true },
};
/** The config of Gemma 4 E2B, with two blocks of text. */
const published: ConfigJson = {
  ...{ architectures: ['Gemma4ForConditionalGeneration'], audio_config: { model_type: 'gemma4_audio' }, audio_token_id: 258881 },
  ...{ boi_token_id: 255999, eoa_token_index: 258883, eoi_token_id: 258882, image_token_id: 258880, model_type: 'gemma4' },
  ...{ text_config: text, video_token_id: 258884, vision_config: tower, vision_soft_tokens_per_image: 280 },
};
const processor: ConfigJson = {
  ...{ do_convert_rgb: true, do_normalize: false, do_rescale: true, do_resize: true, image_mean: [0, 0, 0], image_std: [1, 1, 1] },
  ...{ image_processor_type: 'Gemma4ImageProcessor', image_seq_length: 280, max_soft_tokens: 280, patch_size: 16 },
  ...{ pooling_kernel_size: 3, resample: 3, rescale_factor: 0.00392156862745098 },
};
const encoder = (config: ConfigJson = {}, changes: ConfigJson = {}) =>
  required(
    visionEncoder('Gemma4ForConditionalGeneration', { config: { ...published, ...config }, processor: { ...processor, ...changes } }),
    'the encoder',
  );
const bidirectional = { text_config: { ...text, use_bidirectional_attention: 'vision' } };

test('published files are read, and sounds are not', () => {
  expect(unknownConfigKeys(published)).toEqual([]);
  const model = causalModel(published);
  expect(model.vision).toEqual({ imageToken: 258880, positions: 'counted', deepstack: 0, attendsWithin: false });
  expect(model.remark).toBe('The part of this model that hears is not loaded: it reads texts and images.');
  expect(encoder().layout({ width: 1000, height: 800 }).text).toBe(`<|image>${'<|image|>'.repeat(252)}<image|>`);
});

test('parts that a file lacks are not read', () => {
  const without = { ...published, audio_config: null };
  expect(causalModel(without).remark).toBeUndefined();
  expect(causalModel({ ...without, vision_config: null })).toMatchObject({
    vision: undefined,
    remark: expect.stringContaining('no images'),
  });
});

test('the tokens of an image attend to each other if the config says so', () => {
  expect(causalModel({ ...published, ...bidirectional }).vision).toMatchObject({ attendsWithin: 'windowed', tokensPerImage: 280 });
  const unified = {
    ...{ ...published, architectures: ['Gemma4UnifiedForConditionalGeneration'], vision_config: { patch_size: 16 } },
    text_config: { hidden_size: 1536, layer_types: types, num_hidden_layers: 2 },
  };
  expect(causalModel(unified).vision).toMatchObject({ attendsWithin: 'all', tokensPerImage: 280 });
  const read = (window: number) => () =>
    visionEncoder('Gemma4UnifiedForConditionalGeneration', {
      config: { ...unified, text_config: { ...unified.text_config, sliding_window: window } },
      processor: {},
    });
  expect(read(1024)).not.toThrow();
  expect(read(256)).toThrow(/max_soft_tokens 280 is not supported; supported is at most sliding_window 256/);
});

// The sizes of Transformers' `get_aspect_ratio_preserving_size`.
test.each([
  [1000, 800, 280, 864, 672],
  [3000, 20, 280, 9792, 48],
  [20, 3000, 280, 48, 9792],
  [48, 48, 280, 768, 768],
  [640, 480, 140, 624, 480],
  [7000, 10, 280, 13440, 48],
  [1, 100, 280, 48, 8016],
  [1920, 1080, 1120, 2112, 1200],
])('an image of %i × %i pixels and at most %i tokens becomes %i × %i pixels', (width, height, max_soft_tokens, across, down) => {
  const { views } = encoder({}, { max_soft_tokens }).layout({ width, height });
  expect(views).toEqual([{ resizes: [{ width: across, height: down }], vectors: (across * down) / 48 ** 2 }]);
});

test('image_max_pixels chooses the next of the numbers of tokens that the processor has, and at most its own', () => {
  const { layout } = encoder();
  const tokens = (maxPixels: number) => elementAt(layout({ width: 480, height: 480 }, maxPixels).views, 0).vectors;
  expect([1, 161_280, 161_281, 322_561, 589_824, 10_000_000].map(tokens)).toEqual([64, 64, 121, 256, 256, 256]);
});

describe('refused', () => {
  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    [
      'another number of tokens',
      {},
      { max_soft_tokens: 100 },
      /max_soft_tokens 100 is not supported; supported are 70, 140, 280, 560, 1120/,
    ],
    ['another patch', {}, { patch_size: 14 }, /patch_size is 14, and in vision_config of config.json 16/],
    ['images that stay as they are', {}, { do_resize: false }, /preprocessor_config.json: do_resize false is not supported/],
    [
      'more tokens than are read at once',
      bidirectional,
      { max_soft_tokens: 560 },
      /set vision_soft_tokens_per_image in config.json, now 280/,
    ],
    [
      'a short table',
      { vision_config: { ...tower, position_embedding_size: 800 } },
      {},
      /position_embedding_size 800 is less than the 840 places/,
    ],
    [
      'heads that share unevenly',
      { vision_config: { ...tower, num_key_value_heads: 5 } },
      {},
      /num_attention_heads 12 is not a multiple of/,
    ],
    ['other positions', { vision_config: { ...tower, rope_scaling: { factor: 2 } } }, {}, /rope_scaling/],
  ])('%s', (_, config, changes, message) => {
    expect(() => encoder(config, changes)).toThrow(message);
  });
});
