/** Loads the kernels of fused steps, where they were compiled for this processor and from these sources. */
import { engineRequire, fusedPath, type InstalledEngine } from '../install/engine-folder.ts';
import { kernelsAreCurrent } from '../install/kernel-stamp.ts';

/** @returns the reason why there are none; undefined where they are loaded. Must come before the first session, and after the addon. */
export function loadFusedKernels({ folder }: InstalledEngine): string | undefined {
  if (!kernelsAreCurrent(folder)) return 'the kernels of fused steps are not compiled for this processor and this version of Rowtune';
  try {
    engineRequire(folder)(fusedPath(folder));
    return undefined;
  } catch (error) {
    return `the kernels of fused steps do not load: ${(error as Error).message}`;
  }
}
