/**
 * Turns a record with one answer and its judgment (`label` or `kto_tag`) into a sample. Prompt and completion are texts or lists of
 * messages (TRL), or any other layout with a prompt (LLaMA-Factory). A record with two answers becomes a good and a bad sample.
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
 * One sample, or a good and a bad one. A sample that is too long loses the end of its answer. In a chat, the last answer is judged.
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

/** The judgments of a record: one, or true and false for a good and a bad answer. @throws DataError if a judgment is not a yes or no */
export const judgmentsOf = (record: DataRecord): readonly boolean[] => (isPair(record) ? [true, false] : [judgmentOf(record)]);

const isPair = ({ value }: DataRecord): boolean => Object.hasOwn(value, 'chosen') && Object.hasOwn(value, 'rejected');

const judgmentKey = ({ value }: DataRecord): string => LABELS.find(name => Object.hasOwn(value, name)) ?? LABELS[0];

/** True if a record with one answer has a judgment. */
export const isJudged = (record: DataRecord): boolean => thumbOf(record.value[judgmentKey(record)]) !== undefined;

/** Values in CSV files are strings. */
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
