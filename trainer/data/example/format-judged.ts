/**
 * A record with one answer and its judgment, as a sample: a prompt and a completion as texts or as lists of messages (TRL), or any
 * other layout with a prompt (LLaMA-Factory), with `label` or `kto_tag`. A record with two answers gives a good and a bad one.
 */
import { DataError, describeValue } from '../data-error.ts';
import { fieldError } from '../read/record-fields.ts';
import type { DataFormat, DataRecord, FormattedExample } from '../types.ts';
import { type FormatSettings, formatExample } from './format-example.ts';
import { chatAnswer, formatPair, isChat, withoutShrinking } from './format-pair.ts';

export interface FormattedJudgment {
  readonly example: FormattedExample;
  readonly isGood: boolean;
}

const LABELS = ['label', 'kto_tag'] as const;

const THUMBS: Readonly<Record<string, boolean>> = { true: true, '1': true, false: false, '0': false };

/** Layouts without a prompt. */
const PROMPTLESS: ReadonlySet<DataFormat> = new Set(['text', 'text_label']);

/**
 * One sample, or those of a good and a bad answer. A long one loses the end of its answer. Of a chat the last answer is judged.
 * @throws DataError (file, line, key) for a sample without prompt, answer or judgment
 */
export function formatJudged(record: DataRecord, settings: FormatSettings): readonly FormattedJudgment[] {
  if (isPair(record)) {
    const { chosen, rejected } = formatPair(record, { ...settings, format: 'preference' });
    return [
      { example: chosen, isGood: true },
      { example: rejected, isGood: false },
    ];
  }
  if (PROMPTLESS.has(settings.format) || settings.format === 'preference') throw noPrompt(record);
  const isGood = judgmentOf(record);
  const hasAnswer = Object.hasOwn(record.value, 'completion');
  const example =
    hasAnswer && isChat(record, 'completion') ? chatAnswer(record, 'completion', settings) : formatExample(record, lastAnswer(settings));
  return [{ example: withoutShrinking(example), isGood }];
}

const lastAnswer = (settings: FormatSettings): FormatSettings => ({
  ...settings,
  completionOnly: true,
  trainedTurns: 'last',
  trainedRoles: undefined,
});

/** The judgments of a record: one, or those of a good and a bad answer. @throws DataError where one is neither yes nor no */
export const judgmentsOf = (record: DataRecord): readonly boolean[] => (isPair(record) ? [true, false] : [judgmentOf(record)]);

const isPair = ({ value }: DataRecord): boolean => Object.hasOwn(value, 'chosen') && Object.hasOwn(value, 'rejected');

const judgmentKey = ({ value }: DataRecord): string => LABELS.find(name => Object.hasOwn(value, name)) ?? LABELS[0];

/** Whether a record with one answer says that it is good or bad. */
export const isJudged = (record: DataRecord): boolean => thumbOf(record.value[judgmentKey(record)]) !== undefined;

/** Columns of a CSV file are texts. */
const thumbOf = (value: unknown): boolean | undefined => THUMBS[String(value).trim().toLowerCase()];

function judgmentOf(record: DataRecord): boolean {
  const key = judgmentKey(record);
  const value = record.value[key];
  const judged = thumbOf(value);
  if (judged !== undefined) return judged;
  throw fieldError(
    record,
    key,
    `${describeValue(value)}, expected true (a good answer) or false (a bad one)`,
    'Give every sample its judgment, or name the column of it: columns: {label: …}',
  );
}

function noPrompt({ file, line }: DataRecord): DataError {
  return new DataError({
    file,
    line,
    problem: 'the sample has no prompt with an answer that was judged',
    advice: 'Write samples as prompt, completion and label (true or false), or name their columns',
  });
}
