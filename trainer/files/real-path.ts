/** Paths by what they lead to: two that are written differently, or go through a link, may be one folder. */
import { realpath } from 'node:fs/promises';
import path from 'node:path';

/** The path without links, also of what does not exist yet: then that of the nearest folder above that does, with the rest behind it. */
export async function realPath(given: string): Promise<string> {
  const rest: string[] = [];
  for (let current = path.resolve(given); ; current = path.dirname(current)) {
    const found = await realpath(current).catch(() => undefined);
    if (found !== undefined) return path.join(found, ...rest);
    rest.unshift(path.basename(current));
  }
}

/** Whether `inner` is `outer` or lies below it; both as `realPath` gives them. */
export function isWithin(inner: string, outer: string): boolean {
  const way = path.relative(outer, inner);
  return way === '' || !(way === '..' || way.startsWith(`..${path.sep}`) || path.isAbsolute(way));
}
