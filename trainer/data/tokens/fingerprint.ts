/** Identifies the tokens of a data set before they are made: by content, never by dates. */
import { createHash, type Hash } from 'node:crypto';
import { endianness } from 'node:os';
import { readDataBlocks } from '../read/data-file.ts';
import type { DataFile } from '../read/list-files.ts';
import type { LargeData } from './large-data.ts';

/** Raised with every change of what is made of the same data, or of how it is stored. */
const VERSION = 5;

const READ_BYTES = 2 ** 20;

export interface FingerprintInput {
  readonly settings: object;
  /** In tokens. */
  readonly maxLength: number;
}

export interface Fingerprint {
  /** Identifies the samples, wherever their files are. */
  readonly content: string;
  /** The name of their tokens in the cache: samples know their files. */
  readonly key: string;
}

/** Each has forty hexadecimal digits. */
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

/** The blocks of a file, each while the next one is being read. */
async function* readAhead(blocks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let next = blocks.next();
  for (;;) {
    const block = await next;
    if (block.done === true) return;
    next = blocks.next();
    // A block that nobody waits for any more fails unseen.
    next.catch(() => undefined);
    yield block.value;
  }
}

const lineOf = (value: unknown): string => `${JSON.stringify(value)}\n`;

const shown = (hash: Hash): string => hash.digest('hex').slice(0, 40);

/** As much of the time as a template may write: prompts of another day are others. */
function timeIn(text: string, now: Date): string {
  if (!text.includes('strftime_now')) return '';
  return /strftime_now[^)]*%-?[HIMSpPklcfrRTX]/.test(text) ? now.toISOString() : now.toDateString();
}
