/** Which checkpoint of a run folder speaks for the run. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileSize } from '../hub/model-config.ts';
import { ADAPTER_DESCRIPTION } from './adapter.ts';

/** `checkpoint-<update>`, as Hugging Face names them. */
const CHECKPOINT = /^checkpoint-(\d+)$/;

/** The complete checkpoint of the latest update; undefined where the folder has none. */
export async function findCheckpoint(runDir: string): Promise<string | undefined> {
  for (const folder of [join(runDir, 'checkpoints'), runDir]) {
    const names = await readdir(folder).catch(() => []);
    const latestFirst = names
      .flatMap(name => {
        const update = CHECKPOINT.exec(name)?.[1];
        return update === undefined ? [] : [{ path: join(folder, name), update: Number(update) }];
      })
      .sort((a, b) => b.update - a.update);
    for (const { path } of latestFirst) if ((await fileSize(join(path, ADAPTER_DESCRIPTION))) !== undefined) return path;
  }
  return undefined;
}
