/** Tests the images of InternVL: the keys of published files, tiles, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import { processorSettings } from '../../../../trainer/format/image/processor-config.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';

const MODEL = 'InternVLForConditionalGeneration';
/** The text part of InternVL3.5-2B, with keys of the code that trained it. */
const text = {
  ...{ architectures: ['Qwen3ForCausalLM'], attention_bias: false, debug: false, ep_size: 1, head_dim: 128, hidden_act: 'silu' },
  ...{ hidden_size: 2048, intermediate_size: 6144, max_position_embeddings: 40960, max_window_layers: 28, micro_forward: false },
  ...{ model_type: 'qwen3', num_attention_heads: 16, num_hidden_layers: 28, num_key_value_heads: 8, rms_norm_eps: 1e-6 },
  ...{ rope_theta: 1e6, skip_checkpoint: false, sliding_window: null, tie_word_embeddings: true, use_deepep: false, vocab_size: 151936 },
};
const eyes = {
  ...{ architectures: ['InternVisionModel'], attention_bias: true, attention_dropout: 0, dropout: 0, hidden_act: 'gelu' },
  ...{ hidden_dropout_prob: 0, hidden_size: 1024, image_size: [448, 448], initializer_factor: 0.1, initializer_range: 1e-10 },
  ...{ intermediate_size: 4096, layer_norm_eps: 1e-6, layer_scale_init_value: 0.1, model_type: 'internvl_vision' },
  ...{ norm_type: 'layer_norm', num_attention_heads: 16, num_channels: 3, num_hidden_layers: 24, patch_size: [14, 14] },
  ...{ projection_dropout: 0, torch_dtype: 'bfloat16', use_absolute_position_embeddings: true, use_mask_token: false },
  ...{ use_mean_pooling: true, use_qk_norm: false },
};
const published: ConfigJson = {
  ...{ architectures: [MODEL], downsample_ratio: 0.5, image_seq_length: 256, image_token_id: 151671, model_type: 'internvl' },
  ...{ projector_hidden_act: 'gelu', text_config: text, torch_dtype: 'bfloat16', vision_config: eyes, vision_feature_layer: -1 },
  ...{ vision_feature_select_strategy: 'default' },
};
const whole = { image_seq_length: 256, processor_class: 'InternVLProcessor' };
const own = {
  ...{ crop_size: null, crop_to_patches: false, data_format: 'channels_first', default_to_square: true, device: null },
  ...{ do_center_crop: null, do_convert_rgb: true, do_normalize: true, do_rescale: true, do_resize: true },
  ...{ image_mean: [0.485, 0.456, 0.406], image_processor_type: 'GotOcr2ImageProcessorFast', image_std: [0.229, 0.224, 0.225] },
  ...{ input_data_format: null, max_patches: 12, min_patches: 1, processor_class: 'InternVLProcessor', resample: 3 },
  ...{ rescale_factor: 1 / 255, return_tensors: null, size: { height: 448, width: 448 } },
};
const encoder = (config: ConfigJson = {}, changes: ConfigJson = {}) => {
  const files = { config: { ...published, ...config }, processor: { ...processorSettings(whole, own), ...changes } };
  return required(visionEncoder(MODEL, files), 'the encoder');
};

