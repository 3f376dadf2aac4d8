/** Reads the files of a part of the data. Its report goes to the log, unless the caller shows it. */
import path from 'node:path';
import { type DataReport, describeData } from '../data/shown/data-report.ts';
import type { RecipeScope } from '../job/job-scope.ts';
import type { ReadParams } from './task-setup.ts';

/** @param files from the recipe; `load` receives them as absolute paths @throws RunError 'stopped', and the errors of `load` */
export async function readFiles<Data extends { readonly report: DataReport }>(
  { job, context, recipe, onReport }: RecipeScope & Pick<ReadParams, 'onReport'>,
  files: readonly string[],
  load: (paths: readonly string[]) => Promise<Data>,
): Promise<Data> {
  job.phase('data', `reading ${files.join(', ')}`);
  const data = await load(files.map(file => path.resolve(context.baseDir, file)));
  job.checkStop();
  if (onReport) onReport(data.report, files === recipe.data.eval ? 'eval' : 'train');
  else for (const line of describeData(data.report).split('\n')) job.log('info', line);
  return data;
}
