/** Loads files as tokenized judged answers, with a report. */
import type { FormatSettings } from '../example/format-example.ts';
import { formatJudged } from '../example/format-judged.ts';
import { tokenizeExample } from '../example/tokenize-example.ts';
import type { DataFormat, DataRecord, Example, JudgedAnswer } from '../types.ts';
import { withWholeImages } from '../vision/whole-images.ts';
import { answerTokenizing, type LoadedAnswers, loadAnswers, type MadeSamples } from './load-answers.ts';
import type { LoadDatasetInput } from './load-dataset.ts';

/** @throws DataError as `loadAnswers` */
export const loadJudged = (input: LoadDatasetInput): Promise<LoadedAnswers<JudgedAnswer>> =>
  loadAnswers(input, { tokenizer: judgedTokenizer(input), examplesOf: judgedExample, format: detected => detected });

/** The name of a judgment, for people and for counts in a file. */
export const judgmentName = (isGood: boolean): 'desirable' | 'undesirable' => (isGood ? 'desirable' : 'undesirable');

/** The answer with the properties that a report counts. */
export const judgedExample = ({ sequence, isGood, file, line, element }: JudgedAnswer): readonly Example[] => [
  { ...sequence, label: judgmentName(isGood), file, line, element },
];

/** Returns a function that tokenizes the answers of a record. @throws DataError from that function */
export function judgedTokenizer({
  settings,
  tokenizer,
  chatRenderer,
  maxLength,
  images,
}: Pick<LoadDatasetInput, 'settings' | 'tokenizer' | 'chatRenderer' | 'maxLength' | 'images'>): (
  record: DataRecord,
  format: DataFormat,
) => MadeSamples<JudgedAnswer> {
  const formatting: Omit<FormatSettings, 'format'> = { ...settings, completionOnly: true, shownLabels: [], chatRenderer };
  const tokenizing = answerTokenizing({ settings, tokenizer, maxLength });
  return (record, format) => {
    const { file, line, element } = record;
    const formatted = formatJudged(record, { ...formatting, format });
    const made = formatted.map(({ example, isGood }) => ({
      isGood,
      result: withWholeImages(tokenizeExample(example, tokenizing, { file, line }), record, images),
    }));
    const cuts = made.flatMap(({ result }) => (result.kind === 'kept' ? (result.notes ?? []) : []));
    const dropped = made.flatMap(({ result }) => (result.kind === 'dropped' ? [result.reason] : []));
    return {
      notes: [...new Set([...formatted.flatMap(({ example }) => example.notes ?? []), ...cuts])],
      ...(dropped[0] && { dropped: dropped[0] }),
      samples: made.flatMap(({ isGood, result }) =>
        result.kind === 'kept' ? [{ sequence: result.sequence, isGood, file, line, element }] : [],
      ),
      truncated: made.some(({ result }) => result.kind === 'kept' && result.truncated),
    };
  };
}
