/** Tests the pieces that each format produces, how it is detected, and the error for a sample that does not fit. */
import { describe, expect, it } from 'vitest';
import { checkSameFormat, detectFormat, renameColumns } from '../../../trainer/data/detect-format.ts';
import type { FormatSettings } from '../../../trainer/data/example/format-example.ts';
import { formatExample } from '../../../trainer/data/example/format-example.ts';
import type { ChatRenderer, DataFormat, DataRecord, FormattedExample } from '../../../trainer/data/types.ts';
import { renderTurns } from './character-tokenizer.ts';

const base: Omit<FormatSettings, 'format'> = {
  promptTemplate: '{text}\n\n({labels}) Label:',
  labels: [],
  shownLabels: ['ham', 'spam'],
  chat: 'auto',
  completionOnly: true,
  trainedTurns: 'all',
};
const record = (value: Record<string, unknown>): DataRecord => ({ file: 'data.jsonl', line: 7, value });
const format = (name: DataFormat, value: Record<string, unknown>, settings: Partial<FormatSettings> = {}) =>
  formatExample(record(value), { ...base, format: name, ...settings });
/** Marks the trained text with brackets, and text that may be shortened with braces. */
const marked = ({ pieces }: FormattedExample) =>
  pieces.map(({ text, train, shrink }) => (train ? `⟦${text}⟧` : shrink ? `{${text}}` : text)).join('');

describe('formats without a chat template', () => {
  it('alpaca with and without input', () => {
    expect(marked(format('alpaca', { instruction: 'Add', input: '1 2', output: '3' }))).toBe(
      'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd\n\n### Input:\n{1 2}\n\n### Response:\n⟦3⟧',
    );
    expect(marked(format('alpaca', { instruction: 'Hi', input: null, output: 'Ho' }))).toBe(
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nHi\n\n### Response:\n⟦Ho⟧',
    );
  });

  it('prompt and completion, text, text and label', () => {
    expect(marked(format('prompt_completion', { prompt: 'a', completion: 'b' }))).toBe('{a}⟦b⟧');
    expect(marked(format('text', { text: 'a' }))).toBe('⟦a⟧');
    expect(marked(format('text_label', { text: '$& a', label: 'spam' }))).toBe('{$& a}\n\n(ham, spam) Label:⟦ spam⟧');
    expect(marked(format('prompt_completion', { prompt: 'a', completion: 'b' }, { completionOnly: false }))).toBe('⟦a⟧⟦b⟧');
  });

  it('labels by id and by name', () => {
    const labels = ['ham', 'spam'];
    expect(format('text_label', { text: 'a', label: 1 }, { labels }).label).toBe('spam');
    expect(format('text_label', { text: 'a', label: '0' }, { labels }).label).toBe('ham');
    expect(format('text_label', { text: 'a', label: 4 }).label).toBe('4');
  });
});

describe('chats', () => {
  const turns = [
    { role: 'system', content: 'S' },
    { role: 'user', content: 'A' },
    { role: 'assistant', content: 'B' },
    { role: 'user', content: 'C' },
    { role: 'assistant', content: 'D' },
  ];
  const expected = '<turn>system:S<eos>\n<turn>user:A<eos>\n<turn>assistant:⟦B<eos>⟧\n<turn>user:C<eos>\n<turn>assistant:⟦D<eos>⟧\n';

  it('trains each answer with its end token and nothing else', () => {
    expect(marked(format('messages', { messages: turns }, { chatRenderer: renderTurns }))).toBe(expected);
    const conversations = [
      { from: 'human', value: 'A' },
      { from: 'gpt', value: 'B' },
      { from: 'human', value: 'C' },
      { from: 'gpt', value: 'D' },
    ];
    expect(marked(format('sharegpt', { system: 'S', conversations }, { chatRenderer: renderTurns }))).toBe(expected);
  });

  it('wraps text_label as a user turn where the model has a template, and leaves prompt_completion alone', () => {
    expect(marked(format('text_label', { text: 'mail', label: 'ham' }, { chatRenderer: renderTurns }))).toBe(
      '<turn>user:{mail}\n\n(ham, spam) Label:<eos>\n<turn>assistant:⟦ham<eos>⟧\n',
    );
    const plain = format('text_label', { text: 'mail', label: 'ham' }, { chatRenderer: renderTurns, chat: false });
    expect(marked(plain)).toBe('{mail}\n\n(ham, spam) Label:⟦ ham⟧');
    expect(marked(format('prompt_completion', { prompt: 'a', completion: 'b' }, { chatRenderer: renderTurns }))).toBe('{a}⟦b⟧');
  });

  it('refuses a template that rewrites earlier turns', () => {
    const chatRenderer: ChatRenderer = {
      ...renderTurns,
      render: ({ messages }) => ({ text: messages.map(({ content }) => content).join(`${messages.length}`), generated: [] }),
    };
    expect(() => format('messages', { messages: turns }, { chatRenderer })).toThrow('data.jsonl:7: the answer of turn 3 cannot be found');
  });
});

