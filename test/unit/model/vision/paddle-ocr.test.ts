/** Tests the images of PaddleOCR-VL: the keys of published files, sizes, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';

const MODEL = 'PaddleOCRVLForConditionalGeneration';
const text = {
  ...{ vocab_size: 103_424, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 18, num_attention_heads: 16, head_dim: 128 },
  ...{ num_key_value_heads: 2, max_position_embeddings: 131_072, rms_norm_eps: 1e-5, use_bias: false, hidden_act: 'silu' },
  ...{ rope_theta: 500_000, rope_scaling: { type: 'default', rope_type: 'default', mrope_section: [16, 24, 24] } },
};
const eyes = {
  ...{ model_type: 'paddleocr_vl', hidden_size: 1152, intermediate_size: 4304, num_hidden_layers: 27, num_attention_heads: 16 },
  ...{ image_size: 384, patch_size: 14, spatial_merge_size: 2, temporal_patch_size: 2, tokens_per_second: 2, num_channels: 3 },
  ...{ hidden_act: 'gelu_pytorch_tanh', layer_norm_eps: 1e-6, attention_dropout: 0, pad_token_id: 0 },
};
/** A config in the published form, with the keys of the text part next to the others. */
const published: ConfigJson = {
  ...{ architectures: [MODEL], model_type: 'paddleocr_vl', image_token_id: 100_295, tie_word_embeddings: false, ...text },
  ...{ compression_ratio: 1, ignored_index: -100, use_3d_rope: true, rope_is_neox_style: true, weight_share_add_bias: true },
  ...{ max_sequence_length: null, hidden_dropout_prob: 0, use_flash_attention: false, sliding_window: null },
  vision_config: eyes,
};
const processor: ConfigJson = {
  ...{ image_processor_type: 'PaddleOCRVLImageProcessor', patch_size: 14, merge_size: 2, temporal_patch_size: 1 },
  ...{ min_pixels: 147_384, max_pixels: 2_822_400, do_rescale: true },
};
const encoder = (changed: ConfigJson = {}, changes: ConfigJson = {}) => {
  const config = { ...published, vision_config: { ...eyes, ...changed } };
  return required(visionEncoder(MODEL, { config, processor: { ...processor, ...changes } }), 'the encoder');
};

describe('config.json and preprocessor_config.json', () => {
  test('the keys of published files are known', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(unknownProcessorKeys(MODEL, processor)).toEqual([]);
    expect(causalModel(published).vision).toEqual({ imageToken: 100_295, positions: 'grid', deepstack: 0, attendsWithin: false });
  });

  test('the head is tied unless the configs say otherwise', () => {
    const inside = (root: boolean, own: ConfigJson) =>
      causalModel({ architectures: [MODEL], tie_word_embeddings: root, text_config: { ...text, ...own }, vision_config: eyes }).head.name;
    expect(causalModel(published).head.name).toBe('lm_head');
    expect(causalModel({ ...published, tie_word_embeddings: true }).head.name).toBe('model.embed_tokens');
    expect(inside(false, {})).toBe('model.embed_tokens');
    expect(inside(true, { tie_word_embeddings: false })).toBe('model.embed_tokens');
    expect(inside(false, { tie_word_embeddings: false })).toBe('lm_head');
  });

  test('the table of positions has a row for each whole patch', () => {
    const shapes = Object.fromEntries(encoder().parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes).toMatchObject({
      'visual.vision_model.embeddings.position_embedding.weight': [729, 1152],
      'mlp_AR.linear_1.weight': [4608, 4608],
      'mlp_AR.linear_2.weight': [1024, 4608],
    });
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['heads that share no width', { num_attention_heads: 14 }, {}, /hidden_size 1152 is not a multiple of num_attention_heads 14/],
    ['other positions', { rope_parameters: { rope_type: 'linear' } }, {}, /rope_type/],
    ['other patches', {}, { patch_size: 16 }, /patch_size is 16, and patch_size in vision_config of config.json is 14/],
    [
      'pictures in time',
      {},
      { temporal_patch_size: 2 },
      /temporal_patch_size is 2, and temporal_patch_size in vision_config of config.json is 1/,
    ],
    ['processors of others', {}, { image_processor_type: 'Qwen2VLImageProcessor' }, /image_processor_type "Qwen2VLImageProcessor"/],
  ])('%s are refused', (_, changed, changes, message) => {
    expect(() => encoder(changed, changes)).toThrow(message);
  });
});

// By Transformers' image processor.
test.each([
  [1000, 1414, 1008, 1400],
  [3000, 4000, 1428, 1932],
  [40, 60, 336, 476],
  [13, 100, 140, 1064],
  [5, 600, 56, 4228],
  [900, 11, 3500, 56],
])('%i × %i pixels are read as %i × %i', (width, height, wide, high) => {
  const { views, grid } = encoder().layout({ width, height });
  expect(views).toEqual([{ resizes: [{ width: wide, height: high }], vectors: (wide / 28) * (high / 28) }]);
  expect(grid).toEqual({ rows: high / 28, columns: wide / 28 });
});
