/** Checks whether a path is writable, without writing anything: before hours of work, and while a recipe is being written. */
import { constants, type Stats } from 'node:fs';
import { access, lstat, stat, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { codeOf, messageOf } from '../protocol/error-facts.ts';
import { byteSize } from '../protocol/text/format.ts';

/** Minimum free space: logs and metrics alone need some room. */
const MIN_FREE_BYTES = 64 * 2 ** 20;

/**
 * Linux file systems whose files are views of the kernel, by their number in linux/magic.h. The superuser appears to have write permission
 * there, but cannot write.
 */
const KERNEL_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x9fa0, 'proc'],
  [0x62656572, 'sysfs'],
  [0x27e0eb, 'cgroup'],
  [0x63677270, 'cgroup2'],
  [0x1cd1, 'devpts'],
  [0x64626720, 'debugfs'],
  [0x74726163, 'tracefs'],
  [0x73636673, 'securityfs'],
  [0xcafe4a11, 'bpf'],
  [0x6e736673, 'nsfs'],
  [0x62656570, 'configfs'],
  [0x19800202, 'mqueue'],
  [0xde5e81e4, 'efivarfs'],
  [0x6165676c, 'pstore'],
]);

/**
 * The reason why no folder can be created or written to at `folder`, as a sentence without its end; undefined if there is none.
 * @param neededBytes the free space that is needed; 0 if the caller checks it
 */
export async function whyNotWritable(folder: string, neededBytes = MIN_FREE_BYTES): Promise<string | undefined> {
  try {
    const { place, stats } = await nearestExisting(resolve(folder));
    if (!stats.isDirectory()) return `${place} is ${stats.isFile() ? 'a file' : 'a device, a pipe or a socket'}, not a folder`;
    const { type, bavail, bsize } = await statfs(place);
    const kernel = process.platform === 'linux' ? KERNEL_FILE_SYSTEMS.get(type) : undefined;
    if (kernel !== undefined) return `${place} belongs to the kernel (${kernel}), which keeps no files`;
    await access(place, constants.W_OK | constants.X_OK);
    const free = bavail * bsize;
    if (free >= neededBytes) return undefined;
    return `the disk of ${place} is full: ${byteSize(free)} are free, and at least ${byteSize(neededBytes)} are needed`;
  } catch (error) {
    if (error instanceof UnusablePlace) return error.message;
    const code = codeOf(error);
    const path = error instanceof Error && 'path' in error ? error.path : folder;
    if (code === 'EROFS') return `${path} is on a read-only file system`;
    if (code === 'EACCES' || code === 'EPERM') return `you have no permission to write to ${path}`;
    if (code === 'ELOOP') return `${path} is a link that leads to itself`;
    if (code === 'ENAMETOOLONG') return 'the path is too long';
    return `it cannot be used (${messageOf(error)})`;
  }
}

class UnusablePlace extends Error {}

async function nearestExisting(path: string): Promise<{ readonly place: string; readonly stats: Stats }> {
  for (let place = path; ; place = dirname(place)) {
    try {
      return { place, stats: await stat(place) };
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
      if (code === 'ENOENT' && (await lstat(place).catch(() => undefined))?.isSymbolicLink())
        throw new UnusablePlace(`${place} is a link that leads nowhere`);
      if (place === dirname(place)) throw error;
    }
  }
}
