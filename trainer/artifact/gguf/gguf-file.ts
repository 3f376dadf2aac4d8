/**
 * Writes a tuned model as one GGUF file: every tensor merged, with llama.cpp's name, row order and type; one tensor is in memory at a time.
 */

import { setImmediate } from 'node:timers/promises';
import { mergedWeights } from '../../adapter/merge.ts';
import type { GgufExportType } from '../../catalog/artifacts.ts';
import { openByteFile } from '../../format/byte-file.ts';
import { type FoundFamily, ggufFamily } from '../../format/gguf/families/gguf-families.ts';
import type { FileLayout, GgufFamily } from '../../format/gguf/families/gguf-family.ts';
import { f32sEntry, type GgufEntry, stringEntry, u32Entry } from '../../format/gguf/gguf-entries.ts';
import { type GgufHeader, readGguf } from '../../format/gguf/gguf-header.ts';
import { inFileOrder, layoutOf, layoutSizes } from '../../format/gguf/gguf-layout.ts';
import type { GgufType } from '../../format/gguf/gguf-types.ts';
import { type GgufTensorEntry, ggufTensorBytes } from '../../format/gguf/gguf-writer.ts';
import { tokenizerEntries } from '../../format/gguf/tokenizer/gguf-tokenizer-entries.ts';
import type { TensorInfo } from '../../format/tensor-source.ts';
import { elementCount } from '../../graph/types.ts';
import type { ModelFolder } from '../../hub/open-model.ts';
import type { DecoderConfig } from '../../model/family/decoder/blocks/decoder-config.ts';
import { LATENT_EPSILON } from '../../model/family/decoder/blocks/latent.ts';
import { nameInDecoder } from '../../model/family/decoder/blocks/names.ts';
import type { AnyModel, CausalModel } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import type { WeightSource } from '../../model/weight-source.ts';
import { withInitial } from '../../model/weight-stream.ts';
import { required } from '../../narrow.ts';
import type { Opened } from '../artifact.ts';
import { ExportError } from '../export-error.ts';
import { type FileTensor, fileTensors, isTunedIn, keptType, numbersOf, typeInFolder } from './gguf-tensors.ts';
import { type DescribedModel, describeForGguf, hasGgufName } from './metadata.ts';
import { FILE_TYPES, ggufTypeNamed, isCoarse, type NamedType, RAISED, type TensorPlace, typeOfTensor } from './quantization.ts';

export interface GgufPlan {
  readonly metadata: readonly GgufEntry[];
  readonly tensors: readonly GgufTensorEntry[];
}

export interface GgufPlanParams {
  readonly opened: Opened;
  readonly model: CausalModel;
  readonly type: GgufExportType;
  /** The value of `general.name`. */
  readonly name: string;
  readonly onTensor: (done: number, total: number) => void;
  readonly onWarning: (message: string) => void;
}

/** Number of values that are quantized between two turns of the event loop: a few tenths of a second, so that stop requests are noticed. */
const CHUNK_VALUES = 2 ** 21;

/** The encoded blocks of a tensor [rows, columns] in the order of the file. */
export async function quantized(values: Float32Array, type: GgufType, columns: number): Promise<Uint8Array> {
  const { quantize, blockElements, blockBytes } = type;
  if (quantize === undefined) throw new Error(`${type.name} holds no weights`);
  const out = new Uint8Array((values.length / blockElements) * blockBytes);
  const step = Math.max(1, Math.floor(CHUNK_VALUES / columns)) * columns;
  for (let at = 0; at < values.length; at += step) {
    quantize(values, at, Math.min(step, values.length - at), out, (at / blockElements) * blockBytes);
    await setImmediate();
  }
  return out;
}

/** Plans the file. @throws ExportError for a model, a setting or a tokenizer that a GGUF file cannot hold */
export async function planGguf(params: GgufPlanParams): Promise<GgufPlan> {
  const { opened } = params;
  return opened.folder.ggufPath === undefined ? planOfFolder(params) : planOfFile(params, opened.folder.ggufPath);
}

