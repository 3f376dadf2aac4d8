/**
 * Multiple-choice benchmarks with the wording of lm-evaluation-harness 0.4 (EleutherAI, MIT license; its task files are the source of every
 * prompt). Turns a record into contexts with continuations; the model's answer is the most likely continuation.
 */

import type { BenchmarkName } from '../catalog/benchmarks.ts';
import { isRecord } from '../narrow.ts';
import { DataError, describeValue } from './data-error.ts';
import { fieldError, requiredText } from './read/record-fields.ts';
import type { DataRecord } from './types.ts';

export interface ChoiceQuestion {
  /** A continuation is scored given its context. */
  readonly choices: readonly { readonly context: string; readonly continuation: string; readonly text: string }[];
  readonly answer: number;
}

/** Returns the question of a record. @throws DataError (file, line, key) for a record that lacks what the task needs */
export const choiceQuestion = (task: BenchmarkName, record: DataRecord): ChoiceQuestion => readers[task](record);

const readers: Readonly<Record<BenchmarkName, (record: DataRecord) => ChoiceQuestion>> = {
  arc_challenge: arc,
  arc_easy: arc,
  openbookqa: record => lettered(record, requiredText(record, 'question_stem')),
  boolq: record => {
    const context = `${requiredText(record, 'passage')}\nQuestion: ${requiredText(record, 'question')}?\nAnswer:`;
    return question(record, { context, texts: ['no', 'yes'], answer: Number(record.value.label ?? record.value.answer) });
  },
  rte: record => {
    const context = `${requiredText(record, 'sentence1')}\nQuestion: ${requiredText(record, 'sentence2')} True or False?\nAnswer:`;
    const { label } = record.value;
    const answer = label === 'entailment' ? 0 : label === 'not_entailment' ? 1 : Number(label);
    return question(record, { context, texts: ['True', 'False'], answer });
  },
  hellaswag: record => {
    const scene = `${requiredText(record, 'ctx_a')} ${capitalised(String(record.value.ctx_b ?? ''))}`;
    const context = withoutMarks(`${requiredText(record, 'activity_label')}: ${scene}`);
    const texts = stringList(record, 'endings', record.value.endings).map(withoutMarks);
    return question(record, { context, texts, answer: Number(record.value.label) });
  },
  winogrande: record => {
    const sentence = requiredText(record, 'sentence');
    const at = sentence.indexOf('_');
    if (at < 0) throw fieldError(record, 'sentence', 'no "_" to fill in', 'Use the sentences of WinoGrande');
    const texts = [requiredText(record, 'option1'), requiredText(record, 'option2')];
    const continuation = ` ${sentence.slice(at + 1).trim()}`;
    const choices = texts.map(text => ({ context: sentence.slice(0, at) + text, continuation, text }));
    return { choices, answer: checkedAnswer(record, 'answer', Number(record.value.answer) - 1, 2) };
  },
  multiple_choice: record => {
    const texts = stringList(record, 'choices', record.value.choices);
    const { answer } = record.value;
    const place = typeof answer === 'string' && texts.includes(answer) ? texts.indexOf(answer) : Number(answer);
    return question(record, { context: requiredText(record, 'question'), texts, answer: place });
  },
};

function arc(record: DataRecord): ChoiceQuestion {
  return lettered(record, `Question: ${requiredText(record, 'question')}\nAnswer:`);
}

/** Reads `choices: {text: […], label: […]}` and `answerKey`. */
function lettered(record: DataRecord, context: string): ChoiceQuestion {
  const { text, label } = isRecord(record.value.choices) ? record.value.choices : {};
  const texts = stringList(record, 'choices.text', text);
  const labels = stringList(record, 'choices.label', label);
  return question(record, { context, texts, answer: labels.indexOf(String(record.value.answerKey ?? '').trim()), key: 'answerKey' });
}

interface Parts {
  readonly context: string;
  readonly texts: readonly string[];
  readonly answer: number;
  readonly key?: string;
}

function question(record: DataRecord, { context, texts, answer, key = 'label' }: Parts): ChoiceQuestion {
  return {
    choices: texts.map(text => ({ context, continuation: ` ${text}`, text })),
    answer: checkedAnswer(record, key, answer, texts.length),
  };
}

function checkedAnswer(record: DataRecord, key: string, answer: number, choices: number): number {
  if (Number.isInteger(answer) && answer >= 0 && answer < choices) return answer;
  throw fieldError(record, key, `no answer among the ${choices} choices`, 'Take the validation part: test parts hide their answers');
}

function stringList(record: DataRecord, key: string, value: unknown): string[] {
  if (Array.isArray(value) && value.length > 0 && value.every(text => typeof text === 'string')) return value;
  throw new DataError({
    file: record.file,
    line: record.line,
    key,
    problem: `${describeValue(value)}, expected a list of texts`,
    advice: 'Use the files of the benchmark',
  });
}

/** The text without WikiHow's marks, as the harness removes them. */
const withoutMarks = (text: string): string =>
  text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');

const capitalised = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1).toLowerCase();
