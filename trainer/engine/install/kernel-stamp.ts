/** For which processor and from which sources the kernels beside an engine were compiled. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { resolveAddonSources } from './addon-sources.ts';
import { fusedPath } from './engine-folder.ts';

/** Vectors as long as this processor has them. Products and sums may be contracted, but nothing is reordered and NaN stays. */
export const KERNEL_FLAGS: readonly string[] = [
  ...['-O3', '-march=native', '-fno-math-errno', '-fno-trapping-math', '-fvisibility=hidden', '-pthread'],
  ...(process.arch === 'x64' ? ['-mprefer-vector-width=512'] : []),
];

const stampPath = (folder: string): string => `${fusedPath(folder)}.stamp`;

/** Changes with the sources, the flags, and the instructions that the processor has. */
function currentStamp(): string {
  const hash = createHash('sha256').update(KERNEL_FLAGS.join(' ')).update(processorFeatures());
  const { kernels } = resolveAddonSources();
  for (const file of readdirSync(kernels).sort()) hash.update(file).update(readFileSync(path.join(kernels, file)));
  return hash.digest('hex');
}

/** The line of instruction sets that Linux gives; a home folder may be shared by unlike machines. */
function processorFeatures(): string {
  try {
    return /^(?:flags|Features)\s*:.*$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? '';
  } catch {
    return '';
  }
}

export function kernelsAreCurrent(folder: string): boolean {
  try {
    return existsSync(fusedPath(folder)) && readFileSync(stampPath(folder), 'utf8') === currentStamp();
  } catch {
    return false;
  }
}

export const writeKernelStamp = (folder: string): void => writeFileSync(stampPath(folder), currentStamp());

/** Until the kernels are whole: a compiler that was stopped leaves none that count. */
export const dropKernelStamp = (folder: string): void => rmSync(stampPath(folder), { force: true });
