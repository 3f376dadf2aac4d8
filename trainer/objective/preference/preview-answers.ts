/** The preview of samples with one or several answers. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { BatchPlan } from '../../data/batch/batch-plan.ts';
import type { LoadDatasetInput } from '../../data/load/load-dataset.ts';
import { type ShowAnswers, showAnswers } from '../../data/shown/show-texts.ts';
import { loadedPart, type SampleFacts } from '../../data/shown/statistics.ts';
import type { ImageReading } from '../../data/vision/sample-image.ts';
import { type TextBase, withTokenizer } from '../../job/open-base.ts';
import { imagesOfData } from '../causal/causal-setup.ts';
import type { DataParts } from '../data-parts.ts';
import { type DataPreview, partOf } from '../data-preview.ts';
import { datasetSettings } from '../load-data.ts';
import type { ReadParams } from '../task-setup.ts';
import type { AnswerDataParams } from './pair-data.ts';

export interface AnswerPreview<Sample> {
  /** The limits of the model's input. */
  readonly input: AnswerDataParams['input'];
  readonly show: (
    tokenizing: Pick<LoadDatasetInput, 'settings' | 'images'> & Pick<TextBase, 'tokenizer' | 'chatRenderer'>,
  ) => ShowAnswers<Sample>;
  readonly load: (params: AnswerDataParams) => Promise<DataParts<Sample>>;
  readonly factsOf: (sample: Sample) => SampleFacts;
  /** Plans the batches of training. */
  readonly planOf: (samples: readonly Sample[]) => BatchPlan;
}

export async function previewAnswers<Sample>(
  params: ReadParams,
  { input, show, load, factsOf, planOf }: AnswerPreview<Sample>,
): Promise<DataPreview> {
  const base = await withTokenizer(params.base, params.recipe.data.image_max_pixels);
  const images = await imagesOf(params, base);
  const { tokenizer, chatRenderer } = base;
  return {
    samples: (part, onFormat) => {
      const { paths, maxSamples } = partOf(params, part);
      const settings = { ...datasetSettings(params, undefined), maxSamples };
      const { max_length: maxLength } = params.recipe;
      return showAnswers(
        { paths, settings, tokenizer, chatRenderer, maxLength, maxPositions: input.maxPositions, images, onFormat },
        show({ settings, tokenizer, chatRenderer, images }),
      );
    },
    async load() {
      const { train, held } = await load({ ...params, base, input, images });
      const plan = train.length > 0 ? planOf(train) : undefined;
      return { train: loadedPart(train, factsOf, plan), held: loadedPart(held, factsOf) };
    },
  };
}

/** How images of prompts are read; undefined for a task that reads none. */
function imagesOf(params: ReadParams, base: TextBase): Promise<ImageReading | undefined> | undefined {
  const { model } = base;
  return objectiveCatalog[params.recipe.task].seesImages && model.kind === 'causal' ? imagesOfData(params, { ...base, model }) : undefined;
}
