/** From files to tokenized pairs of answers and a report. */
import type { FormatSettings } from './format-example.ts';
import { formatPair, pairMargin, SIDES } from './format-pair.ts';
import { answerTokenizing, type LoadedAnswers, loadAnswers, type MadeSamples } from './load-answers.ts';
import type { LoadDatasetInput } from './load-dataset.ts';
import { type TokenizeSettings, tokenizeExample } from './tokenize-example.ts';
import type { DataRecord, Example, Pair, TokenSequence } from './types.ts';

export interface LoadPairsInput extends LoadDatasetInput {
  /** Whether the objective reads by how much an answer is better. */
  readonly readsMargin?: boolean;
}

/** @throws DataError as `loadAnswers`, and for sides that are the same */
export const loadPairs = (input: LoadPairsInput): Promise<LoadedAnswers<Pair>> =>
  loadAnswers(input, { tokenizer: pairTokenizer(input), examplesOf: sideExamples, format: () => 'preference' });

/** Both sides with the place of their record. */
export const sideExamples = ({ file, line, element, ...pair }: Pair): readonly Example[] =>
  SIDES.map(side => ({ ...pair[side], file, line, element }));

/** @throws DataError from the function that is returned */
export function pairTokenizer({
  settings,
  tokenizer,
  chatRenderer,
  maxLength,
  readsMargin = false,
}: Pick<LoadPairsInput, 'settings' | 'tokenizer' | 'chatRenderer' | 'maxLength' | 'readsMargin'>): (
  record: DataRecord,
) => MadeSamples<Pair> {
  const formatting: FormatSettings = { ...settings, format: 'preference', completionOnly: true, shownLabels: [], chatRenderer };
  const tokenizing = answerTokenizing({ tokenizer, maxLength });
  return record => tokenizePair(record, { formatting, tokenizing, readsMargin });
}

interface PairSettings {
  readonly formatting: FormatSettings;
  readonly tokenizing: TokenizeSettings;
  readonly readsMargin: boolean;
}

function tokenizePair(record: DataRecord, { formatting, tokenizing, readsMargin }: PairSettings): MadeSamples<Pair> {
  const { file, line, element } = record;
  const formatted = formatPair(record, formatting);
  const margin = readsMargin ? pairMargin(record) : undefined;
  const notes = [...new Set(SIDES.flatMap(side => formatted[side].notes ?? []))];
  const chosen = tokenizeExample(formatted.chosen, tokenizing, { file, line });
  if (chosen.kind === 'dropped') return { notes, dropped: chosen.reason, samples: [] };
  const rejected = tokenizeExample(formatted.rejected, tokenizing, { file, line });
  if (rejected.kind === 'dropped') return { notes, dropped: rejected.reason, samples: [] };
  if (sameIds(chosen.sequence, rejected.sequence)) return { notes, dropped: 'the same when cut to length', samples: [] };
  const pair = { chosen: chosen.sequence, rejected: rejected.sequence, file, line, element, ...(margin !== undefined && { margin }) };
  return { notes, samples: [pair], truncated: chosen.truncated || rejected.truncated };
}

const sameIds = (a: TokenSequence, b: TokenSequence): boolean => a.ids.length === b.ids.length && a.ids.every((id, i) => id === b.ids[i]);
