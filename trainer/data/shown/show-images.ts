/** Shows labeled images as the model sees them: resized, cropped, and with the remaining precision. */
import type { ImagePreprocessing } from '../../format/image/image-preprocessing.ts';
import { createRandom } from '../../random.ts';
import { imageLibrary } from '../image/image-library.ts';
import { type ImageSample, type ListImagesInput, listImages } from '../image/image-samples.ts';
import { loadImage } from '../image/load-image.ts';
import type { SampleToShow } from './shown-sample.ts';
import { ShownProblems, samplesToShow } from './shown-sample.ts';

export interface ShowImagesInput extends ListImagesInput {
  readonly preprocessing: ImagePreprocessing;
  readonly channels: number;
}

/** Shows images without the random augmentation of training. @throws DataError if there is no image; ImageLibraryError */
export async function* showImages(input: ShowImagesInput): AsyncGenerator<SampleToShow> {
  const { samples } = await listImages(input);
  yield* samplesToShow(each(samples), new ShownProblems(), {
    placeOf: ({ file, line }) => ({ file, line }),
    show: async sample => ({ labels: [sample.label], sequences: [], picture: await pictureOf(sample, input) }),
  });
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Converts the model's input values back to the bytes of a picture. */
async function pictureOf(sample: ImageSample, { preprocessing, channels }: ShowImagesInput) {
  const { height, width, rescale, mean, std } = preprocessing;
  const into = new Float32Array(height * width * channels);
  await loadImage({ sample, preprocessing, channels, augment: [], random: createRandom(0, 0), into });
  const shown = channels === 1 ? 1 : 3;
  const bytes = new Uint8Array(height * width * shown);
  for (let pixel = 0; pixel < height * width; pixel++)
    for (let channel = 0; channel < shown; channel++) {
      const value = into[pixel * channels + channel] as number;
      const at = Math.min(channel, mean.length - 1);
      bytes[pixel * shown + channel] = Math.max(0, Math.min(255, Math.round((value * (std[at] ?? 1) + (mean[at] ?? 0)) / rescale)));
    }
  const sharp = await imageLibrary();
  const png = await sharp(bytes, { raw: { width, height, channels: shown } })
    .png()
    .toBuffer();
  return { src: `data:image/png;base64,${png.toString('base64')}`, width, height };
}
