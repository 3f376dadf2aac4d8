/** Compares paths by their targets: two paths that are written differently, or go through a link, may be one folder. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';

/** The path without links. For a path that does not exist, the real path of the nearest existing parent folder, followed by the rest. */
export async function realPath(given: string): Promise<string> {
  const rest: string[] = [];
  for (let current = path.resolve(given); ; current = path.dirname(current)) {
    const found = await realpath(current).catch(() => undefined);
    if (found !== undefined) return path.join(found, ...rest);
    rest.unshift(path.basename(current));
  }
}

/** True if `inner` is `outer` or below it; both must be results of `realPath`. */
export function isWithin(inner: string, outer: string): boolean {
  const way = path.relative(outer, inner);
  return way === '' || !(way === '..' || way.startsWith(`..${path.sep}`) || path.isAbsolute(way));
}