describe('config.json, preprocessor_config.json and processor_config.json', () => {
  test('the keys of published files are known', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(unknownProcessorKeys(MODEL, own)).toEqual([]);
    expect(unknownProcessorKeys(MODEL, whole)).toEqual([]);
    expect(unknownConfigKeys({ ...published, vision_config: { ...eyes, window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
    const model = causalModel(published);
    expect(model.vision).toEqual({ imageToken: 151671, positions: 'counted', deepstack: 0, attendsWithin: false });
    expect(model.remark).toBeUndefined();
  });

  test('newer files have all settings in one file', () => {
    const files = { config: published, processor: processorSettings({ ...whole, image_processor: own, video_processor: { size: 1 } }) };
    const size = { width: 900, height: 1300 };
    expect(visionEncoder(MODEL, files)?.layout(size)).toEqual(encoder().layout(size));
  });

  test.each<[string, string, ConfigJson]>([
    ['qwen2', 'q_proj.bias', { attention_bias: true }],
    ['qwen3', 'q_norm', {}],
    ['qwen3_moe', 'mlp.experts', {}],
    ['gpt_oss', 'sinks', { sliding_window: 128 }],
    ['llama', 'q_proj', {}],
  ])('the text part may be %s', (type, part, changes) => {
    const { parameters } = causalModel({ ...published, text_config: { ...text, model_type: type, ...changes } });
    expect(parameters.some(({ name }) => name.startsWith('model.language_model.layers.0.') && name.includes(part))).toBe(true);
  });

  test('older files have shorter names', () => {
    const forms = encoder().parameters.map(({ stack }) => JSON.stringify(stack?.forms));
    expect(forms.filter(form => /"(vision_tower|multi_modal_projector)\./.test(form ?? ''))).toHaveLength(forms.length);
  });

  test('a norm follows the last block if the key says so, and biases of queries, keys and values have a key', () => {
    const names = (changes: ConfigJson) => encoder({ vision_config: { ...eyes, ...changes } }).parameters.map(({ name }) => name);
    expect(names({})).not.toContain('model.vision_tower.layernorm.weight');
    expect(names({ use_mean_pooling: false })).toContain('model.vision_tower.layernorm.weight');
    const bias = 'model.vision_tower.encoder.layer.23.attention.k_proj.bias';
    expect(names({})).toContain(bias);
    expect(names({ attention_bias: false })).not.toContain(bias);
  });

  test('the tower of the largest models has norms without a bias, also of queries and keys', () => {
    const names = encoder({ vision_config: { ...eyes, norm_type: 'rms_norm', use_qk_norm: true } }).parameters.map(({ name }) => name);
    const at = 'model.vision_tower.encoder.layer.0.';
    expect(names).toContain(`${at}attention.q_norm.weight`);
    expect(names).toContain(`${at}layernorm_before.weight`);
    expect(names).not.toContain(`${at}layernorm_before.bias`);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['vectors of another block', { vision_feature_layer: -2 }, {}, /vision_feature_layer -2 is not supported; supported is -1/],
    ['the class token', { vision_feature_select_strategy: 'full' }, {}, /vision_feature_select_strategy "full" is not supported/],
    ['another text part', { text_config: { ...text, model_type: 'gemma3' } }, {}, /text_config.model_type "gemma3" is not supported/],
    ['other norms', { vision_config: { ...eyes, norm_type: 'batch_norm' } }, {}, /norm_type "batch_norm" is not supported/],
    ['a tower without positions', { vision_config: { ...eyes, use_absolute_position_embeddings: false } }, {}, /position_embeddings false/],
    ['oblong images', { vision_config: { ...eyes, image_size: [448, 224] } }, {}, /image_size \[448,224\] is not square/],
    ['heads that share no width', { vision_config: { ...eyes, num_attention_heads: 7 } }, {}, /hidden_size 1024 is not a multiple/],
    ['a ratio that joins no squares', { downsample_ratio: 0.4 }, {}, /downsample_ratio 0.4 is not one divided by an integer/],
    ['squares that do not fill a tile', { downsample_ratio: 1 / 3 }, {}, /along a tile 32 is not a multiple of 1 \/ downsample_ratio 3/],
    ['tiles without a patch', {}, { size: { height: 8, width: 8 } }, /patch_size is greater than the tiles/],
    ['oblong tiles', {}, { size: { height: 448, width: 224 } }, /size 224 × 448 is not square/],
    ['another number of tokens', {}, { image_seq_length: 64 }, /image_seq_length is 64, and a tile has 256 vectors/],
    ['counts that exclude each other', {}, { min_patches: 13 }, /min_patches 13 is greater than max_patches 12/],
    ['another processor', {}, { image_processor_type: 'CLIPImageProcessor' }, /image_processor_type "CLIPImageProcessor" is not supported/],
  ])('%s: refused', (_, config, changes, message) => {
    expect(() => encoder(config, changes)).toThrow(message);
  });
});

describe('layout', () => {
  // By Transformers' image processor.
  test.each([
    [1250, 1000, 4, 3],
    [1024, 512, 2, 1],
    [448, 448, 1, 1],
    [634, 634, 2, 2],
    [635, 635, 2, 2],
    [1900, 1900, 3, 3],
    [48, 16, 3, 1],
    [5000, 20, 12, 1],
    [20, 5000, 1, 12],
    [800, 600, 4, 3],
    [1920, 1080, 4, 2],
    [900, 1300, 2, 3],
    [633, 633, 1, 1],
  ])('%i × %i pixels are %i × %i tiles', (width, height, columns, rows) => {
    const { views, text: written } = encoder().layout({ width, height });
    const tiles = columns * rows;
    expect(views).toHaveLength(tiles === 1 ? 1 : tiles + 1);
    expect(views.at(-1)).toEqual({ resizes: [{ width: 448, height: 448 }], vectors: 256 });
    expect(views[0]?.resizes).toEqual([{ width: columns * 448, height: rows * 448 }]);
    expect(written).toBe(`<img>${'<IMG_CONTEXT>'.repeat(256 * views.length)}</img>`);
  });

  test('the limit of pixels gives fewer tiles, one at least', () => {
    const count = (maxPixels: number, changes: ConfigJson = {}) =>
      encoder({}, changes).layout({ width: 1920, height: 1080 }, maxPixels).views.length;
    expect(count(8 * 448 ** 2)).toBe(9);
    expect(count(8 * 448 ** 2 - 1)).toBe(3);
    expect(count(1)).toBe(1);
    expect(count(1, { min_patches: 4 })).toBe(1);
  });
});
