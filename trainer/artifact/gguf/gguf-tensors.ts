/**
 * Maps the tensors of a GGUF file to parameters of the model. Most are identical; gate and up projections of experts may be in one tensor
 * or in two.
 */

import type { Adapter } from '../../adapter/adapter.ts';
import { isTuned } from '../../adapter/merge.ts';
import type { FoundFamily } from '../../format/gguf/families/gguf-families.ts';
import type { GgufFamily, LayoutSizes } from '../../format/gguf/families/gguf-family.ts';
import { shapeInFile } from '../../format/gguf/gguf-layout.ts';
import { ggufName } from '../../format/gguf/gguf-names.ts';
import type { TensorDType, TensorInfo } from '../../format/tensor-source.ts';
import { nameInDecoder } from '../../model/family/decoder/blocks/names.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import type { ParameterSpec } from '../../model/module-specs.ts';
import { heldTensors, type StoredTensor, tensorsNamed } from '../../model/stored-form.ts';
import { ExportError } from '../export-error.ts';
import type { NamedType } from './quantization.ts';

/** A tensor by llama.cpp's name, and the parameters that it holds. */
export interface FileTensor extends StoredTensor {
  readonly spec: ParameterSpec;
}

/** The tensors by llama.cpp's names, in the model's order. @throws ExportError for a parameter that the family has no name for */
export function fileTensors(
  model: CausalModel,
  { architecture, family }: FoundFamily,
  { state }: Pick<LayoutSizes, 'state'>,
): ReadonlyMap<string, FileTensor> {
  const ownName = (name: string): string | undefined => ggufName(nameInDecoder(name), family);
  const nameOf = (name: string): string => {
    const own = ownName(name);
    if (own === undefined) throw new ExportError(`${name} has no name in llama.cpp's ${architecture}: export it as merged`);
    return own;
  };
  const found = new Map<string, FileTensor>();
  const inMetadata = new Set(numbersOf(model, family).flatMap(({ names }) => names));
  for (const spec of model.parameters) {
    if (inMetadata.has(spec.name)) continue;
    // A matrix by itself may have other names in files, but has its own here.
    const isOwn = spec.stack?.experts === 1 && ownName(spec.name) !== undefined;
    const stacked = isOwn ? undefined : tensorsNamed(spec, name => ownName(name) !== undefined);
    for (const part of stacked ?? [wholeOf(spec)]) {
      const name = nameOf(part.name);
      const tensor = name === LAYER_INPUTS ? withAllRows(part, model) : part;
      const other = found.get(name);
      const own = { ...tensor, shape: shapeInFile(name, tensor.shape, family, state), spec };
      found.set(name, other ? bothOf(other, own) : own);
    }
  }
  return found;
}

/** The parameters that a file has in its metadata: the key of a list, and the parameter of each block. */
export const numbersOf = ({ parameters }: CausalModel, { numbers = {} }: Pick<GgufFamily, 'numbers'>) =>
  Object.entries(numbers).map(([key, end]) => ({ key, names: parameters.flatMap(({ name }) => (name.endsWith(`.${end}`) ? [name] : [])) }));

/** The table with the inputs of each layer, for which llama.cpp needs a row for every token. */
const LAYER_INPUTS = 'per_layer_token_embd.weight';

/** Gives tokens without a row the first one, as Transformers does. */
function withAllRows(tensor: StoredTensor, { vocabularySize }: CausalModel): StoredTensor {
  const [rows = 0, width = 0] = tensor.shape;
  return {
    ...tensor,
    shape: [vocabularySize, width],
    values: async read => {
      const values = await tensor.values(read);
      const out = new Float32Array(vocabularySize * width);
      out.set(values);
      for (let row = rows; row < vocabularySize; row++) out.set(values.subarray(0, width), row * width);
      return out;
    },
  };
}

/** A tensor of which two parameters are different parts; both give zeros for the other's. */
const bothOf = (a: FileTensor, b: FileTensor): FileTensor => ({
  ...a,
  parameters: [...a.parameters, ...b.parameters],
  values: async read => {
    const [values, others] = [await a.values(read), await b.values(read)];
    return values.map((x, i) => x + (others[i] ?? 0));
  },
});

/** The tensor of a parameter by itself. */
const wholeOf = ({ name, shape }: ParameterSpec): StoredTensor => ({ name, shape, parameters: [name], values: read => read(name) });

/** True if training changed a part of the tensor. */
export const isTunedIn = (adapter: Adapter, { parameters }: FileTensor): boolean => parameters.some(name => isTuned(adapter, name));

const STORED: Partial<Record<TensorDType, NamedType>> = { F32: 'F32', F64: 'F32', F16: 'F16' };

/** The GGUF type that keeps the type of a folder's tensor; types that GGUF lacks become bfloat16. */
export const keptType = (info: TensorInfo | undefined): NamedType => (info && STORED[info.dtype]) ?? 'BF16';

/** The type of a tensor in the folder of the base. */
export function typeInFolder(spec: ParameterSpec, tensors: ReadonlyMap<string, TensorInfo>): NamedType | 'MXFP4' {
  const { names, isMxfp4 } = heldTensors(spec, tensors);
  return isMxfp4 ? 'MXFP4' : keptType(tensors.get(names[0] ?? spec.name));
}
