/** Reads labeled images from common layouts: one folder per class, Tiny-ImageNet, CIFAR's binaries, Parquet files. */

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { checksum } from '../../files/checksum.ts';
import { isRecord } from '../../narrow.ts';
import { DataError } from '../data-error.ts';
import { type ColumnNames, renameColumns } from '../detect-format.ts';
import { reservoir } from '../draw.ts';
import { explainMissing } from '../missing-path.ts';
import { openDataFile, readDataBlocks, readDataFile } from '../read/data-file.ts';
import { folderEntries } from '../read/folder-entries.ts';
import { checkOnePart, listDataFiles, namesBesideData } from '../read/list-files.ts';
import { readRecords } from '../read/read-records.ts';
import { byNumberOrName, fieldError, labelName } from '../read/record-fields.ts';
import { readLines } from '../read/utf8-stream.ts';
import type { DataRecord } from '../types.ts';

/** An encoded image, or its raw bytes, row by row with interleaved channels. */
export type ImageBytes =
  | { readonly kind: 'encoded'; readonly bytes: Uint8Array }
  | { readonly kind: 'pixels'; readonly bytes: Uint8Array; readonly width: number; readonly height: number; readonly channels: 1 | 3 };

export interface ImageSample {
  readonly label: string;
  readonly file: string;
  /** The number of the image in its file, from 1, if the file holds several. */
  readonly line?: number;
  readonly read: () => Promise<ImageBytes>;
  /** A checksum of its bytes, present if listing the images reads them anyway. */
  readonly content?: number;
  /** Reads the beginning and the end of an encoded image; missing for raw bytes, which need no decoding. */
  readonly glance?: () => Promise<ImageEnds>;
}

/** Enough of an image to check it without reading the rest. */
export interface ImageEnds {
  /** A path, or all bytes; only the beginning is checked. */
  readonly source: string | Uint8Array;
  /** The last bytes; fewer for a smaller image. */
  readonly tail: Uint8Array;
  /**
   * A checksum of the size and of some pieces, or of all bytes of a small image. A change in compressed pixels moves all bytes after it.
   */
  readonly content: number;
}

export interface ListImagesInput {
  readonly paths: readonly string[];
  readonly columns: ColumnNames;
  /** Label names by id, for files that hold numbers. */
  readonly labels: readonly string[];
  /** Draws at most this many images with the seed; the labels are those of all images. */
  readonly maxSamples?: number;
  readonly seed: number;
}

export interface ListedImages {
  readonly samples: readonly ImageSample[];
  /** Label names by id: the names of the input, or the names that were found, sorted. */
  readonly labels: readonly string[];
  /** Number of images before drawing. */
  readonly count: number;
}

const IMAGE_EXTENSIONS = new Set(['.png', '.jpg', '.jpeg', '.webp', '.gif', '.tif', '.tiff', '.avif', '.svg']);

/** Extensions of tables with a column of images. */
const TABLES: readonly string[] = ['.parquet', '.arrow'];
/** Extensions of files that hold many images. */
const COLLECTIONS: readonly string[] = ['.bin', ...TABLES];

/** True if a file may hold many images, judging by its name. */
export const mayHoldImages = (name: string): boolean => COLLECTIONS.includes(path.extname(name).toLowerCase());

export const isImageFile = (name: string): boolean => IMAGE_EXTENSIONS.has(path.extname(name).toLowerCase());

/** The maximum number of images. ImageNet-21k has 14 million; a longer list of paths would fill the memory before training. */
const MAX_IMAGES = 20_000_000;

/** The maximum size of an image file: larger than any photograph. */
const MAX_IMAGE_BYTES = 256 * 2 ** 20;

/** The list of labels in Tiny-ImageNet's validation part. */
export const VALIDATION_LIST = 'val_annotations.txt';

/** Lists images. @throws DataError (file, line) if a path holds no image, or a label is missing */
export async function listImages(input: ListImagesInput): Promise<ListedImages> {
  const { paths, labels: given, maxSamples, seed } = input;
  if (paths.length === 0) throw new DataError({ problem: 'no image folder is named', advice: 'Name one under data: train' });
  const found = reservoir<ImageSample>({ count: maxSamples, seed });
  const names = new Set<string>();
  for (const one of paths) {
    const status = await stat(one).catch(() => undefined);
    if (!status) throw new DataError({ file: one, ...explainMissing(one) });
    const before = found.seen();
    for await (const sample of status.isDirectory() ? imagesOfFolder(one, input) : imagesOfFile(one, input)) {
      found.add(sample);
      names.add(sample.label);
      if (found.seen() > MAX_IMAGES)
        throw new DataError({ file: one, problem: `more than ${MAX_IMAGES} images`, advice: 'Name a part of the folder' });
    }
    if (found.seen() === before)
      throw new DataError({
        file: one,
        problem: 'no labeled image was found',
        advice:
          'Put images in one folder per class (root/cat/1.png), or in CIFAR binaries (.bin), or in Parquet or Arrow files with image and label',
      });
  }
  return { samples: found.drawn(), labels: given.length > 0 ? given : [...names].sort(byNumberOrName), count: found.seen() };
}

