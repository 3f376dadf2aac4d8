/** Checks that a disk has room before a long computation fills it. */
import { statfs } from 'node:fs/promises';
import { byteSize } from '../protocol/text/format.ts';
import { RunError } from '../run-error.ts';

/** Free space that is left for everything else on the disk. */
const SPARE_BYTES = 1e9;

interface Wanted {
  readonly bytes: number;
  /** The subject of the message: 'the vectors of the images'. */
  readonly what: string;
  readonly advice: string;
}

/** @throws RunError 'disk-full' */
export async function requireRoom(folder: string, { bytes, what, advice }: Wanted): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes + SPARE_BYTES) return;
  throw new RunError(
    'disk-full',
    `${what} take ${byteSize(bytes)}, and the disk of ${folder} has ${byteSize(bavail * bsize)} free`,
    advice,
  );
}
