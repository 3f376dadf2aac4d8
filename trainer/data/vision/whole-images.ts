/** The images that remain of a sample that is cut to length. */
import type { TokenizeResult } from '../example/tokenize-example.ts';
import type { DataRecord, TokenSequence } from '../types.ts';
import { IMAGE_COLUMNS } from './image-parts.ts';
import type { ImageReading, SampleImage } from './sample-image.ts';

/** A remark on a sample whose images are in a column that nothing reads. */
export const UNREAD_IMAGES = 'have images, which are not read: the model reads none, or the first sample has none';

export const hasUnreadImages = ({ images, value }: DataRecord): boolean =>
  images === undefined && IMAGE_COLUMNS.some(name => value[name] !== undefined && value[name] !== null && value[name] !== '');

/** The sequence of a record with its images; dropped if it ends within one. @param reading undefined if no images are read */
export function withWholeImages(
  result: TokenizeResult,
  { images }: DataRecord,
  reading: Pick<ImageReading, 'imageToken'> | undefined,
): TokenizeResult {
  if (result.kind === 'dropped' || !images || !reading) return result;
  const kept = wholeImages(result.sequence, images, reading);
  return kept ? { ...result, sequence: { ...result.sequence, images: kept } } : { kind: 'dropped', reason: 'cut_image' };
}

/** The images whose tokens a sequence has; undefined if it ends within one. */
function wholeImages(
  { ids }: TokenSequence,
  images: readonly SampleImage[],
  { imageToken }: Pick<ImageReading, 'imageToken'>,
): readonly SampleImage[] | undefined {
  let left = 0;
  for (const id of ids) if (id === imageToken) left++;
  let count = 0;
  while (left > 0 && count < images.length) left -= images[count++]?.vectors ?? 0;
  return left === 0 ? images.slice(0, count) : undefined;
}
