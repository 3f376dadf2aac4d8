/** Reads sentences whose words have labels, for a classifier of tokens. */

import path from 'node:path';
import { taggedSource } from '../../data/batch/text-batches.ts';
import { describeData } from '../../data/data-report.ts';
import { checkMaxLength } from '../../data/max-length.ts';
import { labeledWords, loadTagged, placeTags, type TaggedText } from '../../data/tagged/load-tagged.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { inputOf } from '../../model/model-spec.ts';
import type { SetUpParams } from '../task-setup.ts';
import { type ClassifierReader, countPlaces } from './classifier-reader.ts';
import { tagEvaluator } from './tag-evaluator.ts';
import { planTexts, type TokenInput } from './text-reader.ts';

export async function taggedReader(
  { recipe, base, job, context }: SetUpParams,
  { maxPositions }: TokenInput,
): Promise<ClassifierReader<TaggedText>> {
  const { max_length: maxLength } = recipe;
  checkMaxLength(maxLength, maxPositions);
  const { tokenizer } = await withTokenizer(base);
  return {
    async read({ files, labels, maxSamples }) {
      job.phase('data', `reading ${files.join(', ')}`);
      const paths = files.map(file => path.resolve(context.baseDir, file));
      const { data: settings, seed } = recipe;
      const data = await loadTagged({ paths, tokenizer, columns: settings.columns, labels, maxLength, maxSamples, seed });
      job.checkStop();
      for (const line of describeData(data.report).split('\n')) job.log('info', line);
      return data;
    },
    place: placeTags,
    countLabels: (examples, labels) =>
      countPlaces(
        examples.flatMap(example => [...labeledWords(example)].map(({ target }) => target)),
        labels,
      ),
    source(examples, model, { batchSize, order, classWeights }) {
      const { padId, tokenTypes } = inputOf(model, 'tokens');
      const plan = planTexts(examples, { batchSize, maxLength, ...order });
      return taggedSource({ plan, examples, padId, types: tokenTypes > 1, classWeights });
    },
    evaluator: (examples, { labels }, source) => tagEvaluator({ labels, source, examples }),
  };
}
