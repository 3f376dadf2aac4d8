/** The compiled addon of @tensorflow/tfjs-node-gpu, used directly: sessions and tensors, without the eager library on top. */
import type { HostArray } from '../../graph/types.ts';
import { messageOf } from '../../protocol/error-facts.ts';
import { EngineError } from '../engine.ts';
import { addonPath, engineRequire, type InstalledEngine } from '../install/engine-folder.ts';

/** The part of the addon that is used here. Tensors are numeric ids that must be deleted. */
export interface Addon {
  readonly TF_Version: string;
  isUsingGpuDevice(): boolean;
  /** Creates a tensor that shares the array's memory; the array must not change until the tensor is deleted. */
  createTensor(shape: readonly number[], dtype: number, values: HostArray): number;
  deleteTensor(id: number): void;
  /** Returns a copy of the values. */
  tensorDataSync(id: number): HostArray;
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(session: number): void;
  /** Runs a session. Feeds and fetches are names with `:0`, joined by commas. Blocks until the run is over. */
  runSavedModel(session: number, tensors: readonly number[], feeds: string, fetches: string): { readonly id: number }[];
  getNumOfTensors(): number;
}

/** Loads the addon. @throws EngineError if it does not load */
export function loadAddon({ name, folder }: InstalledEngine): Addon {
  try {
    // Compiled at installation from the sources of one fixed version of the package, and tested then.
    return engineRequire(folder)(addonPath(folder)) as Addon;
  } catch (error) {
    throw new EngineError(
      `${name} does not load: ${messageOf(error)}\nReinstall it: rowtune engine remove ${name} && rowtune engine install`,
    );
  }
}
