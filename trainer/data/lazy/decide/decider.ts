/** Whether a record becomes a sample. */
import type { DropReason } from '../../example/tokenize-example.ts';
import type { DataRecord } from '../../types.ts';
import type { PlainRecord } from '../plain/plain-record.ts';

/** Whether a record becomes a sample, and its label. */
export interface Decision {
  /** Why it becomes no sample. */
  readonly dropped?: DropReason | undefined;
  readonly label?: string | undefined;
}

export interface Decider {
  /** @throws DataError for a record that cannot be used */
  readonly decide: (record: DataRecord) => Decision;
  /** The same, of a record that is not parsed; undefined where it has to be. Left out where all have to be. */
  readonly decidePlain?: (record: PlainRecord) => Decision | undefined;
}
