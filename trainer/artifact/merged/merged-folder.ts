/** The `merged` export: a Hugging Face folder with the base's types and shards, and all files that accompany a model. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Adapter } from '../../adapter/adapter.ts';
import { isTuned, mergedWeights } from '../../adapter/merge.ts';
import type { MergedExportType } from '../../catalog/artifacts.ts';
import { copyDurably, writeJson, writeTextFile } from '../../files/durable-file.ts';
import { jsonLike } from '../../files/json-text.ts';
import { MAX_JSON_BYTES } from '../../files/regular-file.ts';
import { readModelFile } from '../../format/byte-file.ts';
import { encodeFloat32 } from '../../format/float-format.ts';
import { PREPROCESSOR_FILE, preprocessorText } from '../../format/image/image-preprocessing.ts';
import { fileSize, quantizationOf } from '../../format/model-config.ts';
import { INDEX_FILE, SINGLE_FILE } from '../../format/safetensors/safetensors-source.ts';
import { type TensorEntry, writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import { MODULE_WEIGHTS, sentenceLength, writeSentenceModules } from '../../format/sentence-modules.ts';
import { ELEMENT_BYTES, type TensorInfo, type TensorSource } from '../../format/tensor-source.ts';
import type { Tokenizer } from '../../format/tokenizer/tokenizer.ts';
import { VOCABULARY_FILES } from '../../format/tokenizer/tokenizer-files.ts';
import type { WeightFiles } from '../../format/weight-files.ts';
import { isOfModule } from '../../hub/module-weights.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import { HEADS } from '../../hub/tied-head.ts';
import { loadModel } from '../../model/load-model.ts';
import type { AnyModel, ClassifierModel } from '../../model/model-spec.ts';
import { heldTensors, replacedTensors, type StoredTensor, storedTensors } from '../../model/stored-form.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { valueFor } from '../../narrow.ts';
import type { DenseLayer } from '../../protocol/pooling.ts';
import { ExportError } from '../export-error.ts';
import { type ClassifierForm, isTimm, labelKeys, newClass, sizeKeys, withHead, writtenParameters } from './classifier-form.ts';

export interface MergedParams {
  readonly folder: ModelFolder;
  readonly model: AnyModel;
  readonly adapter: Adapter;
  readonly tokenizer: Tokenizer | undefined;
  readonly type: MergedExportType;
  readonly onTensor?: (done: number, total: number) => void;
}

const STORED = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const;
/** Hugging Face's usual shard size, for bases without shards. */
const SHARD_BYTES = 5e9;
/** Files to copy, among them other formats of the tokenizer for programs that read those. */
const COPIED = [...VOCABULARY_FILES, 'LICENSE', PREPROCESSOR_FILE];

type StoredType = TensorEntry['dtype'];

/**
 * The type in which a tensor is stored. Tensors of a GGUF file have types that a folder cannot have; integers keep their type.
 * @param isWide whether it stays float32 with any requested type
 */
function storedType({ dtype }: TensorInfo, { folder, type }: Pick<MergedParams, 'folder' | 'type'>, isWide = false): StoredType {
  if (isWide && type !== 'base') return 'F32';
  if (folder.kind === 'gguf' || dtype === 'GGML') return STORED[type === 'base' ? 'float32' : type];
  return type === 'base' || !FLOATS.has(dtype) ? dtype : STORED[type];
}

const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2']);

/** The keys of config.json that name the type of the weights. */
function typeKeys({ folder, type }: MergedParams): Readonly<Record<string, string>> {
  if (type === 'base' && folder.kind !== 'gguf') return {};
  const key = 'dtype' in folder.config ? 'dtype' : 'torch_dtype';
  return { [key]: type === 'base' ? 'float32' : type };
}

/** A tensor to be written. */
interface Placed {
  readonly info: TensorInfo;
  readonly dtype: StoredType;
  /** The model's name for the tensor. */
  readonly source: string;
  /** How to make a tensor that the base holds in a form that differs from the model's. */
  readonly made?: StoredTensor | undefined;
}

const isChanged = ({ source, made }: Placed, adapter: Adapter): boolean =>
  isTuned(adapter, source) || (made?.parameters.some(name => isTuned(adapter, name)) ?? false);

