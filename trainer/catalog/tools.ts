/** The tools that `rowtune engine install --with` gets. */

export interface ToolEntry {
  readonly label: string;
  /** The purpose, a verb and its object, for help and the reference. */
  readonly purpose: string;
  /** Size of the installed folder on Linux. */
  readonly megabytes: number;
}

const entries = {
  images: { label: 'sharp', purpose: 'decodes images, for tasks and models that read them', megabytes: 20 },
  'llama.cpp': { label: 'llama.cpp', purpose: 'verifies exports to GGUF', megabytes: 85 },
  onnxruntime: { label: 'ONNX Runtime', purpose: 'verifies exports to ONNX', megabytes: 288 },
  mpi: { label: 'MPICH', purpose: 'lets several processes train together', megabytes: 13 },
} as const satisfies Readonly<Record<string, ToolEntry>>;

export type ToolName = keyof typeof entries;
export const toolCatalog: Readonly<Record<ToolName, ToolEntry>> = entries;

/** The arguments of `rowtune` that install a tool. */
export const toolArguments = (tool: ToolName): readonly string[] => ['engine', 'install', '--with', tool];

/** The command that installs a tool. */
export const toolCommand = (tool: ToolName): string => ['rowtune', ...toolArguments(tool)].join(' ');
