/** Shows samples of language models as training reads them, with the same reader, tokens and targets. */
import type { ShownSide } from '../../protocol/view/data.ts';
import { drawStream } from '../draw.ts';
import { checkMaxLength } from '../example/max-length.ts';
import type { Truncation } from '../example/tokenize-example.ts';
import type { MadeSamples } from '../load/load-answers.ts';
import { type LoadDatasetInput, openForTokenizing } from '../load/load-dataset.ts';
import { openRecords } from '../load/open-records.ts';
import { listDataFiles } from '../read/list-files.ts';
import { sampleTokenizer } from '../tokens/tokenize-records.ts';
import { type DataFormat, type DataRecord, type TokenSequence, WEIGHT_STEPS } from '../types.ts';
import { withOpenedImages } from '../vision/opened-images.ts';
import { sampleImages } from './sample-pictures.ts';
import { type SampleToShow, ShownProblems, samplesToShow } from './shown-sample.ts';
import { MORE_TOKENS, shownSequence } from './shown-sequence.ts';

export type ShowTextsInput = Omit<LoadDatasetInput, 'onProgress' | 'large'> & {
  readonly onFormat?: (format: DataFormat, reason: string) => void;
};

/** @throws DataError if there is no sample, or the first one has no known format */
export async function* showTexts(input: ShowTextsInput): AsyncGenerator<SampleToShow> {
  checkMaxLength(input.maxLength, input.maxPositions);
  const { settings, maxLength, tokenizer, images } = input;
  const files = await listDataFiles(input.paths);
  const problems = new ShownProblems();
  const { records, detected, recordSettings } = await openForTokenizing({ files, settings, maxLength, images, isShown: true }, problems);
  input.onFormat?.(detected.format, detected.reason);
  const make = sampleTokenizer(recordSettings, input);
  const makeWhole = sampleTokenizer({ ...recordSettings, truncation: 'end', maxLength: maxLength + MORE_TOKENS }, input);
  const drawn = drawStream(records, drawOf(settings));
  const shownRecords = images ? withOpenedImages(drawn, { format: detected.format, images, problems }) : drawn;
  yield* samplesToShow(shownRecords, problems, {
    placeOf: record => record,
    show: async record => {
      const { sequences, dropped, truncated, label, notes } = make(record);
      const [whole] = truncated || dropped !== undefined ? makeWhole(record).sequences : [];
      const shown = sequences.map(sequence => shownTokens(sequence, { tokenizer, whole, most: maxLength + MORE_TOKENS }));
      // If nothing remains of a sample, show the whole of it as cut.
      const lost = dropped !== undefined && whole ? [shownTokens(NOTHING, { tokenizer, whole, most: maxLength + MORE_TOKENS })] : [];
      return {
        sequences: [...shown, ...lost],
        reason: dropped && DROPPED[dropped],
        labels: label === undefined ? undefined : [label],
        notes,
        ...(record.images && { images: await sampleImages(record.images, images?.folder) }),
      };
    },
  });
}

/** One answer of a sample, with its side. */
interface ShownAnswer {
  readonly side: ShownSide;
  readonly sequence: TokenSequence;
}

/** The maximum length of answers, and how they are cut. */
export interface AnswerCut extends Pick<ShowTextsInput, 'maxLength'> {
  readonly truncation: Truncation;
}

export interface ShowAnswers<Sample> {
  /** Returns a function that makes the samples of a record. @throws DataError from that function */
  readonly tokenizer: (cut: AnswerCut) => (record: DataRecord, format: DataFormat) => MadeSamples<Sample>;
  readonly answersOf: (sample: Sample) => readonly ShownAnswer[];
  readonly format: (detected: DataFormat) => DataFormat;
}

/** @throws DataError as {@link showTexts} */
export async function* showAnswers<Sample>(input: ShowTextsInput, how: ShowAnswers<Sample>): AsyncGenerator<SampleToShow> {
  checkMaxLength(input.maxLength, input.maxPositions);
  const { settings, maxLength, tokenizer, images } = input;
  const files = await listDataFiles(input.paths);
  const problems = new ShownProblems();
  const { records, detected } = await openRecords(files, { ...settings, bytes: images !== undefined }, problems);
  input.onFormat?.(how.format(detected.format), detected.reason);
  const most = maxLength + MORE_TOKENS;
  const make = how.tokenizer({ maxLength, truncation: settings.truncation });
  const makeWhole = how.tokenizer({ maxLength: most, truncation: 'end' });
  const drawn = drawStream(records, drawOf(settings));
  yield* samplesToShow(images ? withOpenedImages(drawn, { format: detected.format, images, problems }) : drawn, problems, {
    placeOf: record => record,
    show: async record => {
      const { samples, dropped, truncated, notes } = make(record, detected.format);
      const kept = samples.flatMap(how.answersOf);
      const whole = truncated || dropped !== undefined ? makeWhole(record, detected.format).samples.flatMap(how.answersOf) : [];
      const sequences = (kept.length > 0 ? kept : whole).map(({ side }, i) =>
        shownTokens(kept[i]?.sequence ?? NOTHING, { tokenizer, whole: whole[i]?.sequence, most, side }),
      );
      const pictures = record.images && { images: await sampleImages(record.images, images?.folder) };
      return { sequences, reason: dropped && (DROPPED[dropped] ?? dropped), notes, ...pictures };
    },
  });
}

const NOTHING: TokenSequence = { ids: new Int32Array(0), train: new Uint8Array(0) };

const DROPPED: Readonly<Record<string, string>> = {
  no_target: 'It has nothing to learn: no answer, or none that is trained.',
  cut_off: 'Cut to max_length, it has nothing left to learn.',
  cut_image: 'Cut to max_length, it would end within an image: raise max_length, or make the image smaller.',
};

const drawOf = ({ maxSamples: count, seed }: ShowTextsInput['settings']) => ({ count, seed });

interface ShowSettings extends Pick<ShowTextsInput, 'tokenizer'> {
  /** The sequence including the tokens that were cut off, up to `most`. */
  readonly whole?: TokenSequence | undefined;
  readonly most: number;
  readonly side?: ShownSide;
}

const shownTokens = ({ ids, train, weights }: TokenSequence, { tokenizer, whole, most, side }: ShowSettings) =>
  shownSequence(
    {
      ids,
      trains: index => train[index] === 1,
      weights: weights && Array.from(weights, weight => Math.round(weight * WEIGHT_STEPS) / WEIGHT_STEPS),
      side,
      ...(whole && { whole: [{ kept: ids.length, ids: whole.ids }], cutsMore: whole.ids.length >= most }),
    },
    tokenizer,
  );
