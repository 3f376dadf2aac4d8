/** Checkpoints of a run: everything that training has changed, written completely or not at all. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ADAPTER_WEIGHTS, type AdapterDescription } from '../../adapter/adapter.ts';
import { type AdapterTensor, asStored, writeAdapter } from '../../adapter/write-adapter.ts';
import type { Session } from '../../engine/engine.ts';
import { writeTextFile } from '../../files/durable-file.ts';
import { buildFolderDurably, makeFolder } from '../../files/durable-folder.ts';
import { MAX_JSON_BYTES, readRegularText } from '../../files/regular-file.ts';
import { parseSealedJson, sealJson } from '../../files/sealed-json.ts';
import { encodeFloat32 } from '../../format/float-format.ts';
import { type TensorEntry, writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import type { VariableSpec } from '../../graph/graph.ts';
import { byteSize, float32Of, type HostArray } from '../../graph/types.ts';
import { type Evaluation, isEvaluation } from '../../job/evaluate.ts';
import { freeDiskBytes } from '../../machine/machine.ts';
import type { Attachment } from '../../method/method.ts';
import { codeOf, messageOf } from '../../protocol/error-facts.ts';
import { namingFullDisk, RunError } from '../../run-error.ts';
import type { OptimizerSettings } from '../../train/optimizer-settings.ts';
import { readSnapshot, snapshotSpecs, storedSpecs } from '../../train/snapshot.ts';
import { checkpointFolder, removeSetAside } from './checkpoint-folders.ts';

export const OPTIMIZER_TENSORS = 'optimizer.safetensors';
const TRAINER_STATE = 'trainer_state.json';

/** Number of bytes to leave free on the disk for logs, metrics and everything else. */
const SPARE_BYTES = 64 * 2 ** 20;

const evaluationSchema = z.custom<Evaluation>(isEvaluation, 'not an evaluation');

/** The state of a run in addition to its tensors. */
const trainerStateSchema = z.object({
  version: z.literal(1),
  step: z.number().int().nonnegative(),
  /** The position of the next batch. */
  cursor: z.object({ epoch: z.number().int().nonnegative(), batchIndex: z.number().int().nonnegative() }),
  tokens: z.number(),
  targets: z.number(),
  /** Total duration of all updates in seconds. */
  trainSeconds: z.number(),
  firstLoss: z.number(),
  /** Sums since the last metrics line. */
  window: z.object({
    loss: z.number(),
    steps: z.number(),
    tokens: z.number(),
    seconds: z.number(),
    measures: z.record(z.string(), z.tuple([z.number(), z.number()])).default({}),
  }),
  best: z.object({ step: z.number(), value: z.number(), evaluation: evaluationSchema }).optional(),
  /** Number of consecutive evaluations that did not improve by `early_stopping_threshold`. */
  stale: z.number().int().nonnegative().default(0),
  before: evaluationSchema.optional(),
  /** The evaluation after this update was interrupted by a stop: a resumed run starts with it. */
  evaluationDue: z.boolean().optional(),
  /** Rows are chosen again after this update: a resumed run starts with this choice. */
  choiceDue: z.boolean().optional(),
  /** The update after which rows were chosen again, and the rows of each module that had already been trained before. */
  choice: z.object({ step: z.number().int().positive(), kept: z.record(z.string(), z.array(z.number().int().nonnegative())) }).optional(),
  baseFingerprint: z.string(),
  /**
   * The version of the batching of samples in an epoch. Runs begun before 0.2 have 1 (`BatchSettings.looseGroups`). With 3, samples are
   * tokenized during training, groups are made within windows, and shapes follow from the first window (`planInOrder`).
   */
  batching: z.union([z.literal(1), z.literal(2), z.literal(3)]).default(1),
  /** The resolved recipe, to detect forbidden changes. */
  recipe: z.string(),
  recompute: z.enum(['none', 'cheap', 'block', 'sqrt']),
  /** The number format of matrix products. */
  dtype: z.enum(['float32', 'bfloat16']).default('float32'),
  engine: z.string(),
  /**
   * The time when the run began, ISO 8601, for chat templates that contain the date. Missing in older checkpoints, as are the fields below.
   */
  startedAt: z.string().optional(),
  /** Present if the update after this one had an unusable sample: the data may then be changed. */
  stoppedAtSample: z.boolean().optional(),
  /** Digests of the training and held-out samples. */
  data: z.object({ train: z.string(), held: z.string() }).optional(),
  /** The checksum of each tensor file, so that files of two saves are not mixed. */
  files: z.record(z.string(), z.string()).optional(),
});

export type TrainerState = z.infer<typeof trainerStateSchema>;

export interface SaveParams {
  readonly runDir: string;
  readonly session: Session;
  readonly attachment: Attachment;
  readonly optimizer: OptimizerSettings;
  readonly adapter: AdapterDescription;
  readonly state: TrainerState;
  /** Writes further files of the ranks into the folder, and returns their checksums by name. */
  readonly exchange?: { readonly bytes: number; write(folder: string): Promise<Readonly<Record<string, string>>> } | undefined;
}

