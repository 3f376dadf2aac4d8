/** Which checkpoint of a run folder speaks for the run. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileSize, readOptionalConfigFile } from '../hub/model-config.ts';
import { ADAPTER_DESCRIPTION } from './adapter.ts';

/** In a run folder; `step-<update>` is a checkpoint. */
const CHECKPOINTS = 'checkpoints';
/** Its `checkpoint` names the one that a finished run ends with: the best where it was asked for. */
const SUMMARY = 'summary.json';

/** The checkpoint that the run's summary names, else the latest complete one; undefined where there is none. */
export async function findCheckpoint(runDir: string): Promise<string | undefined> {
  const summary = await readOptionalConfigFile(join(runDir, SUMMARY));
  const named = typeof summary?.checkpoint === 'string' ? [basename(summary.checkpoint)] : [];
  const names = await readdir(join(runDir, CHECKPOINTS)).catch(() => []);
  const latestFirst = names.filter(name => updateOf(name) >= 0).sort((a, b) => updateOf(b) - updateOf(a));
  for (const name of [...named, ...latestFirst]) {
    const dir = join(runDir, CHECKPOINTS, name);
    if ((await fileSize(join(dir, ADAPTER_DESCRIPTION))) !== undefined) return dir;
  }
  return undefined;
}

/** −1 for what is no checkpoint. */
const updateOf = (name: string): number => Number(/^step-(\d+)$/.exec(name)?.[1] ?? -1);
