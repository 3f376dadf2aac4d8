/** Identifies the samples of a run, so that a resume notices data that changed underneath: its place in them would mean something else. */
import { basename } from 'node:path';
import { checksum, showChecksum } from '../files/checksum.ts';

/** What counts of a sample: its tokens, or the name of its file where it is read when its turn comes, and its label. */
export interface DigestSample {
  readonly ids?: Int32Array;
  readonly train?: Uint8Array;
  readonly secondAt?: number;
  readonly label?: string;
  readonly target?: number;
  readonly file: string;
  readonly line?: number;
}

export interface DataDigest {
  readonly train: string;
  readonly held: string;
}

/** The number of samples and a checksum over all of them, in their order. */
export function digestSamples(samples: readonly DigestSample[]): string {
  let value = 0;
  for (const { ids, train, secondAt, label, target, file, line } of samples) {
    const place = ids === undefined ? [basename(file), line] : [ids.length, secondAt];
    value = checksum(Buffer.from(JSON.stringify([...place, label, target])), value);
    if (ids) value = checksum(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength), value);
    if (train) value = checksum(train, value);
  }
  return `${samples.length}:${showChecksum(value)}`;
}
