/** Tests the images of GLM-4V and GLM-OCR: the keys of published files, sizes, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';

interface Published extends ConfigJson {
  readonly architectures: readonly [string];
  readonly text_config: ConfigJson;
  readonly vision_config: ConfigJson;
}

const tokens = {
  ...{ image_start_token_id: 59_256, image_end_token_id: 59_257, image_token_id: 59_280 },
  ...{ video_start_token_id: 59_258, video_end_token_id: 59_259, video_token_id: 59_281 },
};
/** A config of GLM-OCR. */
const ocr: Published = {
  ...{ architectures: ['GlmOcrForConditionalGeneration'], model_type: 'glm_ocr', tie_word_embeddings: false, ...tokens },
  text_config: {
    ...{ model_type: 'glm_ocr_text', vocab_size: 59_392, hidden_size: 1536, intermediate_size: 4608, num_hidden_layers: 16, head_dim: 128 },
    ...{ num_attention_heads: 16, num_key_value_heads: 8, max_position_embeddings: 131_072, rms_norm_eps: 1e-5, attention_bias: false },
    ...{ num_nextn_predict_layers: 1, pad_token_id: 59_246, hidden_act: 'silu', attention_dropout: 0 },
    rope_parameters: { rope_type: 'default', mrope_section: [16, 24, 24], partial_rotary_factor: 1, rope_theta: 10_000 },
  },
  vision_config: {
    ...{ model_type: 'glm_ocr_vision', depth: 24, hidden_size: 1024, num_heads: 16, intermediate_size: 4096, out_hidden_size: 1536 },
    ...{ attention_bias: true, attention_dropout: 0, image_size: 336, patch_size: 14, rms_norm_eps: 1e-5, hidden_act: 'silu' },
    ...{ spatial_merge_size: 2, temporal_patch_size: 2, initializer_range: 0.02 },
  },
};
/** A config of GLM-4.1V-9B, in the older form. */
const glm4v: Published = {
  ...{ architectures: ['Glm4vForConditionalGeneration'], model_type: 'glm4v', tie_word_embeddings: false, image_token_id: 151_343 },
  text_config: {
    ...{
      model_type: 'glm4v_text',
      vocab_size: 151_552,
      hidden_size: 4096,
      intermediate_size: 13_696,
      num_hidden_layers: 40,
      head_dim: 128,
    },
    ...{ num_attention_heads: 32, num_key_value_heads: 2, max_position_embeddings: 65_536, rms_norm_eps: 1e-5, attention_bias: true },
    ...{ partial_rotary_factor: 0.5, rope_theta: 10_000, rope_scaling: { type: 'default', mrope_section: [8, 12, 12] } },
  },
  vision_config: {
    ...{ depth: 24, hidden_size: 1536, num_heads: 12, intermediate_size: 13_696, out_hidden_size: 4096, attention_bias: false },
    ...{ hidden_dropout_prob: 0, image_size: 336, patch_size: 14, rms_norm_eps: 1e-5, spatial_merge_size: 2, temporal_patch_size: 2 },
  },
};
const processor: ConfigJson = {
  ...{ image_processor_type: 'Glm46VImageProcessor', patch_size: 14, merge_size: 2, temporal_patch_size: 2, do_rescale: true },
  size: { shortest_edge: 12_544, longest_edge: 9_633_792 },
};
const encoder = (config: Published = ocr, eyes: ConfigJson = {}, changes: ConfigJson = {}) => {
  const whole = { ...config, vision_config: { ...config.vision_config, ...eyes } };
  const [architecture] = config.architectures;
  return required(visionEncoder(architecture, { config: whole, processor: { ...processor, ...changes } }), 'the encoder');
};
const shapes = (config: Published) => Object.fromEntries(encoder(config).parameters.map(({ name, shape }) => [name, shape]));

