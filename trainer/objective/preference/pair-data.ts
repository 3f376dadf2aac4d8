/** From the data settings of a recipe to tokenized pairs to train on and to hold out. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { loadPairs } from '../../data/load-pairs.ts';
import { previewExamples } from '../../data/preview.ts';
import type { Pair } from '../../data/types.ts';
import type { TextBase } from '../../job/open-base.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { type DataParts, loadParts } from '../data-parts.ts';
import { checkVocabulary, datasetSettings } from '../load-data.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';

/** In the log: enough to see what is compared. */
const PREVIEW = { samples: 4, maxTokens: 200 };

export interface PairDataParams extends ReadParams {
  readonly base: TextBase;
  /** The bounds of what the model reads. */
  readonly input: Pick<CausalModel, 'vocabularySize' | 'maxPositions'>;
}

/** @throws RunError 'no-data'; DataError for data that is malformed */
export const loadPairData = (params: PairDataParams, part: 'train' | 'held'): Promise<DataParts<Pair>> =>
  loadParts(params, part, { noun: 'pairs', load: (files, maxSamples) => load(params, files, maxSamples) });

async function load(params: PairDataParams, files: readonly string[], maxSamples: number | undefined): Promise<readonly Pair[]> {
  const { recipe, base, input, job } = params;
  const { readsMargin } = objectiveCatalog[recipe.task].compares ?? {};
  const { pairs } = await readFiles(params, files, paths =>
    loadPairs({
      paths,
      settings: { ...datasetSettings(params, undefined), maxSamples },
      tokenizer: base.tokenizer,
      chatRenderer: base.chatRenderer,
      maxLength: recipe.max_length,
      maxPositions: input.maxPositions,
      readsMargin,
    }),
  );
  const sides = pairs.flatMap(({ chosen, rejected, file, line }) => [
    { ...chosen, file, line },
    { ...rejected, file, line },
  ]);
  job.note(
    'info',
    `the first pairs as the model sees them, the better answer first, what is compared between ⟦ and ⟧:\n${previewExamples(sides, base.tokenizer, PREVIEW)}`,
  );
  checkVocabulary(sides, input.vocabularySize);
  return pairs;
}