const storedBytes = ({ info, dtype }: Placed): number => info.shape.reduce((n, d) => n * d, ELEMENT_BYTES[dtype]);

/** The types to which trained parameters are rounded. */
export const tunedTypes = (params: MergedParams): Set<StoredType> =>
  new Set(
    [...placedTensors(params).values()]
      .filter(placed => isChanged(placed, params.adapter) || placed.dtype !== placed.info.dtype)
      .map(({ dtype }) => dtype),
  );

/** The names of the parameters in the folder, where they differ. */
export const namesInFolder = (params: MergedParams): ReadonlyMap<string, string> =>
  isHeadless(params) ? headedForm(params).names : new Map();

export const mergedBytes = (params: MergedParams): number =>
  [...placedTensors(params).values()].reduce((sum, placed) => sum + storedBytes(placed), 0);

/** True for a new head on a base that has no place for it, or does not name its class. */
function isHeadless({ model, folder: { weights, config } }: MergedParams): boolean {
  const fresh = model.parameters.filter(({ initial }) => initial);
  return (
    fresh.length > 0 &&
    (!(Array.isArray(config.architectures) || isTimm(config)) ||
      fresh.some(({ name }) => !weights.tensors.has(name)) ||
      newClass(model, config) !== undefined)
  );
}

/**
 * The tensors by their names in the folder: those of the base, with the shapes of a new head; for a base without a head, those of the class
 * with a head.
 */
function placedTensors(params: MergedParams): ReadonlyMap<string, Placed> {
  const { model } = params;
  const tensors = writtenTensors(params);
  const shapes = new Map(model.parameters.filter(({ initial }) => initial).map(({ name, shape }) => [name, shape]));
  const wide = new Set(model.parameters.filter(({ float32 }) => float32).map(({ name }) => name));
  const place = (name: string, info: TensorInfo): [string, Placed] => {
    const shape = [...(shapes.get(info.name) ?? info.shape)];
    return [name, { info: { ...info, name, shape }, dtype: storedType(info, params, wide.has(info.name)), source: info.name }];
  };
  if (!isHeadless(params)) return withStored(params, new Map([...tensors.values()].map(info => place(info.name, info))));
  const { names } = headedForm(params);
  const nameOf = (name: string): string => names.get(name) ?? name;
  const made = madeTensors(params);
  const isMade = new Set([...made.values()].flatMap(({ parameters }) => parameters));
  const [like] = model.parameters.flatMap(({ name }) => tensors.get(name) ?? []);
  const carried = new Set(model.carried?.map(({ name }) => name));
  const written = writtenParameters(model)
    .filter(({ name, usual }) => !isMade.has(name) && !((usual || carried.has(name)) && !tensors.has(name)))
    .map(({ name, shape }) => place(nameOf(name), tensors.get(name) ?? { name, dtype: like?.dtype ?? 'F32', shape, byteLength: 0 }));
  const inClass = [...made].map(([name, tensor]): [string, Placed] => {
    const [own = ''] = tensor.parameters;
    const renamed = withPrefixOf(name, own, nameOf(own));
    return [renamed, placeMade(renamed, tensor, params)];
  });
  // Other tensors of a layer (counts of a batch norm) stay; heads of pretraining are left out.
  const layers = new Map([...names].map(([own, name]) => [layerOf(own), layerOf(name)]));
  const kept = [...tensors.values()].flatMap(info => {
    const layer = names.has(info.name) ? undefined : layers.get(layerOf(info.name));
    return layer === undefined ? [] : [place(`${layer}${info.name.slice(layerOf(info.name).length)}`, info)];
  });
  return new Map([...written, ...inClass, ...kept]);
}

/** The name of a base's tensor with another prefix: with the one that its parameter has in the class with a head. */
function withPrefixOf(tensor: string, own: string, named: string): string {
  let same = 0;
  while (same < Math.min(own.length, named.length) && own.at(-1 - same) === named.at(-1 - same)) same++;
  return `${named.slice(0, named.length - same)}${tensor.slice(own.length - same)}`;
}

