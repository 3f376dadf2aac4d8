/** The export formats of a run. `artifact/export-model.ts` writes and verifies them. */
import { namesOf } from './entries.ts';
import { type ObjectiveEntry, type ObjectiveName, objectiveCatalog } from './objectives.ts';

export interface ArtifactEntry<Type extends string = ExportType> {
  readonly label: string;
  /** A phrase for lists and help. */
  readonly summary: string;
  /** The suffix of the folder's suggested name. */
  readonly suffix: string;
  /** The kind of model that the format holds; if left out, any. */
  readonly of?: ObjectiveEntry['model'];
  /** The types in which weights may be written, each with its label; the first is the default. */
  readonly types?: Readonly<Partial<Record<Type, string>>>;
  /**
   * For the model card: the library that loads the export (with `prefersTaskLibrary`, the task's own library if it has one), and its relation to the base, in
   * the Hub's terms.
   */
  readonly hub?: { readonly library: string; readonly prefersTaskLibrary?: true; readonly relation: 'finetune' | 'quantized' | 'adapter' };
}

/** Types of merged folders. A GGUF base has no type that such a folder can hold, so its values become float32, which is exact. */
const mergedTypes = {
  base: 'As the base model (float32 if that is a GGUF file)',
  float32: 'float32',
  bfloat16: 'bfloat16',
  float16: 'float16',
} as const;

const ggufTypes = {
  auto: 'As the base model; trained tensors of a GGUF file have at least 8 bits (Q8_0)',
  base: 'As the base model; of a GGUF file, only blocks with trained numbers change',
  F32: 'F32: every bit',
  F16: 'F16',
  BF16: 'BF16',
  Q8_0: 'Q8_0: 8.5 bits a weight',
  Q6_K: 'Q6_K: 6.6 bits a weight',
  Q5_K_M: 'Q5_K_M: 5.7 bits a weight',
  Q5_1: 'Q5_1: 6 bits a weight',
  Q5_0: 'Q5_0: 5.5 bits a weight',
  Q4_K_M: 'Q4_K_M: 4.8 bits a weight, the usual choice',
  Q4_1: 'Q4_1: 5 bits a weight',
  Q4_0: 'Q4_0: 4.5 bits a weight',
} as const;

export type MergedExportType = keyof typeof mergedTypes;
export type GgufExportType = keyof typeof ggufTypes;
export type ExportType = MergedExportType | GgufExportType;

const entries = {
  merged: {
    label: 'Merged model',
    summary: 'A whole Hugging Face folder that any tool loads',
    suffix: 'merged',
    types: mergedTypes,
    hub: { library: 'transformers', prefersTaskLibrary: true, relation: 'finetune' },
  },
  gguf: {
    label: 'GGUF',
    summary: 'One file for Ollama, llama.cpp and LM Studio',
    suffix: 'gguf',
    of: 'causal',
    types: ggufTypes,
    hub: { library: 'gguf', relation: 'quantized' },
  },
  onnx: {
    label: 'ONNX',
    summary: 'A classifier or an encoder for ONNX Runtime, Optimum and transformers.js',
    suffix: 'onnx',
    of: 'classifier',
    hub: { library: 'onnx', relation: 'finetune' },
  },
  adapter: {
    label: 'Adapter',
    summary: 'Only the trained numbers and their places: small',
    suffix: 'adapter',
    hub: { library: 'rowtune', relation: 'adapter' },
  },
  peft: {
    label: 'PEFT adapter',
    summary: 'An adapter that PEFT loads',
    suffix: 'peft',
    hub: { library: 'peft', relation: 'adapter' },
  },
  'gguf-adapter': {
    label: 'GGUF adapter',
    summary: 'Factors for Ollama and llama.cpp, which need the base as a GGUF file next to it',
    suffix: 'gguf-adapter',
    of: 'causal',
    hub: { library: 'gguf', relation: 'adapter' },
  },
} as const satisfies Readonly<Record<string, ArtifactEntry>>;

export type ExportFormat = keyof typeof entries;

export const artifactCatalog: Readonly<Record<ExportFormat, ArtifactEntry>> = entries;

export const exportFormats = namesOf(entries);

/** The formats that can hold a model tuned for this task; all formats if the task is unknown. */
export const formatsFor = (task: ObjectiveName | undefined): readonly ExportFormat[] =>
  exportFormats.filter(format => {
    const { of }: ArtifactEntry = artifactCatalog[format];
    return of === undefined || task === undefined || objectiveCatalog[task].model === of;
  });

/** The types of all formats. */
export const exportTypes: readonly ExportType[] = [...new Set(exportFormats.flatMap(format => typesOf(format)))];

/** The types of a format; the first is the default. */
export function typesOf(format: ExportFormat): readonly ExportType[] {
  return namesOf(artifactCatalog[format].types ?? {});
}

/** The types of merged folders, and those of GGUF files. */
export const mergedTypeNames = namesOf(mergedTypes);
export const ggufTypeNames = namesOf(ggufTypes);
