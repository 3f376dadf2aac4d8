/** Checkpoints of a run: everything that training has changed, complete under its name or not there at all. */
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { AdapterDescription } from '../adapter/adapter.ts';
import { type AdapterTensor, writeAdapter } from '../adapter/write-adapter.ts';
import type { Session } from '../engine/engine.ts';
import { freeDiskBytes } from '../engine/machine.ts';
import type { VariableSpec } from '../graph/graph.ts';
import { byteSize, type HostArray } from '../graph/types.ts';
import { syncFolder, writeJson } from '../hub/durable-file.ts';
import { encodeFloat32, type TensorEntry, writeSafetensors } from '../hub/safetensors-writer.ts';
import type { Attachment } from '../method/method.ts';
import { MAX_JSON_BYTES, readRegularText } from '../regular-file.ts';
import type { OptimizerSettings } from '../train/optimizer.ts';
import { readSnapshot, snapshotSpecs } from '../train/snapshot.ts';
import { RunError, systemErrorCode } from './run-error.ts';
import { RUN_FILES } from './run-files.ts';

export const OPTIMIZER_TENSORS = 'optimizer.safetensors';
const TRAINER_STATE = 'trainer_state.json';

/** Left free beside a checkpoint: for logs, metrics and everything else on the disk. */
const SPARE_BYTES = 64 * 2 ** 20;

const evaluationSchema = z.looseObject({ loss: z.number() });

/** What goes on where the tensors alone do not say it. */
const trainerStateSchema = z.object({
  version: z.literal(1),
  step: z.number().int().nonnegative(),
  /** The next batch. */
  cursor: z.object({ epoch: z.number().int().nonnegative(), batchIndex: z.number().int().nonnegative() }),
  tokens: z.number(),
  targets: z.number(),
  /** Of all updates, in seconds. */
  trainSeconds: z.number(),
  firstLoss: z.number(),
  /** Sums since the last line of metrics. */
  window: z.object({ loss: z.number(), steps: z.number(), tokens: z.number(), seconds: z.number() }),
  best: z.object({ step: z.number(), value: z.number(), evaluation: evaluationSchema }).optional(),
  before: evaluationSchema.optional(),
  /** The evaluation after this update was broken off by a stop: a run that goes on begins with it. */
  evaluationDue: z.boolean().optional(),
  baseFingerprint: z.string(),
  /** The resolved recipe: what may not change on the way. */
  recipe: z.string(),
  recompute: z.enum(['none', 'cheap', 'block', 'sqrt']),
  /** What products were computed in. */
  dtype: z.enum(['float32', 'bfloat16']).default('float32'),
  engine: z.string(),
});

export type TrainerState = z.infer<typeof trainerStateSchema>;

export interface SaveParams {
  readonly runDir: string;
  readonly session: Session;
  readonly attachment: Attachment;
  readonly optimizer: OptimizerSettings;
  readonly adapter: AdapterDescription;
  readonly state: TrainerState;
}

const stepName = (step: number): string => `step-${String(step).padStart(6, '0')}`;

/** What a checkpoint takes on the disk. */
export const checkpointBytes = (attachment: Attachment, optimizer: OptimizerSettings): number =>
  [...snapshotSpecs(attachment, optimizer), ...rowSpecs(attachment)].reduce((sum, spec) => sum + byteSize(spec), 0);

/** @throws RunError 'disk-full' where so many bytes do not fit beside what must stay free */
export function requireDisk(folder: string, bytes: number, what: string): void {
  const free = freeDiskBytes(folder);
  if (free >= bytes + SPARE_BYTES) return;
  const mb = (n: number): string => `${Math.ceil(n / 1e6)} MB`;
  throw new RunError(
    'disk-full',
    `${what} needs ${mb(bytes)} and ${mb(SPARE_BYTES)} to spare in ${folder}, which has ${mb(free)} free`,
    'Free some space, choose another output_dir, or lower save_total_limit',
  );
}

/**
 * Writes into a hidden folder, flushes it, renames it.
 * @returns the folder of the checkpoint
 * @throws RunError 'disk-full'; earlier checkpoints are as they were
 */
export async function saveCheckpoint(params: SaveParams): Promise<string> {
  const { runDir, attachment, optimizer, state } = params;
  const parent = path.join(runDir, RUN_FILES.checkpoints);
  await mkdir(parent, { recursive: true });
  const final = path.join(parent, stepName(state.step));
  const temporary = path.join(parent, `.${stepName(state.step)}.${process.pid}.tmp`);
  requireDisk(parent, checkpointBytes(attachment, optimizer), 'the checkpoint');
  try {
    await rm(temporary, { recursive: true, force: true });
    await mkdir(temporary);
    await writeTensors(temporary, params);
    await writeJson(path.join(temporary, TRAINER_STATE), state);
    await syncFolder(temporary);
    await replace(temporary, final);
    await syncFolder(parent);
    return final;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    const code = systemErrorCode(error);
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new RunError('disk-full', `the disk is full: ${final} could not be written`, 'Free some space, then: rowtune resume', {
      cause: error,
    });
  }
}