async function planOfFolder({ opened, model, type, name: title, onTensor, onWarning }: GgufPlanParams): Promise<GgufPlan> {
  const { folder, adapter, tokenizer } = opened;
  const { family, decoder, entries, factors, sizes } = describeFolder(folder, model);
  if (tokenizer === undefined)
    throw new ExportError('the base has no tokenizer, which a GGUF file has to hold: put tokenizer.json into its folder');
  const window = decoder.attention.layers.map(each => each.window).find(each => each !== undefined && each < decoder.maxPositions);
  if (family.ignoresWindow && window !== undefined)
    onWarning(`llama.cpp has no attention window for ${family.architecture}: texts of more than ${window} tokens give other results there`);
  const least = decoder.mamba?.steps.least ?? 0;
  if (family.ignoresLeastStep && least > 0)
    onWarning(
      `llama.cpp has no lower limit of time steps for ${family.architecture}: those below ${least} give slightly other results there`,
    );
  if (family.approximatesGelu)
    onWarning(`llama.cpp approximates the activation of ${family.architecture} by tanh: results differ slightly there`);
  if (decoder.latent && decoder.norms.epsilon !== LATENT_EPSILON)
    onWarning(
      `llama.cpp normalizes the short vectors of ${family.architecture} with rms_norm_eps ${decoder.norms.epsilon}, and Transformers with ${LATENT_EPSILON}: results differ slightly there`,
    );
  const merged = mergedWeights(withInitial(model, folder.weights), adapter);
  const embedding = model.parameters.find(({ name }) => nameInDecoder(name) === decoder.names.embedding + WEIGHT);
  const ofEmbedding = keptType(embedding && folder.weights.tensors.get(embedding.name));
  const { blocks, tied, experts } = decoder;
  const held = fileTensors(model, { architecture: family.architecture, family }, sizes);
  let done = 0;
  const tensors = [...held].map(([own, tensor]): GgufTensorEntry => {
    const { spec, shape, values: valuesOf } = tensor;
    const inFolder = typeInFolder(spec, folder.weights.tensors);
    const isRaised = type === 'auto' && inFolder === 'MXFP4' && isTunedIn(adapter, tensor);
    const wanted = isRaised ? RAISED : keepsTypes(type) ? inFolder : type;
    const layout = layoutOf(own, shape, family, sizes);
    const target = typeOfTensor(wanted, { name: own, shape, blocks, tied, experts: experts?.count ?? 0 });
    const data = async (): Promise<Uint8Array> => {
      const values = inFileOrder(await valuesOf(merged.readFloat32), shape, layout);
      const bytes = await quantized(values, target, shape.at(-1) ?? 1);
      onTensor(++done, held.size);
      return bytes;
    };
    return { name: own, type: target, shape, data };
  });
  const rotary = [...factors].map(([name, values]): GgufTensorEntry => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return { name, type: ggufTypeNamed('F32'), shape: [values.length], data: async () => bytes };
  });
  return {
    metadata: [
      stringEntry('general.architecture', family.architecture),
      stringEntry('general.type', 'model'),
      stringEntry('general.name', title),
      u32Entry('general.file_type', fileType(keepsTypes(type) ? ofEmbedding : type, tensors)),
      u32Entry('general.quantization_version', QUANTIZATION_VERSION),
      ...entries,
      ...(await numberEntries(model, family, merged)),
      ...tokenizerEntries({ source: folder.source, tokenizer, rows: model.vocabularySize }),
    ],
    tensors: [...rotary, ...tensors, ...(family.hasUnreadKeys ? unreadKeys(decoder) : [])],
  };
}

/** Lists of the parameters that a file has in its metadata. */
const numberEntries = (model: CausalModel, family: GgufFamily, { readFloat32 }: WeightSource): Promise<GgufEntry[]> =>
  Promise.all(
    numbersOf(model, family).map(async ({ key, names }) => {
      const values = await Promise.all(names.map(name => readFloat32(name)));
      return f32sEntry(
        key,
        values.map(([value = 0]) => value),
      );
    }),
  );

/** Zeros in place of the keys, values and norms of blocks that read those of earlier blocks. */
const unreadKeys = ({ attention, hiddenSize }: DecoderConfig): readonly GgufTensorEntry[] =>
  attention.layers.flatMap(({ keysFrom, kvHeads, headDim }, layer) => {
    if (keysFrom === undefined) return [];
    const entry = (stem: string, type: GgufType, shape: readonly number[]): GgufTensorEntry => ({
      ...{ name: `blk.${layer}.${stem}.weight`, type, shape },
      data: async () => new Uint8Array(elementCount(shape) * type.blockBytes),
    });
    const matrices = ['attn_k', 'attn_v'].map(stem => entry(stem, ggufTypeNamed('F16'), [kvHeads * headDim, hiddenSize]));
    return [...matrices, entry('attn_k_norm', ggufTypeNamed('F32'), [headDim])];
  });

/** True if llama.cpp has a name for the model, and its files can hold the tokenizer. */
export async function takesGguf({ folder, model }: { readonly folder: ModelFolder; readonly model: AnyModel }): Promise<boolean> {
  if (model.kind !== 'causal' || !hasGgufName(folder.config)) return false;
  if (folder.kind === 'gguf') return true;
  try {
    tokenizerEntries({ source: folder.source, tokenizer: await folder.loadTokenizer(), rows: model.vocabularySize });
    return true;
  } catch {
    return false;
  }
}

