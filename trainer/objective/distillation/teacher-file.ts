/**
 * The file with a teacher's most likely tokens: safetensors with `token_ids` int32 and `log_probabilities` float32 [positions, k], most
 * likely first, and `targets` int32 [positions], the tokens that the data trains at these positions. Positions follow the order of the
 * samples. The metadata has the `temperature` of the probabilities, 1 by default.
 */
import { DataError } from '../../data/data-error.ts';
import type { Examples } from '../../data/tokens/example-store.ts';
import { openSafetensors } from '../../format/safetensors/safetensors-source.ts';
import { type PutBytes, writeSafetensorsAnywhere } from '../../format/safetensors/safetensors-writer.ts';
import type { WeightFiles } from '../../format/weight-files.ts';
import { checkTopTokens } from './check-top-tokens.ts';
import type { TopTokens } from './top-tokens.ts';

export const TEACHER_TENSORS = { ids: 'token_ids', logs: 'log_probabilities', targets: 'targets' } as const;

/** Maximum number of tokens per position: no teacher has a larger vocabulary. */
const MAX_TOKENS = 2 ** 20;
/** Number of bytes read at once while a file is checked. */
const PIECE_BYTES = 2 ** 20;

export interface TeacherFileHeader {
  readonly positions: number;
  readonly k: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export async function writeTeacherFile(
  path: string,
  { positions, k, metadata }: TeacherFileHeader,
  write: (put: PutBytes) => Promise<void>,
): Promise<void> {
  const entries = [
    { name: TEACHER_TENSORS.ids, dtype: 'I32', shape: [positions, k] },
    { name: TEACHER_TENSORS.logs, dtype: 'F32', shape: [positions, k] },
    { name: TEACHER_TENSORS.targets, dtype: 'I32', shape: [positions] },
  ] as const;
  await writeSafetensorsAnywhere(path, entries, metadata, write);
}

/** A file that was checked against the samples. */
export interface TeacherFile {
  /** Identifies its contents, or the data that they were computed from. */
  readonly fingerprint: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Reads the most likely tokens of consecutive positions. */
  readonly read: (first: number, count: number) => Promise<TopTokens>;
}

export interface TeacherFileParams {
  readonly path: string;
  readonly examples: Examples;
  /** Name of the part for messages: 'training' or 'held-out'. */
  readonly part: string;
  readonly topK: number;
  readonly temperature: number;
  /** Size of the model's vocabulary. */
  readonly vocabulary: number;
}

/** All opened files: Node 26 ends a process in which an open file is garbage, as one would be when a run's training is over. */
const stayOpen = new Set<WeightFiles>();

/**
 * Opens a file and checks all of it, piece by piece. It stays open until the process ends.
 * @throws ModelFileError if it is not a safetensors file; DataError if the samples differ, or a value is impossible
 */
export async function openTeacherFile(params: TeacherFileParams): Promise<TeacherFile> {
  const { path, topK } = params;
  const source = await openSafetensors(path);
  try {
    const { positions, k, metadata } = checkHeader(source, params);
    const read = async (first: number, count: number): Promise<TopTokens> => {
      const part = (name: string) => source.readBytes(name, 4 * first * k, 4 * count * k);
      const [ids, logs] = await Promise.all([part(TEACHER_TENSORS.ids), part(TEACHER_TENSORS.logs)]);
      return { ids: firstOf(new Int32Array(aligned(ids)), k, topK), logs: firstOf(new Float32Array(aligned(logs)), k, topK) };
    };
    const targets = async (first: number, count: number) =>
      new Int32Array(aligned(await source.readBytes(TEACHER_TENSORS.targets, 4 * first, 4 * count)));
    await checkTopTokens({ ...params, read, targets, positions, piece: Math.max(1, Math.floor(PIECE_BYTES / (4 * k))) });
    const fingerprint = metadata.key ?? (await source.fingerprint());
    stayOpen.add(source);
    return { fingerprint, metadata, read };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** @throws DataError */
function checkHeader({ tensors, metadata }: WeightFiles, params: TeacherFileParams): TeacherFileHeader {
  const { path, examples, part, topK, temperature } = params;
  const refuse = (problem: string, advice: string): never => {
    throw new DataError({ file: path, problem, advice });
  };
  const form = "Write it as docs/how-to/distill-a-model.md says, or let 'distillation.teacher' compute it";
  for (const [name, dtype, rank] of [
    [TEACHER_TENSORS.ids, 'I32', 2],
    [TEACHER_TENSORS.logs, 'F32', 2],
    [TEACHER_TENSORS.targets, 'I32', 1],
  ] as const) {
    const found = tensors.get(name);
    const shape = rank === 2 ? '[positions, k]' : '[positions]';
    if (!found) return refuse(`has no tensor '${name}' (${dtype} ${shape})`, form);
    if (found.dtype !== dtype || found.shape.length !== rank)
      return refuse(`'${name}' is ${found.dtype} [${found.shape.join(', ')}], expected ${dtype} ${shape}`, form);
  }
  const [positions = 0, k = 0] = tensors.get(TEACHER_TENSORS.ids)?.shape ?? [];
  const [ofLogs, ofTargets] = [tensors.get(TEACHER_TENSORS.logs)?.shape ?? [], tensors.get(TEACHER_TENSORS.targets)?.shape ?? []];
  if (ofLogs[0] !== positions || ofLogs[1] !== k || ofTargets[0] !== positions)
    refuse(`its tensors have other sizes: token_ids [${positions}, ${k}], log_probabilities [${ofLogs}], targets [${ofTargets}]`, form);
  if (k > MAX_TOKENS) refuse(`has ${k} tokens of each position, at most ${MAX_TOKENS} are read`, form);
  if (k < topK)
    refuse(`has ${k} tokens of each position, fewer than distillation.top_k (${topK})`, `Set distillation.top_k: ${k}, or compute more`);
  let trained = 0;
  for (const { targets } of examples.sizes) trained += targets;
  if (positions !== trained)
    refuse(
      `has ${positions} positions, but the ${examples.length} ${part} samples have ${trained} trained tokens`,
      'Compute it again from this data, with the same max_length, template and val_size',
    );
  const computedAt = Number(metadata.temperature ?? 1);
  if (computedAt !== temperature)
    refuse(
      `has probabilities at temperature ${metadata.temperature ?? 1}, but distillation.temperature is ${temperature}`,
      `Set distillation.temperature: ${metadata.temperature ?? 1}, or compute it again`,
    );
  return { positions, k, metadata };
}

/** Copies the bytes to a buffer of their own. */
const aligned = ({ buffer, byteOffset, byteLength }: Uint8Array): ArrayBufferLike => buffer.slice(byteOffset, byteOffset + byteLength);

/** The first `wanted` of each `k` values. */
function firstOf<Numbers extends Int32Array | Float32Array>(numbers: Numbers, k: number, wanted: number): Numbers;
function firstOf(numbers: Int32Array | Float32Array, k: number, wanted: number): Int32Array | Float32Array {
  return wanted === k ? numbers : numbers.filter((_, i) => i % k < wanted);
}
