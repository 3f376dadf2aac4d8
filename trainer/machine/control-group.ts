/** Our control group (a container or a systemd service): its folders, and the memory that it leaves us. Linux only. */
import { readFileSync } from 'node:fs';

/** Returns the text of a file; '' if it can't be read. */
export type ReadText = (file: string) => string;

export const readTextOrEmpty: ReadText = file => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Memory limit; infinite without one. */
export interface GroupMemory {
  readonly limitBytes: number;
  /** Available memory; cached files count as free. */
  readonly availableBytes: number;
}

/** Files of cgroup version 2 and version 1. */
const MEMORY_FILES = [
  { limit: 'memory.max', usage: 'memory.current', cached: /^inactive_file (\d+)$/m },
  { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', cached: /^total_inactive_file (\d+)$/m },
] as const;

/** Returns the group's own folder and its parents, for version 1 or 2; inside a container the group is the root of the mount. */
export function groupFolders(readText: ReadText): string[] {
  const lines = readText('/proc/self/cgroup').split('\n');
  const v1 = lines.find(line => /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:/.test(line))?.split(':')[2];
  const v2 = lines.find(line => line.startsWith('0::'))?.slice(3);
  return [...(v1 === undefined ? [] : upwards('/sys/fs/cgroup/memory', v1)), ...(v2 === undefined ? [] : upwards('/sys/fs/cgroup', v2))];
}

/** Returns the folders of '/a/b': root/a/b, root/a, root. */
function upwards(root: string, group: string): string[] {
  const names = group.split('/').filter(Boolean);
  return Array.from({ length: names.length + 1 }, (_, i) => [root, ...names.slice(0, names.length - i)].join('/'));
}

/** Returns the least memory of all groups: a parent may be tighter than our own. */
export function groupMemory(readText: ReadText): GroupMemory {
  let [limitBytes, availableBytes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const folder of groupFolders(readText))
    for (const { limit, usage, cached } of MEMORY_FILES) {
      // 'max' is no limit.
      const most = Number.parseInt(readText(`${folder}/${limit}`), 10);
      if (!(most > 0)) continue;
      const used = Number.parseInt(readText(`${folder}/${usage}`), 10) || 0;
      const reclaimable = Number(cached.exec(readText(`${folder}/memory.stat`))?.[1] ?? 0);
      limitBytes = Math.min(limitBytes, most);
      availableBytes = Math.min(availableBytes, Math.max(0, most - used + reclaimable));
    }
  return { limitBytes, availableBytes };
}