/** True if the export keeps the types of the base. */
const keepsTypes = (type: GgufExportType): type is 'auto' | 'base' => type === 'auto' || type === 'base';

/** The type of a tensor if the base is a GGUF file, too. */
const typeInFile = (type: NamedType | 'auto', own: GgufType, isTuned: boolean, place: TensorPlace): GgufType =>
  type !== 'auto' ? typeOfTensor(type, place) : isTuned && isCoarse(own) ? typeOfTensor(RAISED, place) : own;

/** The value of `general.file_type`; llama.cpp has one value for all files with four-bit experts. */
const fileType = (type: NamedType, tensors: readonly GgufTensorEntry[]): number =>
  tensors.some(({ type: { name } }) => name === 'MXFP4') ? MXFP4_EXPERTS : FILE_TYPES[type];
const MXFP4_EXPERTS = 38;

const WEIGHT = '.weight';
/** The version of ggml's quantization layouts that are written. */
export const QUANTIZATION_VERSION = 2;

/** The facts that llama.cpp needs about a model folder. @throws ExportError for a model that a GGUF file cannot hold */
export function describeFolder({ config, weights }: ModelFolder, model: CausalModel): DescribedModel {
  const written = new Map(model.parameters.map(spec => [nameInDecoder(spec.name), infoOf(spec, weights.tensors.get(spec.name))]));
  return describeForGguf(config, written);
}

const infoOf = ({ name, shape }: ParameterSpec, held: TensorInfo | undefined): TensorInfo =>
  held ?? { name, dtype: 'F32', shape, byteLength: 0 };

/**
 * Plans a file from a GGUF base: its metadata except the type is kept, and tensors whose values and type do not change keep their bytes.
 */
async function planOfFile({ opened, model, type, onTensor }: GgufPlanParams, path: string): Promise<GgufPlan> {
  const { folder, adapter } = opened;
  const file = await openByteFile(path);
  const { header, entries } = await readGguf(file).finally(() => file.close());
  const found = familyOf(header);
  const { architecture, family } = found;
  const sizes = layoutSizes(header.metadata);
  const held = fileTensors(model, found, sizes);
  const merged = mergedWeights(withInitial(model, folder.weights), adapter);
  const tied = !folder.weights.tensors.has(`lm_head${WEIGHT}`);
  const setting = (key: string): number => Number(header.metadata.get(`${architecture}.${key}`) ?? 0);
  const [blocks, experts] = [setting('block_count'), setting('expert_count')];
  let done = 0;
  const tensors = header.tensors.map((tensor): GgufTensorEntry => {
    const { name, shape } = tensor;
    const own = held.get(name);
    const isTuned = own !== undefined && isTunedIn(adapter, own);
    const place = { name, shape, blocks, tied, experts };
    const target = own === undefined || type === 'base' ? tensor.type : typeInFile(type, tensor.type, isTuned, place);
    const data = async (): Promise<Uint8Array> => {
      const isKept = own === undefined || (target.id === tensor.type.id && !isTuned);
      const bytes = isKept
        ? await readRange(path, tensor.position, tensor.byteLength)
        : await encode(merged, own, target, layoutOf(name, shape, family, sizes));
      onTensor(++done, header.tensors.length);
      return bytes;
    };
    return { name, type: target, shape, data };
  });
  const numbers = await numberEntries(model, family, merged);
  const changed =
    type === 'base'
      ? numbers
      : [
          ...numbers,
          u32Entry('general.file_type', FILE_TYPES[type === 'auto' ? RAISED : type]),
          u32Entry('general.quantization_version', QUANTIZATION_VERSION),
        ];
  const replaced = new Set([...changed.map(({ key }) => key), 'general.alignment']);
  return { metadata: [...entries.filter(({ key }) => !replaced.has(key)), ...changed], tensors };
}

async function encode(merged: WeightSource, { shape, values }: FileTensor, type: GgufType, layout: FileLayout): Promise<Uint8Array> {
  return quantized(inFileOrder(await values(merged.readFloat32), shape, layout), type, shape.at(-1) ?? 1);
}

async function readRange(path: string, position: number, length: number): Promise<Uint8Array> {
  const file = await openByteFile(path);
  try {
    return await file.read(position, length);
  } finally {
    await file.close();
  }
}

/** The family of a GGUF file; present, because the file was opened as a model. */
export const familyOf = ({ metadata }: GgufHeader): FoundFamily => required(ggufFamily(metadata), 'the family of a GGUF model');

/** Total size of the tensors in bytes. */
export const ggufDataBytes = ({ tensors }: GgufPlan): number => tensors.reduce((n, tensor) => n + ggufTensorBytes(tensor), 0);