/** The size of a checkpoint on disk. */
export const checkpointBytes = (attachment: Attachment, optimizer: OptimizerSettings): number =>
  [...storedSpecs(attachment, optimizer), ...rowSpecs(attachment)].reduce((sum, spec) => sum + byteSize(spec), 0);

/** @throws RunError 'disk-full' if this many bytes do not fit in addition to the space that must stay free */
export function requireDisk(folder: string, bytes: number, what: string): void {
  const free = freeDiskBytes(folder);
  if (free >= bytes + SPARE_BYTES) return;
  const mb = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  throw new RunError(
    'disk-full',
    `${what} needs ${mb(bytes)} and ${mb(SPARE_BYTES)} to spare in ${folder}, which has ${mb(free)} free`,
    'Free disk space, choose another output_dir, or lower save_total_limit',
  );
}

/**
 * Writes a checkpoint atomically. Every file has checksums, and the state contains those of the others.
 * @returns the folder of the checkpoint
 * @throws RunError 'disk-full'; earlier checkpoints are unchanged
 */
export async function saveCheckpoint(params: SaveParams): Promise<string> {
  const { runDir, attachment, optimizer, state, exchange } = params;
  const final = checkpointFolder(runDir, state.step);
  try {
    await makeFolder(path.dirname(final));
    requireDisk(path.dirname(final), checkpointBytes(attachment, optimizer) + (exchange?.bytes ?? 0), 'the checkpoint');
    await buildFolderDurably(final, async folder => {
      const files = { ...(await writeTensors(folder, params)), ...(await exchange?.write(folder)) };
      await writeTextFile(path.join(folder, TRAINER_STATE), sealJson(JSON.stringify({ ...state, files }, null, 2)));
    });
    await removeSetAside(final);
    return final;
  } catch (error) {
    throw namingFullDisk(error, final);
  }
}

/** Writes the tensor files and returns their checksums by name. */
async function writeTensors(folder: string, { session, attachment, optimizer, adapter }: SaveParams): Promise<Record<string, string>> {
  const trained = new Set([...attachment.trainables, ...(attachment.buffers ?? [])].map(({ name }) => name));
  const specs = snapshotSpecs(attachment, optimizer);
  const valuesOf = (wanted: readonly VariableSpec[]): AdapterTensor[] => {
    const names = new Set(wanted.map(({ name }) => name));
    const snapshot = readSnapshot(session, attachment, optimizer, name => names.has(name));
    return wanted.map(({ name, shape }) => ({ name, shape, data: () => nextValue(snapshot, name) }));
  };
  const dtypeOf = new Map(specs.map(({ name, dtype }) => [name, dtype]));
  const tensors = asStored(attachment.trainables, valuesOf(specs.filter(({ name }) => trained.has(name))));
  const adapterChecksum = await writeAdapter(folder, { description: adapter, tensors });
  const states = valuesOf(specs.filter(({ name }) => !trained.has(name)));
  const entries = states.map(({ name, shape, data }): TensorEntry => {
    if (dtypeOf.get(name) === 'uint8') return { name, dtype: 'U8', shape, data: async () => bytesOf(await data()) };
    return { name, dtype: 'F32', shape, data: async () => encodeFloat32(float32Of(await data()), 'F32') };
  });
  return {
    [ADAPTER_WEIGHTS]: adapterChecksum,
    [OPTIMIZER_TENSORS]: await writeSafetensors(path.join(folder, OPTIMIZER_TENSORS), entries),
  };
}

function bytesOf(data: HostArray): Uint8Array {
  if (data instanceof Uint8Array) return data;
  throw new TypeError(`the codes of an optimizer are a ${data.constructor.name}, not bytes`);
}

/** Returns the next value of a snapshot, which has the same order as the names. */
async function nextValue(snapshot: AsyncGenerator<{ spec: VariableSpec; data: HostArray }>, name: string): Promise<HostArray> {
  const { value, done } = await snapshot.next();
  if (done || value.spec.name !== name) throw new Error(`expected ${name} in the snapshot, got ${done ? 'no tensor' : value.spec.name}`);
  return value.data;
}

const rowSpecs = (attachment: Attachment): VariableSpec[] => [
  ...new Map(attachment.trainables.flatMap(({ rows }) => (rows ? [[rows.variable.name, rows.variable] as const] : []))).values(),
];

/** True if a folder is a checkpoint; an exported adapter has no trainer state. */
export const hasTrainerState = (folder: string): boolean => existsSync(path.join(folder, TRAINER_STATE));

/**
 * @returns the state, and whether it has a checksum
 * @throws RunError 'checkpoint-damaged' if the file is not a trainer state
 */
export async function readTrainerState(folder: string): Promise<{ readonly state: TrainerState; readonly isSealed: boolean }> {
  const file = path.join(folder, TRAINER_STATE);
  try {
    const { value, isSealed } = parseSealedJson(await readRegularText(file, MAX_JSON_BYTES));
    return { state: trainerStateSchema.parse(value), isSealed };
  } catch (error) {
    const problem = codeOf(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${messageOf(error)}`;
    throw new RunError('checkpoint-damaged', `${file} ${problem}`);
  }
}
