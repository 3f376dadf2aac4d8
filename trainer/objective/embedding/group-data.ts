/** Loads and tokenizes texts to compare, from the data settings of a recipe. */
import type { SegmentTokenizer } from '../../data/example/segment-encoder.ts';
import { groupForm } from '../../data/text-groups/group-form.ts';
import { type LoadGroupsInput, loadGroups, type TextGroup } from '../../data/text-groups/load-groups.ts';
import { withTokenizer } from '../../job/open-base.ts';
import type { TextPrompts } from '../../protocol/pooling.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { type DataParts, loadParts } from '../data-parts.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';

export const groupSettings = (
  { data: { columns }, embedding, max_length: maxLength, seed }: Recipe,
  tokenizer: SegmentTokenizer,
): Omit<LoadGroupsInput, 'paths'> => ({ tokenizer, columns, form: groupForm(embedding), prompts: promptsOf(embedding), maxLength, seed });

const promptsOf = ({ query_prompt: query, document_prompt: document }: Recipe['embedding']): TextPrompts => ({ query, document });

/** @throws RunError 'no-data'; DataError for malformed data */
export async function loadGroupData(params: ReadParams, part: 'train' | 'held'): Promise<DataParts<TextGroup>> {
  const { tokenizer } = await withTokenizer(params.base);
  const settings = groupSettings(params.recipe, tokenizer);
  return loadParts(params, part, {
    noun: 'sample',
    load: async (files, maxSamples) => (await readFiles(params, files, paths => loadGroups({ ...settings, paths, maxSamples }))).groups,
  });
}
