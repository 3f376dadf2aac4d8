/** Decides which records become samples. */
import type { DropReason } from '../../example/tokenize-example.ts';
import type { DataRecord } from '../../types.ts';
import type { PlainRecord } from '../plain/plain-record.ts';

/** The decision whether a record becomes a sample, and its label. */
export interface Decision {
  /** The reason why the record becomes no sample. */
  readonly dropped?: DropReason | undefined;
  readonly label?: string | undefined;
}

export interface Decider {
  /** Decides about a record. @throws DataError for a record that cannot be used */
  readonly decide: (record: DataRecord) => Decision;
  /** Decides about a record without parsing it; returns undefined if it must be parsed. Left out if all records must be parsed. */
  readonly decidePlain?: (record: PlainRecord) => Decision | undefined;
}
