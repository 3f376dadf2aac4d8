/** Looks at images before any is trained on: at the header and the ending of each, so that a damaged one is met at the start and not hours later. */
import { elementAt } from '../../narrow.ts';
import type { DataError } from '../data-error.ts';
import type { ImageSample } from './image-samples.ts';
import { checkPixels, DECODE, sharpLibrary, undecodable } from './load-image.ts';

/** By the name of the format. Images of other formats are judged by their header alone. */
const ENDINGS: Readonly<Record<string, string>> = {
  jpeg: 'ffd9',
  png: '0000000049454e44ae426082',
  gif: '3b',
};

/** At 0.3 ms each little more than a minute; of more images so many are looked at, evenly spread. */
export const MAX_GLANCES = 250_000;

/** An image with something behind its ending may be whole: it is decoded, which takes up to a fifth of a second. No more than so many are. */
const MAX_DECODED = 1000;

/** Files that are open at once. */
const AT_ONCE = 8;

export interface CheckedImages {
  /** In the order of the samples. */
  readonly bad: readonly DataError[];
  readonly checked: number;
  /** Checksums of the samples' contents, of those that were looked at. */
  readonly contents: ReadonlyMap<ImageSample, number>;
}

/**
 * Damage in the middle of an image is not seen: that takes decoding it.
 * @param onProgress called after each image; what it throws ends the check
 * @throws DataError where the library is not installed for this system
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
  const sharp = await sharpLibrary();
  try {
    const { source, tail, content } = await sample.glance();
    onContent(content);
    const { format, width, height } = await sharp(source, DECODE).metadata();
    checkPixels({ width, height }, 'has');
    const ending = ENDINGS[format];
    const isWhole = ending === undefined || Buffer.from(tail).toString('hex').endsWith(ending);
    // From its bytes: of a path, the library keeps that it failed and not why.
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

/** A side of what is thrown away again: nothing to scale up to. */
const SMALL = 16;
