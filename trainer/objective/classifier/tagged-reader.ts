/** Reads sentences with labeled words, for a token classifier. */

import { taggedSource } from '../../data/batch/text-batches.ts';
import { checkMaxLength } from '../../data/example/max-length.ts';
import { labeledWords, loadTagged, placeTags, type TaggedText } from '../../data/tagged/load-tagged.ts';
import { withTokenizer } from '../../job/open-base.ts';
import { inputOf } from '../../model/model-spec.ts';
import { checkVocabulary } from '../load-data.ts';
import { readFiles } from '../read-files.ts';
import type { ReadParams } from '../task-setup.ts';
import { type ClassifierReader, countPlaces } from './classifier-reader.ts';
import { tagEvaluator } from './tag-evaluator.ts';
import { planTexts, type TokenInput } from './text-reader.ts';

export async function taggedReader(params: ReadParams, input: TokenInput): Promise<ClassifierReader<TaggedText>> {
  const { recipe, base } = params;
  const { max_length: maxLength } = recipe;
  checkMaxLength(maxLength, input.maxPositions);
  const { tokenizer } = await withTokenizer(base);
  return {
    async read({ files, labels, maxSamples }) {
      const { data, seed } = recipe;
      const loaded = await readFiles(params, files, paths =>
        loadTagged({ paths, tokenizer, columns: data.columns, labels, maxLength, maxSamples, seed }),
      );
      checkVocabulary(loaded.examples, input);
      return loaded;
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
