/** Everything that `rowtune engine install` gets, as the editor lists it: engines, compilers for absent GPUs, and tools. */
import { namesOf } from './entries.ts';
import { type ToolName, toolArguments, toolCatalog } from './tools.ts';

export interface Installation {
  readonly label: string;
  /** The purpose, a verb and its object. */
  readonly purpose: string;
  /** The size of the download: "274 MB". */
  readonly download: string;
  /** The arguments of `rowtune`. */
  readonly args: readonly string[];
}

const withVariant = (...words: readonly string[]): readonly string[] => ['engine', 'install', '--variant', ...words];

const engines = {
  tensorflow: {
    label: 'TensorFlow',
    purpose: 'trains several times faster than the portable engine',
    download: '274 MB, or 2.5 GB with an NVIDIA GPU',
    args: ['engine', 'install'],
  },
  webgpu: {
    label: 'WebGPU',
    purpose: 'lets the portable engine use any GPU',
    download: '54 MB',
    args: withVariant('webgpu'),
  },
  pjrt: {
    label: 'PJRT plugin',
    purpose: 'runs recipes with engine: pjrt on the accelerator of this machine',
    download: '45 MB to 3 GB, by accelerator',
    args: withVariant('pjrt'),
  },
  cuda13: {
    label: 'Compiler for NVIDIA GPUs',
    purpose: 'estimates the memory of a run on a GPU that this machine need not have',
    download: '234 MB',
    args: withVariant('cuda13', '--compile-only'),
  },
  rocm7: {
    label: 'Compiler for AMD GPUs',
    purpose: 'estimates the memory of a run on a GPU that this machine need not have',
    download: '133 MB',
    args: withVariant('rocm7', '--compile-only'),
  },
} as const satisfies Readonly<Record<string, Installation>>;

const ofTool = (tool: ToolName): Installation => {
  const { label, purpose, megabytes } = toolCatalog[tool];
  return { label, purpose, download: `${megabytes} MB`, args: toolArguments(tool) };
};

export type InstallationName = keyof typeof engines | ToolName;

/** The engine that is installed if nothing else is asked for comes first. */
export const installations: Readonly<Record<InstallationName, Installation>> = {
  ...engines,
  images: ofTool('images'),
  'llama.cpp': ofTool('llama.cpp'),
  onnxruntime: ofTool('onnxruntime'),
  mpi: ofTool('mpi'),
};

export const installationNames = namesOf(installations);
