/** Identifies the samples of a run, so that a resume notices changed data: the saved position would refer to other samples. */
import { basename } from 'node:path';
import { checksum, showChecksum } from '../files/checksum.ts';

/**
 * The parts of a sample that the digest covers: its tokens and its label. A sample that is read on demand has the name of its file and a
 * checksum of its content in place of tokens.
 */
export interface DigestSample {
  readonly ids?: Int32Array;
  readonly train?: Uint8Array;
  readonly weights?: Float32Array;
  readonly secondAt?: number;
  readonly tags?: readonly string[];
  /** The labels of a sample that may have several. */
  readonly names?: readonly string[];
  readonly label?: string;
  readonly target?: number;
  readonly file: string;
  readonly line?: number;
  readonly content?: number;
  readonly images?: ReadonlyArray<{ readonly key: string }>;
}

export interface DataDigest {
  readonly train: string;
  readonly held: string;
}

/** The number of samples, a checksum over all of them in order, and a checksum over the contents of the samples that are read on demand. */
export function digestSamples(samples: Iterable<DigestSample>): string {
  let [value, count] = [0, 0];
  const contents: Array<number | null> = [];
  for (const { ids, train, weights, secondAt, tags = [], names = [], label, target, file, line, content, images = [] } of samples) {
    count++;
    if (content !== undefined) contents[count - 1] = content;
    const place = ids === undefined ? [basename(file), line] : [ids.length, secondAt];
    value = checksum(Buffer.from(JSON.stringify([...place, label, target, ...tags, ...names, ...images.map(({ key }) => key)])), value);
    if (ids) value = checksum(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), value);
    if (train) value = checksum(train, value);
    if (weights) value = checksum(new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength), value);
  }
  const named = `${count}:${showChecksum(value)}`;
  if (contents.length === 0) return named;
  contents.length = count;
  return `${named}:${showChecksum(checksum(Buffer.from(JSON.stringify(Array.from(contents, content => content ?? null)))))}`;
}

/** The number of samples that a digest covers. */
export const sampleCount = (digest: string): number => Number.parseInt(digest, 10);

/** Describes the difference between two digests; undefined if there is none. Digests of earlier versions do not cover contents. */
export function describeDifference(before: string, now: string): string | undefined {
  const [countBefore, namesBefore, contentsBefore] = before.split(':');
  const [count, names, contents] = now.split(':');
  if (countBefore !== count || namesBefore !== names) return `${countBefore} samples then, ${count} now, or others`;
  if (contentsBefore === undefined || contents === undefined || contentsBefore === contents) return undefined;
  return `the ${count} samples have the same names and labels, but other contents`;
}
