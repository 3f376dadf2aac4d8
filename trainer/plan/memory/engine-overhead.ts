/** Memory of a worker in addition to tensors: see `engine-memory.ts`. */
import type { EngineName } from '../../catalog/engines.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { engineMemory, memoryOnGpu } from './engine-memory.ts';

export interface OverheadParams extends ComputesOn {
  /** The nodes of all signatures, with those that load and read variables. */
  readonly nodes: number;
  /** Bytes that the compiler takes in addition for what the programs have. */
  readonly compilerBytes: number;
  /** Among the nodes. */
  readonly convolutions: number;
  readonly variableBytes: number;
  /** The table of the engine's pool; see `poolTableOf`. */
  readonly tableBytes: number;
  /** The size of the largest gradient. */
  readonly gradientBytes: number;
  /** The most at once. */
  readonly activationBytes: number;
  /** The compiler has counted them. */
  readonly isCounted: boolean;
  /** A batch. */
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
  // The compiler has given its memory back when the activations come. What it has counted need not be compiled again. It works on the host.
  const compiling = isCounted || onGpu ? 0 : Math.max(0, law.compilerBytes + compilerBytes - activationBytes - allocated);
  return Math.round(process + compiled + law.variableShare * variableBytes + allocated + compiling);
}
