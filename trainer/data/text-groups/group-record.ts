/** Reads the texts of one sample as an embedding loss compares them. */
import { describeValue } from '../data-error.ts';
import { fieldError, requiredText } from '../read/record-fields.ts';
import type { DataRecord } from '../types.ts';
import type { GroupColumns } from './group-columns.ts';
import type { GroupForm } from './group-form.ts';

export interface GroupTexts {
  /** The anchor, the positive, and the hard negatives. */
  readonly texts: readonly string[];
  /** The score from −1 to 1; 0 without scores. */
  readonly score: number;
}

/** The column name that implies a matching pair; other names do not imply it. */
const POSITIVE = 'positive';

/** Reads a sample. @throws DataError (file, line, key) */
export function groupRecord(record: DataRecord, columns: GroupColumns, { negatives, maxScore }: GroupForm): GroupTexts {
  const { anchor, positive, score } = columns;
  const first = requiredText(record, anchor);
  const second = requiredText(record, positive);
  if (maxScore !== undefined) return { texts: [first, second], score: requiredScore(record, score, maxScore) };
  if (score !== undefined && positive !== POSITIVE)
    throw fieldError(
      record,
      score,
      'a score, but the loss takes every pair for texts that belong together',
      `Set embedding: loss_type: cosine, or keep the pairs that belong together and name them: data: columns: {anchor: ${anchor}, positive: ${positive}}`,
    );
  const found = negativesOf(record, columns);
  if (found.length < negatives)
    throw fieldError(
      record,
      columns.negatives[0] ?? 'negative',
      `${found.length} hard ${found.length === 1 ? 'negative' : 'negatives'}, expected ${negatives}`,
      'Give every sample as many (negative, negative_1, negative_2 …), or set embedding: negatives',
    );
  const used = found.slice(0, negatives);
  if (used.includes(second))
    throw fieldError(record, columns.negatives[0] ?? 'negative', 'the same text as the positive', 'Remove the sample, or one of the two');
  return { texts: [first, second, ...used], score: 0 };
}

function negativesOf(record: DataRecord, { negatives }: GroupColumns): readonly string[] {
  return negatives.flatMap(key => {
    const value = record.value[key];
    if (!Array.isArray(value)) return [requiredText(record, key)];
    return value.map(text => requiredText({ ...record, value: { [key]: text } }, key));
  });
}

/** A number within ±`maxScore`, scaled to the range of a cosine. */
function requiredScore(record: DataRecord, key: string | undefined, maxScore: number): number {
  const value = key === undefined ? undefined : record.value[key];
  const number =
    typeof value === 'string' && value.trim() !== '' ? Number(value) : Number(typeof value === 'boolean' ? value : (value ?? Number.NaN));
  if (
    key === undefined ||
    (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') ||
    !Number.isFinite(number)
  )
    throw fieldError(
      record,
      key ?? 'score',
      `${describeValue(value)}, expected a number`,
      'Give every sample a score, or set embedding: loss_type: multiple_negatives for pairs without scores',
    );
  if (Math.abs(number) > maxScore)
    throw fieldError(
      record,
      key,
      `the score ${number}, expected at most ${maxScore}: it is compared with a cosine`,
      'Set embedding: max_score to the highest score of the data (5 for STS-B)',
    );
  return number / maxScore;
}
