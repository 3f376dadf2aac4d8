/** The engines that execute a compiled program. Code asks for a capability of an entry, not for a name. */
import { namesOf, namesWhere } from './entries.ts';
import type { TransportName } from './transports.ts';

export interface EngineEntry {
  readonly label: string;
  /** One sentence for completion, hover and help. */
  readonly summary: string;
  /**
   * Stores 16-, 8- and 4-bit numbers in that many bits; other engines store them in 32, with the same results and no
   * memory saved.
   */
  readonly holdsFewerBits: boolean;
  /** The places in which it can keep the optimizer's state, other than in the memory of the device that computes. */
  readonly offloadsTo: readonly ('host' | 'disk')[];
  /** Computes the update of state in the host's memory there, instead of moving the state to the device. */
  readonly updatesOnHost?: true;
  /** Can keep weights of the base in the host's memory, and moves each to the device for its uses. */
  readonly hostsWeights?: true;
  /** Can run the operations between two products in one pass. */
  readonly fuses: boolean;
  /** Ways to connect the processes of a run, which sum their gradients; none for an engine that trains in one process. */
  readonly transports: readonly TransportName[];
  /** Compiles a step for several devices of one process, which sum their gradients within it. */
  readonly replicates?: true;
  /** Keeps what its device's compiler has made, whose memory an estimate then knows. */
  readonly keepsPrograms?: true;
  /** Runs anywhere, with nothing to install. */
  readonly isBuiltIn: boolean;
  /** Runs only where it is named: `auto` never takes it. */
  readonly isOnRequest?: true;
}

/** In order of preference: `auto` takes the first that is installed and not on request. */
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
    summary: "A device's own compiler (XLA), through a PJRT plugin, which rowtune engine install --variant pjrt installs. GPU: unmeasured.",
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
    summary: 'WebAssembly, which needs no installation. For WebGPU, run: rowtune engine install --variant webgpu.',
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

/** The engines that can keep weights of the base in the memory of the host. */
export const hostingEngines = namesWhere(engineCatalog, ({ hostsWeights }) => hostsWeights === true);

/** The engine that `auto` prefers; estimates assume it where no machine is known. */
const preferredEngine: EngineName = 'tensorflow';

/** The choices of the recipe's `engine` and of `--engine`. */
export const engineChoices = {
  auto: 'TensorFlow if it is installed, otherwise the portable engine with a warning.',
  tensorflow: entries.tensorflow.summary,
  pjrt: entries.pjrt.summary,
  portable: entries.portable.summary,
} as const satisfies Readonly<Record<'auto' | EngineName, string>>;

export type EngineChoiceName = keyof typeof engineChoices;

/** The engine that runs on a card whose programs are compiled for it. */
export const CARD_ENGINE: EngineName = 'pjrt';

/** The engine to plan for where no machine is known. */
export const plannedEngine = (choice: EngineChoiceName): EngineName => (choice === 'auto' ? preferredEngine : choice);

export const engineChoiceNames = namesOf(engineChoices);
