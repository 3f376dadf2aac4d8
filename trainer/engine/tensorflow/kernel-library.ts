/** Loads our own kernels (`native`), if they were compiled for this CPU and from these sources. */
import { existsSync } from 'node:fs';
import type { HostArray } from '../../graph/types.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import type { CoderAddon } from '../coder/native-coder.ts';
import { engineRequire, type InstalledEngine } from '../install/engine-folder.ts';
import { kernelsPath } from '../install/kernel-stamp.ts';
import type { GroupAddon } from '../mpi/group.ts';

export interface KernelLibrary extends CoderAddon, GroupAddon {
  /** True if this CPU has the vector instructions that our own products need. */
  readonly hasProducts: boolean;
  /** Reserves this many bytes of disk space for an open file. @returns the error, or '' */
  reserve(file: number, bytes: number): string;
  /** Returns the address of an array, valid until the array is collected. */
  addressOf(array: HostArray): bigint;
}

export type FoundKernels = { readonly library: KernelLibrary; readonly missing?: undefined } | { readonly missing: string };

/**
 * Loads the kernels. Must be called after the addon is loaded and before the first session.
 * @returns the kernels, or the reason why there are none
 */
export function loadKernels({ folder }: InstalledEngine): FoundKernels {
  const kernels = kernelsPath(folder);
  if (!existsSync(kernels))
    return { missing: 'the kernels of fused steps are not compiled for this processor and this version of Rowtune' };
  try {
    // Compiled from `engine/tensorflow/native`: the file name contains the checksum of this version's sources.
    return { library: engineRequire(folder)(kernels) as KernelLibrary };
  } catch (error) {
    return { missing: `the kernels of fused steps do not load: ${messageOf(error)}` };
  }
}
