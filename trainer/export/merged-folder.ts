/** The `merged` export: a Hugging Face folder with the base's types and shards, and everything that travels with a model. */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Adapter } from '../adapter/adapter.ts';
import { isTuned, mergedWeights } from '../adapter/merge.ts';
import { writeJson, writeTextFile } from '../hub/durable-file.ts';
import { fileSize } from '../hub/model-config.ts';
import type { ModelFolder } from '../hub/open-model.ts';
import { INDEX_FILE, SINGLE_FILE } from '../hub/safetensors-source.ts';
import { encodeFloat32, type TensorEntry, writeSafetensors } from '../hub/safetensors-writer.ts';
import { ELEMENT_BYTES, type TensorInfo, type TensorSource } from '../hub/tensor-source.ts';
import type { Tokenizer } from '../hub/tokenizer.ts';
import { VOCABULARY_FILES } from '../hub/tokenizer-files.ts';
import type { WeightFiles } from '../hub/weight-files.ts';
import { loadModel } from '../model/load-model.ts';
import type { AnyModel } from '../model/model-spec.ts';
import { type WeightSource, withInitial } from '../model/weight-stream.ts';
import { ExportError } from './export-error.ts';

/** What the tensors of a GGUF base become, which are stored in blocks: float32 keeps every bit of what was tuned. */
export type WeightType = 'float32' | 'bfloat16' | 'float16';

export interface MergedParams {
  readonly folder: ModelFolder;
  readonly model: AnyModel;
  readonly adapter: Adapter;
  readonly tokenizer: Tokenizer | undefined;
  readonly ggufType: WeightType;
  readonly onTensor?: (done: number, total: number) => void;
}

const STORED = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const;
/** Hugging Face's usual size of a shard, for bases that have none. */
const SHARD_BYTES = 5e9;
/** Other forms of a tokenizer, for programs that read those. */
const COPIED = [...VOCABULARY_FILES, 'LICENSE', 'preprocessor_config.json'];

type StoredType = TensorEntry['dtype'];

/** A tensor of a GGUF file, and only that, changes its type. */
const storedType = ({ dtype }: TensorInfo, { folder, ggufType }: Pick<MergedParams, 'folder' | 'ggufType'>): StoredType =>
  folder.kind === 'gguf' || dtype === 'GGML' ? STORED[ggufType] : dtype;

const storedBytes = (info: TensorInfo, params: Pick<MergedParams, 'folder' | 'ggufType'>): number =>
  info.shape.reduce((n, d) => n * d, ELEMENT_BYTES[storedType(info, params)]);

/** The types that trained numbers are rounded to. */
export const tunedTypes = (params: MergedParams): Set<StoredType> =>
  new Set(
    [...params.folder.weights.tensors.values()].filter(({ name }) => isTuned(params.adapter, name)).map(info => storedType(info, params)),
  );

export const mergedBytes = (params: MergedParams): number =>
  [...tensorsOf(params).values()].reduce((sum, info) => sum + storedBytes(info, params), 0);

/** The tensors of the base; where the head was replaced, with that of the new one. @throws ExportError where the base has no place for it */
function tensorsOf({ model, folder: { weights, config } }: MergedParams): ReadonlyMap<string, TensorInfo> {
  const fresh = model.parameters.filter(({ initial }) => initial);
  if (fresh.length === 0) return weights.tensors;
  const homeless = fresh.filter(({ name }) => !weights.tensors.has(name)).map(({ name }) => name);
  if (homeless.length > 0 || !Array.isArray(config.architectures))
    throw new ExportError(
      `the base is no classifier by its config.json (${String(config.architectures ?? config.architecture)}), so a merged folder would not say that it is one now: export as adapter, or begin with a base that has a head`,
    );
  const shapes = new Map(fresh.map(({ name, shape }) => [name, shape]));
  return new Map([...weights.tensors].map(([name, info]) => [name, { ...info, shape: [...(shapes.get(name) ?? info.shape)] }]));
}

/** config.json as it is, or with the labels of the task. */
async function configText({ model, folder }: MergedParams): Promise<string> {
  const text = await readFile(join(folder.dir, 'config.json'), 'utf8');
  if (model.kind !== 'classifier' || !Array.isArray(folder.config.architectures)) return text;
  const own = loadModel(folder.config);
  if (own.kind === 'classifier' && own.problem === model.problem && own.labels.join('\n') === model.labels.join('\n')) return text;
  const labels = model.labels.map((name, i) => [String(i), name] as const);
  const changed = {
    ...folder.config,
    id2label: Object.fromEntries(labels),
    label2id: Object.fromEntries(labels.map(([i, name]) => [name, Number(i)])),
    num_labels: model.labels.length,
    problem_type: model.problem === 'regression' ? 'regression' : 'single_label_classification',
  };
  return `${JSON.stringify(changed, null, 2)}\n`;
}

