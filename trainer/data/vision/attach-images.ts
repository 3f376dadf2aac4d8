/** Opens the images of records: their sizes decide how long the text of a sample is, so they are known before it is tokenized. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { imageKey, keepImage } from '../../files/kept-image.ts';
import { isRecord } from '../../narrow.ts';
import { base64Of, isImageUrl } from '../../protocol/prompt-images.ts';
import { DataError, describeValue } from '../data-error.ts';
import { imageLibrary } from '../image/image-library.ts';
import { checkPixels, DECODE, reasonOf } from '../image/load-image.ts';
import { openDataFile } from '../read/data-file.ts';
import { fieldError } from '../read/record-fields.ts';
import type { ChatMessage, DataFormat, DataRecord } from '../types.ts';
import { bringsImages, imagesNamedIn, type NamedImage, withImages, withOwnPrompt } from './image-parts.ts';
import type { ImageReading, SampleImage } from './sample-image.ts';

/** The maximum size of an encoded image: larger than any photograph. */
const MAX_BYTES = 256 * 2 ** 20;
/** The maximum number of images of one sample; more do not fit into the text of any model. */
const MAX_IMAGES = 512;
/** The size of the pieces of a large file that identify it, at its beginning, middle and end. */
const PIECE_BYTES = 2 ** 16;
const WHOLE_BYTES = 2 ** 20;

const NOT_OPENED: SampleImage = { path: '', key: '', width: 0, height: 0, text: '', vectors: 0 };

/**
 * The record with its images opened and in place.
 * @param reading if left out, images are put into their places without being opened
 * @throws DataError (file, line, key) for an image that cannot be used; ImageLibraryError
 */
export async function attachImages(given: DataRecord, format: DataFormat, reading?: ImageReading): Promise<DataRecord> {
  const record = format === 'preference' && bringsImages(given) ? withOwnPrompt(given) : given;
  const named = imagesNamedIn(record, format);
  if (named.length === 0) return record;
  if (named.length > MAX_IMAGES)
    throw fieldError(record, 'images', `${named.length} images, at most ${MAX_IMAGES} of a sample are read`, 'Split the sample');
  const opened = reading
    ? await Promise.all(named.map((one, index) => openImage(record, one, index, reading)))
    : named.map(() => NOT_OPENED);
  return withImages(record, format, opened);
}

/** A chat that comes from a prompt or a request in place of a file. */
export interface AskedChat {
  readonly messages: readonly ChatMessage[];
  /** Images that belong to the first question, or to places for images. */
  readonly images?: readonly string[] | undefined;
  /** Its name in messages. */
  readonly source: string;
}

/** The messages of a chat with its images opened and in place. @throws as {@link attachImages} */
export async function messagesWithImages(
  { messages, images = [], source }: AskedChat,
  reading: ImageReading,
): Promise<readonly ChatMessage[]> {
  const { value } = await attachImages({ file: source, line: 1, value: { messages, images } }, 'messages', reading);
  // Turns stay turns: images are put into their content.
  return value.messages as readonly ChatMessage[];
}

async function openImage(record: DataRecord, named: NamedImage, index: number, reading: ImageReading): Promise<SampleImage> {
  const fail = (problem: string, advice: string): DataError => fieldError(record, named.key, problem, advice);
  const sharp = await imageLibrary();
  try {
    const bytes = bytesOf(named.given);
    const { file, key } = bytes ? await keptBytes(bytes, reading.folder) : await fileOf(record, named, fail);
    const found = await sharp(bytes ?? file, DECODE).metadata();
    checkPixels(found, 'has');
    // Orientations from 5 on are turned by a quarter.
    const isTurned = (found.orientation ?? 1) >= 5;
    const size = isTurned ? { width: found.height, height: found.width } : { width: found.width, height: found.height };
    return { path: file, key, ...size, ...reading.textOf(size, index) };
  } catch (error) {
    if (error instanceof DataError && error.place.line !== undefined) throw error;
    throw fail(`an image that cannot be used: ${reasonOf(error)}`, 'Replace the image, or remove the sample');
  }
}

/** The bytes of an image inside the data; undefined if the data names a file. */
function bytesOf(given: unknown): Uint8Array | undefined {
  if (given instanceof Uint8Array) return given;
  if (typeof given === 'string') return isImageUrl(given) ? Buffer.from(base64Of(given), 'base64') : undefined;
  return isRecord(given) ? bytesOf(given.bytes ?? given.url ?? undefined) : undefined;
}

type Fail = (problem: string, advice: string) => DataError;

async function fileOf(record: DataRecord, { given }: NamedImage, fail: Fail): Promise<{ readonly file: string; readonly key: string }> {
  const name = isRecord(given) ? (given.path ?? given.url) : given;
  if (typeof name !== 'string' || name === '')
    throw fail(`${describeValue(name)}, expected the path of an image`, 'Name the file of the image');
  if (/^https?:/i.test(name))
    throw fail(`the address ${name.slice(0, 100)}`, 'Download the image, and name its file: training reads no web pages');
  const written = name.startsWith('file:') ? fileURLToPath(name) : name;
  const file = path.resolve(path.dirname(record.file), written);
  if (!existsSync(file)) throw fail(`no file ${file}`, 'Check the path: it is relative to the folder of the data file');
  return { file, key: await keyOfFile(file) };
}

/** A hash of the size and the bytes; of pieces of a large file. */
async function keyOfFile(file: string): Promise<string> {
  const { handle, stats } = await openDataFile(file);
  try {
    const { size } = stats;
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes; at most ${MAX_BYTES} are read`);
    const length = size <= WHOLE_BYTES ? size : PIECE_BYTES;
    const starts = size <= WHOLE_BYTES ? [0] : [0, Math.floor((size - length) / 2), size - length];
    const pieces: Uint8Array[] = [];
    for (const start of starts) {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, start);
      pieces.push(buffer.subarray(0, bytesRead));
    }
    return imageKey(size, pieces);
  } finally {
    await handle.close();
  }
}

/** Keeps bytes from inside the data in a file of their own, named by their content, if there is a folder for it. */
async function keptBytes(bytes: Uint8Array, folder: string | undefined): Promise<{ readonly file: string; readonly key: string }> {
  if (bytes.length > MAX_BYTES) throw new Error(`it has ${bytes.length} bytes; at most ${MAX_BYTES} are read`);
  return folder === undefined ? { file: '', key: imageKey(bytes.length, [bytes]) } : keepImage(bytes, folder);
}
