/** Opens a checkpoint to resume from, and reports every mismatch with the run. */
import path from 'node:path';
import { ADAPTER_WEIGHTS, type Adapter, AdapterError } from '../../adapter/adapter.ts';
import { readAdapter } from '../../adapter/read-adapter.ts';
import { ReadRefusedError } from '../../files/regular-file.ts';
import { ModelFileError } from '../../format/model-file-error.ts';
import { openSafetensors } from '../../format/safetensors/safetensors-source.ts';
import type { WeightFiles } from '../../format/weight-files.ts';
import type { HostArray } from '../../graph/types.ts';
import type { Job } from '../../job/job.ts';
import type { Attachment } from '../../method/method.ts';
import { codeOf, messageOf } from '../../protocol/error-facts.ts';
import { RunError } from '../../run-error.ts';
import type { OptimizerSettings } from '../../train/optimizer-settings.ts';
import { storedSpecs } from '../../train/snapshot.ts';
import { OPTIMIZER_TENSORS, readTrainerState, type TrainerState } from './checkpoint.ts';
import { checkpointFolder, listCheckpoints, setAside } from './checkpoint-folders.ts';

export interface Checkpoint {
  readonly folder: string;
  readonly state: TrainerState;
  readonly adapter: Adapter;
  /** Reads a tensor: trained tensors as adapters store them, optimizer state under its names in the snapshot. */
  read(name: string): Promise<HostArray>;
  /** @throws RunError 'checkpoint-mismatch' that lists missing tensors and wrong shapes */
  check(attachment: Attachment, optimizer: OptimizerSettings): void;
  close(): Promise<void>;
}

/**
 * Opens a checkpoint, and reads all of it once, so that damage is found before anything is computed from it.
 * @throws RunError, AdapterError or ModelFileError if a part is missing or damaged
 */
async function openCheckpoint(folder: string, job: Job): Promise<Checkpoint> {
  const { state, isSealed } = await readTrainerState(folder);
  for (const [file, recorded] of [ADAPTER_WEIGHTS, OPTIMIZER_TENSORS].map(name => [name, state.files?.[name]] as const)) {
    const isVerified = await verifyFile(path.join(folder, file), recorded);
    if (!isVerified || !isSealed) {
      job.log('info', `${folder} was written without checksums: damage inside its files cannot be noticed`);
      break;
    }
  }
  const adapter = await readAdapter(folder);
  const optimizer = await openSafetensors(path.join(folder, OPTIMIZER_TENSORS)).catch(async error => {
    await adapter.close();
    throw error;
  });
  return {
    folder,
    state,
    adapter,
    read: async name => {
      if (adapter.tensors.has(name)) return adapter.readFloat32(name);
      return optimizer.tensors.get(name)?.dtype === 'U8' ? optimizer.readRaw(name) : optimizer.readFloat32(name);
    },
    check: (attachment, settings) => check({ folder, adapter, optimizer, attachment, settings }),
    close: async () => {
      await adapter.close();
      await optimizer.close();
    },
  };
}

/** Verifies the checksums of a file; returns false if it has none. @throws ModelFileError that lists the mismatches */
async function verifyFile(file: string, recorded: string | undefined): Promise<boolean> {
  const source = await openSafetensors(file);
  try {
    const isVerified = await source.verify();
    if (recorded !== undefined && source.checksum !== recorded)
      throw new ModelFileError(file, 'does not belong to this checkpoint', 'Use another copy of the checkpoint.');
    return isVerified;
  } finally {
    await source.close();
  }
}

interface CheckParams {
  readonly folder: string;
  readonly adapter: Adapter;
  readonly optimizer: WeightFiles;
  readonly attachment: Attachment;
  readonly settings: OptimizerSettings;
}

function check({ folder, adapter, optimizer, attachment, settings }: CheckParams): void {
  const wrong: string[] = [];
  if (adapter.description.method !== attachment.method)
    wrong.push(`it was trained with ${adapter.description.method}, not ${attachment.method}`);
  for (const { name, shape, dtype } of storedSpecs(attachment, settings)) {
    const found = adapter.tensors.get(name) ?? optimizer.tensors.get(name);
    if (!found) wrong.push(`${name} is missing`);
    else if (found.shape.join() !== shape.join()) wrong.push(`${name} is [${found.shape}], expected [${shape}]`);
    else if ((optimizer.tensors.get(name)?.dtype === 'U8') !== (dtype === 'uint8')) wrong.push(`${name} is not ${dtype}`);
  }
  if (wrong.length === 0) return;
  const more = wrong.length > 10 ? `\n  and ${wrong.length - 10} more` : '';
  throw new RunError('checkpoint-mismatch', `the checkpoint ${folder} does not fit this run:\n  ${wrong.slice(0, 10).join('\n  ')}${more}`);
}

/**
 * Opens the newest undamaged checkpoint; undefined if a run has no checkpoints. Each damaged one is reported and renamed, so that it is not
 * mistaken for a newer one later.
 * @throws RunError 'checkpoint-damaged' if none of them can be read
 */
export async function openLastCheckpoint(runDir: string, job: Job): Promise<Checkpoint | undefined> {
  const damaged: { readonly folder: string; readonly reason: string }[] = [];
  for (const { folder } of (await listCheckpoints(runDir)).reverse()) {
    try {
      const checkpoint = await openCheckpoint(folder, job);
      for (const found of damaged) {
        const aside = await setAside(found.folder);
        job.log('warning', `the checkpoint ${found.folder} is damaged: ${found.reason}`);
        job.log('warning', `the run continues from ${path.basename(folder)}; the damaged checkpoint is kept as ${path.basename(aside)}`);
      }
      return checkpoint;
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push({ folder, reason: messageOf(error) });
    }
  }
  if (damaged.length === 0) return undefined;
  throw new RunError(
    'checkpoint-damaged',
    `no checkpoint of ${runDir} can be read:\n  ${damaged.map(({ reason }) => reason).join('\n  ')}`,
    'Restore a copy of a checkpoint, or train again with overwrite_output_dir: true, which replaces the run',
  );
}

/** The state, without its best evaluation if that checkpoint is missing or damaged: the run must not return it as its result. */
export async function withReadableBest({ state, folder }: Checkpoint, job: Job): Promise<TrainerState> {
  const { best } = state;
  if (best === undefined || best.step === state.step) return state;
  const bestFolder = path.join(path.dirname(folder), path.basename(checkpointFolder('', best.step)));
  try {
    await (await openCheckpoint(bestFolder, job)).close();
    return state;
  } catch (error) {
    if (!isDamage(error)) throw error;
    job.log('warning', `the best checkpoint so far (step ${best.step}) can't be read and is ignored: ${messageOf(error)}`);
    return { ...state, best: undefined };
  }
}

/** Error codes of the system for a bad sector, and for a wrong kind of file. */
const DAMAGE_CODES: readonly string[] = ['EIO', 'EISDIR', 'ENOTDIR', 'ENXIO', 'ELOOP'];

const isDamage = (error: unknown): boolean =>
  error instanceof RunError ||
  error instanceof ModelFileError ||
  error instanceof AdapterError ||
  error instanceof ReadRefusedError ||
  DAMAGE_CODES.includes(codeOf(error) ?? '');
