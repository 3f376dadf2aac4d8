/** Finds the checkpoint that represents a run. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileSize, readOptionalConfigFile } from '../format/model-config.ts';
import { ModelFileError } from '../format/model-file-error.ts';
import { RUN_FILES } from '../protocol/run/run-files.ts';
import { ADAPTER_DESCRIPTION } from './adapter.ts';

/**
 * The checkpoint named in the run's summary (of a finished run the best one, if requested), otherwise the latest complete one; undefined if
 * there is none.
 */
export async function findCheckpoint(runDir: string): Promise<string | undefined> {
  const summary = await readOptionalConfigFile(join(runDir, RUN_FILES.summary)).catch(error => {
    if (!(error instanceof ModelFileError) || error.isUnread) throw error;
    throw new ModelFileError(error.file, error.problems, 'Remove it, and the newest checkpoint of the run is taken.');
  });
  const named = typeof summary?.checkpoint === 'string' ? [basename(summary.checkpoint)] : [];
  const names = await readdir(join(runDir, RUN_FILES.checkpoints)).catch(() => []);
  const latestFirst = names.filter(name => updateOf(name) >= 0).sort((a, b) => updateOf(b) - updateOf(a));
  for (const name of [...named, ...latestFirst]) {
    const dir = join(runDir, RUN_FILES.checkpoints, name);
    if ((await fileSize(join(dir, ADAPTER_DESCRIPTION))) !== undefined) return dir;
  }
  return undefined;
}

/** The update of a checkpoint by its name; −1 for anything else. */
const updateOf = (name: string): number => Number(/^step-(\d+)$/.exec(name)?.[1] ?? -1);
