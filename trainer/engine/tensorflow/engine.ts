/** The TensorFlow engine: finds the installed engine, loads it into this process, and compiles programs. */
import { planner } from '../../graph/fusion/plan.ts';
import { singleSteps } from '../../graph/fusion/step.ts';
import { cpuFeatures } from '../../machine/machine.ts';
import { type Engine, type EngineDescription, EngineError, requireOneDevice } from '../engine.ts';
import { type InstalledEngine, locateEngine } from '../install/engine-folder.ts';
import { joinGroup } from '../mpi/group.ts';
import { type Addon, loadAddon } from './addon.ts';
import { Heap } from './heap.ts';
import { loadKernels } from './kernel-library.ts';
import { openOffloadFile } from './offload-file.ts';
import { openSession } from './session.ts';

/**
 * Opens the engine in this process. Runs block the thread, so the process should be a worker, started with `workerEnvironment`.
 * @throws EngineError if it is not installed or does not load
 */
export async function openTensorflow({ cacheDir }: { readonly cacheDir: string }): Promise<Engine> {
  const installed = locateEngine(cacheDir);
  if (!installed) throw new EngineError('the tensorflow engine is not installed; run: rowtune engine install');
  const addon = loadAddon(installed);
  const kernels = loadKernels(installed);
  const library = 'library' in kernels ? kernels.library : undefined;
  // On a GPU steps are not fused: the kernels are for CPUs.
  const onGpu = addon.isUsingGpuDevice();
  const description = describe(addon, installed, { fuses: library !== undefined && !onGpu, unfused: onGpu ? undefined : kernels.missing });
  // On a GPU the tensors are elsewhere, and the host's heap is left alone.
  const heap = description.device === 'cpu' ? new Heap(installed) : undefined;
  const { fuses, narrowConvolutions: hasNarrowKernels } = description;
  const hasProducts = fuses && (library?.hasProducts ?? false);
  // One planner per program: its memo is freed with it.
  return {
    description,
    join: mpi => {
      if (!library)
        throw new EngineError(`several processes are not possible: ${kernels.missing}. To compile them: rowtune engine install`);
      return joinGroup(mpi, library);
    },
    compile: async (program, { offloadFolder, fuse } = {}) => {
      requireOneDevice(program);
      if (!library && [...(program.places ?? [])].some(([, place]) => place === 'disk'))
        throw new EngineError(`optimizer_offload: disk is not possible: ${kernels.missing}. To compile them: rowtune engine install`);
      const offload = library && openOffloadFile(program, offloadFolder, library);
      return openSession(addon, program, {
        heap,
        library: fuses ? library : undefined,
        offload,
        kernels: {
          plan: fuses ? (fuse ?? planner()) : singleSteps,
          hasProducts,
          hasColumns: fuses,
          hasNarrowKernels,
          hasSums: library !== undefined,
        },
      });
    },
  };
}

function describe(
  addon: Addon,
  { manifest }: InstalledEngine,
  { fuses, unfused }: Pick<EngineDescription, 'fuses' | 'unfused'>,
): EngineDescription {
  const onGpu = addon.isUsingGpuDevice();
  const features = cpuFeatures();
  const cpu = features.length > 0 ? `CPU (${features.join(', ')})` : 'CPU';
  const fallback = manifest.variant === 'cuda' ? `${cpu} although this is the CUDA build: no usable GPU was found` : cpu;
  return {
    name: 'tensorflow',
    summary: `TensorFlow ${addon.TF_Version}, ${onGpu ? 'CUDA GPU' : fallback}${fuses ? ', fused steps' : ''}`,
    device: onGpu ? 'gpu' : 'cpu',
    fuses,
    ...(unfused !== undefined && { unfused }),
    // Without these instructions oneDNN is slower than in float32, and TensorFlow's own kernels do not support groups.
    narrowConvolutions: onGpu || features.includes('AVX512-BF16'),
    versions: { tensorflow: addon.TF_Version, addon: manifest.addonPackage, node: process.versions.node },
  };
}
