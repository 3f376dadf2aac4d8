/** Loads files as tokenized pairs of answers, with a report. */
import type { FormatSettings } from '../example/format-example.ts';
import { formatPair, pairMargin, SIDES, type Side } from '../example/format-pair.ts';
import { createSegmentEncoder, type SegmentTokenizer } from '../example/segment-encoder.ts';
import { type TokenizeSettings, tokenizeExample } from '../example/tokenize-example.ts';
import type { DataRecord, Example, FormattedExample, Pair, TokenSequence } from '../types.ts';
import { withWholeImages } from '../vision/whole-images.ts';
import { answerTokenizing, type LoadedAnswers, loadAnswers, type MadeSamples } from './load-answers.ts';
import type { LoadDatasetInput } from './load-dataset.ts';

export interface LoadPairsInput extends LoadDatasetInput {
  /** Present for an encoder, which reads prompt and answer as two texts with its own special tokens around them. */
  readonly segments?: SegmentTokenizer | undefined;
  /** Whether the objective reads the margin by which an answer is better. */
  readonly readsMargin?: boolean;
}

/** @throws DataError as `loadAnswers`, and for identical sides */
export const loadPairs = (input: LoadPairsInput): Promise<LoadedAnswers<Pair>> =>
  loadAnswers(input, { tokenizer: pairTokenizer(input), examplesOf: sideExamples, format: () => 'preference' });

/** Both sides with the position of their record. */
export const sideExamples = ({ file, line, element, ...pair }: Pair): readonly Example[] =>
  SIDES.map(side => ({ ...pair[side], file, line, element }));

/** Returns a function that tokenizes the pair of a record. @throws DataError from that function */
export function pairTokenizer({
  settings,
  tokenizer,
  chatRenderer,
  maxLength,
  readsMargin = false,
  segments,
  images,
}: Pick<LoadPairsInput, 'settings' | 'tokenizer' | 'chatRenderer' | 'maxLength' | 'readsMargin' | 'segments' | 'images'>): (
  record: DataRecord,
) => MadeSamples<Pair> {
  const formatting: FormatSettings = { ...settings, format: 'preference', completionOnly: true, shownLabels: [], chatRenderer };
  const tokenize = answerReader({ settings, tokenizer, maxLength, segments });
  return record => tokenizePair(record, { formatting, tokenize, readsMargin, images });
}

/** Returns a function that tokenizes an answer after its prompt as a reward model reads it: as one text, or as two for an encoder. */
export const answerReader = ({
  settings,
  tokenizer,
  maxLength,
  segments,
}: Pick<LoadPairsInput, 'settings' | 'tokenizer' | 'maxLength' | 'segments'>): TokenizeAnswer =>
  segments ? segmentTokenizer(segments, maxLength) : answerTokenizer(answerTokenizing({ settings, tokenizer, maxLength }));

export type TokenizeAnswer = (example: FormattedExample, place: Pick<DataRecord, 'file' | 'line'>) => ReturnType<typeof tokenizeExample>;

const answerTokenizer =
  (tokenizing: TokenizeSettings): TokenizeAnswer =>
  (example, place) =>
    tokenizeExample(example, tokenizing, place);

/** Returns a function that cuts the end of the longer of prompt and answer first, as a classifier of two texts does. */
function segmentTokenizer(tokenizer: SegmentTokenizer, maxLength: number): TokenizeAnswer {
  const encoder = createSegmentEncoder(tokenizer);
  return ({ pieces }) => {
    const textOf = (answers: boolean): string => pieces.flatMap(({ text, train }) => (train === answers ? [text] : [])).join('');
    const [prompt, answer] = [textOf(false), textOf(true)];
    const { ids, secondAt, truncated } =
      prompt === '' ? encoder.encode(answer, undefined, maxLength) : encoder.encode(prompt, answer, maxLength);
    const begin = prompt === '' ? 0 : secondAt;
    const train = new Uint8Array(ids.length).fill(1, begin);
    return { kind: 'kept', sequence: { ids, train, ...(begin > 0 && { answers: [begin] }) }, truncated };
  };
}

interface PairSettings extends Pick<LoadPairsInput, 'images'> {
  readonly formatting: FormatSettings;
  readonly tokenize: TokenizeAnswer;
  readonly readsMargin: boolean;
}

function tokenizePair(record: DataRecord, { formatting, tokenize, readsMargin, images }: PairSettings): MadeSamples<Pair> {
  const { file, line, element } = record;
  const formatted = formatPair(record, formatting);
  const margin = readsMargin ? pairMargin(record) : undefined;
  const notes = [...new Set(SIDES.flatMap(side => formatted[side].notes ?? []))];
  const tokensOf = (side: Side) => withWholeImages(tokenize(formatted[side], { file, line }), record, images);
  const chosen = tokensOf('chosen');
  if (chosen.kind === 'dropped') return { notes, dropped: chosen.reason, samples: [] };
  const rejected = tokensOf('rejected');
  if (rejected.kind === 'dropped') return { notes, dropped: rejected.reason, samples: [] };
  if (sameIds(chosen.sequence, rejected.sequence)) return { notes, dropped: 'the same when cut to length', samples: [] };
  const pair = { chosen: chosen.sequence, rejected: rejected.sequence, file, line, element, ...(margin !== undefined && { margin }) };
  const found = new Set([...notes, ...(chosen.notes ?? []), ...(rejected.notes ?? [])]);
  return { notes: [...found], samples: [pair], truncated: chosen.truncated || rejected.truncated };
}

const sameIds = (a: TokenSequence, b: TokenSequence): boolean => a.ids.length === b.ids.length && a.ids.every((id, i) => id === b.ids[i]);
