/** How the prompts of a run were written, from what its folder keeps. */
import path from 'node:path';
import { readAdapter } from '../artifact/adapter/read-adapter.ts';
import { detectFormat, renameColumns } from '../data/detect-format.ts';
import { listDataFiles } from '../data/read/list-files.ts';
import { readRecords } from '../data/read/read-records.ts';
import type { DataFormat } from '../data/types.ts';
import type { TrainedStyle } from '../generate/trained-prompt.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { readRunRecipe } from '../run/run-folder.ts';

/** Undefined of a folder that is no run, or whose data is gone and whose recipe does not name the format. */
export async function promptStyleOf(runDir: string): Promise<TrainedStyle | undefined> {
  const recipe = await readRunRecipe(runDir).catch(() => undefined);
  if (recipe === undefined) return undefined;
  const labels = await labelsOf(runDir, recipe);
  const format =
    recipe.data.format === 'auto' ? ((await formatOfData(recipe)) ?? (labels.length > 0 ? 'text_label' : undefined)) : recipe.data.format;
  return format && { format, template: recipe.data.prompt, labels };
}

/** As the run found them, where it has a checkpoint. */
async function labelsOf(runDir: string, { data }: Recipe): Promise<readonly string[]> {
  if (data.labels.length > 0) return data.labels;
  const adapter = await readAdapter(runDir).catch(() => undefined);
  await adapter?.close();
  return adapter?.description.labels ?? [];
}

/** By the first sample, as training tells it. */
async function formatOfData({ data }: Recipe): Promise<DataFormat | undefined> {
  try {
    const files = await listDataFiles(data.train.filter(path.isAbsolute));
    for await (const record of readRecords({ files, maxSamples: 1, textSplit: 'file' }))
      return detectFormat(renameColumns(record, data.columns)).format;
  } catch {
    // Moved, changed or of another machine: what the run itself keeps decides.
  }
  return undefined;
}
