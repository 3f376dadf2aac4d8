/**
 * Compares images with those of Transformers' processors. PIL and libvips resize with the same filters but round differently: on this
 * picture, the mean difference is below a quarter of a step of 255, and none exceeds eight.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { imagePreprocessing, preprocessorText } from '../../trainer/format/image/image-preprocessing.ts';
import { createRandom } from '../../trainer/random.ts';
import { loadImage } from '../../trainer/data/image/load-image.ts';
import { readJson } from '../support/files/read-json.ts';

const caseForm = z.object({
  name: z.string(),
  config: z.looseObject({ image_std: z.array(z.number()) }),
  /** [channels, height, width] */
  shape: z.tuple([z.number(), z.number(), z.number()]),
  pixel_values: z.array(z.number()),
});

const here = join(import.meta.dirname, 'image_preprocessing');
const { cases } = readJson(join(here, 'golden.json'), z.object({ cases: z.array(caseForm) }));
const folder = mkdtempSync(join(tmpdir(), 'rowtune-preprocessing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Maximum mean difference, in steps of a byte. */
const MEAN_STEPS = 0.25;
const MAX_STEPS = 8;

describe.each(cases)('$name', ({ config, shape, pixel_values: expected }) => {
  it('gives the same numbers within the rounding of the two libraries', async () => {
    writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(config));
    const [channels, height, width] = shape;
    const preprocessing = await imagePreprocessing({ dir: folder, config: {}, height, width });
    const into = new Float32Array(height * width * channels);
    const picture = join(here, 'picture.png');
    const sample = { label: 'x', file: picture, line: 1, read: async () => ({ kind: 'encoded' as const, bytes: readFileSync(picture) }) };
    await loadImage({ sample, preprocessing, channels, augment: [], random: createRandom(1), into });
    let [sum, most] = [0, 0];
    for (let channel = 0; channel < channels; channel++)
      for (let pixel = 0; pixel < height * width; pixel++) {
        const difference = (into[pixel * channels + channel] as number) - (expected[channel * height * width + pixel] as number);
        const steps = Math.abs(difference) * 255 * (config.image_std[channel] as number);
        sum += steps;
        most = Math.max(most, steps);
      }
    expect(sum / into.length).toBeLessThan(MEAN_STEPS);
    expect(most).toBeLessThan(MAX_STEPS);
  });
});

describe('the file of an export', () => {
  const given = { do_resize: true, size: { shortest_edge: 40 }, do_center_crop: true, crop_size: { height: 32, width: 32 }, resample: 3 };
  it.each([
    ['of a model that says nothing', undefined, 16],
    ['of one that says another size', given, 24],
    ['of one that only resizes', { size: { height: 32, width: 32 }, image_mean: [0.5, 0.5, 0.5] }, 24],
  ])('%s makes it see what training saw', async (_, json, side) => {
    const [dir, out] = ['from', 'to'].map(name => mkdtempSync(join(folder, name)));
    if (dir === undefined || out === undefined) throw new Error('no folder');
    if (json) writeFileSync(join(dir, 'preprocessor_config.json'), JSON.stringify(json));
    const params = { dir, config: {}, height: side, width: side };
    const { source, ...seen } = await imagePreprocessing(params);
    writeFileSync(join(out, 'preprocessor_config.json'), (await preprocessorText(params)) ?? '');
    expect(await imagePreprocessing({ ...params, dir: out })).toEqual({ ...seen, source: 'preprocessor_config.json' });
  });

  it('is that of the model where it says the same', async () => {
    const dir = mkdtempSync(join(folder, 'same'));
    writeFileSync(join(dir, 'preprocessor_config.json'), JSON.stringify(given));
    expect(await preprocessorText({ dir, config: {}, height: 32, width: 32 })).toBeUndefined();
  });
});