describe('samples that do not fit', () => {
  const chat = { chatRenderer: renderTurns };
  it.each<[DataFormat, Record<string, unknown>, string]>([
    ['text', { text: '  ' }, 'data.jsonl:7: key "text": empty text.'],
    ['text', { text: 3 }, 'data.jsonl:7: key "text": a number, expected a string'],
    ['alpaca', { instruction: 'a' }, 'data.jsonl:7: key "output": nothing, expected a string'],
    ['alpaca', { instruction: 'a', input: [], output: 'b' }, 'data.jsonl:7: key "input": a list, expected a string'],
    ['text_label', { text: 'a', label: 0.5 }, 'data.jsonl:7: key "label": the number 0.5, expected a label'],
    ['messages', { messages: 'a' }, 'data.jsonl:7: key "messages": a string, expected a list'],
    ['messages', { messages: [] }, 'data.jsonl:7: key "messages": no turns'],
    ['messages', { messages: [{ role: 'boss', content: 'a' }] }, 'data.jsonl:7: key "messages[0].role": the unknown role "boss"'],
    ['messages', { messages: [{ role: 'user' }] }, 'data.jsonl:7: key "messages[0].content": nothing'],
    ['sharegpt', { conversations: [{ from: 'gpt', value: '' }] }, 'data.jsonl:7: key "conversations[0].value": an empty answer'],
  ])('%s %#', (name, value, message) => {
    expect(() => format(name, value, chat)).toThrow(message);
  });

  it('unknown labels, and chats without a template, are refused', () => {
    expect(() => format('text_label', { text: 'a', label: 2 }, { labels: ['x', 'y'] })).toThrow(
      'key "label": label 2, but labels names only 0 to 1',
    );
    expect(() => format('text_label', { text: 'a', label: 'z' }, { labels: ['x', 'y'] })).toThrow('the label "z", expected one of x, y');
    expect(() => format('messages', { messages: [{ role: 'user', content: 'a' }] })).toThrow('the model has no chat template');
  });

  it('a number that is both a label and an index is taken as the label', () => {
    // Stars from 1 to 5, stored from 0: name 1 and index 0 both mean the first.
    const stars = ['1', '2', '3', '4', '5'];
    expect(format('text_label', { text: 'a', label: 1 }, { labels: stars }).label).toBe('1');
    expect(() => format('text_label', { text: 'a', label: 0 }, { labels: stars })).toThrow(
      'data.jsonl:7: key "label": the label 0, expected one of 1, 2, 3, 4, 5',
    );
    // A label without training samples is not in the set's labels.
    expect(() => format('text_label', { text: 'a', label: '3' }, { labels: ['1', '2', '4', '5'] })).toThrow(
      'the label 3, expected one of 1, 2, 4, 5',
    );
  });
});

describe('detection', () => {
  it.each<[DataFormat, string[]]>([
    ['alpaca', ['instruction', 'input', 'output', 'text']],
    ['messages', ['messages', 'prompt']],
    ['sharegpt', ['conversations']],
    ['prompt_completion', ['prompt', 'completion']],
    ['text', ['text', 'id']],
    ['text_label', ['text', 'label']],
  ])('%s', (name, keys) => {
    expect(detectFormat(record(Object.fromEntries(keys.map(key => [key, 'x'])))).format).toBe(name);
  });

  it('explains the detected format by its keys, and names unknown ones', () => {
    expect(detectFormat(record({ text: 'a', label: 1 })).reason).toBe('the samples have the keys "text" and "label"');
    expect(() => detectFormat(record({ body: 'a' }))).toThrow(
      'data.jsonl:7: the keys "body", expected those of one of: preference (chosen, rejected); messages (messages)',
    );
  });

  it('suggests columns: questions with answers as such, others as texts', () => {
    expect(() => detectFormat(record({ id: 1, Question: 'a', Answer: 'b' }))).toThrow('columns: {instruction: Question, output: Answer}');
    expect(() => detectFormat(record({ body: 'a', answers: 'b' }))).toThrow('columns: {text: body}');
  });

  it('renames columns, swaps them, and suggests the name that was meant', () => {
    expect(renameColumns(record({ body: 'a', kind: 1 }), { text: 'body', label: 'kind' }).value).toEqual({ text: 'a', label: 1 });
    expect(renameColumns(record({ text: 1, label: 'a' }), { text: 'label', label: 'text' }).value).toEqual({ text: 'a', label: 1 });
    expect(() => renameColumns(record({ body: 'a' }), { text: 'boddy' })).toThrow('key "boddy": no such column; did you mean "body"?');
    expect(() => renameColumns(record({ question: 'a', answer: 'b' }), { text: 'body' })).toThrow(
      'key "body": no such column; the sample has "question" and "answer". Correct columns: {text: body} in the recipe, or take',
    );
  });

  it('refuses mixed data at the first sample that differs', () => {
    const first = { ...record({ text: 'a', label: 1 }), line: 1 };
    expect(() => checkSameFormat(record({ text: 'a', label: 2 }), 'text_label', first)).not.toThrow();
    expect(() => checkSameFormat(record({ text: 'a' }), 'text_label', first)).toThrow(
      'data.jsonl:7: key "label": mixed data: this sample is text, unlike the first one (data.jsonl:1), which is text_label',
    );
  });
});
