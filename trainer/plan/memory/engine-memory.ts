/** The memory of each engine: tensors and variables, and its worker's own (`npm run bench -- --memory`). */
import { ASSUMED_CARD, cardCatalog } from '../../catalog/cards.ts';
import type { EngineName } from '../../catalog/engines.ts';
import { aliasedRead, bufferOf } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS, type CopiedFirst } from '../../graph/liveness.ts';
import { isOp } from '../../graph/node-store.ts';
import type { Program, Signature } from '../../graph/program.ts';
import type { ReadersOf } from '../../graph/readers.ts';
import { byteSize, elementCount } from '../../graph/types.ts';
import type { SplittingCard } from '../../graph/xla-split-sums.ts';
import { physicalMemoryBytes } from '../../machine/machine.ts';
import type { ComputesOn } from '../../train/recipe-settings.ts';
import { poolTableBytes } from './loaded-pool.ts';
import { portableBuffers } from './portable-buffers.ts';
import { ALIGNMENT, cardBuffers } from './xla-buffers.ts';
import { expertLoopBytes } from './xla-experts.ts';
import { xlaSteps } from './xla-steps.ts';
import { stepsOfTables } from './xla-tables.ts';

/** The current batch and two that are decoded ahead, in JavaScript's memory: significant for images. */
const HOST_BATCHES = 3;

/** Coefficients of an overhead formula, fitted to measurements. */
export interface OverheadModel {
  /** Code pages of Node and the engine: read from files, and dropped by the system when memory is short. */
  readonly codeBytes: number;
  /** The rest of a worker before it loads a model, extrapolated to one step of a model of size zero. */
  readonly workerBytes: number;
  /** The tokenizer and everything else that grows with the vocabulary. */
  readonly bytesPerToken: number;
  /** Bytes of a compiled node, including all copies. */
  readonly bytesPerNode: number;
  /** Batches in addition to the one that counts among the activations. */
  readonly batches: number;
  /** Bytes that a compiler in the worker uses while it works, and frees before the program runs. */
  readonly compilerBytes: number;
  /** Additional compiler bytes for each distinct operation of a program, by its shapes and types. */
  readonly compilerBytesOfKind: number;
  /** Additional compiler bytes for each of those with bfloat16: a compiler for CPUs converts around each operation. */
  readonly compilerBytesOfNarrowKind: number;
  /** Engine nodes that declare, fill and read a variable, in addition to those of the programs themselves. */
  readonly nodesOfVariable: number;
  /** Bytes of the code that oneDNN compiles for the exact sizes of a convolution. */
  readonly bytesPerConvolution: number;
  /** Fractions that the allocator holds and cannot use because of fragmentation. */
  readonly variableShare: number;
  readonly activationShare: number;
  /** Fraction of the largest gradient that the gap next to it takes, into which nothing fits. */
  readonly gradientShare: number;
}

export interface CompiledOperation {
  /** Number of operations that the compiler makes of it. */
  readonly nodes: number;
  /** Additional compiler bytes: for each occurrence in a program, and the maximum. */
  readonly compilerBytes: readonly [each: number, most: number];
}

export interface EngineMemory {
  readonly rules: (variables: Program['variables']) => BufferRules;
  readonly overhead: OverheadModel;
  /** True if variables are loaded into a pool that keeps a table (`loaded-pool.ts`). */
  readonly hasPool?: true;
  /** Operations that the compiler expands into more than one of its own. */
  readonly operations?: Readonly<Partial<Record<OpName, CompiledOperation>>>;
  /** True if sums over processes run between programs, through the host's memory (`graph/split-at-sums.ts`). */
  readonly sumsBetweenPrograms?: true;
  /** The memory on a GPU, in place of the worker's, for an engine that holds everything there. */
  readonly onGpu?: {
    readonly overhead: OverheadModel;
    /** Returns the steps that the compiler makes of a schedule. */
    readonly steps: (signature: Pick<Signature, 'schedule' | 'outputs'>, card: SplittingCard) => Step[];
    readonly rules: (card: SplittingCard) => BufferRules;
    readonly tables: ResultTables;
  };
}

