/** Opens a checkpoint to go on from, and says everything in which it and the run disagree. */
import path from 'node:path';
import { type Adapter, AdapterError } from '../adapter/adapter.ts';
import { readAdapter } from '../adapter/read-adapter.ts';
import type { HostArray } from '../graph/types.ts';
import { ModelFileError } from '../hub/model-file-error.ts';
import { openSafetensors } from '../hub/safetensors-source.ts';
import type { WeightFiles } from '../hub/weight-files.ts';
import type { Attachment } from '../method/method.ts';
import type { OptimizerSettings } from '../train/optimizer.ts';
import { snapshotSpecs } from '../train/snapshot.ts';
import { listCheckpoints, OPTIMIZER_TENSORS, readTrainerState, type TrainerState } from './checkpoint.ts';
import type { Job } from './job.ts';
import { RunError } from './run-error.ts';

export interface Checkpoint {
  readonly folder: string;
  readonly state: TrainerState;
  readonly adapter: Adapter;
  /** Trained tensors and optimizer state by their names in the snapshot. */
  read(name: string): Promise<HostArray>;
  /** @throws RunError 'checkpoint-mismatch' that lists what is missing or of another shape */
  check(attachment: Attachment, optimizer: OptimizerSettings): void;
  close(): Promise<void>;
}

/** @throws RunError, AdapterError or ModelFileError where a part is missing or damaged */
async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const state = await readTrainerState(folder);
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
    wrong.push(`it was trained by ${adapter.description.method}, not ${attachment.method}`);
  for (const { name, shape, dtype } of snapshotSpecs(attachment, settings)) {
    const found = adapter.tensors.get(name) ?? optimizer.tensors.get(name);
    if (!found) wrong.push(`${name} is missing`);
    else if (found.shape.join() !== shape.join()) wrong.push(`${name} is [${found.shape}], expected [${shape}]`);
    else if ((optimizer.tensors.get(name)?.dtype === 'U8') !== (dtype === 'uint8')) wrong.push(`${name} is not ${dtype}`);
  }
  if (wrong.length === 0) return;
  const more = wrong.length > 10 ? `\n  and ${wrong.length - 10} more` : '';
  throw new RunError('checkpoint-mismatch', `the checkpoint ${folder} does not fit this run:\n  ${wrong.slice(0, 10).join('\n  ')}${more}`);
}

/** The newest checkpoint that can be read; a damaged one is passed over aloud. Undefined where a run has none. */
export async function openLastCheckpoint(runDir: string, job: Job): Promise<Checkpoint | undefined> {
  const all = await listCheckpoints(runDir);
  for (const { folder } of all.reverse()) {
    try {
      return await openCheckpoint(folder);
    } catch (error) {
      if (!(error instanceof RunError || error instanceof ModelFileError || error instanceof AdapterError)) throw error;
      job.log('warning', `passing over a damaged checkpoint: ${error.message}`);
    }
  }
  return undefined;
}
