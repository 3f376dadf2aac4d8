/** How a job that trains nothing holds the base: as the request says; what it leaves out is as in the run. */
import { withAdapter } from '../adapter/read-adapter.ts';
import type { JobScope } from '../job/job-scope.ts';
import { FLOAT32, type Precision } from '../model/weight-storage.ts';
import type { GenerateOptions } from '../protocol/messages/job-messages.ts';
import { isRunFolder, readRunRecipe } from '../run/run-folder.ts';
import { precisionOf } from '../train/recipe-settings.ts';
import { withChosenType } from './chosen-type.ts';

export type AskedPrecision = Pick<GenerateOptions, 'dtype' | 'quantize'>;

/**
 * The types of the base. A base without a run, and an exported adapter, are held in float32.
 * @param runs folders that may be runs, or other adapters; the first run counts
 */
export async function inferencePrecision(
  { job }: Pick<JobScope, 'job'>,
  { dtype, quantize }: AskedPrecision,
  runs: readonly (string | undefined)[],
): Promise<Precision> {
  const ofRun = dtype !== undefined && quantize !== undefined ? FLOAT32 : await precisionOfRun(runs);
  const found: Precision = { dtype: dtype ?? ofRun.dtype, quantize: quantize ?? ofRun.quantize };
  const kept = [
    ...(dtype === undefined && found.dtype !== FLOAT32.dtype ? [`dtype: ${found.dtype}`] : []),
    ...(quantize === undefined && found.quantize !== FLOAT32.quantize ? [`quantize: ${found.quantize}`] : []),
  ];
  if (kept.length > 0) job.log('info', `${kept.join(' and ')}, as in the run`);
  return found;
}

async function precisionOfRun(runs: readonly (string | undefined)[]): Promise<Precision> {
  for (const folder of runs) {
    if (folder === undefined || !(await isRunFolder(folder))) continue;
    const recipe = await readRunRecipe(folder);
    return precisionOf(await withAdapter(folder, adapter => withChosenType(recipe, adapter)));
  }
  return FLOAT32;
}
