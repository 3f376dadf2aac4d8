/** Quick fixes: the text before and after, in YAML and JSON, with comments kept. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { formatRecipe } from '../../../server/format-recipe.ts';
import { fixAll, quickFixes } from '../../../trainer/lint/quick-fixes.ts';
import { applyChange, smallestChange } from '../../../trainer/lint/text-edits.ts';
import { makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Applies the fix of the first problem with this code. */
async function fixed(text: string, code: string, name = 'a.rowtune.yaml', availableBytes = 64e9): Promise<string> {
  const view = await viewOf(text, { folder, name, availableBytes });
  const [fix] = quickFixes(
    view,
    problemsOf(view).filter(problem => problem.code === code),
  );
  if (fix === undefined) throw new Error(`no fix for ${code} in: ${problemsOf(view).map(problem => problem.code)}`);
  return applyChange(text, fix.change);
}

const head = 'model: models/tiny # small\nr: 8\nmax_length: 32\n';
const data = 'data:\n  train: spam.jsonl # mails\n';

describe('quick fixes', () => {
  it.each([
    ['unknown-key', `${head}learning_rat: 1.0e-4 # high\n${data}`, `${head}learning_rate: 1.0e-4 # high\n${data}`],
    ['foreign-key', `${head}lr: 1.0e-4\n${data}`, `${head}learning_rate: 1.0e-4\n${data}`],
    ['foreign-key', `${head}dataset: spam.jsonl # mails\n`, `${head}data:\n  train: spam.jsonl # mails\n`],
    ['foreign-key', `${head}${data}mask_prompt: true\n`, `${head}${data}  completion_only: true\n`],
    ['misplaced-key', `${head}${data}  val_size: 0.1\n`, `${head}${data}val_size: 0.1\n`],
    ['not-a-choice', `${head}optim: adamw_torch\n${data}`, `${head}optim: adamw\n${data}`],
    ['wrong-type', `${head}packing: yes\n${data}`, `${head}packing: true\n${data}`],
    ['budget-twice', `${head}ratio: 0.1 # too\n${data}`, `${head}${data}`],
    ['number-format', `${head}learning_rate: 1e-4\n${data}`, `${head}learning_rate: 1.0e-4\n${data}`],
    ['unknown-module', `${head}target_modules:\n  - q_prj\n${data}`, `${head}target_modules:\n  - q_proj\n${data}`],
    ['model-not-found', `model: models/tinny\n${data}`, `model: models/tiny\n${data}`],
    ['data-not-found', `${head}data:\n  train: spm.jsonl\n`, `${head}data:\n  train: spam.jsonl\n`],
    ['rank-above-layer', `model: models/tiny\nr: 5000\nmax_length: 32\n${data}`, `model: models/tiny\nr: 32\nmax_length: 32\n${data}`],
    [
      'length-above-positions',
      `model: models/tiny\nr: 8\n${data}`.replace('r: 8', 'r: 8\nmax_length: 99'),
      `model: models/tiny\nr: 8\nmax_length: 64\n${data}`,
    ],
  ])('%s', async (code, before, after) => expect(await fixed(before, code)).toBe(after));

  it('halves the batch and doubles the accumulation where memory is short', async () => {
    const before = `${head}per_device_train_batch_size: 8 # many\n${data}`;
    const after = `${head}per_device_train_batch_size: 4 # many\n${data}gradient_accumulation_steps: 2\n`;
    expect(await fixed(before, 'memory-above-free', 'a.rowtune.yaml', 500e6)).toBe(after);
  });

  it('keeps JSON JSON', async () => {
    const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
    const base = { model: 'models/tiny', r: 8, max_length: 32 };
    const name = 'a.rowtune.json';
    const part = { data: { train: 'spam.jsonl' } };
    expect(await fixed(json({ ...base, lr: 1e-4, ...part }), 'foreign-key', name)).toBe(json({ ...base, learning_rate: 1e-4, ...part }));
    expect(await fixed(json({ ...base, dataset: 'spam.jsonl' }), 'foreign-key', name)).toBe(json({ ...base, ...part }));
    expect(await fixed(json({ ...base, optim: 'adamw_torch', ...part }), 'not-a-choice', name)).toBe(
      json({ ...base, optim: 'adamw', ...part }),
    );
    expect(await fixed(json({ ...base, ratio: 0.5, ...part }), 'budget-twice', name)).toBe(json({ ...base, ...part }));
  });
});

describe('fix all', () => {
  const all = (text: string): string => {
    const change = fixAll({ text, file: 'a.rowtune.yaml' });
    return change === undefined ? text : applyChange(text, change);
  };

  it('turns a recipe of another tool into one of ours', () =>
    expect(
      all(
        'base_model: m # the base\nadapter: lora\nlora_r: 8\nlr: 1.0e-4\nsequence_len: 256\ndataset: spam.jsonl\noptimizer: adamw_torch\n',
      ),
    ).toBe('model: m # the base\nmethod: lora\nr: 8\nlearning_rate: 1.0e-4\nmax_length: 256\noptim: adamw\ndata:\n  train: spam.jsonl\n'));

  it('leaves what means something else here', () => {
    const text = 'model: m\ntrain_on_inputs: true\ndata:\n  train: spam.jsonl\n';
    expect(all(text)).toBe(text);
  });

  it('leaves text that does not parse', () => expect(all('model: [')).toBe('model: ['));
});

describe('changes', () => {
  it('cover only the lines that differ', () => {
    expect(smallestChange('a\nb\nc\n', 'a\nx\nc\n')).toEqual({
      range: { start: { line: 1, column: 0 }, end: { line: 1, column: 1 } },
      newText: 'x',
    });
    expect(smallestChange('a', 'a')).toBeUndefined();
  });

  it.each([
    ['a\nb\nc', 'a\nc'],
    ['a\nc', 'a\nb\nc'],
    ['', 'a\n'],
    ['a\na\na', 'a\na'],
    ['x\ny', 'y\nx'],
  ])('bring %j to %j', (before, after) => {
    const change = smallestChange(before, after);
    expect(change && applyChange(before, change)).toBe(after);
  });
});

describe('formatting', () => {
  const format = (text: string, name = 'a.rowtune.yaml'): string => {
    const change = formatRecipe(text, name);
    return change === undefined ? text : applyChange(text, change);
  };

  it('keeps comments, order and blank lines', () => {
    expect(format('# top\nmodel:    m   # here\n\nlearning_rate:  1.0e-4\nr: 0x10\ndata:\n     train:   [ a.jsonl,b.jsonl ]\n')).toBe(
      '# top\nmodel: m # here\n\nlearning_rate: 1.0e-4\nr: 0x10\ndata:\n  train: [a.jsonl, b.jsonl]\n',
    );
  });

  it('leaves the examples alone, aligned comments included', () => {
    const examples = path.join(import.meta.dirname, '..', '..', '..', 'examples');
    for (const name of readdirSync(examples).filter(file => file.endsWith('.yaml')))
      expect(formatRecipe(readFileSync(path.join(examples, name), 'utf8'), name)).toBeUndefined();
  });

  it('leaves alone what does not parse, and what is in shape', () => {
    expect(formatRecipe('model: [', 'a.rowtune.yaml')).toBeUndefined();
    expect(formatRecipe('model: m\nr: 8\n', 'a.rowtune.yaml')).toBeUndefined();
  });

  it('indents JSON', () => expect(format('{"model":"m"}', 'a.rowtune.json')).toBe('{\n  "model": "m"\n}\n'));
});
