/** Loads our own kernels (engine/native), where they were compiled for this processor and from these sources. */
import { engineRequire, fusedPath, type InstalledEngine } from '../install/engine-folder.ts';
import { kernelsAreCurrent } from '../install/kernel-stamp.ts';

export type FoundKernels =
  /** `hasProducts`: this processor has the vectors that our own products were written for. */
  { readonly hasProducts: boolean; readonly missing?: undefined } | { readonly missing: string; readonly hasProducts?: undefined };

/** Must come before the first session, and after the addon. @returns why there are none, where that is so */
export function loadKernels({ folder }: InstalledEngine): FoundKernels {
  if (!kernelsAreCurrent(folder))
    return { missing: 'the kernels of fused steps are not compiled for this processor and this version of Rowtune' };
  try {
    return engineRequire(folder)(fusedPath(folder)) as { readonly hasProducts: boolean };
  } catch (error) {
    return { missing: `the kernels of fused steps do not load: ${(error as Error).message}` };
  }
}
