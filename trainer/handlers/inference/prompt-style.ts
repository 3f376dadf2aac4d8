/** Determines the prompt format of a run from the files in its folder. */
import path from 'node:path';
import { readAdapter } from '../../adapter/read-adapter.ts';
import { detectFormat, renameColumns } from '../../data/detect-format.ts';
import { isChat, promptFormatOf } from '../../data/example/format-pair.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { readRecords } from '../../data/read/read-records.ts';
import type { PromptFormat } from '../../data/types.ts';
import type { TrainedStyle } from '../../generate/trained-prompt.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { readRunRecipe } from '../../run/run-folder.ts';

/** The prompt format; undefined for a folder that is not a run, or if the data is gone and the recipe does not name the format. */
export async function promptStyleOf(runDir: string): Promise<TrainedStyle | undefined> {
  const recipe = await readRunRecipe(runDir).catch(() => undefined);
  if (recipe === undefined) return undefined;
  const labels = await labelsOf(runDir, recipe);
  const { format: named } = recipe.data;
  const format =
    named === 'auto' || named === 'preference' ? ((await formatOfData(recipe)) ?? (labels.length > 0 ? 'text_label' : undefined)) : named;
  return format && { format, template: recipe.data.prompt, labels };
}

/** The labels that the run found, if it has a checkpoint. */
async function labelsOf(runDir: string, { data }: Recipe): Promise<readonly string[]> {
  if (data.labels.length > 0) return data.labels;
  const adapter = await readAdapter(runDir).catch(() => undefined);
  await adapter?.close();
  return adapter?.description.labels ?? [];
}

/** The format of the first sample, detected as in training. */
async function formatOfData({ data }: Recipe): Promise<PromptFormat | undefined> {
  try {
    const files = await listDataFiles(data.train.filter(path.isAbsolute));
    for await (const given of readRecords({ files, maxSamples: 1, textSplit: 'file' })) {
      const record = renameColumns(given, data.columns);
      const { format } = detectFormat(record);
      // Judged answers may be lists of messages under the keys of texts.
      const isList = format === 'prompt_completion' && isChat(record, 'completion');
      return format === 'preference' ? promptFormatOf(record) : isList ? 'messages' : format;
    }
  } catch {
    // If the data was moved, changed or is remote, the files of the run decide.
  }
  return undefined;
}
