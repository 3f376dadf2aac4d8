/** Loads our own kernels (`native`), where they were compiled for this processor and from these sources. */
import { existsSync } from 'node:fs';
import type { HostArray } from '../../graph/types.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import type { CoderAddon } from '../coder/native-coder.ts';
import { engineRequire, type InstalledEngine } from '../install/engine-folder.ts';
import { kernelsPath } from '../install/kernel-stamp.ts';
import type { GroupAddon } from '../mpi/group.ts';

export interface KernelLibrary extends CoderAddon, GroupAddon {
  /** This processor has the vectors that our own products were written for. */
  readonly hasProducts: boolean;
  /** Sets so much of an open file's disk aside. @returns what went wrong, or '' */
  reserve(file: number, bytes: number): string;
  /** The address of an array, until it is collected. */
  addressOf(array: HostArray): bigint;
}

export type FoundKernels = { readonly library: KernelLibrary; readonly missing?: undefined } | { readonly missing: string };

/** Must come before the first session, and after the addon. @returns why there are none, where that is so */
export function loadKernels({ folder }: InstalledEngine): FoundKernels {
  const kernels = kernelsPath(folder);
  if (!existsSync(kernels))
    return { missing: 'the kernels of fused steps are not compiled for this processor and this version of Rowtune' };
  try {
    // Compiled from `engine/tensorflow/native`: the name of the file has the checksum of the sources of this version.
    return { library: engineRequire(folder)(kernels) as KernelLibrary };
  } catch (error) {
    return { missing: `the kernels of fused steps do not load: ${messageOf(error)}` };
  }
}
