/**
 * Names of the layers of ViT, DeiT, DINOv2, Swin and Nemotron-H. Files use those of Transformers 4 or of their authors, which version 5
 * renames when it loads them. PEFT's adapters use the names of the model in memory. Version 5's names are written, and both are read.
 */
import type { ModuleSpec } from '../model/module-specs.ts';

interface Renaming {
  /** Patterns for a layer in files and in memory: the text before it, its number, and the text after it. */
  readonly inFile: RegExp;
  readonly inMemory: RegExp;
  /** The path between the model's name and the layer number. */
  readonly fileLayers: string;
  readonly memoryLayers: string;
  /** Pairs of names within a layer, in files → in memory. */
  readonly names: readonly (readonly [file: string, memory: string])[];
}

const attention = (file: string): readonly (readonly [string, string])[] => [
  [`${file}.query`, 'attention.q_proj'],
  [`${file}.key`, 'attention.k_proj'],
  [`${file}.value`, 'attention.v_proj'],
  ['attention.output.dense', 'attention.o_proj'],
];
const MLP = [
  ['intermediate.dense', 'mlp.fc1'],
  ['output.dense', 'mlp.fc2'],
] as const;

const RENAMINGS: readonly Renaming[] = [
  {
    inFile: /((?:^|\.)(?:vit|deit)\.)encoder\.layer\.(\d+)\.(.+)$/,
    inMemory: /((?:^|\.)(?:vit|deit)\.)layers\.(\d+)\.(.+)$/,
    fileLayers: 'encoder.layer',
    memoryLayers: 'layers',
    names: [...attention('attention.attention'), ...MLP, ['layernorm_before', 'layernorm_before'], ['layernorm_after', 'layernorm_after']],
  },
  {
    inFile: /((?:^|\.)dinov2(?:_with_registers)?\.)encoder\.layer\.(\d+)\.(.+)$/,
    inMemory: /((?:^|\.)dinov2(?:_with_registers)?\.)encoder\.layer\.(\d+)\.(.+)$/,
    fileLayers: 'encoder.layer',
    memoryLayers: 'encoder.layer',
    names: attention('attention.attention'),
  },
  {
    inFile: /((?:^|\.)swin\.)encoder\.layers\.(\d+\.blocks\.\d+)\.(.+)$/,
    inMemory: /((?:^|\.)swin\.)encoder\.layers\.(\d+\.blocks\.\d+)\.(.+)$/,
    fileLayers: 'encoder.layers',
    memoryLayers: 'encoder.layers',
    names: [
      ...attention('attention.self'),
      ['attention.self.relative_position_bias_table', 'attention.relative_position_bias.relative_position_bias_table'],
      ...MLP,
    ],
  },
];

/** The name of Nemotron-H's decoder in files. In memory it is `model`, the name of other decoders too, so the parts after it decide. */
const BACKBONE = 'backbone';
const ofBackbone = (decoder: string): RegExp =>
  new RegExp(`(?<=^|\\.)${decoder}(?=\\.(?:layers\\.\\d+\\.(?:mixer|norm)(?:\\.|$)|norm_f(?:\\.|$)|embeddings(?:$|\\.weight$|\\.lora_)))`);

/** The name in memory of a module or of one of its tensors, with any prefix, unless the module has one of its own (`ModuleSpec.inMemory`). */
export const nameInMemory = (name: string): string =>
  RENAMINGS.reduce((now, { inFile, memoryLayers, names }) => renamed(now, inFile, memoryLayers, names), name).replace(
    ofBackbone(BACKBONE),
    'model',
  );

/** The names that a module may have in an adapter, by its name in files and its own name in memory, if it has one. */
export const possibleNames = ({ name, inMemory = name }: Pick<ModuleSpec, 'name' | 'inMemory'>): readonly string[] => [
  name,
  nameInMemory(inMemory),
];

/** The name in files of a module or of one of its tensors, with any prefix, unless the module has one of its own in memory. */
export const nameInFile = (name: string): string =>
  RENAMINGS.reduce(
    (now, { inMemory, fileLayers, names }) =>
      renamed(
        now,
        inMemory,
        fileLayers,
        names.map(([file, memory]) => [memory, file] as const),
      ),
    name.replace(ofBackbone('model'), BACKBONE),
  );

function renamed(name: string, pattern: RegExp, layers: string, names: readonly (readonly [from: string, to: string])[]): string {
  const [whole, before, layer, rest] = pattern.exec(name) ?? [];
  if (whole === undefined || rest === undefined) return name;
  const [from, to] = names.find(([each]) => rest === each || rest.startsWith(`${each}.`)) ?? [];
  if (from === undefined) return name;
  return `${name.slice(0, -whole.length)}${before}${layers}.${layer}.${to}${rest.slice(from.length)}`;
}

/**
 * Returns the common prefix of the names of all modules except the heads, up to the first dot: the name of the model without a head in its class
 * with one, such as `bert.`; an empty text if the names are those of the class without a head.
 */
export function basePrefix({ modules, heads = [] }: BaseNames): string {
  const [first = '', ...names] = modules.filter(module => !heads.includes(module)).map(({ name }) => name);
  const prefix = first.slice(0, first.indexOf('.') + 1);
  return names.every(name => name.startsWith(prefix)) ? prefix : '';
}

interface BaseNames {
  readonly modules: readonly ModuleSpec[];
  /** The heads of a classifier or an embedder. */
  readonly heads?: readonly ModuleSpec[];
}

/** A name without the name of the model without a head. */
export const withoutBase = (name: string): string => name.slice(name.indexOf('.') + 1);