/** The tensors that are made from parameters: experts and transposed matrices, as the base stores them. */
const madeTensors = ({ model, folder }: MergedParams): ReadonlyMap<string, StoredTensor> =>
  storedTensors(model.parameters, folder.weights.tensors, folder.kind === 'gguf' || folder.isOfMlx === true);

function placeMade(name: string, tensor: StoredTensor, params: MergedParams): Placed {
  const { tensors } = params.folder.weights;
  const isWide = params.model.parameters.some(({ name: own, float32 }) => float32 && tensor.parameters.includes(own));
  const found = tensors.get(tensor.name) ?? { dtype: floatTypeOf(tensor, params) ?? 'BF16', byteLength: 0 };
  const info = { ...found, name, shape: [...tensor.shape] };
  return { info, dtype: storedType(info, params, isWide), source: tensor.name, made: tensor };
}

/** The type of the numbers that a tensor is made from; undefined if the base has them as codes of four bits. */
function floatTypeOf({ parameters }: StoredTensor, { model, folder }: MergedParams): TensorInfo['dtype'] | undefined {
  const { tensors } = folder.weights;
  const own = model.parameters.filter(({ name }) => parameters.includes(name)).flatMap(spec => heldTensors(spec, tensors).names);
  return own.map(name => tensors.get(name)?.dtype).find(dtype => dtype !== undefined && FLOATS.has(dtype));
}

/** The tensors of the base; if the task has no vectors, without the layers that compute them. */
function writtenTensors({ model, folder: { weights, vectors } }: MergedParams): ReadonlyMap<string, TensorInfo> {
  const layers = vectors?.dense ?? [];
  if (layers.length === 0 || layersOf(model).length > 0) return weights.tensors;
  return new Map([...weights.tensors].filter(([name]) => !isOfModule(layers, name)));
}

/** The dense layers after an embedder's pooling, which have files of their own. */
const layersOf = (model: AnyModel): readonly DenseLayer[] => (model.kind === 'classifier' ? (model.pooling?.dense ?? []) : []);

/** The tensors, with stacks of experts and transposed matrices replaced by the tensors of which the base consists. */
function withStored(params: MergedParams, placed: ReadonlyMap<string, Placed>): ReadonlyMap<string, Placed> {
  const { folder, model } = params;
  const { tensors } = folder.weights;
  const stored = madeTensors(params);
  if (stored.size === 0) return placed;
  const replaced = new Set(replacedTensors(model.parameters, tensors));
  const kept = [...placed].filter(([name]) => !replaced.has(name));
  const made = [...stored].map(([name, tensor]): [string, Placed] => [name, placeMade(name, tensor, params)]);
  const all = new Map([...kept, ...made]);
  // In the order of the base; tensors that replace others come last.
  return new Map([...[...tensors.keys()].flatMap(name => take(all, name)), ...[...all].filter(([name]) => !tensors.has(name))]);
}

const take = (all: ReadonlyMap<string, Placed>, name: string): [string, Placed][] => {
  const found = all.get(name);
  return found ? [[name, found]] : [];
};

const layerOf = (name: string): string => name.slice(0, name.lastIndexOf('.'));

/** @throws ExportError if the base has no place for the head */
function headedForm({ model, folder: { config } }: MergedParams): ClassifierForm {
  const form = withHead(model, config);
  if (form) return form;
  throw new ExportError(
    `the base is not a classifier according to its config.json (${String(config.architectures ?? config.architecture)}), so a merged folder would not say that it is one now: export as adapter, or begin with a base that has a head`,
  );
}