async function* imagesOfFolder(folder: string, input: ListImagesInput): AsyncGenerator<ImageSample> {
  const entries = await folderEntries(folder);
  const all = entries.map(({ name }) => name);
  const beside = namesBesideData(all);
  const names = all.filter(name => !name.startsWith('.') && !beside.has(name));
  if (names.includes(VALIDATION_LIST)) return yield* tinyImageNetValidation(folder);
  const folders = new Set(entries.filter(({ kind }) => kind === 'folder').map(({ name }) => name));
  checkOnePart(
    folder,
    names.filter(name => folders.has(name) || COLLECTIONS.includes(path.extname(name))),
  );
  for (const name of names) {
    const inner = path.join(folder, name);
    if (folders.has(name)) yield* imagesOfClass(inner, name);
    else if (TABLES.includes(path.extname(name)) || isCifarBatch(name)) yield* imagesOfFile(inner, input);
  }
}

/** The images of a class, in its folder or in folders below it (Tiny-ImageNet has class/images/). */
async function* imagesOfClass(folder: string, label: string, depth = 1): AsyncGenerator<ImageSample> {
  for (const { name, kind } of await folderEntries(folder, depth)) {
    const inner = path.join(folder, name);
    if (kind === 'folder') yield* imagesOfClass(inner, label, depth + 1);
    else if (isImageFile(name)) yield imageFile(inner, label);
  }
}

/** Tiny-ImageNet's validation part: images/, and a tab-separated list of file names and classes. */
async function* tinyImageNetValidation(folder: string): AsyncGenerator<ImageSample> {
  const list = path.join(folder, VALIDATION_LIST);
  for await (const { line, text } of readLines(list)) {
    if (text.trim() === '') continue;
    const [name, label] = text.split('\t');
    if (!name || !label || path.basename(name) !== name)
      throw new DataError({
        file: list,
        line,
        problem: 'not a file name, a tab and a class',
        advice: 'Use the list that came with the data',
      });
    yield imageFile(path.join(folder, 'images', name), label);
  }
}

const imageFile = (file: string, label: string): ImageSample => ({
  label,
  file,
  read: async () => ({ kind: 'encoded', bytes: await readDataFile(file, MAX_IMAGE_BYTES) }),
  glance: async () => {
    const { handle, stats } = await openDataFile(file);
    try {
      const size = checkSize(file, stats.size);
      let content = checksum(Buffer.from(String(size)));
      let tail: Uint8Array = new Uint8Array();
      for (const [start, end] of piecesOf(size)) {
        const piece = new Uint8Array(end - start);
        await handle.read(piece, 0, piece.length, start);
        content = checksum(piece, content);
        tail = piece.subarray(-TAIL_BYTES);
      }
      return { source: file, tail, content };
    } finally {
      await handle.close();
    }
  },
});

/** The length of a PNG's ending. */
const TAIL_BYTES = 12;

/** The size of a page in the disk cache. */
const PIECE_BYTES = 4096;

/** The ranges at the beginning, in the middle and at the end of an image of `size` bytes; the whole of a small image. */
function piecesOf(size: number): ReadonlyArray<readonly [start: number, end: number]> {
  if (size <= 3 * PIECE_BYTES) return [[0, size]];
  return [0, Math.floor((size - PIECE_BYTES) / 2), size - PIECE_BYTES].map(start => [start, start + PIECE_BYTES] as const);
}

/** Checks the size of a file. @returns the size */
function checkSize(file: string, size: number): number {
  if (size <= MAX_IMAGE_BYTES) return size;
  throw new DataError({
    file,
    problem: `an image of ${size} bytes; at most ${MAX_IMAGE_BYTES} are read`,
    advice: 'Make it smaller, or remove it',
  });
}

async function* imagesOfFile(file: string, input: ListImagesInput): AsyncGenerator<ImageSample> {
  const extension = path.extname(file).toLowerCase();
  if (extension === '.bin') return yield* cifarImages(file, input.labels);
  if (!mayHoldImages(file))
    throw new DataError({
      file,
      problem: `a file that ends in "${extension}", expected .bin (CIFAR), .parquet or .arrow`,
      advice: 'Name the folder of the images',
    });
  for await (const record of readRecords({ files: await listDataFiles([file]), textSplit: 'file', bytes: true }))
    yield imageOfRecord(renameColumns(record, input.columns), input.labels);
}

