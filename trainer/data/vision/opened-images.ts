/** A stream of records whose images are opened ahead, several records at the same time. */
import { DataError, type DataProblems } from '../data-error.ts';
import type { DataFormat, DataRecord } from '../types.ts';
import { attachImages } from './attach-images.ts';
import type { ImageReading } from './sample-image.ts';

/** Number of records whose images are opened at the same time. */
const AT_ONCE = 8;

interface OpenParams {
  readonly format: DataFormat;
  readonly images: ImageReading;
  readonly problems: DataProblems;
}

/** The records with their images in place, in their order; those with images that cannot be used are problems. */
export async function* withOpenedImages(records: AsyncIterable<DataRecord>, params: OpenParams): AsyncGenerator<DataRecord> {
  const opening: Promise<DataRecord | undefined>[] = [];
  for await (const record of records) {
    opening.push(opened(record, params));
    if (opening.length < AT_ONCE) continue;
    const first = await opening.shift();
    if (first) yield first;
  }
  for (const one of opening) {
    const record = await one;
    if (record) yield record;
  }
}

async function opened(record: DataRecord, { format, images, problems }: OpenParams): Promise<DataRecord | undefined> {
  try {
    return await attachImages(record, format, images);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    problems.add(error);
    return undefined;
  }
}
