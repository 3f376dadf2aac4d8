/** Formats and tokenizes a number of records: the same function for a thread and for the process itself. */
import { chunkSequence } from '../batch/pack-sequences.ts';
import { DataError, type DataProblem } from '../data-error.ts';
import { createEncoder } from '../encoder.ts';
import { type FormatSettings, formatExample } from '../format-example.ts';
import { type TokenizeSettings, type Truncation, tokenizeExample } from '../tokenize-example.ts';
import type { ChatRenderer, DataRecord, TextTokenizer } from '../types.ts';
import { countTargets } from '../types.ts';
import { TARGET_BIT } from './example-store.ts';

/** How records become samples; a value that can be sent to a thread. */
export interface RecordSettings {
  readonly formatting: Omit<FormatSettings, 'chatRenderer'>;
  /** In tokens. */
  readonly maxLength: number;
  readonly truncation: Truncation;
}

/** The samples made of some records, in their order. */
export interface TokenizedRecords {
  /** The tokens of all samples, one after the other, packed. */
  readonly tokens: Int32Array;
  /** [samples] */
  readonly lengths: Int32Array;
  readonly targets: Int32Array;
  /** [samples] the record of each, by its place among those given. */
  readonly records: Int32Array;
  readonly labels: ReadonlyArray<string | undefined>;
  readonly largestId: number;
  /** Records that were cut to length, that were dropped, by reason, and that have a remark. */
  readonly truncated: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly notes: Readonly<Record<string, number>>;
  /** Records that cannot be used. */
  readonly problems: readonly DataProblem[];
}

export type TokenizeRecords = (records: readonly DataRecord[]) => TokenizedRecords;

/** @throws DataError from the function that is returned, for a problem that is of no single record */
export function recordTokenizer(
  { formatting: settings, maxLength, truncation }: RecordSettings,
  { tokenizer, chatRenderer }: { readonly tokenizer: TextTokenizer; readonly chatRenderer?: ChatRenderer | undefined },
): TokenizeRecords {
  const formatting: FormatSettings = { ...settings, chatRenderer };
  const [eosId] = tokenizer.eosIds;
  // A document of plain text stays whole, and is then cut into samples.
  const isDocument = settings.format === 'text';
  const tokenizing: TokenizeSettings = {
    encoder: createEncoder(tokenizer),
    maxLength: isDocument ? Number.POSITIVE_INFINITY : maxLength,
    truncation,
    eosId,
  };
  return records => {
    const made = new MadeSamples();
    for (const [place, record] of records.entries()) {
      const { file, line } = record;
      made.take(() => {
        const formatted = formatExample(record, formatting);
        for (const note of formatted.notes ?? []) made.note(note);
        const result = tokenizeExample(formatted, tokenizing, { file, line });
        if (result.kind === 'dropped') return made.drop(result.reason);
        if (result.truncated) made.truncated++;
        for (const sequence of chunkSequence(result.sequence, maxLength)) made.add(place, sequence, formatted.label);
      });
    }
    return made.end();
  };
}

export class MadeSamples {
  private readonly sequences: Int32Array[] = [];
  private readonly targets: number[] = [];
  private readonly records: number[] = [];
  private readonly labels: Array<string | undefined> = [];
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

  add(record: number, sequence: { readonly ids: Int32Array; readonly train: Uint8Array }, label: string | undefined): void {
    const { ids, train } = sequence;
    const packed = new Int32Array(ids.length);
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      this.largestId = Math.max(this.largestId, id);
      packed[i] = train[i] === 1 ? id | TARGET_BIT : id;
    }
    this.sequences.push(packed);
    this.targets.push(countTargets(sequence));
    this.records.push(record);
    this.labels.push(label);
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
    return { tokens, lengths, targets, records, labels, largestId, truncated, dropped, notes, problems };
  }
}
