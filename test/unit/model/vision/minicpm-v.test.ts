/** Tests the images of MiniCPM-V 4.6: default sizes, layouts, and what is refused. The numbers are in `test/golden/vision.test.ts`. */
import { describe, expect, test } from 'vitest';
import { imageReading } from '../../../../trainer/data/vision/sample-image.ts';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { unknownProcessorKeys, visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { elementAt, required } from '../../../../trainer/narrow.ts';

const MODEL = 'MiniCPMV4_6ForConditionalGeneration';
/** The sizes of the published model's encoder. */
const eyes = {
  ...{ model_type: 'minicpmv4_6_vision', hidden_size: 1152, intermediate_size: 4304, num_hidden_layers: 27, num_attention_heads: 16 },
  ...{ image_size: 980, patch_size: 14 },
};
const config: ConfigJson = {
  ...{ architectures: [MODEL], model_type: 'minicpmv4_6', insert_layer_id: 6, downsample_mode: '16x', merge_kernel_size: [2, 2] },
  ...{ image_token_id: 248_056, video_token_id: 248_057, tie_word_embeddings: true, drop_vision_last_layer: false, image_size: 448 },
  text_config: {
    ...{ model_type: 'qwen3_5_text', vocab_size: 248_320, hidden_size: 1024, intermediate_size: 3584, num_hidden_layers: 4 },
    ...{ num_attention_heads: 8, num_key_value_heads: 2, max_position_embeddings: 262_144 },
  },
  vision_config: eyes,
};
const processor: ConfigJson = {
  ...{ image_processor_type: 'MiniCPMV4_6ImageProcessor', patch_size: 14, scale_resolution: 448, max_slice_nums: 9, slice_mode: true },
  ...{ use_image_id: true, downsample_mode: '16x', do_resize: true, resample: 3, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] },
};
const encoder = (changes: ConfigJson = {}, file: ConfigJson = {}) =>
  required(visionEncoder(MODEL, { config: { ...config, ...changes }, processor: { ...processor, ...file } }), 'the encoder');

describe('config.json and preprocessor_config.json', () => {
  test('the keys are known', () => {
    expect(unknownConfigKeys(config)).toEqual([]);
    expect(unknownProcessorKeys(MODEL, processor)).toEqual([]);
    expect(unknownConfigKeys({ ...config, vision_config: { window_size: 4 } })).toEqual([['vision_config', 'window_size']]);
  });

  test('tokens of images count like others, and without such a token no image is read', () => {
    expect(causalModel(config).vision).toEqual({ imageToken: 248_056, positions: 'counted', deepstack: 0, attendsWithin: false });
    expect(causalModel({ ...config, image_token_id: null }).vision).toBeUndefined();
  });

  test('both mergers read squares of 2 × 2', () => {
    const shapes = Object.fromEntries(encoder().parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes['model.vision_tower.embeddings.position_embedding.weight']).toEqual([70 ** 2, 1152]);
    expect(shapes['model.vision_tower.vit_merger.linear_1.weight']).toEqual([4 * 4304, 4 * 1152]);
    expect(shapes['model.merger.mlp.0.linear_2.weight']).toEqual([1024, 4 * 1152]);
  });

  test.each<[string, ConfigJson, ConfigJson, RegExp]>([
    ['four times as many vectors', { downsample_mode: '4x' }, {}, /downsample_mode "4x" is not supported/],
    ['four times as many vectors in the processor', {}, { downsample_mode: '4x' }, /downsample_mode "4x" is not supported/],
    ['another number of mergers', { merger_times: 2 }, {}, /merger_times 2 is not supported/],
    ['other squares', { merge_kernel_size: [4, 4] }, {}, /merge_kernel_size/],
    ['other windows', { vision_config: { ...eyes, window_kernel_size: [3, 3] } }, {}, /window_kernel_size/],
    ['a merger after no block', { insert_layer_id: 27 }, {}, /insert_layer_id 27 is no block: vision_config has num_hidden_layers 27/],
    ['a merger before all blocks', { insert_layer_id: -1 }, {}, /insert_layer_id/],
    ['heads that share no width', { vision_config: { ...eyes, num_attention_heads: 7 } }, {}, /hidden_size 1152 is not a multiple/],
    ['other patches', {}, { patch_size: 16 }, /patch_size is 16, and that in vision_config of config.json is 14/],
    ['another processor', {}, { image_processor_type: 'MiniCPMVImageProcessor' }, /image_processor_type/],
  ])('%s are refused', (_, changes, file, message) => {
    expect(() => encoder(changes, file)).toThrow(message);
  });
});

