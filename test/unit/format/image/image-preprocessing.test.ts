/** Tests the resizing described by preprocessor_config.json, in its older and newer forms. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { imagePreprocessing } from '../../../../trainer/format/image/image-preprocessing.ts';

const dir = mkdtempSync(join(tmpdir(), 'rowtune-preprocessing-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function resizeOf(json: object, side: number) {
  writeFileSync(join(dir, 'preprocessor_config.json'), JSON.stringify(json));
  return (await imagePreprocessing({ dir, config: {}, height: side, width: side })).resize;
}

const resnet = { crop_pct: 0.875, do_resize: true, feature_extractor_type: 'ConvNextFeatureExtractor', resample: 3 };

describe('crop_pct', () => {
  test('a plain number is the side that is cut out of a larger image, as in the published ResNets', async () => {
    expect(await resizeOf({ ...resnet, size: 224 }, 224)).toEqual({ kind: 'shortest', edge: 256 });
    expect(await resizeOf({ ...resnet, size: { shortest_edge: 224 } }, 224)).toEqual({ kind: 'shortest', edge: 256 });
  });

  test('from 384 up nothing is cut, in either form', async () => {
    const exact = { kind: 'exact', height: 384, width: 384 };
    expect(await resizeOf({ ...resnet, size: 384 }, 384)).toEqual(exact);
    expect(await resizeOf({ ...resnet, size: { shortest_edge: 384 } }, 384)).toEqual(exact);
  });

  test('without it a plain number is both sides', async () => {
    expect(await resizeOf({ size: 224, resample: 2 }, 224)).toEqual({ kind: 'exact', height: 224, width: 224 });
    expect(await resizeOf({ size: 256, do_center_crop: true, crop_size: 224 }, 224)).toEqual({ kind: 'exact', height: 256, width: 256 });
  });
});
