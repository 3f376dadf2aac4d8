/** Checks the texts of classifiers, each of which is a sample, and finds their labels. */
import { type LabeledColumns, labeledRecord } from '../load/load-labeled.ts';
import type { Decide } from './scan-segment.ts';

/** The form of the texts; a value that can be sent to a thread. */
export interface LabeledForm {
  readonly columns: LabeledColumns;
  /** A number is predicted, not a class. */
  readonly regression: boolean;
  /** The permitted names; empty permits any. */
  readonly labels: readonly string[];
}

/** @throws DataError from the function that is returned, for a malformed record */
export const labeledDecider =
  ({ columns, regression, labels }: LabeledForm): Decide =>
  record => {
    const { label } = labeledRecord(record, columns, { regression, labels });
    return regression ? {} : { label };
  };
