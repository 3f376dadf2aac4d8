/** Checks the header and the ending of images before training, so that a damaged image is found at the start and not hours later. */
import { elementAt } from '../../narrow.ts';
import type { DataError } from '../data-error.ts';
import { imageLibrary } from './image-library.ts';
import type { ImageSample } from './image-samples.ts';
import { checkPixels, DECODE, undecodable } from './load-image.ts';

/** Image endings (hexadecimal) by format. Images of other formats are checked by their header alone. */
const ENDINGS: Readonly<Record<string, string>> = {
  jpeg: 'ffd9',
  png: '0000000049454e44ae426082',
  gif: '3b',
};

/** The maximum number of images to check, little more than a minute at 0.3 ms each. Larger data sets are sampled evenly. */
export const MAX_GLANCES = 250_000;

/**
 * The maximum number of images that are decoded. An image with data after its ending may be intact, so it is decoded, which takes up to a
 * fifth of a second.
 */
const MAX_DECODED = 1000;

/** Number of files that are open at the same time. */
const AT_ONCE = 8;

export interface CheckedImages {
  /** Errors of damaged images, in the order of the samples. */
  readonly bad: readonly DataError[];
  readonly checked: number;
  /** Checksums of the contents of the checked samples. */
  readonly contents: ReadonlyMap<ImageSample, number>;
}

/**
 * Checks images. Damage in the middle of an image is not found: that would require decoding it.
 * @param onProgress called after each image; an error that it throws ends the check
 * @throws ImageLibraryError
 */
export async function checkImages(
  samples: readonly ImageSample[],
  onProgress: (done: number, total: number) => void,
): Promise<CheckedImages> {
  const total = Math.min(samples.length, MAX_GLANCES);
  const bad = new Map<number, DataError>();
  const contents = new Map<ImageSample, number>();
  let [next, done, decoded] = [0, 0, 0];
  const mayDecode = () => decoded++ < MAX_DECODED;
  const work = async (): Promise<void> => {
    while (next < total) {
      const place = Math.floor((next++ * samples.length) / total);
      const sample = elementAt(samples, place);
      const error = await problemOf(sample, { mayDecode, onContent: content => contents.set(sample, content) });
      if (error) bad.set(place, error);
      onProgress(++done, total);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { bad: [...bad].sort(([a], [b]) => a - b).map(([, error]) => error), checked: total, contents };
}

interface Looking {
  readonly mayDecode: () => boolean;
  readonly onContent: (content: number) => void;
}

async function problemOf(sample: ImageSample, { mayDecode, onContent }: Looking): Promise<DataError | undefined> {
  if (!sample.glance) return undefined;
  const sharp = await imageLibrary();
  try {
    const { source, tail, content } = await sample.glance();
    onContent(content);
    const { format, width, height } = await sharp(source, DECODE).metadata();
    checkPixels({ width, height }, 'has');
    const ending = ENDINGS[format];
    const isWhole = ending === undefined || Buffer.from(tail).toString('hex').endsWith(ending);
    // Decode from bytes: for a path, the library reports only that it failed, not why.
    if (!isWhole && mayDecode())
      await sharp((await sample.read()).bytes, DECODE)
        .resize(SMALL, SMALL, { fit: 'fill' })
        .raw()
        .toBuffer();
    return undefined;
  } catch (error) {
    return undecodable(sample, error);
  }
}

/** Side of the decoded image, which is discarded; small, to avoid enlarging anything. */
const SMALL = 16;
