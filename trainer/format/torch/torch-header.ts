/**
 * The header of a file written by torch.save, in zip form or in the form before PyTorch 1.6: tensors, and the positions of their storages.
 */
import { type ByteFile, NeedMoreBytes, parseBeginning } from '../byte-file.ts';
import { clip, type FileProblem, ModelFileError } from '../model-file-error.ts';
import { type PickleGlobal, readPickle } from './pickle.ts';
import { readStateDict, type StateDict, TORCH_REMEDY, type TorchTensor } from './torch-state-dict.ts';
import { readZipMembers, type ZipMember } from './zip-members.ts';

export interface TorchHeader {
  readonly tensors: readonly TorchTensor[];
  /** Returns the position in the file of a storage's bytes. */
  storagePosition(key: string): Promise<number>;
}

/** Maximum size: a tensor takes about 200 bytes, so the pickles of the largest models have a few megabytes. */
const MAX_PICKLE_BYTES = 64 * 1024 * 1024;
/** Maximum size of the member that contains "little" or "big". */
const MAX_BYTE_ORDER_BYTES = 64;
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];
/** A pickle of protocol 2 that starts with a long of ten bytes: the beginning of a file in the old form. */
const OLD_START = [0x80, 0x02, 0x8a, 0x0a];
const OLD_MAGIC = 0x1950a86a20f9469cfc6cn;
const OLD_PROTOCOL = 1001;
const COUNT_BYTES = 8;

const DAMAGED = 'The file is damaged or not one of torch.save: download or save it again.';

/** @throws ModelFileError that states the actual format, the parts that do not belong in a state dict, or every wrong tensor and storage */
export async function readTorchHeader(file: ByteFile): Promise<TorchHeader> {
  const start = [...(await file.read(0, Math.min(file.size, ZIP_MAGIC.length)))];
  if (start.join() === ZIP_MAGIC.join()) return readZipForm(file);
  if (start.join() === OLD_START.join()) return readOldForm(file);
  throw new ModelFileError(file.path, 'does not begin as a file of torch.save does', DAMAGED);
}

/** Reads the zip form: `NAME/data.pkl` and one member `NAME/data/KEY` per storage, all uncompressed. */
async function readZipForm(file: ByteFile): Promise<TorchHeader> {
  const members = await readZipMembers(file, DAMAGED);
  const pickles = [...members.values()].filter(({ name }) => /^[^/]*\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1)
    throw new ModelFileError(file.path, `is a zip file with ${pickles.length} pickles data.pkl where torch.save writes one`, TORCH_REMEDY);
  const root = pickle.name.slice(0, pickle.name.indexOf('/'));
  const order = members.get(`${root}/byteorder`);
  if (order !== undefined && new TextDecoder().decode(await readMember(file, order, MAX_BYTE_ORDER_BYTES)).trim() === 'big')
    throw bigEndian(file);
  const { tensors, storages } = wholePickle(file, await readMember(file, pickle, MAX_PICKLE_BYTES));
  const memberOf = (key: string): ZipMember | undefined => members.get(`${root}/data/${key}`);
  const problems: FileProblem[] = [];
  for (const { key, byteLength } of storages.values()) {
    const member = memberOf(key);
    if (member === undefined) problems.push({ message: `the storage ${clip(key)} is missing` });
    else if (!member.isPlain) problems.push({ message: `the storage ${clip(key)} is compressed, so that its parts can't be read alone` });
    else if (member.size !== byteLength)
      problems.push({ message: `the storage ${clip(key)} has ${member.size} bytes, by the pickle ${byteLength}` });
  }
  if (problems.length > 0) throw new ModelFileError(file.path, problems, DAMAGED);
  const storagePosition = async (key: string): Promise<number> => {
    const member = memberOf(key);
    if (member === undefined) throw missing(file, key);
    return startOf(file, member);
  };
  return { tensors, storagePosition };
}

async function startOf(file: ByteFile, member: ZipMember): Promise<number> {
  const position = await member.start();
  if (position + member.size > file.size)
    throw new ModelFileError(file.path, `${clip(member.name)} in it extends beyond the end of the file`, DAMAGED);
  return position;
}

