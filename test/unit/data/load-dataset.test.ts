/** Tests the steps from files to examples, report, split and preview. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { DatasetSettings } from '../../../trainer/data/load/load-dataset.ts';
import { labelCompletions, loadDataset } from '../../../trainer/data/load/load-dataset.ts';
import { describeData } from '../../../trainer/data/shown/data-report.ts';
import { previewExamples } from '../../../trainer/data/shown/preview.ts';
import { splitExamples, splitSamples } from '../../../trainer/data/split.ts';
import type { ChatRenderer } from '../../../trainer/data/types.ts';
import { examplesOf } from '../../support/runs/examples-of.ts';
import { characterTokenizer, renderTurns } from './character-tokenizer.ts';
import { datasetSettings as base, writeData } from './data-files.ts';

const tokenizer = characterTokenizer();
const load = (paths: string[], settings: Partial<DatasetSettings> = {}, more: { maxLength?: number; chatRenderer?: ChatRenderer } = {}) =>
  loadDataset({ paths, settings: { ...base, ...settings }, tokenizer, maxLength: 40, maxPositions: 64, ...more });
const lines = (...values: object[]) => writeData('a.jsonl', values.map(value => JSON.stringify(value)).join('\n'));

describe('loadDataset', () => {
  it('reports what was read, kept, cut and learned', async () => {
    const file = lines({ text: 'good', label: 'ham' }, { text: 'x'.repeat(99), label: 'spam' }, { text: 'fine', label: 'ham' });
    const progress: unknown[] = [];
    const settings = { ...base };
    const data = await loadDataset({
      paths: [file],
      settings,
      tokenizer,
      maxLength: 40,
      maxPositions: 64,
      onProgress: p => progress.push(p),
    });
    expect(data.labels).toEqual(['ham', 'spam']);
    expect(data.report).toEqual({
      format: 'text_label',
      formatReason: 'the samples have the keys "text" and "label"',
      files: 1,
      read: 3,
      kept: 3,
      dropped: {},
      truncated: 1,
      tokens: 23 + 40 + 23,
      targets: 5 + 6 + 5,
      lengths: { min: 23, median: 23, p90: 40, p99: 40, max: 40 },
      labelCounts: { ham: 2, spam: 1 },
    });
    expect(describeData(data.report)).toContain('3 samples from 1 file, 3 kept, 1 cut to length');
    expect(progress.at(-1)).toMatchObject({ read: 3, kept: 3, tokens: 86 });
    expect([...data.examples].map(({ file: from, line, label }) => [from, line, label])).toEqual([
      [file, 1, 'ham'],
      [file, 2, 'spam'],
      [file, 3, 'ham'],
    ]);
  });

  it('names the columns that no reader uses', async () => {
    const file = lines({ prompt: 'Why?', context: 'There.', answer: 'So.', id: 1 });
    const { report } = await load([file], { columns: { completion: 'answer' } });
    expect(report.formatReason).toBe('the samples have the keys "prompt" and "completion"; not read: "context" and "id"');
    expect((await load([lines({ prompt: 'Why?', completion: 'So.' })])).report.formatReason).not.toContain('not read');
  });

  it('takes labels of Parquet files by id', async () => {
    const file = join(fileURLToPath(new URL('.', import.meta.url)), 'fixtures', 'labeled.zstd.parquet');
    const data = await load([file], { labels: ['ham', 'spam'], maxSamples: 5 });
    expect(data.report.read).toBe(5);
    expect(Object.keys(data.report.labelCounts).every(label => data.labels.includes(label))).toBe(true);
  });

  it('draws samples by the seed, in order, and knows the labels of all samples', async () => {
    const file = lines(...Array.from({ length: 100 }, (_, i) => ({ text: `${i}`, label: i < 50 ? 'ham' : 'spam' })));
    const drawn = async (seed: number) => load([file], { maxSamples: 20, seed });
    const data = await drawn(1);
    const at = [...data.examples].map(({ line }) => line);
    expect(at).toEqual([...new Set(at)].sort((a, b) => a - b));
    expect(at).toHaveLength(20);
    // A file sorted by label yields both labels.
    expect(Object.keys(data.report.labelCounts)).toEqual(['ham', 'spam']);
    expect(describeData(data.report)).toContain('20 of 100 samples, drawn at random, from 1 file');
    expect([...(await drawn(1)).examples]).toEqual([...data.examples]);
    expect([...(await drawn(2)).examples]).not.toEqual([...data.examples]);
    expect((await load([file], { maxSamples: 1 })).labels).toEqual(['ham', 'spam']);
    expect([...(await load([file], { maxSamples: 100 })).examples]).toEqual([...(await load([file])).examples]);
  });

  it('cuts long documents into parts without losing a target', async () => {
    const data = await load([writeData('a.txt', 'y'.repeat(100))]);
    expect(data.report).toMatchObject({ format: 'text', read: 1, kept: 3, truncated: 0, targets: 101 });
  });

  it('drops chats without an answer and counts them', async () => {
    const user = { role: 'user', content: 'Hi' };
    const file = lines({ messages: [user] }, { messages: [user, { role: 'assistant', content: 'Ho' }] });
    const data = await load([file], {}, { chatRenderer: renderTurns });
    expect(data.report).toMatchObject({ read: 2, kept: 1, dropped: { no_target: 1 } });
    await expect(load([lines({ messages: [user] })], {}, { chatRenderer: renderTurns })).rejects.toThrow(
      'no sample is left to train on (1 no target',
    );
  });

  it('counts chats that end after an earlier answer', async () => {
    const turn = (role: string, content: string) => ({ role, content });
    const begin = [turn('user', 'Hi'), turn('assistant', 'Ho')];
    const file = lines({ messages: begin }, { messages: [...begin, turn('user', 'More'), turn('assistant', 'and '.repeat(20))] });
    const data = await load([file], { truncation: 'turns' }, { chatRenderer: renderTurns });
    expect(data.report).toMatchObject({
      kept: 2,
      truncated: 1,
      notes: { 'end after an earlier answer, because the next one does not fit into max_length': 1 },
    });
    expect(describeData(data.report)).toContain('\n1 sample ends after an earlier answer, ');
    const [one, other] = [...data.examples];
    expect(other?.ids).toEqual(one?.ids);
  });

  it('names file, line and key of what does not fit', async () => {
    const mixed = lines({ text: 'a' }, { text: 'b' }, { prompt: 'c', completion: 'd' });
    await expect(load([mixed])).rejects.toThrow(
      `${mixed}:3: key "text": mixed data: this sample is prompt_completion, unlike the first one (${mixed}:1)`,
    );
    const wrong = lines({ text: 'a', label: 1 }, { text: 'b', label: null });
    await expect(load([wrong])).rejects.toThrow(`${wrong}:2: key "label": null, expected a label`);
    const set = lines({ body: 'a' });
    await expect(load([set], { format: 'text' })).rejects.toThrow(`${set}:1: key "text": nothing, expected a string`);
    const long = lines({ text: 'x'.repeat(99), label: 'a' });
    await expect(load([long], { truncation: 'error' })).rejects.toThrow(`${long}:1: the sample is`);
    await expect(load([writeData('a.jsonl', '\n')])).rejects.toThrow(/a\.jsonl: it holds no sample/);
    await expect(load([mixed], {}, { maxLength: 65 })).rejects.toThrow('max_length is 65, but the model has 64 positions');
  });

  it('shows samples as the model sees them', async () => {
    const file = lines({ prompt: 'ab', completion: 'cd' });
    const { examples } = await load([file]);
    expect(previewExamples(examples, tokenizer, { samples: 3, maxTokens: 99 })).toBe(`— ${file}:1, 6 tokens, 3 trained\n<bos>ab⟦cd<eos>⟧`);
    expect(previewExamples(examples, tokenizer, { samples: 3, maxTokens: 4 })).toContain('\n<bos>a … [2 tokens] … ⟦d<eos>⟧');
  });

  it('encodes the labels as answers, with and without a chat template', () => {
    const input = { settings: base, tokenizer };
    const text = (chat: typeof input & { chatRenderer?: ChatRenderer }) =>
      labelCompletions(['ham', 'spam'], chat).map(({ ids }) => tokenizer.decode([...ids], { skipSpecialTokens: false }));
    expect(text(input)).toEqual([' ham', ' spam']);
    expect(text({ ...input, chatRenderer: renderTurns })).toEqual(['ham', 'spam']);
  });
});

describe('splitSamples', () => {
  const labels = Array.from({ length: 90 }, (_, index) => (index % 3 === 0 ? 'spam' : 'ham'));

  it('splits every sample once, stratified by label, depending only on the seed', () => {
    const split = splitSamples({ count: 90, validation: 0.2, seed: 1, labels });
    expect([...split.train, ...split.validation].sort((a, b) => a - b)).toEqual(labels.map((_, index) => index));
    expect(split.validation.filter(index => labels[index] === 'spam')).toHaveLength(6);
    expect(split.validation).toHaveLength(18);
    expect(splitSamples({ count: 90, validation: 0.2, seed: 1, labels })).toEqual(split);
    expect(splitSamples({ count: 90, validation: 0.2, seed: 2, labels })).not.toEqual(split);
  });

  it('takes a number of held-out samples, and refuses to hold out all', () => {
    expect(splitSamples({ count: 90, validation: 7, seed: 1 }).validation).toHaveLength(7);
    expect(splitSamples({ count: 3, validation: 0, seed: 1 })).toEqual({ train: [0, 1, 2], validation: [] });
    expect(() => splitSamples({ count: 5, validation: 5, seed: 1 })).toThrow('leaves nothing to train on');
    expect(() => splitSamples({ count: 5, validation: 1.5, seed: 1 })).toThrow('not a whole number');
  });

  it('keeps the parts of a document together where there are enough documents, and else splits the parts', () => {
    const part = { ids: Int32Array.of(1, 2), train: Uint8Array.of(0, 1), file: 'a.txt' };
    const many = Array.from({ length: 90 }, (_, index) => ({ ...part, line: Math.floor(index / 3) }));
    const split = splitExamples(examplesOf(many), { validation: 0.2, seed: 1 });
    const held = new Set([...split.validation].map(({ line }) => line));
    expect([split.train.length, split.validation.length, held.size]).toEqual([72, 18, 6]);
    expect([...split.train].some(({ line }) => held.has(line))).toBe(false);
    const one = many.map(example => ({ ...example, line: 1 }));
    expect(splitExamples(examplesOf(one), { validation: 0.1, seed: 1 }).validation).toHaveLength(9);
  });

  it('tells the documents of a JSON list apart, on however few lines, and splits them as JSON Lines', async () => {
    const values = Array.from({ length: 30 }, (_, index) => ({ text: String.fromCharCode(97 + (index % 26)).repeat(70 + index) }));
    const splitOf = async (file: string) => splitExamples((await load([file])).examples, { validation: 0.2, seed: 1 });
    const { train, validation } = await splitOf(writeData('a.json', JSON.stringify(values)));
    const held = new Set([...validation].map(({ element }) => element));
    expect([held.size, validation.length > held.size]).toEqual([6, true]);
    expect([...train].some(({ element }) => held.has(element))).toBe(false);
    const ofLines = await splitOf(lines(...values));
    expect([...validation].map(({ ids }) => ids)).toEqual([...ofLines.validation].map(({ ids }) => ids));
  });
});
