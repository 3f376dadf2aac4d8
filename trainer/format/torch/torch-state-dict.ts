/** The pickle of a state dict: named tensors, each a view of a storage whose bytes lie elsewhere in the file. */
import { clip, type FileProblem, ModelFileError } from '../model-file-error.ts';
import { MAX_RANK } from '../safetensors/safetensors-header.ts';
import { ELEMENT_BYTES, type TensorDType } from '../tensor-source.ts';
import { PickleGlobal, readPickle } from './pickle.ts';

export const TORCH_REMEDY =
  'Use a file of weights alone that torch.save wrote: load this one where you trust it, and save model.state_dict(), best as safetensors.';

export interface TorchStorage {
  readonly key: string;
  readonly byteLength: number;
}

export interface TorchTensor {
  readonly name: string;
  readonly dtype: TensorDType;
  readonly shape: readonly number[];
  /** In elements, one for each dimension. */
  readonly strides: readonly number[];
  /** In elements, from the beginning of the storage. */
  readonly offset: number;
  readonly storage: TorchStorage;
}

export interface StateDict {
  readonly tensors: readonly TorchTensor[];
  /** Every storage that the pickle names, by its key. */
  readonly storages: ReadonlyMap<string, TorchStorage & { readonly elementBytes: number }>;
  /** The end of the pickle. */
  readonly end: number;
}

/** More than any model has. */
const MAX_TENSORS = 1_000_000;

const STORAGE_TYPES: Readonly<Record<string, TensorDType>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
};
/** Its tensors tell their type themselves. */
const UNTYPED = ['torch.UntypedStorage', 'torch.storage.UntypedStorage'];
/** Types that came after the typed storages. */
const DTYPES: Readonly<Record<string, TensorDType>> = {
  'torch.float8_e4m3fn': 'F8_E4M3',
  'torch.float8_e5m2': 'F8_E5M2',
  'torch.uint16': 'U16',
  'torch.uint32': 'U32',
  'torch.uint64': 'U64',
};

class Storage implements TorchStorage {
  readonly key: string;
  readonly dtype: TensorDType | undefined;
  readonly elements: number;
  readonly elementBytes: number;

  constructor(key: string, dtype: TensorDType | undefined, elements: number) {
    this.key = key;
    this.dtype = dtype;
    this.elements = elements;
    this.elementBytes = dtype === undefined ? 1 : ELEMENT_BYTES[dtype];
  }

  get byteLength(): number {
    return this.elements * this.elementBytes;
  }
}

/** A tensor before it has a name. Its sizes are checked when it gets one, so that all problems are reported at once. */
class Tensor {
  readonly storage: unknown;
  readonly offset: unknown;
  readonly shape: unknown;
  readonly strides: unknown;
  readonly dtype: unknown;

  constructor([storage, offset, shape, strides]: readonly unknown[], dtype?: unknown) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    this.dtype = dtype;
  }
}

/**
 * @param input.path for messages
 * @throws NeedMoreBytes when the pickle continues behind `bytes`; ModelFileError that names what is not part of a state dict, or lists every
 *   tensor that is wrong
 */
export function readStateDict(input: { readonly path: string; readonly bytes: Uint8Array; readonly start?: number }): StateDict {
  const fail = (message: string): never => {
    throw new ModelFileError(input.path, message, TORCH_REMEDY);
  };
  const storages = new Map<string, Storage>();
  const persistent = (id: unknown): Storage => {
    const storage = readStorage(id, fail);
    storages.set(storage.key, storage);
    return storage;
  };
  const { value, end } = readPickle(input.bytes, { globals: GLOBALS, persistent, fail }, input.start);
  return { tensors: namedTensors(input.path, value), storages, end };
}

/** `('storage', type, key, device, elements)`; before PyTorch 1.6 a sixth item tells of what larger storage it is a part. */
function readStorage(id: unknown, fail: (message: string) => never): Storage {
  const [kind, type, key, , elements, view] = Array.isArray(id) ? id : [];
  if (kind === 'module') return fail('holds a whole module with its code, not a state dict');
  if (kind !== 'storage' || !(type instanceof PickleGlobal) || typeof key !== 'string' || !isSize(elements))
    return fail('describes a storage by what PyTorch does not write');
  if (view !== undefined && view !== null) return fail(`keeps the storage ${clip(key)} inside another, as PyTorch did before 0.4`);
  const dtype = STORAGE_TYPES[type.name];
  if (dtype === undefined && !UNTYPED.includes(type.name)) return fail(`has a storage of the type ${type.name}`);
  return new Storage(key, dtype, elements);
}

