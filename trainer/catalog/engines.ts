/** The engines that execute a compiled program. Code asks for a capability of an entry, not for a name. */
import { namesOf, namesWhere } from './entries.ts';
import type { TransportName } from './transports.ts';

export interface EngineEntry {
  readonly label: string;
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /**
   * Whether it stores 16-, 8- and 4-bit numbers in that many bits; other engines store them in 32 bits, with the same results and no memory
   * saved.
   */
  readonly holdsFewerBits: boolean;
  /** The places other than the compute device's memory in which it can keep optimizer state. */
  readonly offloadsTo: readonly ('host' | 'disk')[];
  /** Present if it updates offloaded state in host memory, without moving the state to the device. */
  readonly updatesOnHost?: true;
  /** Present if it can keep weights of the base in host memory and move each to the device when it is used. */
  readonly hostsWeights?: true;
  /** Whether it can run the operations between two matrix products in one pass. */
  readonly fuses: boolean;
  /** The transports that can connect the processes of a run to sum their gradients; empty for an engine that trains in one process. */
  readonly transports: readonly TransportName[];
  /** Present if it compiles a step for several devices of one process, which sum their gradients within it. */
  readonly replicates?: true;
  /** Present if it caches what its device's compiler has produced, whose memory is then known to an estimate. */
  readonly keepsPrograms?: true;
  /** Whether it runs anywhere without installation. */
  readonly isBuiltIn: boolean;
  /** Present if it only runs when it is named: `auto` never chooses it. */
  readonly isOnRequest?: true;
}

/** The engines in order of preference: `auto` chooses the first that is installed and not on request. */
const entries = {
  tensorflow: {
    label: 'TensorFlow',
    summary: 'TensorFlow, on the CPU or a CUDA GPU; an error if it is not installed.',
    holdsFewerBits: true,
    offloadsTo: ['host', 'disk'],
    updatesOnHost: true,
    fuses: true,
    transports: ['mpi', 'grpc'],
    isBuiltIn: false,
  },
  pjrt: {
    label: 'PJRT',
    summary: "A device's own compiler (XLA), through a PJRT plugin, which is installed separately. GPU: unmeasured.",
    holdsFewerBits: true,
    offloadsTo: ['host'],
    hostsWeights: true,
    fuses: false,
    transports: ['mpi'],
    replicates: true,
    keepsPrograms: true,
    isBuiltIn: false,
    isOnRequest: true,
  },
  portable: {
    label: 'Portable engine',
    summary: 'WebAssembly, which needs no installation, or WebGPU if that is installed.',
    holdsFewerBits: false,
    offloadsTo: [],
    fuses: false,
    transports: [],
    isBuiltIn: true,
  },
} as const satisfies Readonly<Record<string, EngineEntry>>;

export type EngineName = keyof typeof entries;

export const engineCatalog: Readonly<Record<EngineName, EngineEntry>> = entries;

export const engineNames = namesOf(entries);

/** The engines that can keep weights of the base in host memory. */
export const hostingEngines = namesWhere(engineCatalog, ({ hostsWeights }) => hostsWeights === true);

/** The engine that `auto` prefers; estimates assume it if the machine is unknown. */
const preferredEngine: EngineName = 'tensorflow';

/** The choices of the recipe's `engine` and of `--engine`. */
export const engineChoices = {
  auto: 'TensorFlow if it is installed, otherwise the portable engine with a warning.',
  tensorflow: entries.tensorflow.summary,
  pjrt: entries.pjrt.summary,
  portable: entries.portable.summary,
} as const satisfies Readonly<Record<'auto' | EngineName, string>>;

export type EngineChoiceName = keyof typeof engineChoices;

/** The engine that runs programs compiled for a card. */
export const CARD_ENGINE: EngineName = 'pjrt';

/** The engine to plan for if the machine is unknown. */
export const plannedEngine = (choice: EngineChoiceName): EngineName => (choice === 'auto' ? preferredEngine : choice);

export const engineChoiceNames = namesOf(engineChoices);
