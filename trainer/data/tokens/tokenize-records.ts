/** Formats and tokenizes records, in a thread or in the process itself. */
import { chunkSequence } from '../batch/pack-sequences.ts';
import { DataError, type DataProblem } from '../data-error.ts';
import { createEncoder } from '../example/encoder.ts';
import { type FormatSettings, formatExample } from '../example/format-example.ts';
import { type DropReason, type TokenizeSettings, type Truncation, tokenizeExample } from '../example/tokenize-example.ts';
import type { ChatRenderer, DataRecord, TextTokenizer, TokenSequence } from '../types.ts';
import { countTargets } from '../types.ts';
import type { ImageReading } from '../vision/sample-image.ts';
import { hasUnreadImages, UNREAD_IMAGES, withWholeImages } from '../vision/whole-images.ts';
import { ANSWER_BIT, TARGET_BIT, weightBits } from './example-store.ts';

/** Settings for turning records into samples; can be sent to a thread. */
export interface RecordSettings {
  readonly formatting: Omit<FormatSettings, 'chatRenderer'>;
  /** Maximum length in tokens. */
  readonly maxLength: number;
  readonly truncation: Truncation;
}

/** The samples made from some records, in order. */
export interface TokenizedRecords {
  /** The packed tokens of all samples, one after the other. */
  readonly tokens: Int32Array;
  /** [samples] the length of each sample in tokens. */
  readonly lengths: Int32Array;
  readonly targets: Int32Array;
  /** [samples] index of the sample's record among the given records. */
  readonly records: Int32Array;
  readonly labels: ReadonlyArray<string | undefined>;
  /** [samples] the images of each sample; left out if no sample has any. */
  readonly images?: ReadonlyArray<TokenSequence['images']> | undefined;
  readonly largestId: number;
  /** Number of records that were cut to length; `dropped` and `notes` count records by reason and by remark. */
  readonly truncated: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly notes: Readonly<Record<string, number>>;
  /** Records that cannot be used. */
  readonly problems: readonly DataProblem[];
}

export type TokenizeRecords = (records: readonly DataRecord[]) => TokenizedRecords;

/** The samples made from one record. */
export interface MadeOfRecord {
  /** One sequence; several for a long document; none if the record is dropped. */
  readonly sequences: readonly TokenSequence[];
  readonly dropped?: DropReason;
  readonly truncated: boolean;
  readonly label?: string;
  readonly notes: readonly string[];
}

/** The tools that turn text into tokens. */
export interface TextTools {
  readonly tokenizer: TextTokenizer;
  readonly chatRenderer?: ChatRenderer | undefined;
  /** Present if records have their images. */
  readonly images?: Pick<ImageReading, 'imageToken'> | undefined;
}

/** Returns a function that makes the samples of a record. @throws DataError from that function */
export function sampleTokenizer(
  { formatting: settings, maxLength, truncation }: RecordSettings,
  { tokenizer, chatRenderer, images }: TextTools,
): (record: DataRecord) => MadeOfRecord {
  const formatting: FormatSettings = { ...settings, chatRenderer };
  // Nothing is kept after the last target, so an end token that is not trained is not written.
  const [eosId] = settings.contextParts?.includes('end_of_turn') ? [] : tokenizer.eosIds;
  // A document of plain text is tokenized whole and then cut into samples.
  const isDocument = settings.format === 'text';
  const tokenizing: TokenizeSettings = {
    encoder: createEncoder(tokenizer),
    maxLength: isDocument ? Number.POSITIVE_INFINITY : maxLength,
    truncation,
    eosId,
  };
  return record => {
    const { file, line } = record;
    const { label, notes: own = [], ...formatted } = formatExample(record, formatting);
    const notes = hasUnreadImages(record) ? [...own, UNREAD_IMAGES] : own;
    const result = withWholeImages(tokenizeExample(formatted, tokenizing, { file, line }), record, images);
    if (result.kind === 'dropped') return { sequences: [], dropped: result.reason, truncated: false, label, notes };
    const found = [...notes, ...(result.notes ?? [])];
    const sequences = result.sequence.images ? [result.sequence] : chunkSequence(result.sequence, maxLength);
    return { sequences, truncated: result.truncated, label, notes: found };
  };
}

/**
 * Returns a function that tokenizes records.
 * @throws DataError from that function, for a problem that does not belong to a single record
 */
export function recordTokenizer(settings: RecordSettings, tools: TextTools): TokenizeRecords {
  const tokenize = sampleTokenizer(settings, tools);
  return records => {
    const made = new MadeSamples();
    for (const [place, record] of records.entries())
      made.take(() => {
        const { sequences, dropped, truncated, label, notes } = tokenize(record);
        for (const note of notes) made.note(note);
        if (dropped !== undefined) return made.drop(dropped);
        if (truncated) made.truncated++;
        for (const sequence of sequences) made.add(place, sequence, label);
      });
    return made.end();
  };
}

export class MadeSamples {
  private readonly sequences: Int32Array[] = [];
  private readonly targets: number[] = [];
  private readonly records: number[] = [];
  private readonly labels: Array<string | undefined> = [];
  private readonly images: Array<TokenSequence['images']> = [];
  private readonly dropped: Record<string, number> = {};
  private readonly notes: Record<string, number> = {};
  private readonly problems: DataProblem[] = [];
  private largestId = 0;
  truncated = 0;

  take(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof DataError) || error.place.line === undefined) throw error;
      this.problems.push({ ...error.place, problem: error.problem, advice: error.advice });
    }
  }

  note(note: string): void {
    this.notes[note] = (this.notes[note] ?? 0) + 1;
  }

  drop(reason: string): void {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + 1;
  }

  add(record: number, sequence: TokenSequence, label: string | undefined): void {
    const { ids, train, weights, answers = [] } = sequence;
    const packed = new Int32Array(ids.length);
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      this.largestId = Math.max(this.largestId, id);
      packed[i] = train[i] === 1 ? id | TARGET_BIT | weightBits(weights?.[i]) : id;
    }
    for (const at of answers) packed[at] = (packed[at] ?? 0) | ANSWER_BIT;
    this.sequences.push(packed);
    this.targets.push(countTargets(sequence));
    this.records.push(record);
    this.labels.push(label);
    this.images.push(sequence.images);
  }

  end(): TokenizedRecords {
    const lengths = Int32Array.from(this.sequences, ({ length }) => length);
    const tokens = new Int32Array(lengths.reduce((sum, length) => sum + length, 0));
    let at = 0;
    for (const sequence of this.sequences) {
      tokens.set(sequence, at);
      at += sequence.length;
    }
    const { labels, largestId, truncated, dropped, notes, problems } = this;
    const [targets, records] = [Int32Array.from(this.targets), Int32Array.from(this.records)];
    const images = this.images.some(own => own !== undefined) ? this.images : undefined;
    return { ...(images && { images }), tokens, lengths, targets, records, labels, largestId, truncated, dropped, notes, problems };
  }
}
