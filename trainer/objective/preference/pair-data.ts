/** Loads and tokenizes answers to train on and to hold out, from the data settings of a recipe. */

import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { LoadedAnswers } from '../../data/load/load-answers.ts';
import type { LoadDatasetInput } from '../../data/load/load-dataset.ts';
import { loadPairs, sideExamples } from '../../data/load/load-pairs.ts';
import { previewExamples } from '../../data/shown/preview.ts';
import type { Example, Pair } from '../../data/types.ts';
import type { ImageReading } from '../../data/vision/sample-image.ts';
import type { TextBase } from '../../job/open-base.ts';
import type { KnownTokens } from '../../model/known-tokens.ts';
import type { CausalModel } from '../../model/model-spec.ts';
import { type DataParts, loadParts } from '../data-parts.ts';
import { checkVocabulary, datasetSettings } from '../load-data.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';

/** Limits of the log's preview: enough to see what is compared. */
const PREVIEW = { samples: 4, maxTokens: 200 };

export interface AnswerDataParams extends ReadParams {
  readonly base: TextBase;
  /** The limits of the model's input. */
  readonly input: KnownTokens & Pick<CausalModel, 'maxPositions'>;
  /** True if the model reads prompt and answer as two texts. */
  readonly isEncoder?: boolean;
  /** Present if the images of prompts are read. */
  readonly images?: ImageReading | undefined;
}

/** @throws RunError 'no-data'; DataError for malformed data */
export function loadPairData(params: AnswerDataParams, part: 'train' | 'held'): Promise<DataParts<Pair>> {
  const { readsMargin } = objectiveCatalog[params.recipe.task].compares ?? {};
  return loadAnswerData(params, part, {
    noun: 'pair',
    shown: 'the better answer first, what is compared',
    load: input => loadPairs({ ...input, readsMargin, segments: params.isEncoder ? params.base.tokenizer : undefined }),
    examplesOf: sideExamples,
  });
}

interface AnswerDataLoader<Sample> {
  /** Noun for messages: 'pair'. */
  readonly noun: string;
  /** Description, for the log, of the part of a sample that is shown in brackets. */
  readonly shown: string;
  readonly load: (input: LoadDatasetInput) => Promise<LoadedAnswers<Sample>>;
  readonly examplesOf: (sample: Sample) => readonly Example[];
}

/** @throws RunError 'no-data'; DataError for malformed data */
export function loadAnswerData<Sample>(
  params: AnswerDataParams,
  part: 'train' | 'held',
  { noun, shown, load, examplesOf }: AnswerDataLoader<Sample>,
): Promise<DataParts<Sample>> {
  const { recipe, base, input, job } = params;
  return loadParts(params, part, {
    noun,
    async load(files, maxSamples) {
      const { samples } = await readFiles(params, files, paths =>
        load({
          paths,
          settings: { ...datasetSettings(params, undefined), maxSamples },
          tokenizer: base.tokenizer,
          chatRenderer: base.chatRenderer,
          maxLength: recipe.max_length,
          maxPositions: input.maxPositions,
          images: params.images,
        }),
      );
      const answers = samples.flatMap(examplesOf);
      const preview = previewExamples(answers, base.tokenizer, PREVIEW);
      job.note('info', `the first ${noun}s as the model sees them, ${shown} between ⟦ and ⟧:\n${preview}`);
      checkVocabulary(answers, input);
      return samples;
    },
  });
}