/** The text of config.json, unchanged or with the labels of the task. */
async function configText(params: MergedParams): Promise<string> {
  const { model, folder } = params;
  const text = (await readModelFile(join(folder.dir, 'config.json'), MAX_JSON_BYTES)).toString('utf8');
  if (isHeadless(params)) return jsonLike({ ...headedForm(params).config, ...typeKeys(params) }, text);
  const typed = { ...folder.config, ...typeKeys(params) };
  const isTyped = Object.keys(typeKeys(params)).length > 0;
  // The exported weights are not quantized.
  if (quantizationOf(folder.config)) return jsonLike({ ...typed, quantization: undefined, quantization_config: undefined }, text);
  const own = loadModel(folder.config);
  const isSame =
    model.kind !== 'classifier' ||
    model.pooling !== undefined ||
    (own.kind === 'classifier' && own.problem === model.problem && own.labels.join('\n') === model.labels.join('\n'));
  const sized = sizeKeys(model, folder.config);
  if (isSame && sized === undefined) return isTyped ? jsonLike(typed, text) : text;
  return jsonLike({ ...typed, ...sized, ...(model.kind === 'classifier' && !isSame && labelKeys(model, folder.config)) }, text);
}

/** Writes everything into `dir`, an empty folder. Only one tensor of the weights is in memory at a time. */
export async function writeMerged(dir: string, params: MergedParams): Promise<void> {
  await writeWeights(dir, params);
  await writeCompanions(dir, params);
}

/** Writes everything except the weights: config.json, the tokenizer, and the other files that accompany a model. */
export async function writeCompanions(dir: string, params: MergedParams): Promise<void> {
  const { folder, tokenizer } = params;
  if (folder.kind === 'gguf') {
    const config = isHeadless(params) ? headedForm(params).config : folder.config;
    await writeJson(join(dir, 'config.json'), { ...config, ...typeKeys(params) });
    if (folder.generationConfig) await writeJson(join(dir, 'generation_config.json'), folder.generationConfig);
  } else {
    await writeTextFile(join(dir, 'config.json'), await configText(params));
    for (const name of [...folder.exportFiles, ...COPIED])
      if ((await fileSize(join(folder.dir, name))) !== undefined) await copyDurably(join(folder.dir, name), join(dir, name));
  }
  for (const [name, text] of tokenizer?.files() ?? []) await writeTextFile(join(dir, name), text);
  await writePreprocessing(dir, params);
  if (params.model.kind === 'classifier' && params.model.pooling) await writeModulesOf(dir, params.model, folder.dir);
}

/** Writes the image preprocessing of training, even if the base has none or another size. */
async function writePreprocessing(dir: string, { model, folder }: MergedParams): Promise<void> {
  if (model.kind !== 'classifier' || model.input.kind !== 'image') return;
  const { height, width } = model.input;
  const text = await preprocessorText({ dir: folder.dir, config: folder.config, height, width });
  if (text !== undefined) await writeTextFile(join(dir, PREPROCESSOR_FILE), text);
}

/** Writes an embedder's modules: it is a folder of sentence-transformers, which cuts texts at the same length as its base. */
async function writeModulesOf(dir: string, { hiddenSize, input, pooling }: ClassifierModel, baseDir: string): Promise<void> {
  if (!pooling || input.kind !== 'tokens') return;
  const maxLength = (await sentenceLength(baseDir)) ?? input.maxPositions;
  await writeSentenceModules(dir, { ...pooling, dimensions: hiddenSize, maxLength, baseDir });
}

async function writeWeights(dir: string, params: MergedParams): Promise<void> {
  const tensors = placedTensors(params);
  const merged = rememberingStacks(params.model, mergedWeights(withInitial(params.model, params.folder.weights), params.adapter));
  const layers = layersOf(params.model);
  const shards = new Map([...shardsOf(params, tensors)].map(([file, names]) => [file, names.filter(name => !isOfModule(layers, name))]));
  let done = 0;
  const entryOf = (name: string): TensorEntry => {
    const placed = valueFor(tensors, name);
    const data = async (): Promise<Uint8Array> => {
      const bytes = await tensorBytes(placed, params, merged);
      params.onTensor?.(++done, tensors.size);
      return bytes;
    };
    return { name, dtype: placed.dtype, shape: placed.info.shape, data };
  };
  for (const [file, names] of shards) await writeSafetensors(join(dir, file), names.map(entryOf), { format: 'pt' });
  for (const layer of layers) {
    const own = [...tensors.keys()].filter(name => isOfModule([layer], name));
    await mkdir(join(dir, layer.at));
    const entries = own.map(name => ({ ...entryOf(name), name: name.slice(layer.at.length + 1) }));
    await writeSafetensors(join(dir, layer.at, MODULE_WEIGHTS), entries, { format: 'pt' });
  }
  if (shards.size === 1 && shards.has(SINGLE_FILE)) return;
  const weightMap = Object.fromEntries([...shards].flatMap(([file, names]) => names.map(name => [name, file])));
  await writeJson(join(dir, INDEX_FILE), { metadata: { total_size: mergedBytes(params) }, weight_map: weightMap });
}