/** A run that went on from an earlier step may come to the same one again. */
async function replace(temporary: string, final: string): Promise<void> {
  const old = `${temporary}.old`;
  await rename(final, old).catch(error => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
  await rename(temporary, final);
  await rm(old, { recursive: true, force: true });
}

async function writeTensors(folder: string, { session, attachment, optimizer, adapter }: SaveParams): Promise<void> {
  const trained = new Set([...attachment.trainables, ...(attachment.buffers ?? [])].map(({ name }) => name));
  const specs = snapshotSpecs(attachment, optimizer);
  const valuesOf = (wanted: readonly VariableSpec[]): AdapterTensor[] => {
    const snapshot = readSnapshot(session, attachment, optimizer);
    return wanted.map(({ name, shape }) => ({ name, shape, data: () => nextValue(snapshot, name) }));
  };
  const dtypeOf = new Map(specs.map(({ name, dtype }) => [name, dtype]));
  await writeAdapter(folder, { description: adapter, tensors: valuesOf(specs.filter(({ name }) => trained.has(name))) });
  const states = valuesOf(specs.filter(({ name }) => !trained.has(name)));
  const entries = states.map(({ name, shape, data }): TensorEntry => {
    if (dtypeOf.get(name) === 'uint8') return { name, dtype: 'U8', shape, data: async () => (await data()) as Uint8Array };
    return { name, dtype: 'F32', shape, data: async () => encodeFloat32((await data()) as Float32Array, 'F32') };
  });
  await writeSafetensors(path.join(folder, OPTIMIZER_TENSORS), entries);
}

/** Both follow the same order, so what is passed over was not asked for. */
async function nextValue(snapshot: AsyncGenerator<{ spec: VariableSpec; data: HostArray }>, name: string): Promise<HostArray> {
  for (;;) {
    const { value, done } = await snapshot.next();
    if (done) throw new Error(`the snapshot has no tensor ${name}`);
    if (value.spec.name === name) return value.data;
  }
}

const rowSpecs = (attachment: Attachment): VariableSpec[] => [
  ...new Map(attachment.trainables.flatMap(({ rows }) => (rows ? [[rows.variable.name, rows.variable] as const] : []))).values(),
];

/** Complete checkpoints of a run, oldest first. */
export async function listCheckpoints(runDir: string): Promise<{ readonly step: number; readonly folder: string }[]> {
  const parent = path.join(runDir, RUN_FILES.checkpoints);
  const names = await readdir(parent).catch(() => []);
  return names
    .filter(name => /^step-\d+$/.test(name))
    .map(name => ({ step: Number(name.slice('step-'.length)), folder: path.join(parent, name) }))
    .sort((a, b) => a.step - b.step);
}

/** Deletes the oldest beyond the limit, but never those in `keep`. */
export async function pruneCheckpoints(runDir: string, limit: number, keep: ReadonlySet<number>): Promise<void> {
  const all = await listCheckpoints(runDir);
  const old = all.slice(0, Math.max(0, all.length - limit));
  for (const { step, folder } of old) if (!keep.has(step)) await removeCheckpoint(folder);
}

/** Takes the name away first: what is half deleted must not look complete. */
export async function removeCheckpoint(folder: string): Promise<void> {
  const gone = path.join(path.dirname(folder), `.${path.basename(folder)}.${process.pid}.gone`);
  await rename(folder, gone);
  await rm(gone, { recursive: true, force: true });
}

/** What killed processes left half written or half deleted. Only for the holder of the run's lock. */
export async function removeLeftovers(runDir: string): Promise<void> {
  const parent = path.join(runDir, RUN_FILES.checkpoints);
  const names = (await readdir(parent).catch(() => [])).filter(name => name.startsWith('.step-'));
  for (const name of names) await rm(path.join(parent, name), { recursive: true, force: true });
}

/** @throws RunError 'checkpoint-mismatch' where the file is not a trainer state */
export async function readTrainerState(folder: string): Promise<TrainerState> {
  const file = path.join(folder, TRAINER_STATE);
  try {
    return trainerStateSchema.parse(JSON.parse(await readRegularText(file, MAX_JSON_BYTES)));
  } catch (error) {
    throw new RunError('checkpoint-mismatch', `${file} can't be read: ${error instanceof Error ? error.message : error}`);
  }
}
