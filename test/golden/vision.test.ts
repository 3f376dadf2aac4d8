/** Compares language models that read images with Transformers: sizes, pixels, vectors, logits, loss, gradients and the most probable tokens. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModel } from '../../trainer/hub/open-model.ts';
import { causalModel } from '../../trainer/model/load-model.ts';
import { gridPositions } from '../../trainer/model/vision/grid-positions.ts';
import type { VisionEncoder } from '../../trainer/model/vision/vision-encoder.ts';
import { elementAt, required } from '../../trainer/narrow.ts';
import { largestDifference, TOLERANCES } from '../../trainer/verify/verify-model.ts';
import { describeOn, openOthers } from '../support/engines.ts';
import { readRecord } from '../support/files/read-json.ts';
import { cachedTokens, checkBatch, encodeImages, type GoldenImage, goldenPixels, greedyTokens, gridsOf, pixelsOf, readVisionGolden, visionOf } from '../support/golden/vision-golden.ts';

const folders = ['qwen2_vl', 'qwen2_5_vl', 'qwen3_5_vision', 'qwen3_5_moe_vision', 'qwen3_vl', 'qwen3_vl_moe', 'glm4v', 'glm_ocr', 'paddleocr_vl', 'smolvlm', 'idefics3', 'gemma3_vision', 'mistral3_vision', 'lfm2_vl', 'lfm3_vl', 'lighton_ocr', 'minicpm_v', 'gemma4_images', 'gemma4_unified', 'internvl', 'internvl_resized', 'internvl_rms'];
const dirOf = (name: string): string => join(import.meta.dirname, name);
/** The rounding of a pixel's value. */
const EPSILON = 1e-5;
/** Torchvision resizes as Pillow and we do, and rounds a few values differently: limits of the mean and of each, in steps of a byte. */
const STEPS = { mean: 0.05, each: 2.01 };

describe.each(folders)('%s', name => {
  const golden = readVisionGolden(name);
  const vision = visionOf(name);

  test('texts, sizes and pixels of images are those of the processor', () => {
    for (const image of golden.images) {
      const { text, grid, views } = vision.layout(image);
      expect(text).toBe(image.text ?? vision.placeholder.repeat(image.vectors));
      expect(grid && [grid.rows, grid.columns]).toEqual(image.grid);
      expect(views.reduce((sum, { vectors }) => sum + vectors, 0)).toBe(image.vectors);
      image.views?.forEach((_, i) => {
        checkSteps(vision, image, i);
      });
      if (image.views) expect(views).toHaveLength(image.views.length);
      if (image.patches) checkPatches(vision, image, image.patches);
    }
  });

  test('positions of tokens', () => {
    const { imageToken, positions: kind } = required(causalModel(readRecord(join(dirOf(name), 'config.json'))).vision, 'images');
    for (const { ids, images, positions, next } of golden.texts) {
      const found = kind === 'grid' ? gridPositions(ids, imageToken, gridsOf(golden, images)) : undefined;
      expect(found?.next).toBe(next);
      expect(found && Array.from(found.positions)).toEqual(positions?.flat());
    }
  });
});

function checkPatches({ feeds, layout, scale }: VisionEncoder, image: GoldenImage, expected: NonNullable<GoldenImage['patches']>): void {
  const view = elementAt(layout(image).views, 0);
  const { patches, seen } = feeds(view, pixelsOf(image, view, scale));
  const [rows, width] = expected.shape;
  // Padding is 0.
  const own = Array.from(required(patches, 'the patches'));
  const isSeen = Array.from(required(seen, 'which patches there are'));
  expect(isSeen.reduce((sum, one) => sum + one, 0)).toBe(rows);
  expect(Math.abs(own.reduce((sum, value) => sum + value, 0) - expected.sum)).toBeLessThan(EPSILON * rows * width);
  expect(largestDifference(own.slice(isSeen.lastIndexOf(1) * width).slice(0, 8), expected.first8)).toBeLessThan(EPSILON);
}

/** Compares the pixels of a view with those of the processor. */
function checkSteps({ layout, scale }: VisionEncoder, image: GoldenImage, index: number): void {
  const view = elementAt(layout(image).views, index);
  const own = pixelsOf(image, view, scale);
  const expected = goldenPixels(image, index, view, scale);
  expect([own.width, own.height]).toEqual([expected.width, expected.height]);
  const steps = own.values.map((value, at) => (Math.abs(value - (expected.values[at] as number)) * elementAt(scale.std, at % 3)) / scale.rescale);
  expect(steps.reduce((sum, step) => sum + step, 0) / steps.length).toBeLessThan(STEPS.mean);
  expect(Math.max(...steps)).toBeLessThan(STEPS.each);
}

describeOn(await openOthers(), engine => {
  test.each(folders)('%s', async name => {
    const golden = readVisionGolden(name);
    const folder = await openModel(dirOf(name));
    const run = { engine, model: causalModel(folder.config), vision: visionOf(name), weights: folder.weights, golden };
    const vectors = await encodeImages(run);
    vectors.forEach((found, i) => {
      expect(largestDifference(found, elementAt(golden.images, i).features.data)).toBeLessThan(TOLERANCES.logits);
    });
    const checks = await checkBatch(run, vectors);
    expect(checks.map(({ name: checked }) => checked)).toHaveLength(2 + Object.keys(golden.batch.grads).length);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    const greedy = golden.texts.map(({ greedy: own }) => own);
    expect(await greedyTokens(run, vectors)).toEqual(greedy);
    expect(await cachedTokens(run, vectors)).toEqual(greedy);
    if (run.model.vision?.attendsWithin) {
      // A stretch of 64 tokens would cut the first image.
      const texts = golden.texts.map(text => ({ ...text, ids: [...Array.from({ length: 54 }, (_, i) => 3 + (i % 30)), ...text.ids] }));
      const longer = { ...run, golden: { ...golden, texts } };
      expect(await cachedTokens(longer, vectors)).toEqual(await greedyTokens(longer, vectors));
    }
    await folder.weights.close();
  });
});
