/** The process's heap between the phases of a session: loading maps and unmaps memory, computing reuses it. */
import { engineRequire, heapPath, type InstalledEngine } from '../install/engine-folder.ts';

/** See `install/heap-source.ts`. */
interface HeapAddon {
  trim(): void;
  mapFrom(bytes: number): void;
}

/**
 * mmap threshold while weights stream in: copied memory is returned to the system immediately instead of leaving holes between the
 * variables.
 */
export const LOAD_MAP_BYTES = 64 * 2 ** 10;
/**
 * mmap threshold while steps run: only large blocks are mapped. Tensors are in TensorFlow's own pool, so a step of SmolLM2 takes the same
 * time and memory with either threshold; MiniLM's peak is 8 MB higher (of 354) if either of the two is used throughout.
 */
const RUN_MAP_BYTES = 4 * 2 ** 20;

/** Loads of fewer bytes leave too little on the host to be worth a collection, which takes 50 ms. */
const COLLECTED_BYTES = 2 ** 20;

export class Heap {
  private readonly addon: HeapAddon;

  constructor(engine: InstalledEngine) {
    // Compiled from `install/heap-source.ts` when the engine was installed; its interface has not changed since.
    this.addon = engineRequire(engine.folder)(heapPath(engine.folder)) as HeapAddon;
  }

  beginLoad(): void {
    this.addon.mapFrom(LOAD_MAP_BYTES);
  }

  /** Ends loading this many bytes. Collects the host's copies if the process was started with `--expose-gc`, as workers are. */
  endLoad(bytes: number): void {
    if (bytes >= COLLECTED_BYTES) globalThis.gc?.();
    this.addon.trim();
    this.addon.mapFrom(RUN_MAP_BYTES);
  }

  /** Returns freed memory to the system: compiling a graph leaves much of it, which would add to the tensors of the first run. */
  afterCompile(): void {
    this.addon.trim();
  }
}
