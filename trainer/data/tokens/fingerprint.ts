/** Identifies the tokens of a data set before they are made: by content, never by dates. */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { readDataBlocks } from '../read/data-file.ts';
import type { DataFile } from '../read/list-files.ts';
import type { LargeData } from './large-data.ts';

/** Raised with every change of what is made of the same data, or of how it is stored. */
const VERSION = 4;

const READ_BYTES = 2 ** 20;

export interface FingerprintInput {
  readonly settings: object;
  /** In tokens. */
  readonly maxLength: number;
}

/** Forty hexadecimal digits. Files count by path and content. */
export async function fingerprintOf(
  { settings, maxLength }: FingerprintInput,
  { tokenizer: { files, built, generationConfig }, now }: LargeData,
  dataFiles: readonly DataFile[],
): Promise<string> {
  const hash = createHash('sha256');
  const add = (value: unknown): void => void hash.update(`${JSON.stringify(value)}\n`);
  const texts = [...files];
  const time = texts.map(([, text]) => timeIn(text, now));
  add([VERSION, endianness(), settings, maxLength, time, texts, built ?? null, generationConfig ?? null]);
  for (const { file, bytes } of dataFiles) {
    add([file, bytes]);
    for await (const block of readDataBlocks(file, READ_BYTES)) hash.update(block);
  }
  return hash.digest('hex').slice(0, 40);
}

/** As much of the time as a template may write: prompts of another day are others. */
function timeIn(text: string, now: Date): string {
  if (!text.includes('strftime_now')) return '';
  return /strftime_now[^)]*%-?[HIMSpPklcfrRTX]/.test(text) ? now.toISOString() : now.toDateString();
}
