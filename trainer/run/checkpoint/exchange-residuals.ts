/**
 * Saves the rounding residuals of narrowed gradients in a checkpoint: each rank writes its own file into the folder that the first rank
 * builds. A run that is resumed with the same number of ranks then continues bit for bit.
 */
import path from 'node:path';
import { encodeFloat32 } from '../../format/float-format.ts';
import { openSafetensors } from '../../format/safetensors/safetensors-source.ts';
import { type TensorEntry, writeSafetensors } from '../../format/safetensors/safetensors-writer.ts';
import type { Job } from '../../job/job.ts';
import type { Ranks } from '../../job/ranks.ts';
import { RunError } from '../../run-error.ts';
import type { Checkpoint } from './load-checkpoint.ts';

const FILE = /^exchange\.rank-(\d+)\.safetensors$/;
const fileOf = (rank: number): string => `exchange.rank-${rank}.safetensors`;

/**
 * Saves the residuals; called by all ranks at the same time.
 * @param folder the folder of the checkpoint, from the first rank
 * @returns the checksum of each file by name
 */
export async function saveResiduals(ranks: Ranks, folder?: string): Promise<Record<string, string>> {
  const shared = ranks.first(folder);
  const file = fileOf(ranks.rank);
  const { residuals } = ranks;
  const entries = residuals.names().map((name): TensorEntry => {
    const values = residuals.read(name);
    return { name, dtype: 'F32', shape: [values.length], data: async () => encodeFloat32(values, 'F32') };
  });
  const checksum = await writeSafetensors(path.join(shared, file), entries);
  return Object.fromEntries(ranks.all<readonly [string, string]>([file, checksum]));
}

/**
 * Restores the residuals. If the number of ranks has changed, the first rank gets the sum of all, so that no part of a gradient is lost.
 * @throws RunError 'checkpoint-damaged' if a file is missing or has changed
 */
export async function restoreResiduals(ranks: Ranks | undefined, { folder, state }: Checkpoint, job: Job): Promise<void> {
  const files = Object.keys(state.files ?? {}).filter(name => FILE.test(name));
  if (files.length === 0) return;
  if (ranks === undefined) {
    job.log('info', 'one process exchanges nothing: what earlier exchanges have lost of the gradients is not added any more');
    return;
  }
  const isSame = files.length === ranks.size;
  if (!isSame)
    job.log(
      'info',
      `${files.length} processes saved this checkpoint: the first of ${ranks.size} continues with the sum of the rounding errors of all`,
    );
  const own = isSame ? [fileOf(ranks.rank)] : ranks.isFirst ? files : [];
  for (const file of own) await addFrom(path.join(folder, file), state.files?.[file], ranks);
}

async function addFrom(file: string, checksum: string | undefined, { residuals }: Ranks): Promise<void> {
  const source = await openSafetensors(file);
  try {
    if (!(await source.verify()) || source.checksum !== checksum)
      throw new RunError('checkpoint-damaged', `${file} does not belong to its checkpoint`, 'Use another copy of the checkpoint');
    for (const name of source.tensors.keys()) {
      const values = await source.readFloat32(name);
      const before = residuals.read(name);
      residuals.write(name, before.length === 0 ? values : values.map((value, i) => value + (before[i] ?? 0)));
    }
  } finally {
    await source.close();
  }
}