/** Writes everything into `dir`, an empty folder; of the weights one tensor is in memory at a time. */
export async function writeMerged(dir: string, params: MergedParams): Promise<void> {
  const { folder, tokenizer } = params;
  await writeWeights(dir, params);
  if (folder.kind === 'gguf') {
    await writeJson(join(dir, 'config.json'), { ...folder.config, torch_dtype: params.ggufType });
    if (folder.generationConfig) await writeJson(join(dir, 'generation_config.json'), folder.generationConfig);
  } else {
    await writeTextFile(join(dir, 'config.json'), await configText(params));
    for (const name of [...folder.exportFiles, ...COPIED])
      if ((await fileSize(join(folder.dir, name))) !== undefined) await copyFile(join(folder.dir, name), join(dir, name));
  }
  for (const [name, text] of tokenizer?.files() ?? []) await writeTextFile(join(dir, name), text);
}

async function writeWeights(dir: string, params: MergedParams): Promise<void> {
  const { weights } = params.folder;
  const tensors = tensorsOf(params);
  const merged = mergedWeights(withInitial(params.model, weights), params.adapter);
  const shards = shardsOf(params);
  let done = 0;
  const entryOf = (name: string): TensorEntry => {
    const info = tensors.get(name) as TensorInfo;
    const dtype = storedType(info, params);
    const data = async (): Promise<Uint8Array> => {
      const bytes = await tensorBytes({ name, dtype, params, merged });
      params.onTensor?.(++done, weights.tensors.size);
      return bytes;
    };
    return { name, dtype, shape: info.shape, data };
  };
  for (const [file, names] of shards) await writeSafetensors(join(dir, file), names.map(entryOf), { format: 'pt' });
  if (shards.size === 1 && shards.has(SINGLE_FILE)) return;
  const weightMap = Object.fromEntries([...shards].flatMap(([file, names]) => names.map(name => [name, file])));
  await writeJson(join(dir, INDEX_FILE), { metadata: { total_size: mergedBytes(params) }, weight_map: weightMap });
}

interface TensorBytesParams {
  readonly name: string;
  readonly dtype: StoredType;
  readonly params: MergedParams;
  readonly merged: WeightSource;
}

/** Untouched tensors keep their bytes. */
async function tensorBytes({ name, dtype, params, merged }: TensorBytesParams): Promise<Uint8Array> {
  const { folder, adapter, model } = params;
  // A file may hold the tied head a second time: it must stay the embedding's twin.
  const source = tiedTo(name, model) ?? name;
  if (folder.kind !== 'gguf' && !isTuned(adapter, source)) return folder.weights.readRaw(name);
  const values = await merged.readFloat32(source);
  return dtype === 'F64' ? new Uint8Array(Float64Array.from(values).buffer) : encodeFloat32(values, dtype as 'F32' | 'F16' | 'BF16');
}

const tiedTo = (name: string, model: AnyModel): string | undefined =>
  model.kind === 'causal' && name === 'lm_head.weight' && model.head.weight.name !== name ? model.head.weight.name : undefined;

const hasShards = (weights: TensorSource): weights is WeightFiles => 'shards' in weights;

/** What is written is safetensors, whatever the base's files are. */
const safetensorsName = (file: string): string => file.replace(/^pytorch_model(.*)\.bin$/, 'model$1.safetensors');

/** File → its tensors: as in the base; a base of one file, whatever its name, stays one. */
function shardsOf(params: MergedParams): ReadonlyMap<string, readonly string[]> {
  const { weights } = params.folder;
  const names = [...weights.tensors.keys()];
  if (hasShards(weights))
    return weights.shards.size > 1
      ? new Map([...weights.shards].map(([file, inside]) => [safetensorsName(file), inside]))
      : new Map([[SINGLE_FILE, names]]);
  const parts: string[][] = [];
  let room = 0;
  for (const info of weights.tensors.values()) {
    const bytes = storedBytes(info, params);
    if (parts.length === 0 || bytes > room) {
      parts.push([]);
      room = SHARD_BYTES;
    }
    parts.at(-1)?.push(info.name);
    room -= bytes;
  }
  if (parts.length === 1) return new Map([[SINGLE_FILE, names]]);
  const padded = (n: number): string => String(n).padStart(5, '0');
  return new Map(parts.map((part, i) => [`model-${padded(i + 1)}-of-${padded(parts.length)}.safetensors`, part]));
}
