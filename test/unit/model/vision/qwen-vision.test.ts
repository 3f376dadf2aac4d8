/** Tests how Qwen's models resize images, which shapes their programs have, and which files are refused. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ConfigJson } from '../../../../trainer/model/config-json.ts';
import { causalModel, unknownConfigKeys } from '../../../../trainer/model/load-model.ts';
import { gridPositions } from '../../../../trainer/model/vision/grid-positions.ts';
import { bucketOf } from '../../../../trainer/model/vision/patches/patch-buckets.ts';
import { smartResize } from '../../../../trainer/model/vision/patches/smart-resize.ts';
import type { VisionEncoder } from '../../../../trainer/model/vision/vision-encoder.ts';
import { visionEncoder } from '../../../../trainer/model/vision/vision-encoders.ts';
import { isRecord, required } from '../../../../trainer/narrow.ts';
import { GOLDEN, readRecord } from '../../../support/files/read-json.ts';

const asConfig = (value: unknown): ConfigJson => (isRecord(value) ? value : {});
const part = (whole: ConfigJson, key: string): ConfigJson => asConfig(whole[key]);
const configOf = (folder: string): ConfigJson => readRecord(join(GOLDEN, folder, 'config.json'));
const config = configOf('qwen3_vl');
const processor = readRecord(join(GOLDEN, 'qwen3_vl', 'preprocessor_config.json'));
const { size: _, ...unsized } = processor;
const tower = (changes: ConfigJson): ConfigJson => ({ ...config, vision_config: { ...part(config, 'vision_config'), ...changes } });
const encoder = (files: { config?: ConfigJson; processor?: ConfigJson }, name = 'Qwen3VLForConditionalGeneration'): VisionEncoder =>
  required(visionEncoder(name, { config, processor, ...files }), 'the encoder');

describe('sizes', () => {
  // By Transformers' smart_resize, with the limits of published files.
  const limits = { factor: 32, minPixels: 65536, maxPixels: 16777216 };
  test.each([
    [1920, 1080, 1920, 1088],
    [8000, 6000, 4704, 3520],
    [100, 30, 480, 160],
    [336, 240, 320, 256],
  ])('%i × %i pixels become %i × %i', (width, height, wide, high) => {
    expect(smartResize({ width, height }, limits)).toEqual({ width: wide, height: high });
  });

  test('both forms of the limits give the same layout', () => {
    const older = { ...unsized, min_pixels: 256, max_pixels: 2048 };
    const inSize = { ...unsized, size: { min_pixels: 256, max_pixels: 2048 } };
    const layouts = [processor, older, inSize].map(each => encoder({ processor: each }).layout({ width: 300, height: 200 }));
    expect(layouts.map(({ grid }) => grid)).toEqual(Array(3).fill({ rows: 4, columns: 6 }));
  });

  test('an image that is 200 times as wide as high is the limit', () => {
    const { layout } = encoder({});
    expect(layout({ width: 2000, height: 10 }).views).toHaveLength(1);
    expect(() => layout({ width: 2010, height: 10 })).toThrow(/no image of 2010 × 10 pixels.*Crop the image/);
  });
});

test('few shapes serve all sizes, and less than a fifth of the patches is padding', () => {
  const shapes = Array.from({ length: 16384 }, (_, i) => bucketOf(i + 1));
  expect(new Set(shapes).size).toBe(41);
  expect(shapes.filter((shape, i) => shape <= i)).toEqual([]);
  expect(Math.max(...shapes.slice(16).map((shape, i) => 1 - (i + 17) / shape))).toBeLessThan(0.2);
});

describe('positions', () => {
  test('an image that the end of the text cuts off counts as a whole', () => {
    const { positions, next } = gridPositions([5, 60, 60], 60, [{ rows: 2, columns: 2 }]);
    expect(Array.from(positions)).toEqual([0, 1, 1, 0, 1, 1, 0, 1, 2]);
    expect(next).toBe(3);
  });

  test('two images side by side', () => {
    const { positions, next } = gridPositions([60, 60, 60], 60, [
      { rows: 1, columns: 2 },
      { rows: 1, columns: 1 },
    ]);
    expect(Array.from(positions)).toEqual([0, 0, 2, 0, 0, 2, 0, 1, 2]);
    expect(next).toBe(3);
  });

  test('more image tokens than images', () => {
    expect(() => gridPositions([60, 60], 60, [{ rows: 1, columns: 1 }])).toThrow('token 1 belongs to image 2, and only 1 are given');
  });
});

describe('files', () => {
  test.each<[RegExp, { config?: ConfigJson; processor?: ConfigJson }]>([
    [/preprocessor_config\.json is missing/, { processor: {} }],
    [
      /preprocessor_config\.json contradicts itself: patch_size is 14, and patch_size in vision_config of config\.json is 4/,
      { processor: { ...processor, patch_size: 14 } },
    ],
    [
      /preprocessor_config\.json contradicts itself: size asks for at least 4096 and at most 2048 pixels/,
      { processor: { ...processor, min_pixels: 4096 } },
    ],
    [/size needs shortest_edge and longest_edge/, { processor: { ...processor, size: { shortest_edge: 256 } } }],
    [/preprocessor_config\.json: do_resize false is not supported/, { processor: { ...processor, do_resize: false } }],
    [
      /image_processor_type "SiglipImageProcessor" is not supported/,
      { processor: { ...processor, image_processor_type: 'SiglipImageProcessor' } },
    ],
    [/heads of 2 features cannot be rotated by row and column/, { config: tower({ num_heads: 8 }) }],
    [/deepstack_visual_indexes \[0,7\] names a block beyond depth 3/, { config: tower({ deepstack_visual_indexes: [0, 7] }) }],
    [/in_channels 4 is not supported/, { config: tower({ in_channels: 4 }) }],
  ])('%s', (message, files) => {
    expect(() => encoder(files)).toThrow(message);
  });

  test('only Qwen3-VL has vectors of intermediate blocks, by default of three', () => {
    const { deepstack_visual_indexes: _own, ...plain } = part(config, 'vision_config');
    const deep = { ...config, vision_config: { ...plain, depth: 27 } };
    expect(encoder({ config: deep }).modules.filter(({ name }) => name.includes('deepstack_merger_list.2.'))).not.toEqual([]);
    expect(causalModel(deep).vision?.deepstack).toBe(3);
    expect(() => encoder({}, 'Qwen3_5ForConditionalGeneration')).toThrow(/deepstack_visual_indexes/);
  });

  test('older files of Qwen2.5-VL have the keys of the text part next to the others', () => {
    const { text_config: text, ...outer } = configOf('qwen2_5_vl');
    const { model_type: _type, rope_parameters: rope, ...own } = asConfig(text);
    const { mrope_section: sections } = asConfig(rope);
    const flat = { ...own, ...outer, rope_theta: 100, rope_scaling: { type: 'mrope', mrope_section: sections }, tie_word_embeddings: true };
    expect(unknownConfigKeys(flat)).toEqual([]);
    const [nested, older] = [causalModel(configOf('qwen2_5_vl')), causalModel(flat)];
    expect(older.parameters.map(({ name }) => name)).toEqual(
      nested.parameters.map(({ name }) => name).filter(name => name !== 'lm_head.weight'),
    );
    expect(older.modules[0]).toMatchObject({ name: 'model.embed_tokens', inMemory: 'model.language_model.embed_tokens' });
    expect(older.vision).toEqual({ imageToken: 60, positions: 'grid', deepstack: 0, attendsWithin: false });
  });

  test('published files of Qwen2-VL: every key is known, also those of older versions, and the head is tied', () => {
    const published = {
      ...{ architectures: ['Qwen2VLForConditionalGeneration'], attention_dropout: 0, bos_token_id: 151643, eos_token_id: 151645 },
      ...{ vision_start_token_id: 151652, vision_end_token_id: 151653, vision_token_id: 151654, image_token_id: 151655 },
      ...{ video_token_id: 151656, hidden_act: 'silu', hidden_size: 1536, initializer_range: 0.02, intermediate_size: 8960 },
      ...{ max_position_embeddings: 32768, max_window_layers: 28, model_type: 'qwen2_vl', num_attention_heads: 12, num_hidden_layers: 2 },
      ...{ num_key_value_heads: 2, rms_norm_eps: 1e-6, rope_theta: 1e6, sliding_window: 32768, tie_word_embeddings: true },
      ...{ torch_dtype: 'bfloat16', transformers_version: '4.41.2', use_cache: true, use_sliding_window: false, vocab_size: 151936 },
      rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
      vision_config: {
        ...{ depth: 2, embed_dim: 1280, mlp_ratio: 4, num_heads: 16, in_chans: 3, hidden_size: 1536, patch_size: 14 },
        ...{ spatial_merge_size: 2, spatial_patch_size: 14, temporal_patch_size: 2 },
      },
    };
    expect(unknownConfigKeys(published)).toEqual([]);
    expect(causalModel(published).parameters.some(({ name }) => name === 'lm_head.weight')).toBe(false);
    const own = { ...unsized, patch_size: 14, min_pixels: 3136, max_pixels: 12845056 };
    const { parameters, layout } = encoder({ config: published, processor: own }, 'Qwen2VLForConditionalGeneration');
    expect(parameters.find(({ name }) => name === 'visual.blocks.1.mlp.fc1.weight')?.shape).toEqual([5120, 1280]);
    expect(layout({ width: 640, height: 480 }, 200_000).grid).toEqual({ rows: 13, columns: 18 });
    const odd = { ...published, vision_config: { ...published.vision_config, num_heads: 15 } };
    expect(() => encoder({ config: odd, processor: own }, 'Qwen2VLForConditionalGeneration')).toThrow(
      'embed_dim 1280 is not a multiple of num_heads 15',
    );
  });

  test('a window smaller than a vector is refused, and a block that does not exist', () => {
    const files = (changes: ConfigJson) => {
      const whole = configOf('qwen2_5_vl');
      return { config: { ...whole, vision_config: { ...part(whole, 'vision_config'), ...changes } } };
    };
    const windows = (changes: ConfigJson) => encoder(files(changes), 'Qwen2_5_VLForConditionalGeneration');
    expect(() => windows({ window_size: 7 })).toThrow('window_size 7 is less than one square of patches');
    expect(() => windows({ fullatt_block_indexes: [3] })).toThrow('fullatt_block_indexes [3] names a block beyond depth 3');
    const { layout, shapeOf } = windows({});
    expect([8, 100, 10_000].map(side => shapeOf(required(layout({ width: side, height: side }).views[0], 'a view')))).toEqual([4, 10, 10]);
  });

  test('an unknown key of the tower is reported, and an impossible division of features', () => {
    expect(unknownConfigKeys(tower({ strange: 1 }))).toEqual([['vision_config', 'strange']]);
    const text = part(config, 'text_config');
    const divided = (sections: unknown) => ({
      ...config,
      text_config: { ...text, rope_parameters: { rope_theta: 100, mrope_section: sections } },
    });
    expect(() => causalModel(divided([4, 4]))).toThrow(
      'rope_parameters.mrope_section [4,4] must be three counts of the 8 rotated pairs of features',
    );
    expect(causalModel(divided([4, 2, 2])).vision).toMatchObject({ positions: 'grid', deepstack: 2 });
  });
});
