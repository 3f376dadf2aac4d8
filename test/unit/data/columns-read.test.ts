/** Tests which columns a recipe reads: the readers of its samples access no others. */
import { describe, expect, test } from 'vitest';
import { type ObjectiveName, objectiveCatalog } from '../../../trainer/catalog/objectives.ts';
import { chatRendererOf } from '../../../trainer/data/chat/chat-renderer.ts';
import { columnsRead } from '../../../trainer/data/columns-read.ts';
import { detectFormat, renameColumns } from '../../../trainer/data/detect-format.ts';
import { type FormatSettings, formatExample } from '../../../trainer/data/example/format-example.ts';
import { formatJudged } from '../../../trainer/data/example/format-judged.ts';
import { formatPair, pairMargin } from '../../../trainer/data/example/format-pair.ts';
import { findColumns, labeledRecord } from '../../../trainer/data/load/load-labeled.ts';
import { findTaggedColumns, taggedRecord } from '../../../trainer/data/tagged/tagged-record.ts';
import { findGroupColumns } from '../../../trainer/data/text-groups/group-columns.ts';
import { groupRecord } from '../../../trainer/data/text-groups/group-record.ts';
import type { DataFormat, DataRecord } from '../../../trainer/data/types.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';

function recipeOf(task: ObjectiveName, ...settings: string[]) {
  const { recipe, problems } = parseRecipe('', { overrides: ['model=m', 'data.train=a.jsonl', `task=${task}`, ...settings] });
  if (!recipe) throw new Error(JSON.stringify(problems));
  return recipe;
}

const FILE = 'default/train/0000.parquet';
const readOf = (columns: readonly string[], task: ObjectiveName, ...settings: string[]) =>
  columnsRead({ columns, file: FILE, recipe: recipeOf(task, ...settings) });

/** Creates a record that lists every key that is accessed. */
function watched(value: Record<string, unknown>): { readonly record: DataRecord; readonly keys: Set<string> } {
  const keys = new Set<string>();
  const noted = <Found>(read: (target: Record<string, unknown>, key: string | symbol) => Found) => {
    return (target: Record<string, unknown>, key: string | symbol): Found => {
      if (typeof key === 'string') keys.add(key);
      return read(target, key);
    };
  };
  const proxy = new Proxy(value, {
    get: noted(Reflect.get),
    has: noted(Reflect.has),
    getOwnPropertyDescriptor: noted(Reflect.getOwnPropertyDescriptor),
  });
  return { record: { file: FILE, line: 1, value: proxy }, keys };
}

const TEMPLATE =
  "{% for t in tools or [] %}{{ t|tojson }}{% endfor %}{% for d in documents or [] %}{{ d|tojson }}{% endfor %}{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const settings: Omit<FormatSettings, 'format'> = {
  promptTemplate: '{text}',
  labels: [],
  shownLabels: [],
  chat: 'auto',
  completionOnly: true,
  trainedTurns: 'all',
  chatRenderer: chatRendererOf({ chatTemplate: TEMPLATE, specialTokens: {} }),
};

const turns = [
  { role: 'user', content: 'question' },
  { role: 'assistant', content: 'answer' },
];
const FORMATS: Readonly<Record<Exclude<DataFormat, 'preference'>, Record<string, unknown>>> = {
  alpaca: { instruction: 'i', input: 'n', output: 'o', system: 's' },
  messages: { messages: turns, tools: [{ name: 'f' }], documents: [{ text: 'd' }], chat_template_kwargs: {} },
  sharegpt: {
    conversations: [
      { from: 'human', value: 'q' },
      { from: 'gpt', value: 'a' },
    ],
    system: 's',
  },
  prompt_completion: { prompt: 'p', completion: 'c' },
  text: { text: 't' },
  text_label: { text: 't', label: 'l' },
};
const ODD = { id: 7, source: 'web', embedding: [0.5], score_chosen: 3, metadata: { url: 'x' } };

describe.each(Object.entries(FORMATS))('%s', (name, value) => {
  test('reads the columns of the format and no others', () => {
    const read = readOf(Object.keys({ ...ODD, ...value }), 'causal_lm');
    expect(new Set(read)).toEqual(new Set(Object.keys(value)));
    const format = detectFormat({ file: FILE, line: 1, value }).format;
    expect(format).toBe(name);
    const { record, keys } = watched(value);
    formatExample(record, { ...settings, format });
    expect([...keys].filter(key => key in ODD)).toEqual([]);
    // Optional keys are read if the sample has them.
    const optional = [...keys].filter(key => !(key in value));
    expect(readOf([...Object.keys(value), ...optional], 'causal_lm')).toEqual([...Object.keys(value), ...optional]);
  });
});

