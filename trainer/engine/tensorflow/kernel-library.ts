/** Loads our own kernels (engine/native), where they were compiled for this processor and from these sources. */
import { fusedSteps } from '../../graph/fusion/plan.ts';
import { engineRequire, fusedPath, type InstalledEngine } from '../install/engine-folder.ts';
import { kernelsAreCurrent } from '../install/kernel-stamp.ts';
import type { Kernels } from './lower.ts';

export type FoundKernels = (Kernels & { readonly missing?: undefined }) | { readonly missing: string };

/** Must come before the first session, and after the addon. @returns why there are none, where that is so */
export function loadKernels({ folder }: InstalledEngine): FoundKernels {
  if (!kernelsAreCurrent(folder))
    return { missing: 'the kernels of fused steps are not compiled for this processor and this version of Rowtune' };
  try {
    const { hasProducts } = engineRequire(folder)(fusedPath(folder)) as { readonly hasProducts: boolean };
    return { plan: fusedSteps, hasProducts };
  } catch (error) {
    return { missing: `the kernels of fused steps do not load: ${(error as Error).message}` };
  }
}
