/** From the data settings of a recipe to tokenized texts to compare, and their batches. */
import type { BatchPlan } from '../../data/batch/batch-plan.ts';
import type { OrderSettings } from '../../data/batch/batch-settings.ts';
import { withRowsPerSample } from '../../data/batch/rows-per-sample.ts';
import { digestSamples } from '../../data/data-digest.ts';
import type { SegmentTokenizer } from '../../data/segment-encoder.ts';
import { groupForm } from '../../data/text-groups/group-form.ts';
import { type LoadGroupsInput, loadGroups, type TextGroup } from '../../data/text-groups/load-groups.ts';
import { withTokenizer } from '../../job/open-base.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { planTexts } from '../classifier/text-reader.ts';
import { type DataParts, loadParts } from '../data-parts.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';

export const groupSettings = (
  { data: { columns }, embedding, max_length: maxLength, seed }: Recipe,
  tokenizer: SegmentTokenizer,
): Omit<LoadGroupsInput, 'paths'> => ({ tokenizer, columns, form: groupForm(embedding), maxLength, seed });

/** @throws RunError 'no-data'; DataError for data that is malformed */
export async function loadGroupData(params: ReadParams, part: 'train' | 'held'): Promise<DataParts<TextGroup>> {
  const { tokenizer } = await withTokenizer(params.base);
  const settings = groupSettings(params.recipe, tokenizer);
  return loadParts(params, part, {
    noun: 'samples',
    load: async (files, maxSamples) => (await readFiles(params, files, paths => loadGroups({ ...settings, paths, maxSamples }))).groups,
  });
}

/** A plan whose batches have `rowsPerSample` rows for each sample, as long as its longest text. */
export function planGroups(
  groups: readonly TextGroup[],
  {
    rowsPerSample,
    ...settings
  }: OrderSettings & { readonly rowsPerSample: number; readonly batchSize: number; readonly maxLength: number },
): BatchPlan {
  const used = groups.reduce((sum, group) => sum + tokensOf(group), 0);
  return withRowsPerSample(planTexts(groups.map(longestText), settings), rowsPerSample, used);
}

/** Tokens of all texts of a sample. */
export const tokensOf = ({ texts }: TextGroup): number => texts.reduce((sum, ids) => sum + ids.length, 0);

/** See `digestSamples`. */
export const digestGroups = (groups: readonly TextGroup[]): string =>
  digestSamples(groups.flatMap(({ texts, score, file, line }) => texts.map(ids => ({ ids, target: score, file, line }))));

const longestText = ({ texts }: TextGroup): { readonly ids: Int32Array } =>
  texts.map(ids => ({ ids })).reduce((a, b) => (b.ids.length > a.ids.length ? b : a));
