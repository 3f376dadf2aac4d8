/** Loads files as tokenized samples of one or several answers, with a report. */
import { DataProblems } from '../data-error.ts';
import { drawStream } from '../draw.ts';
import { createEncoder } from '../example/encoder.ts';
import { checkMaxLength } from '../example/max-length.ts';
import type { TokenizeSettings } from '../example/tokenize-example.ts';
import { listDataFiles } from '../read/list-files.ts';
import { type DataReport, summarizeExamples } from '../shown/data-report.ts';
import type { DataFormat, DataRecord, Example } from '../types.ts';
import { withOpenedImages } from '../vision/opened-images.ts';
import { hasUnreadImages, UNREAD_IMAGES } from '../vision/whole-images.ts';
import { type LoadDatasetInput, nothingLeft, tooManyTokens } from './load-dataset.ts';
import { openRecords } from './open-records.ts';

/** Maximum number of tokens: at five bytes each, 2 GB of memory. */
const MAX_ANSWER_TOKENS = 400_000_000;

/** The samples of one record. */
export interface MadeSamples<Sample> {
  readonly notes: readonly string[];
  /** The reason why the record is dropped. */
  readonly dropped?: string;
  readonly samples: readonly Sample[];
  readonly truncated?: boolean;
}

export interface AnswerLoader<Sample> {
  /** Returns a function that makes the samples of a record. @throws DataError from that function */
  readonly tokenizer: (record: DataRecord, format: DataFormat) => MadeSamples<Sample>;
  /** The answers of a sample, with the properties that the report counts. */
  readonly examplesOf: (sample: Sample) => readonly Example[];
  /** The format that the report names. */
  readonly format: (detected: DataFormat) => DataFormat;
}

export interface LoadedAnswers<Sample> {
  /** The samples, in the order of the files. All answers fit `maxLength`. */
  readonly samples: readonly Sample[];
  readonly report: DataReport;
}

/**
 * Loads the samples.
 * @throws DataError (file, line and key if known) for anything malformed, for `maxLength` above `maxPositions`, and if no sample is left
 */
export async function loadAnswers<Sample>(
  { paths, settings, maxLength, maxPositions, images }: Omit<LoadDatasetInput, 'large'>,
  { tokenizer, examplesOf, format }: AnswerLoader<Sample>,
): Promise<LoadedAnswers<Sample>> {
  checkMaxLength(maxLength, maxPositions);
  const files = await listDataFiles(paths);
  const problems = new DataProblems();
  const { records, detected } = await openRecords(files, { ...settings, bytes: images !== undefined }, problems);
  const samples: Sample[] = [];
  const dropped: Record<string, number> = {};
  const notes: Record<string, number> = {};
  let [read, truncated, tokens] = [0, 0, 0];
  let drawnFrom: number | undefined;
  const { maxSamples: count, seed } = settings;
  const drawn = drawStream(records, { count, seed }, seen => (drawnFrom = seen));
  for await (const record of images ? withOpenedImages(drawn, { format: detected.format, images, problems }) : drawn) {
    read++;
    const made = problems.take(() => tokenizer(record, detected.format));
    if (made === undefined) continue;
    for (const note of [...made.notes, ...(hasUnreadImages(record) ? [UNREAD_IMAGES] : [])]) notes[note] = (notes[note] ?? 0) + 1;
    if (made.dropped !== undefined) dropped[made.dropped] = (dropped[made.dropped] ?? 0) + 1;
    if (made.truncated === true) truncated++;
    for (const sample of made.samples) {
      tokens += examplesOf(sample).reduce((sum, { ids }) => sum + ids.length, 0);
      if (tokens > MAX_ANSWER_TOKENS) throw tooManyTokens(record, MAX_ANSWER_TOKENS);
      samples.push(sample);
    }
  }
  problems.end();
  if (samples.length === 0) throw nothingLeft(dropped, maxLength);
  return {
    samples,
    report: {
      format: format(detected.format),
      formatReason: detected.reason,
      files: files.length,
      read,
      drawnFrom,
      dropped,
      truncated,
      ...(Object.keys(notes).length > 0 && { notes }),
      ...summarizeExamples(samples.flatMap(examplesOf)),
      kept: samples.length,
    },
  };
}

/**
 * Returns a function that tokenizes an answer. An answer that is too long is cut according to the settings. The end token is appended if no
 * template ends the answer.
 */
export function answerTokenizing({
  settings,
  tokenizer,
  maxLength,
}: Pick<LoadDatasetInput, 'settings' | 'tokenizer' | 'maxLength'>): TokenizeSettings {
  const [eosId] = tokenizer.eosIds;
  return { encoder: createEncoder(tokenizer), maxLength, truncation: settings.truncation, eosId };
}