/** Tables that a device holds while a program runs, one for each kernel with several results. */
export interface ResultTables {
  readonly bytes: number;
  /** Returns one step for each such kernel. */
  of(steps: readonly Step[]): readonly Step[];
}

/** Returns the filters that XLA transposes for its kernels when a program starts, for each direction. */
function transposedFilters(node: Node): readonly CopiedFirst[] {
  if (node.op !== 'conv2d' && node.op !== 'conv2dInputGrad') return [];
  return node.inputs.flatMap(input => {
    const read = aliasedRead(input);
    return read ? [{ name: `${read.attrs.variable} ${node.op}`, bytes: byteSize(input) }] : [];
  });
}

/** Returns the bytes of the element indices of columns, int32, while the columns are written. */
function placesBytes(node: Node): number {
  const [, values] = node.inputs;
  return isOp(node, 'updateColumns') && values ? 4 * elementCount(values.shape) : 0;
}

/**
 * Returns the old codes that XLA copies when a program starts: the widened codes of a moment are recomputed wherever they are read,
 * including after the new codes are written.
 */
function oldCodes(node: Node): readonly CopiedFirst[] {
  const [, fresh] = node.inputs;
  return isOp(node, 'updateRows') && fresh?.dtype === 'uint8' ? [{ name: node.attrs.variable, bytes: byteSize(fresh) }] : [];
}

/**
 * Returns the factors that XLA repeats in buffers for a sum of gradients. Both passes multiply by the same repeated factor, so XLA repeats it
 * once. It computes products and their sum in one kernel (of YNNPACK), which takes in no value that others read too. The repeated factor
 * waits for nothing but the factor, so it exists from the forward pass to the sum. Compared with the buffers of Gemma 3n, whose streams are
 * multiplied by one number per token and stream.
 */
function repeatedFactors(sum: Node, readersOf: ReadersOf): readonly CopiedFirst[] {
  const [products] = sum.inputs;
  // Products that others read too are computed before the sum, by a kernel that repeats factors as it reads them.
  if (sum.op !== 'sum' || sum.phase === 0 || products?.op !== 'mul' || readersOf(products).length > 1) return [];
  const isRepeated = (factor: Node): boolean => {
    const count = elementCount(factor.shape);
    const { phase, recomputed } = bufferOf(factor);
    return count > 1 && count < elementCount(products.shape) && phase === 0 && !recomputed;
  };
  return products.inputs
    .filter(isRepeated)
    .map(factor => ({ name: `${bufferOf(factor).id} repeated to ${products.shape}`, bytes: byteSize(products) }));
}

/**
 * Fitted to the resident memory at the peak of a step, minus variables and live tensors. TensorFlow 2.21 on the CPU: 107 configurations
 * from 0 to 4.3 GB of tensors and 1200 to 33 000 nodes; the table of its pool is computed. The tokenizer's share is from SmolLM2 (49 000
 * tokens, 34 MB) and MiniLM (30 500, 17 MB). The portable engine interprets nodes; its tensors are in the WebAssembly heap, which never
 * shrinks, and every update of a variable allocates a new tensor: eight configurations up to 0.7 GB. With the same code,
 * workers of tiny models took up to 7 MB more on an EPYC than where the other numbers were fitted, so `workerBytes` of these two engines is
 * that of the EPYC. bench/results/memory.md shows how accurate the formulas are.
 */
