/** The images of a sample as a page of samples shows them. */
import path from 'node:path';
import type { ShownImage } from '../../protocol/view/data.ts';
import { imageLibrary } from '../image/image-library.ts';
import { DECODE } from '../image/load-image.ts';
import type { SampleImage } from '../vision/sample-image.ts';

/** The longer side in pixels: the size on the page, for screens with two pixels per point. */
const THUMBNAIL_PX = 192;
/** Number of images of a sample that get a thumbnail: a page of samples has to fit in a message. */
const MAX_THUMBNAILS = 8;

/** @param folder the files that bytes from inside the data were written to, whose names say nothing */
export const sampleImages = (images: readonly SampleImage[], folder: string | undefined): Promise<readonly ShownImage[]> =>
  Promise.all(
    images.map(async ({ path: file, width, height }, i) => {
      const isNamed = file !== '' && path.dirname(file) !== folder;
      const thumbnail = i < MAX_THUMBNAILS && file !== '' ? await thumbnailOf(file) : undefined;
      return { name: isNamed ? path.basename(file) : `image ${i + 1}`, width, height, ...(thumbnail !== undefined && { thumbnail }) };
    }),
  );

/** @returns undefined for an image that does not decode, which training reports */
async function thumbnailOf(file: string): Promise<string | undefined> {
  try {
    const sharp = await imageLibrary();
    const size = { width: THUMBNAIL_PX, height: THUMBNAIL_PX, fit: 'inside', withoutEnlargement: true } as const;
    const bytes = await sharp(file, DECODE).rotate().resize(size).webp().toBuffer();
    return `data:image/webp;base64,${bytes.toString('base64')}`;
  } catch {
    return undefined;
  }
}
