/** Memory of a worker in addition to tensors: see `engine-memory.ts`. */
import type { EngineName } from '../../catalog/engines.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { engineMemory, memoryOnGpu } from './engine-memory.ts';

export interface OverheadParams extends ComputesOn {
  /** Nodes of all signatures, including those that load and read variables. */
  readonly nodes: number;
  /** Additional compiler bytes for the operations in the programs. */
  readonly compilerBytes: number;
  /** Convolutions among the nodes. */
  readonly convolutions: number;
  readonly variableBytes: number;
  /** Bytes of the engine pool's table; see `poolTableOf`. */
  readonly tableBytes: number;
  /** Bytes of the largest gradient. */
  readonly gradientBytes: number;
  /** Peak bytes of the activations. */
  readonly activationBytes: number;
  /** True if the compiler has counted the activations. */
  readonly isCounted: boolean;
  /** Bytes of one batch. */
  readonly feedBytes: number;
  readonly vocabularySize: number;
}

export const codeBytes = (engine: EngineName): number => engineMemory[engine].overhead.codeBytes;

export const tokenizerBytes = (vocabularySize: number, engine: EngineName): number =>
  engineMemory[engine].overhead.bytesPerToken * vocabularySize;

export function engineOverheadBytes(params: OverheadParams): number {
  const {
    engine,
    nodes,
    compilerBytes,
    convolutions,
    variableBytes,
    tableBytes,
    gradientBytes,
    activationBytes,
    isCounted,
    feedBytes,
    vocabularySize,
  } = params;
  const onGpu = memoryOnGpu(params);
  const { overhead: law } = onGpu ?? engineMemory[engine];
  const process = law.codeBytes + law.workerBytes + law.bytesPerToken * vocabularySize + law.batches * feedBytes;
  const compiled = law.bytesPerNode * nodes + law.bytesPerConvolution * convolutions;
  const holes = law.gradientShare * gradientBytes + tableBytes;
  const allocated = law.activationShare * activationBytes + holes;
  // The compiler has freed its memory by the time activations are allocated. Programs that it has counted need not be compiled again, and
  // for a GPU it runs on the host.
  const compiling = isCounted || onGpu ? 0 : Math.max(0, law.compilerBytes + compilerBytes - activationBytes - allocated);
  return Math.round(process + compiled + law.variableShare * variableBytes + allocated + compiling);
}
