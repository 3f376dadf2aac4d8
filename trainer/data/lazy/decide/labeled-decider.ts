/** Checks the records of classifiers, each of which is a sample, and finds their labels. */
import { type LabeledColumns, type LabeledRecord, labeledRecord } from '../../load/load-labeled.ts';
import type { DataRecord } from '../../types.ts';
import type { PlainRecord } from '../plain/plain-record.ts';
import { beginsText, orParsed, valueIn } from '../plain/plain-values.ts';
import type { Decider, Decision } from './decider.ts';

/** The form of the texts; can be sent to a thread. */
export interface LabeledForm {
  readonly columns: LabeledColumns;
  /** Whether the target is a number, not a class. */
  readonly regression: boolean;
  /** Whether a sample is a query with a document. */
  readonly ranks?: boolean | undefined;
  /** Whether a sample has any number of labels. */
  readonly multiple?: boolean | undefined;
  /** The permitted label names; an empty list permits any. */
  readonly labels: readonly string[];
}

/** The label of a text that is stored: its class, or all its labels as one name; undefined for a number. */
const labelOf = ({ label, names }: LabeledRecord, { regression }: LabeledForm): string | undefined =>
  names ? JSON.stringify(names) : regression ? undefined : label;

/** The labels that `labeledDecider` combined into one name. */
export function labelsIn(name: string): readonly string[] {
  const found: unknown = JSON.parse(name);
  return Array.isArray(found) ? found.map(String) : [];
}

/** Stands for any text. */
const PLACEHOLDER = 'text';

/** @throws DataError from the decider, for a malformed record */
export function labeledDecider(form: LabeledForm): Decider {
  const { first, second, label, flags = [] } = form.columns;
  const texts = second === undefined ? [first] : [first, second];
  const others = [label, ...flags];
  const decide = (record: DataRecord): Decision => ({ label: labelOf(labeledRecord(record, form.columns, form), form) });
  const decidePlain = (record: PlainRecord): Decision | undefined => {
    if (!texts.every(name => beginsText(record, name))) return undefined;
    const value: Record<string, unknown> = {};
    for (const name of texts) value[name] = PLACEHOLDER;
    for (const name of others) value[name] = valueIn(record, name);
    return orParsed(() => decide({ file: '', line: 1, value }));
  };
  return { decide, decidePlain };
}
