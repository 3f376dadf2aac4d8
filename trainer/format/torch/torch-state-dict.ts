/** The pickle of a state dict: named tensors, each a view of a storage whose bytes are elsewhere in the file. */
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
  /** Strides in elements, one per dimension. */
  readonly strides: readonly number[];
  /** Offset in elements from the beginning of the storage. */
  readonly offset: number;
  readonly storage: TorchStorage;
}

export interface StateDict {
  readonly tensors: readonly TorchTensor[];
  /** Every storage in the pickle, by its key. */
  readonly storages: ReadonlyMap<string, TorchStorage & { readonly elementBytes: number }>;
  /** End position of the pickle. */
  readonly end: number;
}

/** Maximum number of tensors, more than any model has. */
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
/** Storages without a type: their tensors state it. */
const UNTYPED = ['torch.UntypedStorage', 'torch.storage.UntypedStorage'];
/** Types that were added after typed storages. */
const DTYPES: Readonly<Record<string, TensorDType>> = {
  'torch.float8_e4m3fn': 'F8_E4M3',
  'torch.float8_e5m2': 'F8_E5M2',
  'torch.float8_e8m0fnu': 'F8_E8M0',
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

/** A tensor before it gets a name. Its sizes are checked when it gets one, so that all problems are reported together. */
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
 * @throws NeedMoreBytes if the pickle continues after `bytes`; ModelFileError that names anything that does not belong in a state dict, or
 * lists every wrong tensor
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

/** Reads `('storage', type, key, device, elements)`; before PyTorch 1.6, a sixth item states which larger storage it is a part of. */
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

/** All globals that a state dict may use. */
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

/** The tensors of a state dict by name; other entries (step counts, versions) are skipped. */
function namedTensors(path: string, value: unknown): TorchTensor[] {
  if (!(value instanceof Map)) throw new ModelFileError(path, 'does not hold a dict of tensors by name', TORCH_REMEDY);
  const named = [...value].filter((entry): entry is [string, Tensor] => typeof entry[0] === 'string' && entry[1] instanceof Tensor);
  if (named.length === 0) {
    // Shows only string keys: other keys may be nested structures that contain themselves many times.
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

/** @returns the tensor, or a description of the problem */
function checkTensor(name: string, { storage, offset, shape, strides, dtype: given }: Tensor): TorchTensor | string {
  // Checked before the entries, because many tensors may share one long list.
  if (Array.isArray(shape) && shape.length > MAX_RANK) return `has ${shape.length} dimensions; at most ${MAX_RANK} are read`;
  const isDescribed = Array.isArray(shape) && Array.isArray(strides) && shape.length === strides.length;
  if (!(storage instanceof Storage) || !isSize(offset) || !isDescribed || !isSizes(shape) || !isSizes(strides))
    return 'is described by what PyTorch does not write';
  const dtype = given instanceof PickleGlobal ? DTYPES[given.name] : storage.dtype;
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
