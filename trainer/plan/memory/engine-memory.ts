/** The memory of each engine: tensors and variables, and its worker's own (`npm run bench -- --memory`). */
import { ASSUMED_CARD, cardCatalog } from '../../catalog/cards.ts';
import type { EngineName } from '../../catalog/engines.ts';
import { aliasedRead } from '../../graph/alias.ts';
import type { OpName } from '../../graph/attributes.ts';
import type { Step } from '../../graph/fusion/step.ts';
import type { Node } from '../../graph/graph.ts';
import { type BufferRules, COMPILED_BUFFERS, type CopiedFirst } from '../../graph/liveness.ts';
import { isOp } from '../../graph/node-store.ts';
import type { Program, Signature } from '../../graph/program.ts';
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

/** The batch at work and two that are decoded ahead, in JavaScript's memory: images count. */
const HOST_BATCHES = 3;

/** A law of some numbers, fitted to measurements. */
export interface OverheadLaw {
  /** Pages of code, Node's and the engine's: read from files, and dropped by the system where memory is short. */
  readonly codeBytes: number;
  /** The rest of a worker before its model, and after one step of a model of no size. */
  readonly workerBytes: number;
  /** Tokenizer and what else grows with the vocabulary. */
  readonly bytesPerToken: number;
  /** Bytes of a compiled node, in all copies. */
  readonly bytesPerNode: number;
  /** Batches in addition to the one among the activations. */
  readonly batches: number;
  /** Bytes that a compiler in the worker takes while it works, and gives back before the program runs. */
  readonly compilerBytes: number;
  /** The same, of each kind of operation in a program: by its shapes and types. */
  readonly compilerBytesOfKind: number;
  /** In addition, of each kind with bfloat16: a compiler for processors converts around each operation. */
  readonly compilerBytesOfNarrowKind: number;
  /** Nodes of the engine that declare, fill and read a variable, in addition to those of the programs themselves. */
  readonly nodesOfVariable: number;
  /** Bytes that oneDNN compiles for the very sizes of a convolution. */
  readonly bytesPerConvolution: number;
  /** Shares that the allocator holds and cannot use: holes. */
  readonly variableShare: number;
  readonly activationShare: number;
  /** Share of the largest gradient: the hole next to it that nothing fits into. */
  readonly gradientShare: number;
}

export interface CompiledOperation {
  /** As many as the compiler's operations. */
  readonly nodes: number;
  /** Bytes that the compiler takes in addition: for each of a program, and at most. */
  readonly compilerBytes: readonly [each: number, most: number];
}

export interface EngineMemory {
  readonly rules: (variables: Program['variables']) => BufferRules;
  readonly overhead: OverheadLaw;
  /** Variables are loaded into a pool that keeps a table (`loaded-pool.ts`). */
  readonly hasPool?: true;
  /** Operations that a compiler makes more of than one of its own. */
  readonly operations?: Readonly<Partial<Record<OpName, CompiledOperation>>>;
  /** Sums over processes are made between programs, through the memory of the host (`graph/split-at-sums.ts`). */
  readonly sumsBetweenPrograms?: true;
  /** The memory of a GPU instead of the worker's, for an engine that holds everything there. */
  readonly onGpu?: {
    readonly overhead: OverheadLaw;
    /** The steps that the compiler makes of a schedule. */
    readonly steps: (signature: Pick<Signature, 'schedule' | 'outputs'>, card: SplittingCard) => Step[];
    readonly rules: (card: SplittingCard) => BufferRules;
    readonly tables: ResultTables;
  };
}

/** Tables that a device holds while a program runs, one for each kernel of several results. */
export interface ResultTables {
  readonly bytes: number;
  /** Returns a step of each such kernel. */
  of(steps: readonly Step[]): readonly Step[];
}

/** When a program starts, XLA transposes the filters of convolutions for its kernels, for each direction. */
function transposedFilters(node: Node): readonly CopiedFirst[] {
  if (node.op !== 'conv2d' && node.op !== 'conv2dInputGrad') return [];
  return node.inputs.flatMap(input => {
    const read = aliasedRead(input);
    return read ? [{ name: `${read.attrs.variable} ${node.op}`, bytes: byteSize(input) }] : [];
  });
}

/** The places of the elements of columns, int32, while they are written. */
function placesBytes(node: Node): number {
  const [, values] = node.inputs;
  return isOp(node, 'updateColumns') && values ? 4 * elementCount(values.shape) : 0;
}

/**
 * Widened codes of a moment are computed again wherever they are read, also behind the write of the new ones, so XLA copies the old codes when a
 * program starts.
 */
function oldCodes(node: Node): readonly CopiedFirst[] {
  const [, fresh] = node.inputs;
  return isOp(node, 'updateRows') && fresh?.dtype === 'uint8' ? [{ name: node.attrs.variable, bytes: byteSize(fresh) }] : [];
}

/**
 * Fitted to the resident memory at the peak of a step, less variables and tensors alive. TensorFlow 2.21 on the CPU: over 107 configurations
 * from 0 to 4.3 GB of tensors and 1200 to 33 000 nodes; the table of its pool is computed. The tokenizer's share is of SmolLM2 (49 000 tokens, 34 MB) and MiniLM (30 500, 17 MB).
 * The portable engine interprets nodes; its tensors lie in WebAssembly's heap, which never shrinks, and in which every update of a variable
 * is a new tensor: eight configurations up to 0.7 GB. How near the laws come is in bench/results/memory.md.
 */
export const engineMemory: Readonly<Record<EngineName, EngineMemory>> = {
  tensorflow: {
    rules: () => COMPILED_BUFFERS,
    hasPool: true,
    overhead: {
      codeBytes: 330e6,
      workerBytes: 70e6,
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
  // XLA on the CPU, over 45 configurations from 0 to 2.4 GB of tensors and 700 to 19 000 nodes: compiled programs stay in the worker with what
  // XLA knows of them, and its compiler works there. In eleven programs it took 0.6 to 1.3 MB for each kernel, and they had 0.55 to 1.25 kernels
  // for each kind of operation. It widens and narrows numbers around each operation in bfloat16, in a kernel of its own.
  pjrt: {
    // A sum over ids begins with zeros, which XLA makes at the start of the program, unless the sum is added to something: then it begins with that.
    rules: () => ({
      ...COMPILED_BUFFERS,
      isThereFirst: ({ op }, readers) => op === 'segmentSum' && !readers.every(reader => reader.op === 'add'),
      copiedFirst: node => [...transposedFilters(node), ...oldCodes(node)],
      scratchBytes: node => placesBytes(node) + expertLoopBytes(node),
      packs: 'hole',
    }),
    // Ten rounds of Philox are some eighty nodes; a loop over the blocks of experts and what groups them some thirty-five.
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
    // Code and context of the process are in the bytes that every card reserves. One batch is uploaded while another is computed.
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
      workerBytes: 56.5e6,
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

/** Returns the bytes of the table of the engine's pool once variables of these sizes are loaded in this order; 0 where it has none. */
export const poolTableOf = (on: ComputesOn, variables: readonly number[]): number =>
  memoryOnGpu(on) === undefined && engineMemory[on.engine].hasPool ? poolTableBytes(variables, physicalMemoryBytes()) : 0;

/** The engine's memory on the device that computes, where all of it lies there, with the rules of the card that is named, or that is there. */
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