describe('config.json and preprocessor_config.json', () => {
  test.each([ocr, glm4v])('the keys of published files are known: $model_type', config => {
    expect(unknownConfigKeys(config)).toEqual([]);
    expect(unknownProcessorKeys('GlmOcrForConditionalGeneration', processor)).toEqual([]);
    expect(unknownConfigKeys({ ...config, vision_config: { window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
    expect(causalModel(config).vision).toEqual({
      imageToken: config.image_token_id,
      positions: 'grid',
      deepstack: 0,
      attendsWithin: false,
    });
  });

  test('GLM-4.6V has the classes of GLM-4V', () => {
    const newer: Published = { ...glm4v, architectures: ['Glm46VForConditionalGeneration'], model_type: 'glm46v' };
    expect(shapes(newer)).toEqual(shapes(glm4v));
    expect(causalModel(newer).parameters.map(({ name }) => name)).toEqual(causalModel(glm4v).parameters.map(({ name }) => name));
  });

  test('GLM-4V has biases of queries and a table of positions, GLM-OCR has norms of heads', () => {
    const names = (config: ConfigJson) => causalModel(config).parameters.map(({ name }) => name);
    expect(names(glm4v)).toContain('model.language_model.layers.0.self_attn.q_proj.bias');
    expect(names(ocr)).not.toContain('model.language_model.layers.0.self_attn.q_proj.bias');
    expect(shapes(glm4v)).toMatchObject({
      'model.visual.embeddings.position_embedding.weight': [576, 1536],
      'model.visual.blocks.0.mlp.gate_proj.weight': [4096, 1536],
      'model.visual.merger.gate_proj.weight': [13_696, 4096],
    });
    expect(shapes(ocr)).toMatchObject({
      'model.visual.blocks.0.attn.q_norm.weight': [64],
      'model.visual.blocks.0.mlp.gate_proj.bias': [4096],
      'model.visual.merger.gate_proj.weight': [4608, 1536],
    });
    expect(shapes(ocr)).not.toHaveProperty('model.visual.embeddings.position_embedding.weight');
  });

  test('the head is tied if either config says so', () => {
    const inside = { ...ocr.text_config, tie_word_embeddings: true };
    expect(causalModel(ocr).head.name).toBe('lm_head');
    expect(causalModel({ ...ocr, tie_word_embeddings: true }).head.name).toBe('model.language_model.embed_tokens');
    expect(causalModel({ ...ocr, text_config: inside }).head.name).toBe('model.language_model.embed_tokens');
  });

  test.each<[string, Published, ConfigJson, ConfigJson, RegExp]>([
    ['patches that divide no table', glm4v, { image_size: 330 }, {}, /image_size 330 is not a multiple of patch_size 14/],
    ['heads that share no width', ocr, { num_heads: 12 }, {}, /hidden_size 1024 is not a multiple of num_heads 12/],
    ['other positions', ocr, { rope_parameters: { rope_type: 'linear' } }, {}, /rope_type/],
    ['other patches', ocr, {}, { patch_size: 16 }, /patch_size is 16, and patch_size in vision_config of config.json is 14/],
    ['limits of Qwen', ocr, {}, { min_pixels: 3136 }, /min_pixels 3136 is not supported/],
    ['processors of others', ocr, {}, { image_processor_type: 'Qwen2VLImageProcessor' }, /image_processor_type "Qwen2VLImageProcessor"/],
  ])('%s are refused', (_, config, eyes, changes, message) => {
    expect(() => encoder(config, eyes, changes)).toThrow(message);
  });

  test('sections of positions that do not fill the pairs of features are refused', () => {
    const text = {
      ...ocr.text_config,
      rope_parameters: { rope_type: 'default', rope_theta: 1e4, mrope_section: [8, 12, 12] },
    };
    expect(() => causalModel({ ...ocr, text_config: text })).toThrow(
      /mrope_section \[8,12,12\] must be three counts of the 64 rotated pairs/,
    );
  });
});

// By Transformers' image processor.
test.each([
  [1000, 1414, 9633792, 1008, 1400],
  [3000, 4000, 9633792, 1876, 2520],
  [40, 60, 9633792, 84, 112],
  [13, 100, 9633792, 28, 224],
  [5, 600, 9633792, 28, 3360],
  [1280, 720, 47040000, 1288, 728],
])('%i × %i pixels, at most %i, are read as %i × %i', (width, height, most, wide, high) => {
  const { views, grid } = encoder(ocr, {}, { size: { shortest_edge: 12_544, longest_edge: most } }).layout({ width, height });
  expect(views).toEqual([{ resizes: [{ width: wide, height: high }], vectors: (wide / 28) * (high / 28) }]);
  expect(grid).toEqual({ rows: high / 28, columns: wide / 28 });
});

test('an image whose sides differ too much is refused', () => {
  expect(() => encoder().layout({ width: 3000, height: 10 })).toThrow(/takes no image of/);
});
