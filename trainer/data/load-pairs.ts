/** From files to tokenized pairs of answers and a report. */
import { DataProblems } from './data-error.ts';
import type { DataReport } from './data-report.ts';
import { summarizeExamples } from './data-report.ts';
import { drawStream } from './draw.ts';
import { createEncoder } from './encoder.ts';
import type { FormatSettings } from './format-example.ts';
import { formatPair, pairMargin, SIDES } from './format-pair.ts';
import { type LoadDatasetInput, nothingLeft, tooManyTokens } from './load-dataset.ts';
import { checkMaxLength } from './max-length.ts';
import { openRecords } from './open-records.ts';
import { listDataFiles } from './read/list-files.ts';
import { type TokenizeSettings, tokenizeExample } from './tokenize-example.ts';
import type { DataRecord, Pair, TokenSequence } from './types.ts';

/** Five bytes each in memory: 2 GB. */
const MAX_PAIR_TOKENS = 400_000_000;

export interface LoadPairsInput extends LoadDatasetInput {
  /** Whether the objective reads by how much an answer is better. */
  readonly readsMargin?: boolean;
}

export interface PairDataset {
  /** In the order of the files. Both sides of each fit `maxLength`. */
  readonly pairs: readonly Pair[];
  readonly report: DataReport;
}

/**
 * Throws DataError (file, line, key where there are such) for anything malformed, for sides that are the same, for `maxLength` above
 * `maxPositions`, and where no pair is left.
 */
export async function loadPairs(input: LoadPairsInput): Promise<PairDataset> {
  const { settings, maxLength, maxPositions } = input;
  checkMaxLength(maxLength, maxPositions);
  const files = await listDataFiles(input.paths);
  const problems = new DataProblems();
  const { records, detected } = await openRecords(files, settings, problems);
  const tokenize = pairTokenizer(input);
  const pairs: Pair[] = [];
  const dropped: Record<string, number> = {};
  const notes: Record<string, number> = {};
  let [read, truncated, tokens] = [0, 0, 0];
  let drawnFrom: number | undefined;
  const { maxSamples: count, seed } = settings;
  for await (const record of drawStream(records, { count, seed }, seen => (drawnFrom = seen))) {
    read++;
    const made = problems.take(() => tokenize(record));
    if (made === undefined) continue;
    for (const note of made.notes) notes[note] = (notes[note] ?? 0) + 1;
    if (made.dropped !== undefined) dropped[made.dropped] = (dropped[made.dropped] ?? 0) + 1;
    if (!made.pair) continue;
    truncated += Number(made.truncated);
    tokens += made.pair.chosen.ids.length + made.pair.rejected.ids.length;
    if (tokens > MAX_PAIR_TOKENS) throw tooManyTokens(record, MAX_PAIR_TOKENS);
    pairs.push(made.pair);
  }
  problems.end();
  if (pairs.length === 0) throw nothingLeft(dropped, maxLength);
  const { kept: _, ...summary } = summarizeExamples(pairs.flatMap(pair => SIDES.map(side => ({ ...pair[side], ...placeOf(pair) }))));
  return {
    pairs,
    report: {
      format: 'preference',
      formatReason: detected.reason,
      files: files.length,
      read,
      drawnFrom,
      kept: pairs.length,
      dropped,
      truncated,
      ...(Object.keys(notes).length > 0 && { notes }),
      ...summary,
    },
  };
}

const placeOf = ({ file, line, element }: Pair) => ({ file, line, element });

/** @throws DataError from the function that is returned */
export function pairTokenizer({
  settings,
  tokenizer,
  chatRenderer,
  maxLength,
  readsMargin = false,
}: Pick<LoadPairsInput, 'settings' | 'tokenizer' | 'chatRenderer' | 'maxLength' | 'readsMargin'>): (record: DataRecord) => MadePair {
  const formatting: FormatSettings = { ...settings, format: 'preference', completionOnly: true, shownLabels: [], chatRenderer };
  const [eosId] = tokenizer.eosIds;
  const tokenizing: TokenizeSettings = { encoder: createEncoder(tokenizer), maxLength, truncation: 'end', eosId };
  return record => tokenizePair(record, { formatting, tokenizing, readsMargin });
}

export interface MadePair {
  readonly notes: readonly string[];
  /** The reason why it is left out. */
  readonly dropped?: string;
  readonly pair?: Pair;
  readonly truncated?: boolean;
}

interface PairSettings {
  readonly formatting: FormatSettings;
  readonly tokenizing: TokenizeSettings;
  readonly readsMargin: boolean;
}

function tokenizePair(record: DataRecord, { formatting, tokenizing, readsMargin }: PairSettings): MadePair {
  const { file, line, element } = record;
  const formatted = formatPair(record, formatting);
  const margin = readsMargin ? pairMargin(record) : undefined;
  const notes = [...new Set(SIDES.flatMap(side => formatted[side].notes ?? []))];
  const chosen = tokenizeExample(formatted.chosen, tokenizing, { file, line });
  if (chosen.kind === 'dropped') return { notes, dropped: chosen.reason };
  const rejected = tokenizeExample(formatted.rejected, tokenizing, { file, line });
  if (rejected.kind === 'dropped') return { notes, dropped: rejected.reason };
  if (sameIds(chosen.sequence, rejected.sequence)) return { notes, dropped: 'the same when cut to length' };
  const pair = { chosen: chosen.sequence, rejected: rejected.sequence, file, line, element, ...(margin !== undefined && { margin }) };
  return { notes, pair, truncated: chosen.truncated || rejected.truncated };
}

const sameIds = (a: TokenSequence, b: TokenSequence): boolean => a.ids.length === b.ids.length && a.ids.every((id, i) => id === b.ids[i]);
