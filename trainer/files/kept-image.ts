/** Images that came as bytes, kept in files that are named by their content. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { writeDurably } from './durable-file.ts';

const KEY_DIGITS = 32;

/** The folder of images and their vectors in the cache. */
export const visionFolder = (cacheDir: string): string => path.join(cacheDir, 'vision');

/** Identifies an image by a hash of its size and of the given pieces of its bytes. */
export function imageKey(size: number, pieces: Iterable<Uint8Array>): string {
  const hash = createHash('sha256').update(`${size}:`);
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex').slice(0, KEY_DIGITS);
}

/** Writes the image into the folder, unless it is there already. */
export async function keepImage(bytes: Uint8Array, folder: string): Promise<{ readonly file: string; readonly key: string }> {
  const key = imageKey(bytes.length, [bytes]);
  const file = path.join(folder, `${key}.image`);
  if (existsSync(file)) return { file, key };
  await mkdir(folder, { recursive: true });
  await writeDurably(file, handle => handle.writeFile(bytes));
  return { file, key };
}