describe('layout', () => {
  const sizes = (width: number, height: number, maxPixels?: number) => {
    const { views, text } = encoder().layout({ width, height }, maxPixels);
    const { resizes, part } = required(views.at(-1), 'the last view');
    return { count: views.length, whole: elementAt(elementAt(views, 0).resizes, 0), last: part ?? resizes[0], text };
  };

  // Computed by Transformers' processor.
  test.each([
    [448, 448, 1, { width: 448, height: 448 }, { width: 448, height: 448 }],
    [20, 20, 1, { width: 448, height: 448 }, { width: 448, height: 448 }],
    [1000, 700, 5, { width: 560, height: 392 }, { left: 560, top: 392, width: 560, height: 392 }],
    [100, 3000, 4, { width: 56, height: 2464 }, { left: 0, top: 2800, width: 168, height: 1400 }],
    [4000, 3000, 10, { width: 504, height: 392 }, { left: 1008, top: 784, width: 504, height: 392 }],
  ])('%d × %d pixels are seen in %d views', (width, height, count, whole, last) => {
    expect(sizes(width, height)).toMatchObject({ count, whole, last });
  });

  test('the text has the lines of slices after the whole', () => {
    const { text } = sizes(1000, 700);
    const named = text.replaceAll('<|image_pad|>', '').replaceAll('><', '> <');
    expect(named).toBe('<image> </image> <slice> </slice> <slice> </slice>\n<slice> </slice> <slice> </slice>');
    expect(text.split('<|image_pad|>').length - 1).toBe(10 * 7 + 4 * (10 * 7));
  });

  test('fewer pixels leave fewer slices, and fewer vectors of a whole', () => {
    expect(sizes(4000, 3000, 5 * 448 ** 2).count).toBe(5);
    expect(sizes(4000, 3000, 2 * 448 ** 2 - 1)).toMatchObject({ count: 1, whole: { width: 504, height: 392 } });
    expect(sizes(4000, 3000, 224 ** 2)).toMatchObject({ count: 1, whole: { width: 280, height: 168 } });
  });

  test('images have numbers in their text', () => {
    const size = { width: 56, height: 56 };
    expect(imageReading(encoder(), 0).textOf(size, 2).text).toMatch(/^<image_id>2<\/image_id><image>/);
    expect(imageReading(encoder({}, { use_image_id: false }), 0).textOf(size, 2).text).toMatch(/^<image>/);
    expect(encoder({}, { slice_mode: false }).layout({ width: 4000, height: 3000 }).views).toHaveLength(1);
  });
});

test('the patches of a window follow each other, as do the windows of a vector', () => {
  const { feeds, layout } = encoder();
  const view = elementAt(layout({ width: 448, height: 448 }).views, 0);
  const { cells } = feeds(view, { width: 448, height: 448, values: new Float32Array(448 * 448 * 3) });
  const places = Array.from(required(cells, 'the positions').slice(0, 20)).map(cell => [Math.floor(cell / 70), cell % 70]);
  // Row i of 32 has the entry at 70 · i / 32.
  const [first, second, third, fourth] = [0, 2, 4, 6];
  expect(places.slice(0, 8)).toEqual([
    [first, first],
    [first, second],
    [second, first],
    [second, second],
    [first, third],
    [first, fourth],
    [second, third],
    [second, fourth],
  ]);
  expect(places[16]).toEqual([first, 8]);
});
