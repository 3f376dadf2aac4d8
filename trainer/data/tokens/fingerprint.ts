/** Identifies the tokens of a data set before they are made: by content, never by dates. */
import { createHash, type Hash } from 'node:crypto';
import { endianness } from 'node:os';
import { readDataBlocks } from '../read/data-file.ts';
import type { DataFile } from '../read/list-files.ts';
import type { LargeData } from './large-data.ts';

/** Increased with every change to how samples are made or stored. */
const VERSION = 6;

const READ_BYTES = 2 ** 20;

export interface FingerprintInput {
  readonly settings: object;
  /** Maximum length in tokens. */
  readonly maxLength: number;
}

export interface Fingerprint {
  /** Identifies the samples, independent of the location of their files. */
  readonly content: string;
  /** The name of their tokens in the cache, which depends on file names because samples contain them. */
  readonly key: string;
}

/** Computes both; each has forty hexadecimal digits. */
export async function fingerprintOf(
  { settings, maxLength }: FingerprintInput,
  { tokenizer: { files, built, generationConfig }, now }: Pick<LargeData, 'tokenizer' | 'now'>,
  dataFiles: readonly DataFile[],
): Promise<Fingerprint> {
  const texts = [...files];
  const time = texts.map(([, text]) => timeIn(text, now));
  const hash = createHash('sha256');
  hash.update(lineOf([settings, maxLength, time, texts, built ?? null, generationConfig ?? null]));
  for (const { file, bytes } of dataFiles) {
    hash.update(lineOf([bytes]));
    for await (const block of readAhead(readDataBlocks(file, READ_BYTES))) hash.update(block);
  }
  const content = shown(hash);
  const key = createHash('sha256').update(lineOf([VERSION, endianness(), content, dataFiles.map(({ file }) => file)]));
  return { content, key: shown(key) };
}

/** Yields the blocks of a file, each while the next one is being read. */
async function* readAhead(blocks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let next = blocks.next();
  for (;;) {
    const block = await next;
    if (block.done === true) return;
    next = blocks.next();
    // If nothing awaits this block any more, its error is ignored.
    next.catch(() => undefined);
    yield block.value;
  }
}

const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`;

const shown = (hash: Hash): string => hash.digest('hex').slice(0, 40);

/** The date as far as a template may write it: the prompts of another day differ. */
function timeIn(text: string, now: Date): string {
  if (!text.includes('strftime_now')) return '';
  return /strftime_now[^)]*%-?[HIMSpPklcfrRTX]/.test(text) ? now.toISOString() : now.toDateString();
}
