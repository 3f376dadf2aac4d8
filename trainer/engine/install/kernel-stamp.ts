/** A stamp of the CPU and the sources that an engine's kernels were compiled for. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { hashSources, resolveAddonSources } from './addon-sources.ts';
import { addonPath } from './engine-folder.ts';

/** Uses the CPU's full vector width. Products and sums may be contracted, but nothing is reordered, and NaN is respected. */
export const KERNEL_FLAGS: readonly string[] = [
  ...['-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math', '-fvisibility=hidden', '-pthread', '-Werror=switch'],
  ...(process.arch === 'x64' ? ['-mprefer-vector-width=512'] : []),
];

/** Returns a stamp that differs for other sources, other flags and other instruction sets of the CPU. */
function currentStamp(): string {
  const hash = createHash('sha256').update(KERNEL_FLAGS.join(' ')).update(processorFeatures());
  const { tensorflow, ranks, coder } = resolveAddonSources();
  return hashSources(hash, [tensorflow, ranks, coder]).digest('hex');
}

/** Returns the instruction sets that Linux lists. Machines of different kinds may share a home folder. */
function processorFeatures(): string {
  try {
    return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
  } catch {
    return '';
  }
}

const PREFIX = 'rowtune_fused-';

/** Number of compiled kernels kept per engine, newest first: the editor and the command line may use different versions of Rowtune. */
const MAX_KEPT = 4;

/**
 * Returns the path of the compiled kernels of these sources for this CPU. The name contains the stamp, so that several versions of Rowtune
 * and several CPUs share one engine folder without replacing each other's kernels.
 */
export const kernelsPath = (folder: string): string =>
  path.join(path.dirname(addonPath(folder)), `${PREFIX}${currentStamp().slice(0, 16)}.node`);

/** Returns whether this version's kernels were compiled for this CPU. */
export const kernelsAreCurrent = (folder: string): boolean => existsSync(kernelsPath(folder));

/** Removes all but the newest kernels of other versions. */
export const removeOldKernels = (folder: string): void => removeOldAddons(path.dirname(addonPath(folder)), PREFIX);

/** Removes all but the newest addons whose name has this prefix. A process that has loaded one keeps it. */
export function removeOldAddons(folder: string, prefix: string): void {
  const changed = (name: string): number => statSync(path.join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const addons = readdirSync(folder).filter(name => name.startsWith(prefix) && name.endsWith('.node'));
  for (const name of addons.sort((a, b) => changed(b) - changed(a)).slice(MAX_KEPT)) rmSync(path.join(folder, name), { force: true });
}
