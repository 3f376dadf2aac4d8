/** The vectors of images on disk, one file for each image, named by everything that they depend on. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm, utimes } from 'node:fs/promises';
import path from 'node:path';
import type { SampleImage } from '../data/vision/sample-image.ts';
import { openSafetensors } from '../format/safetensors/safetensors-source.ts';
import { writeSafetensors } from '../format/safetensors/safetensors-writer.ts';
import type { ImageLayout } from '../model/vision/vision-encoder.ts';

/** Increased when the same key stands for other values than before. */
const VERSION = 1;
const TENSOR = 'vectors';

export interface VectorPlace {
  readonly folder: string;
  /** The fingerprint of the model's weights. */
  readonly fingerprint: string;
  /** The engine that computes: two may round differently. */
  readonly engine: string;
}

/** The file of an image's vectors. */
export function vectorFile({ folder, fingerprint, engine }: VectorPlace, { key }: SampleImage, layout: ImageLayout): string {
  const hash = createHash('sha256').update(JSON.stringify([VERSION, fingerprint, engine, key, layout]));
  return path.join(folder, `${hash.digest('hex').slice(0, 32)}.safetensors`);
}

/** Matches the names of all files in the folder, vectors and images. */
export const OWN_FILE = /^[0-9a-f]{32}\.(safetensors|image)$/;

/** @param values [sets, vectors, width] */
export const writeVectors = (file: string, values: Float32Array, shape: readonly [sets: number, vectors: number, width: number]) =>
  writeSafetensors(file, [
    { name: TENSOR, dtype: 'F32', shape, data: () => new Uint8Array(values.buffer, values.byteOffset, values.byteLength) },
  ]);

/** True if the file holds vectors of this shape; another file is removed. Notes the time of the use. */
export async function hasVectors(file: string, shape: readonly number[]): Promise<boolean> {
  if (!existsSync(file)) return false;
  const found = await shapeIn(file).catch(() => undefined);
  if (found?.join() === shape.join()) {
    await utimes(file, new Date(), new Date()).catch(() => undefined);
    return true;
  }
  await rm(file, { force: true });
  return false;
}

async function shapeIn(file: string): Promise<readonly number[] | undefined> {
  const opened = await openSafetensors(file);
  await opened.close();
  return opened.tensors.get(TENSOR)?.shape;
}

/** [sets, vectors, width] */
export async function readVectors(file: string): Promise<Float32Array> {
  const opened = await openSafetensors(file);
  try {
    return await opened.readFloat32(TENSOR);
  } finally {
    await opened.close();
  }
}
