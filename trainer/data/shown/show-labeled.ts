/** Shows samples of classifiers as training reads them: texts with a label, and sentences with word tags. */
import { drawStream } from '../draw.ts';
import { createSegmentEncoder } from '../example/segment-encoder.ts';
import { type LoadLabeledInput, labeledSamples } from '../load/load-labeled.ts';
import { listDataFiles } from '../read/list-files.ts';
import { type LoadTaggedInput, taggedSamples } from '../tagged/load-tagged.ts';
import { describeTaggedColumns } from '../tagged/tagged-record.ts';
import { createWordEncoder } from '../tagged/word-encoder.ts';
import type { TextTokenizer } from '../types.ts';
import { type SampleToShow, ShownProblems, samplesToShow } from './shown-sample.ts';
import { MORE_TOKENS, shownSequence } from './shown-sequence.ts';

export interface Shown {
  /** Decodes the tokens. */
  readonly tokenizer: Pick<TextTokenizer, 'decode'>;
  readonly onFormat?: (format: string, reason: string) => void;
}

/** @throws DataError if the first sample lacks a column */
export async function* showLabeled(input: LoadLabeledInput & Shown): AsyncGenerator<SampleToShow> {
  const { maxLength, regression, maxSamples: count, seed, tokenizer, onFormat } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createSegmentEncoder(tokenizer);
  const problems = new ShownProblems();
  const samples = labeledSamples(input, files, {
    problems,
    onFirst: ({ first, second, label }) =>
      onFormat?.('text_label', `"${first}"${second === undefined ? '' : ` and "${second}"`} with "${label}"`),
  });
  yield* samplesToShow(drawStream(samples, { count, seed }), problems, {
    placeOf: sample => sample,
    show: ({ first, second, label, names, value }) => {
      const kept = encoder.encode(first, second, maxLength);
      const whole = kept.truncated ? encoder.encode(first, second, maxLength + MORE_TOKENS) : undefined;
      const { ids, secondAt } = kept;
      return {
        labels: names ?? [regression ? String(value) : label],
        sequences: [
          shownSequence(
            {
              ids,
              trains: () => false,
              ...(whole && {
                whole: [
                  { kept: secondAt, ids: whole.ids.subarray(0, whole.secondAt) },
                  { kept: ids.length - secondAt, ids: whole.ids.subarray(whole.secondAt) },
                ],
                cutsMore: whole.truncated,
              }),
            },
            tokenizer,
          ),
        ],
      };
    },
  });
}

/**
 * Shows sentences. The first token of a word is trained; it stands for the word's label.
 * @throws DataError if the first sample lacks a column
 */
export async function* showTagged(input: LoadTaggedInput & Shown): AsyncGenerator<SampleToShow> {
  const { maxLength, maxSamples: count, seed, tokenizer, onFormat } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createWordEncoder(tokenizer);
  const problems = new ShownProblems();
  const samples = taggedSamples(input, files, {
    problems,
    onFirst: columns => onFormat?.('tags', describeTaggedColumns(columns)),
  });
  yield* samplesToShow(drawStream(samples, { count, seed }), problems, {
    placeOf: sample => sample,
    show: ({ words, tags }) => {
      const { ids, firstTokens, truncated } = encoder.encode(words, maxLength);
      const whole = truncated ? encoder.encode(words, maxLength + MORE_TOKENS) : undefined;
      const tagAt = new Map([...firstTokens].flatMap((token, word) => (token < 0 ? [] : [[token, tags[word]] as const])));
      return {
        sequences: [
          shownSequence(
            {
              ids,
              trains: index => tagAt.has(index),
              tag: index => tagAt.get(index),
              ...(whole && { whole: [{ kept: ids.length, ids: whole.ids }], cutsMore: whole.truncated }),
            },
            tokenizer,
          ),
        ],
      };
    },
  });
}