export const engineMemory: Readonly<Record<EngineName, EngineMemory>> = {
  tensorflow: {
    rules: () => COMPILED_BUFFERS,
    hasPool: true,
    overhead: {
      codeBytes: 330e6,
      workerBytes: 73e6,
      bytesPerToken: 700,
      batches: HOST_BATCHES,
      bytesPerNode: 7000,
      compilerBytes: 0,
      compilerBytesOfKind: 0,
      compilerBytesOfNarrowKind: 0,
      nodesOfVariable: 9,
      bytesPerConvolution: 190e3,
      variableShare: 0,
      activationShare: 0.09,
      gradientShare: 0.75,
    },
  },
  // XLA on the CPU, 45 configurations from 0 to 2.4 GB of tensors and 700 to 19 000 nodes: compiled programs stay in the worker along with
  // XLA's metadata, and the compiler runs there. In eleven programs it used 0.6 to 1.3 MB per kernel, and there were 0.55 to 1.25 kernels
  // per distinct operation. Around each bfloat16 operation it widens and narrows values, in a separate kernel.
  pjrt: {
    // A sum over ids starts from zeros, which XLA writes at the start of the program, unless the sum is added to another value: then it
    // starts from that.
    rules: () => ({
      ...COMPILED_BUFFERS,
      isAllocatedAtStart: ({ op }, readers) => op === 'segmentSum' && !readers.every(reader => reader.op === 'add'),
      copiesAtStart: (node, readersOf) => [...transposedFilters(node), ...oldCodes(node), ...repeatedFactors(node, readersOf)],
      scratchBytes: node => placesBytes(node) + expertLoopBytes(node),
      packs: 'hole',
    }),
    // Ten rounds of Philox are about eighty nodes; a loop over the blocks of experts and the code that groups them, about thirty-five.
    operations: {
      expertProduct: { nodes: 35, compilerBytes: [0, 0] },
      cast: { nodes: 1, compilerBytes: [0, 0] },
      randomMask: { nodes: 77, compilerBytes: [5e6, 51e6] },
      conv2dInputGrad: { nodes: 1, compilerBytes: [10e6, 120e6] },
    },
    sumsBetweenPrograms: true,
    overhead: {
      codeBytes: 166e6,
      workerBytes: 72e6,
      bytesPerToken: 700,
      batches: HOST_BATCHES,
      bytesPerNode: 22_000,
      compilerBytes: 28e6,
      compilerBytesOfKind: 0.49e6,
      compilerBytesOfNarrowKind: 0.57e6,
      nodesOfVariable: 0,
      bytesPerConvolution: 200e3,
      variableShare: 0,
      activationShare: 0.14,
      gradientShare: 0,
    },
    // Code and context of the process are part of the bytes reserved on every card. One batch is uploaded while another is computed.
    onGpu: {
      overhead: {
        codeBytes: 0,
        workerBytes: 0,
        bytesPerToken: 0,
        batches: 1,
        bytesPerNode: 0,
        compilerBytes: 0,
        compilerBytesOfKind: 0,
        compilerBytesOfNarrowKind: 0,
        nodesOfVariable: 9,
        bytesPerConvolution: 0,
        variableShare: 0,
        activationShare: 0,
        gradientShare: 0,
      },
      steps: xlaSteps,
      rules: cardBuffers,
      tables: { bytes: ALIGNMENT, of: stepsOfTables },
    },
  },
  portable: {
    rules: portableBuffers,
    overhead: {
      codeBytes: 87e6,
      workerBytes: 59.5e6,
      bytesPerToken: 700,
      batches: HOST_BATCHES,
      bytesPerNode: 500,
      compilerBytes: 0,
      compilerBytesOfKind: 0,
      compilerBytesOfNarrowKind: 0,
      nodesOfVariable: 9,
      bytesPerConvolution: 0,
      variableShare: 0.18,
      activationShare: 0.2,
      gradientShare: 0,
    },
  },
};

export const bufferRules = (engine: EngineName, { variables }: Pick<Program, 'variables'>): BufferRules =>
  engineMemory[engine].rules(variables);

/** Returns the bytes of the engine pool's table once variables of these sizes are loaded in this order; 0 if it has none. */
export const poolTableOf = (on: ComputesOn, variables: readonly number[]): number =>
  memoryOnGpu(on) === undefined && engineMemory[on.engine].hasPool ? poolTableBytes(variables, physicalMemoryBytes()) : 0;

/**
 * Returns the engine's memory on the computing device if everything is stored there, with the rules of the named card, or of the one
 * present.
 */
export function memoryOnGpu({ engine, device, card, gpu }: ComputesOn) {
  const found = device === 'gpu' ? engineMemory[engine].onGpu : undefined;
  if (!found) return undefined;
  const here = (card === undefined ? gpu : undefined) ?? cardCatalog[card ?? ASSUMED_CARD];
  return {
    ...found,
    rules: found.rules(here),
    steps: (signature: Pick<Signature, 'schedule' | 'outputs'>) => found.steps(signature, here),
  };
}