async function readMember(file: ByteFile, member: ZipMember, maxBytes: number): Promise<Uint8Array> {
  if (!member.isPlain)
    throw new ModelFileError(file.path, `${clip(member.name)} in it is compressed, which torch.save does not do`, TORCH_REMEDY);
  if (member.size > maxBytes)
    throw new ModelFileError(file.path, `${clip(member.name)} in it has ${member.size} bytes; at most ${maxBytes} are read`, DAMAGED);
  return file.read(await startOf(file, member), member.size);
}

function wholePickle(file: ByteFile, bytes: Uint8Array): StateDict {
  try {
    return readStateDict({ path: file.path, bytes });
  } catch (error) {
    if (error instanceof NeedMoreBytes) throw new ModelFileError(file.path, `its pickle ends too early: ${error.message}`, DAMAGED);
    throw error;
  }
}

const missing = (file: ByteFile, key: string): ModelFileError =>
  new ModelFileError(file.path, `the storage ${clip(key)} is missing`, DAMAGED);

const bigEndian = (file: ByteFile): ModelFileError =>
  new ModelFileError(file.path, 'was written by a big-endian machine; only little-endian numbers are read', TORCH_REMEDY);

/**
 * Reads the old form: several pickles (magic number, protocol, machine, state dict, keys of the storages), then each storage after its
 * element count.
 */
async function readOldForm(file: ByteFile): Promise<TorchHeader> {
  const { dict, keys, end } = await parseBeginning(file, {
    what: 'the pickle',
    most: MAX_PICKLE_BYTES,
    remedy: DAMAGED,
    parse: bytes => parseOldPickles(file, bytes),
  });
  const listed = new Set(keys);
  for (const { storage } of dict.tensors) if (!listed.has(storage.key)) throw missing(file, storage.key);
  let positions: Promise<ReadonlyMap<string, number>> | undefined;
  const storagePosition = async (key: string): Promise<number> => {
    positions ??= walkStorages(file, { dict, keys, end });
    const found = (await positions).get(key);
    if (found === undefined) throw missing(file, key);
    return found;
  };
  return { tensors: dict.tensors, storagePosition };
}

interface OldPickles {
  readonly dict: StateDict;
  /** The keys of the storages, in the order of the file. */
  readonly keys: readonly string[];
  readonly end: number;
}

async function walkStorages(file: ByteFile, { dict, keys, end }: OldPickles): Promise<ReadonlyMap<string, number>> {
  const positions = new Map<string, number>();
  let position = end;
  for (const key of keys) {
    const storage = dict.storages.get(key);
    if (storage === undefined) throw new ModelFileError(file.path, `lists the storage ${clip(key)}, which no tensor uses`, DAMAGED);
    const count = new DataView((await file.read(position, COUNT_BYTES)).buffer).getBigInt64(0, true);
    position += COUNT_BYTES;
    if (Number(count) * storage.elementBytes !== storage.byteLength)
      throw new ModelFileError(file.path, `the storage ${clip(key)} holds ${count} numbers, others than by the pickle`, DAMAGED);
    if (position + storage.byteLength > file.size)
      throw new ModelFileError(file.path, `ends within the storage ${clip(key)}, after ${file.size} bytes`, DAMAGED);
    positions.set(key, position);
    position += storage.byteLength;
  }
  return positions;
}

function parseOldPickles(file: ByteFile, bytes: Uint8Array): OldPickles {
  const fail = (message: string): never => {
    throw new ModelFileError(file.path, message, DAMAGED);
  };
  const rules = { globals: new Map<string, PickleGlobal>(), persistent: () => fail('names a storage too early'), fail };
  const magic = readPickle(bytes, rules);
  const protocol = readPickle(bytes, rules, magic.end);
  if (magic.value !== OLD_MAGIC || protocol.value !== OLD_PROTOCOL) fail('does not begin as a file of torch.save does');
  const machine = readPickle(bytes, rules, protocol.end);
  if (machine.value instanceof Map && machine.value.get('little_endian') === false) throw bigEndian(file);
  const dict = readStateDict({ path: file.path, bytes, start: machine.end });
  const keys = readPickle(bytes, rules, dict.end);
  if (!Array.isArray(keys.value) || !keys.value.every(key => typeof key === 'string')) return fail('has no list of its storages');
  return { dict, keys: keys.value, end: keys.end };
}