/** Reads an image as the hub stores it: a column `image` (or `img`) with `{bytes}`, and `label` (CIFAR-100 has `fine_label`). */
function imageOfRecord(record: DataRecord, labels: readonly string[]): ImageSample {
  const { value, file, line } = record;
  const held = value.image ?? value.img;
  const bytes = isRecord(held) && !(held instanceof Uint8Array) ? held.bytes : held;
  if (!(bytes instanceof Uint8Array))
    throw fieldError(record, 'image', 'no bytes of an image', 'Rename the column: data: columns: {image: …}');
  const content = checksum(bytes);
  return {
    label: labelName(record, labelKey(record), labels),
    file,
    line,
    content,
    read: async () => ({ kind: 'encoded', bytes }),
    glance: async () => ({ source: bytes, tail: bytes.subarray(-TAIL_BYTES), content }),
  };
}

/** The columns that may have the image. */
export const IMAGE_KEYS = ['image', 'img'] as const;

/** The column with the label of an image. */
export const labelKey = ({ value }: DataRecord): string =>
  ['label', 'fine_label', 'labels'].find(name => Object.hasOwn(value, name)) ?? 'label';

const SIDE = 32;
const CIFAR_PIXELS = 3 * SIDE * SIDE;

const isCifarBatch = (name: string): boolean => /^(data_batch_\d+|test_batch|train|test)\.bin$/.test(name);

/**
 * Reads CIFAR-10 (a label byte and 3072 pixel bytes, plane by plane) and CIFAR-100 (a coarse and a fine label before them). Label names
 * come from the lists in the folder.
 */
async function* cifarImages(file: string, given: readonly string[]): AsyncGenerator<ImageSample> {
  const { size } = await stat(file);
  const header = size % (CIFAR_PIXELS + 1) === 0 ? 1 : size % (CIFAR_PIXELS + 2) === 0 ? 2 : undefined;
  if (!header || size === 0)
    throw new DataError({
      file,
      problem: `${size} bytes are not a whole number of CIFAR records (3073 bytes, or 3074 of CIFAR-100)`,
      advice: 'Download it again, and take the binary version',
    });
  const names = namesOfBytes(given, await cifarNames(path.dirname(file), header));
  const record = CIFAR_PIXELS + header;
  let line = 0;
  for await (const { label, content } of readLabels(file, { record, at: header - 1 })) {
    line++;
    if (names.length > 0 && label >= names.length)
      throw new DataError({ file, line, problem: `label ${label}, but there are ${names.length} names`, advice: 'Check data: labels' });
    const offset = (line - 1) * record + header;
    yield { label: names[label] ?? String(label), file, line, content, read: () => readCifar(file, offset) };
  }
}

/**
 * The names that a label byte indexes. The list of the data takes precedence, because the labels of a training may be fewer or in another
 * order.
 */
function namesOfBytes(given: readonly string[], listed: readonly string[]): readonly string[] {
  if (listed.length > 0 && given.every(name => listed.includes(name))) return listed;
  return given.every(name => /^\d+$/.test(name)) ? [] : given;
}

/** The maximum size of a list of ten or a hundred names. */
const MAX_NAMES_BYTES = 2 ** 16;

async function cifarNames(folder: string, header: number): Promise<string[]> {
  const list = path.join(folder, header === 1 ? 'batches.meta.txt' : 'fine_label_names.txt');
  const text = await readDataFile(list, MAX_NAMES_BYTES).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text
    .toString()
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
}

interface CifarLabel {
  readonly label: number;
  /** A checksum of the record. */
  readonly content: number;
}

/** Yields the label byte of each record, at offset `at`, and the record's checksum. */
async function* readLabels(file: string, { record, at }: { readonly record: number; readonly at: number }): AsyncGenerator<CifarLabel> {
  let [label, content, filled] = [0, 0, 0];
  for await (const chunk of readDataBlocks(file, 2 ** 20))
    for (let from = 0; from < chunk.length; ) {
      const piece = chunk.subarray(from, from + record - filled);
      if (filled <= at && at < filled + piece.length) label = piece[at - filled] as number;
      content = checksum(piece, content);
      filled += piece.length;
      from += piece.length;
      if (filled < record) continue;
      yield { label, content };
      [content, filled] = [0, 0];
    }
}

async function readCifar(file: string, offset: number): Promise<ImageBytes> {
  const planes = new Uint8Array(CIFAR_PIXELS);
  const { handle } = await openDataFile(file);
  try {
    await handle.read(planes, 0, CIFAR_PIXELS, offset);
  } finally {
    await handle.close();
  }
  const bytes = new Uint8Array(CIFAR_PIXELS);
  const plane = SIDE * SIDE;
  for (let i = 0; i < plane; i++)
    for (let channel = 0; channel < 3; channel++) bytes[3 * i + channel] = planes[channel * plane + i] as number;
  return { kind: 'pixels', bytes, width: SIDE, height: SIDE, channels: 3 };
}
