/** Tests the images of Gemma 3: the keys of published files, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { required } from '../../../../trainer/narrow.ts';
import { endsOf } from '../../../../trainer/vision/image-feeds.ts';
import { stretchEnd } from '../../../../trainer/vision/prompt-images.ts';

const text = { hidden_size: 2560, intermediate_size: 10240, model_type: 'gemma3_text', num_hidden_layers: 34, sliding_window: 1024 };
const eyes = {
  ...{ hidden_size: 1152, image_size: 896, intermediate_size: 4304, model_type: 'siglip_vision_model', num_attention_heads: 16 },
  ...{ num_hidden_layers: 27, patch_size: 14, vision_use_head: false },
};
/** The config of Gemma 3 4B. */
const published: ConfigJson = {
  ...{ architectures: ['Gemma3ForConditionalGeneration'], boi_token_index: 255999, eoi_token_index: 256000, eos_token_id: [1, 106] },
  ...{ image_token_index: 262144, initializer_range: 0.02, mm_tokens_per_image: 256, model_type: 'gemma3', torch_dtype: 'bfloat16' },
  ...{ text_config: { ...text, rope_scaling: { factor: 8, rope_type: 'linear' } }, vision_config: eyes },
};
const processor: ConfigJson = {
  ...{ do_convert_rgb: null, do_normalize: true, do_pan_and_scan: null, do_rescale: true, do_resize: true, image_seq_length: 256 },
  ...{ image_mean: [0.5, 0.5, 0.5], image_processor_type: 'Gemma3ImageProcessor', image_std: [0.5, 0.5, 0.5], resample: 2 },
  ...{ pan_and_scan_max_num_crops: null, pan_and_scan_min_crop_size: null, pan_and_scan_min_ratio_to_activate: null },
  ...{ processor_class: 'Gemma3Processor', rescale_factor: 0.00392156862745098, size: { height: 896, width: 896 } },
};
const encoder = (config: ConfigJson = {}, changes: ConfigJson = {}) =>
  required(
    visionEncoder('Gemma3ForConditionalGeneration', { config: { ...published, ...config }, processor: { ...processor, ...changes } }),
    'the encoder',
  );

describe('config.json and preprocessor_config.json', () => {
  test('published files are read', () => {
    expect(unknownConfigKeys(published)).toEqual([]);
    const vision = { imageToken: 262144, positions: 'counted', deepstack: 0, attendsWithin: 'all', tokensPerImage: 256 };
    expect(causalModel(published)).toMatchObject({ vision, hiddenSize: 2560 });
    const { text: written, views } = encoder().layout({ width: 3000, height: 20 });
    expect(written).toBe(`\n\n<start_of_image>${'<image_soft_token>'.repeat(256)}<end_of_image>\n\n`);
    expect(views).toEqual([{ resizes: [{ width: 896, height: 896 }], vectors: 256 }]);
  });

  test('the newer name of the image token takes precedence', () => {
    expect(causalModel({ ...published, image_token_id: 7 }).vision?.imageToken).toBe(7);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['pan and scan', {}, { do_pan_and_scan: true }, /preprocessor_config.json: do_pan_and_scan true is not supported/],
    ['another size', {}, { size: { height: 224, width: 224 } }, /the tower sees 896 × 896 pixels, and size is 224 × 224/],
    ['another count', {}, { image_seq_length: 64 }, /image_seq_length is 64, and mm_tokens_per_image 256/],
    ['patches that fill no squares', { mm_tokens_per_image: 250 }, {}, /64 × 64 patches cannot become mm_tokens_per_image 250/],
    ['an oblong tower', { vision_config: { ...eyes, image_size: [896, 448] } }, {}, /image_size \[896,448\] is not square/],
  ])('%s is refused', (_, config, changes, message) => {
    expect(() => encoder(config, changes)).toThrow(message);
  });
});

test('a token of an image sees up to its end, within its row', () => {
  expect([...endsOf([0, 1, 1, 0, 2, 3, 0, 0, 4, 4, 4, 4], 6)]).toEqual([0, 2, 2, 3, 4, 5, 0, 1, 5, 5, 5, 5]);
});

test('a stretch of a prompt ends before an image that does not fit', () => {
  const imageEnds = endsOf([0, 0, 1, 1, 1, 0, 2, 2, 2, 0], 10);
  const images = { key: '', first: 2, shift: 0, feeds: { imageVectors: new Float32Array(0), imageEnds } };
  const ends = (begin: number, length: number) => stretchEnd(images, { begin, length });
  expect([ends(0, 4), ends(0, 5), ends(2, 4), ends(2, 5), ends(6, 3), ends(9, 4), ends(12, 4)]).toEqual([2, 5, 6, 6, 9, 13, 16]);
  expect(stretchEnd(undefined, { begin: 0, length: 4 })).toBe(4);
});
