/** Tests that a missing image library is reported with the command that installs it, and found once it is there. */
import sharp from 'sharp';
import { afterEach, expect, test } from 'vitest';
import { decodesImages, imageLibrary, setImageLibrary } from '../../../trainer/data/image/image-library.ts';
import { describeFailure } from '../../../trainer/run-error.ts';

afterEach(() => setImageLibrary(async () => sharp));

test('a missing library is a failure of its own, with the command; the next call tries again', async () => {
  let isInstalled = false;
  setImageLibrary(() => (isInstalled ? Promise.resolve(sharp) : Promise.reject(new Error('no package\nhere'))));
  expect(await decodesImages()).toBe(false);
  const error: unknown = await imageLibrary().catch(failure => failure);
  expect(describeFailure(error)).toMatchObject({
    event: { code: 'image-library', message: expect.stringMatching(/\(no package\): run "rowtune engine install --with images"$/) },
    unexpected: false,
  });
  isInstalled = true;
  expect(await imageLibrary()).toBe(sharp);
});