describe('answers that were compared or judged', () => {
  const pairs = [
    { prompt: 'p', chosen: 'a', rejected: 'b', margin: 1 },
    { question: 'p', system: 's', chosen: 'a', rejected: 'b' },
    { instruction: 'p', input: 'i', chosen: 'a', rejected: 'b' },
    { messages: turns.slice(0, 1), chosen: turns.slice(1), rejected: [{ role: 'assistant', content: 'other' }] },
  ];
  test.each(pairs)('%j', value => {
    const { record, keys } = watched(value);
    formatPair(record, { ...settings, format: 'preference' });
    pairMargin(record);
    const all = [...new Set([...Object.keys(value), ...keys])];
    for (const task of ['dpo', 'reward'] as const) expect(readOf([...Object.keys(ODD), ...all], task)).toEqual(all);
  });

  test.each([
    { prompt: 'p', completion: 'c', label: true },
    { prompt: turns.slice(0, 1), completion: turns.slice(1), kto_tag: false },
    { instruction: 'i', output: 'o', label: true },
  ])('%j', value => {
    const { record, keys } = watched(value);
    formatJudged(record, { ...settings, format: detectFormat(record).format });
    const all = [...new Set([...Object.keys(value), ...keys])];
    expect(readOf([...Object.keys(ODD), ...all], 'kto')).toEqual(all);
  });
});

test.each<[ObjectiveName, Record<string, unknown>, (record: DataRecord) => unknown]>([
  [
    'sequence_classification',
    { sentence1: 'a', sentence2: 'b', label: 'x' },
    record => labeledRecord(record, findColumns(record), { regression: false, labels: [] }),
  ],
  [
    'reranker',
    { query: 'a', document: 'b', score: 1 },
    record => labeledRecord(record, findColumns(record), { regression: true, ranks: true, labels: [] }),
  ],
  ['token_classification', { tokens: ['a'], ner_tags: ['O'] }, record => taggedRecord(record, findTaggedColumns(record), [])],
  [
    'embedding',
    { anchor: 'a', positive: 'b', negative_1: 'c', negative_2: 'd' },
    record => groupRecord(record, findGroupColumns(record), { negatives: 2, maxScore: undefined }),
  ],
])('%s reads %j and no other column', (task, value, read) => {
  const names = readOf(Object.keys({ ...ODD, ...value }), task);
  expect(names).toEqual(Object.keys(value));
  const pick = (from: Record<string, unknown>): DataRecord => ({
    file: FILE,
    line: 1,
    value: Object.fromEntries(names.map(name => [name, from[name]])),
  });
  expect(read(pick(value))).toEqual(read({ file: FILE, line: 1, value: { ...ODD, ...value } }));
});

test('mapped columns are read by their names in the data', () => {
  expect(readOf(['id', 'body', 'kind', 'text'], 'causal_lm', 'data.columns={text: body, label: kind}')).toEqual(['body', 'kind']);
  const record = { file: FILE, line: 1, value: { body: 'b', kind: 'k' } };
  expect(detectFormat(renameColumns(record, { text: 'body', label: 'kind' })).format).toBe('text_label');
  expect(() => readOf(['id', 'body'], 'causal_lm', 'data.columns={text: bodi}')).toThrow(/no such column; did you mean "body"/);
  expect(() => readOf(['id', 'body'], 'causal_lm')).toThrow(/the keys "id" and "body", expected those of one of/);
});

test('several labels may have a column each, and images have their bytes and label', () => {
  const flags = ['toxic', 'rude'];
  expect(readOf(['id', 'text', ...flags], 'multi_label_classification', 'data.labels=[toxic, rude]')).toEqual(['text', ...flags]);
  expect(objectiveCatalog.image_classification.reads).toBe('images');
  expect(readOf(['image', 'label', 'caption'], 'image_classification')).toEqual(['image', 'label']);
});

test('a recipe that sets the format reads its columns, whatever else there is', () => {
  const all = ['prompt', 'completion', 'messages', 'text'];
  expect(readOf(all, 'causal_lm')).toEqual(['messages']);
  expect(readOf(all, 'causal_lm', 'data.format=text')).toEqual(['text']);
});
