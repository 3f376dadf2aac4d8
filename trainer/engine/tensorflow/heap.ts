/** The process's heap between the phases of a session: loading maps and unmaps, computing reuses. */
import { engineRequire, heapPath, type InstalledEngine } from '../install/engine-folder.ts';

/** See `install/heap-source.ts`. */
interface HeapAddon {
  trim(): void;
  mapFrom(bytes: number): void;
}

/** While weights stream in, what was copied goes back at once instead of leaving holes between the variables. */
export const LOAD_MAP_BYTES = 64 * 2 ** 10;
/**
 * While steps run, only what is large is mapped. Tensors lie in TensorFlow's own pool, so that a step of SmolLM2 takes the same time and memory with either
 * border; MiniLM's peak is 8 MB higher (of 354) with one border throughout, whichever of the two.
 */
const RUN_MAP_BYTES = 4 * 2 ** 20;

export class Heap {
  private readonly addon: HeapAddon;

  constructor(engine: InstalledEngine) {
    // Compiled from `install/heap-source.ts` when the engine was installed; its interface has not changed since.
    this.addon = engineRequire(engine.folder)(heapPath(engine.folder)) as HeapAddon;
  }

  beginLoad(): void {
    this.addon.mapFrom(LOAD_MAP_BYTES);
  }

  /** Collects the host's copies too, where the process was started with `--expose-gc`, as workers are. */
  endLoad(): void {
    globalThis.gc?.();
    this.addon.trim();
    this.addon.mapFrom(RUN_MAP_BYTES);
  }

  /** A compiled graph leaves much that was freed: it goes back before the tensors of the first run come on top of it. */
  afterCompile(): void {
    this.addon.trim();
  }
}