/** Number of stacks to remember: those of one block, because files interleave their experts. */
const REMEMBERED = 3;

/** A source that caches the last stacks of experts, because each is read once per expert. */
function rememberingStacks({ parameters }: AnyModel, source: WeightSource): WeightSource {
  const stacks = new Set(parameters.filter(({ stack }) => stack).map(({ name }) => name));
  const last = new Map<string, Promise<Float32Array>>();
  return {
    ...source,
    readFloat32: name => {
      if (!stacks.has(name)) return source.readFloat32(name);
      const known = last.get(name) ?? source.readFloat32(name);
      last.delete(name);
      last.set(name, known);
      const [oldest] = last.keys();
      if (last.size > REMEMBERED && oldest !== undefined) last.delete(oldest);
      return known;
    },
  };
}

/** The bytes of a tensor; unchanged tensors keep theirs. */
async function tensorBytes(placed: Placed, params: MergedParams, merged: WeightSource): Promise<Uint8Array> {
  const { source: own, dtype, info, made } = placed;
  const { folder, adapter, model } = params;
  // A file may contain a copy of the tied head, which must stay equal to the embedding.
  const source = tiedTo(own, model) ?? own;
  const held = folder.weights.tensors.get(own);
  const isKept = made ? !isChanged(placed, adapter) : !isTuned(adapter, source);
  if (folder.kind !== 'gguf' && isKept && held?.dtype === dtype && held.shape.join() === info.shape.join())
    return folder.weights.readRaw(own);
  const values = made ? await made.values(merged.readFloat32) : await merged.readFloat32(source);
  if (dtype === 'F64') return new Uint8Array(Float64Array.from(values).buffer);
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return encodeFloat32(values, dtype);
  throw new TypeError(`tuned numbers of ${own} cannot be written as ${dtype}`);
}

const tiedTo = (name: string, model: AnyModel): string | undefined =>
  model.kind === 'causal' && HEADS.has(name) && model.head.weight.name !== name ? model.head.weight.name : undefined;

const hasShards = (weights: TensorSource): weights is WeightFiles => 'shards' in weights;

/** The name of the written file, which is safetensors whatever the format of the base's files. */
const safetensorsName = (file: string): string => file.replace(/^pytorch_model(.*)\.bin$/, 'model$1.safetensors');

/** The tensors of each file: as in the base, with a new head in the last file. A base of one file, whatever its name, stays one file. */
function shardsOf({ folder: { weights } }: MergedParams, tensors: ReadonlyMap<string, Placed>): ReadonlyMap<string, readonly string[]> {
  const names = [...tensors.keys()];
  if (hasShards(weights)) {
    if (weights.shards.size === 1) return new Map([[SINGLE_FILE, names]]);
    const last = [...weights.shards.keys()].at(-1);
    const inside = (file: string, held: ReadonlySet<string>): string[] =>
      names.filter(name => {
        const source = tensors.get(name)?.source ?? name;
        return held.has(source) || (file === last && !weights.tensors.has(source));
      });
    return new Map([...weights.shards].map(([file, held]) => [safetensorsName(file), inside(file, new Set(held))]));
  }
  const parts: string[][] = [];
  let room = 0;
  for (const [name, placed] of tensors) {
    const bytes = storedBytes(placed);
    if (parts.length === 0 || bytes > room) {
      parts.push([]);
      room = SHARD_BYTES;
    }
    parts.at(-1)?.push(name);
    room -= bytes;
  }
  if (parts.length === 1) return new Map([[SINGLE_FILE, names]]);
  const padded = (n: number): string => String(n).padStart(5, '0');
  return new Map(parts.map((part, i) => [`model-${padded(i + 1)}-of-${padded(parts.length)}.safetensors`, part]));
}