const first = (args: readonly unknown[]): unknown => args[0];

/** All that a state dict is made of. */
const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...[...Object.keys(STORAGE_TYPES), ...UNTYPED, ...Object.keys(DTYPES)].map(name => new PickleGlobal(name)),
    new PickleGlobal('collections.OrderedDict', args => new Map(pairsOf(args[0])), { isDict: true }),
    new PickleGlobal('torch.Size', args => args[0] ?? []),
    new PickleGlobal('torch._utils._rebuild_tensor', args => new Tensor(args)),
    new PickleGlobal('torch._utils._rebuild_tensor_v2', args => new Tensor(args)),
    new PickleGlobal('torch._utils._rebuild_tensor_v3', args => new Tensor(args, args[6])),
    new PickleGlobal('torch._utils._rebuild_parameter', first),
    new PickleGlobal('torch._utils._rebuild_parameter_with_state', first),
  ].map(global => [global.name, global]),
);

const pairsOf = (items: unknown): Array<[unknown, unknown]> =>
  Array.isArray(items) ? items.filter(Array.isArray).map(([key, value]) => [key, value]) : [];

/** The tensors of a state dict by name; other entries (numbers of steps, versions) are left out. */
function namedTensors(path: string, value: unknown): TorchTensor[] {
  if (!(value instanceof Map)) throw new ModelFileError(path, 'does not hold a dict of tensors by name', TORCH_REMEDY);
  const named = [...value].filter((entry): entry is [string, Tensor] => typeof entry[0] === 'string' && entry[1] instanceof Tensor);
  if (named.length === 0) {
    // Only names are shown: what else a key may be can hold itself many times.
    const keys = [...value.keys()].slice(0, 8).map(key => (typeof key === 'string' ? clip(key, 40) : `a key of the type ${typeof key}`));
    throw new ModelFileError(path, `holds no tensors by name, but ${keys.length === 0 ? 'nothing' : keys.join(', ')}`, TORCH_REMEDY);
  }
  if (named.length > MAX_TENSORS)
    throw new ModelFileError(path, `lists ${named.length} tensors; at most ${MAX_TENSORS} are read`, TORCH_REMEDY);
  const problems: FileProblem[] = [];
  const tensors = named.map(([name, tensor]) => {
    const found = checkTensor(name, tensor);
    if (typeof found !== 'string') return found;
    problems.push({ tensor: name, message: found });
    return undefined;
  });
  if (problems.length > 0) throw new ModelFileError(path, problems, TORCH_REMEDY);
  return tensors.filter(tensor => tensor !== undefined);
}

/** @returns the tensor, or what is wrong with it */
function checkTensor(name: string, { storage, offset, shape, strides, dtype: told }: Tensor): TorchTensor | string {
  // Before its entries are looked at: many tensors may share one long list.
  if (Array.isArray(shape) && shape.length > MAX_RANK) return `has ${shape.length} dimensions; at most ${MAX_RANK} are read`;
  const isDescribed = Array.isArray(shape) && Array.isArray(strides) && shape.length === strides.length;
  if (!(storage instanceof Storage) || !isSize(offset) || !isDescribed || !isSizes(shape) || !isSizes(strides))
    return 'is described by what PyTorch does not write';
  const dtype = told instanceof PickleGlobal ? DTYPES[told.name] : storage.dtype;
  if (dtype === undefined) return 'does not tell the type of its numbers';
  const count = shape.reduce((n, d) => n * d, 1);
  const last = count === 0 ? -1 : shape.reduce((at, size, i) => at + (size - 1) * (strides[i] ?? 0), offset);
  const held = Math.floor(storage.byteLength / ELEMENT_BYTES[dtype]);
  if (last >= held) return `is [${shape.join(', ')}] with its last number at ${last}, outside the ${held} of its storage`;
  if (count > held) return `is [${shape.join(', ')}], more numbers than the ${held} of its storage, some of which it repeats`;
  return { name, dtype, shape, strides, offset, storage };
}

const isSize = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

const isSizes = (value: unknown): value is number[] => Array.isArray(value) && value.every(isSize);
