/** Tests `rowtune init`: writes a recipe for the user's data in which `rowtune lint` finds no problems, for each kind of model. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cli, cliJson, withFolder } from './run-cli.ts';

const golden = path.join(import.meta.dirname, '..', '..', 'golden');
const TEMPLATE = '{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';

/** Creates a folder with a chat model, an encoder and an image model, and data for each. */
const withData = <T>(use: (folder: string) => Promise<T>): Promise<T> =>
  withFolder(async folder => {
    for (const name of ['llama', 'qwen3_5', 'gemma4', 'bert', 'vit'])
      for (const part of name === 'vit' ? [name] : [name, 'tiny-tokenizer'])
        await cp(path.join(golden, part), path.join(folder, 'models', name), { recursive: true });
    await writeFile(path.join(folder, 'models/llama/chat_template.jinja'), TEMPLATE);
    await writeFile(path.join(folder, 'faq.csv'), `question,answer\n${'Why?,So.\n'.repeat(20)}`);
    await writeFile(
      path.join(folder, 'dolly.csv'),
      `category,context,instruction,response\n${'qa,There.,Why?,So.\nqa,,Who?,Me.\n'.repeat(9)}`,
    );
    await writeFile(path.join(folder, 'orca.csv'), `system_prompt,question,response\n${'Be kind.,Why?,So.\n'.repeat(9)}`);
    await writeFile(path.join(folder, 'hotpot.jsonl'), '{"context":["a","b"],"question":"Why?","answer":"So."}\n'.repeat(9));
    await writeFile(path.join(folder, 'pairs.jsonl'), '{"prompt":"Q","chosen":"yes","rejected":"no"}\n'.repeat(20));
    await writeFile(path.join(folder, 'mails.csv'), `text,label\n${'lunch?,ham\nWIN,spam\n'.repeat(10)}`);
    await writeFile(path.join(folder, 'texts.jsonl'), '{"anchor":"a","positive":"b"}\n'.repeat(20));
    for (const kind of ['cat', 'owl']) {
      await mkdir(path.join(folder, 'photos', kind), { recursive: true });
      await writeFile(path.join(folder, 'photos', kind, '1.png'), '');
    }
    return use(folder);
  });

describe('the recipe fits the data and the model', () => {
  test.each([
    ['faq.csv', 'models/llama', 'causal_lm', { instruction: 'question', output: 'answer' }],
    ['dolly.csv', 'models/llama', 'causal_lm', { instruction: 'instruction', input: 'context', output: 'response' }],
    ['orca.csv', 'models/llama', 'causal_lm', { instruction: 'question', output: 'response', system: 'system_prompt' }],
    ['hotpot.jsonl', 'models/llama', 'causal_lm', { instruction: 'question', output: 'answer' }],
    ['pairs.jsonl', 'models/llama', 'dpo', {}],
    ['mails.csv', 'models/bert', 'sequence_classification', {}],
    // Layers with four rows, fewer than the default trains.
    ['pairs.jsonl', 'models/qwen3_5', 'dpo', {}],
    ['texts.jsonl', 'models/bert', 'embedding', {}],
    ['photos', 'models/vit', 'image_classification', {}],
    ['faq.csv', 'someone/a-model', 'causal_lm', { instruction: 'question', output: 'answer' }],
  ])('%s for %s: %s', (data, model, task, columns) =>
    withData(async cwd => {
      const { status, value } = await cliJson(['init', data, '--model', model, '--output', 'mine.rowtune.yaml'], { cwd });
      expect([status, value]).toEqual([0, { ok: true, recipe: path.join(cwd, 'mine.rowtune.yaml'), task, method: 'spsft', columns }]);
      const linted = await cliJson(['lint', 'mine.rowtune.yaml'], { cwd });
      expect(linted.status, JSON.stringify(linted.value)).toBe(0);
    }),
  );

  test('and is named after the model, with a number if that name is taken', () =>
    withData(async cwd => {
      const first = await cli(['init', 'faq.csv', '--model', 'models/llama', '--method', 'lora'], { cwd });
      expect(first.stdout).toContain(
        'wrote llama-lora.rowtune.yaml: Language model, 20 samples, question as instruction, answer as output\n',
      );
      expect(first.stdout).toContain('rowtune train llama-lora.rowtune.yaml');
      const second = await cli(['init', 'faq.csv', '--model', 'models/llama', '--method', 'lora'], { cwd });
      expect(second.stdout).toContain('wrote llama-lora-2.rowtune.yaml');
      const third = await cli(['init', 'faq.csv', '--model', 'models/llama', '--output', 'new/mine.rowtune.yaml'], { cwd });
      expect(third.stdout).toContain('wrote new/mine.rowtune.yaml');
      expect(await readFile(path.join(cwd, 'llama-lora.rowtune.yaml'), 'utf8')).toMatch(/^ {2}train: \[faq\.csv\]$/m);
    }));
});

test('held-out data next to the training data is used if it can be read in the same way', () =>
  withData(async cwd => {
    await mkdir(path.join(cwd, 'data'));
    const train = ['init', 'data/faq.csv', '--model', 'models/llama', '--output', 'recipes/mine.rowtune.yaml'];
    for (const [name, text] of Object.entries({ faq: 'question,answer', 'faq-val': 'id,text', test: 'question,answer' }))
      await writeFile(path.join(cwd, 'data', `${name}.csv`), `${text}\n${'Why?,So.\n'.repeat(9)}`);
    const { stdout } = await cli(train, { cwd });
    expect(stdout).toContain('the held-out data is data/test.csv, found next to the training data\n');
    const written = await readFile(path.join(cwd, 'recipes/mine.rowtune.yaml'), 'utf8');
    expect(written).toContain(`  eval: [${path.join(cwd, 'data/test.csv')}]\n`);
    expect(written).not.toContain('val_size');
    const linted = await cliJson(['lint', 'recipes/mine.rowtune.yaml'], { cwd });
    expect(linted.status, JSON.stringify(linted.value)).toBe(0);
  }));

describe('a flaw in one sample does not change the task or the columns', () => {
  const answer = '{"prompt":"Why?","completion":"So."}\n';
  test.each([
    ['a row of another length', 'faq.csv', 'question,answer\nWhy?,So.\nWhy,not?,So.\n', 'causal_lm', 'question'],
    ['the first answer is missing', 'qa.jsonl', `{"prompt":"Why?","completion":null}\n${answer.repeat(9)}`, 'causal_lm', 'prompt'],
    ['the file was cut off', 'qa.jsonl', `${answer.repeat(9)}{"prompt":"W`, 'causal_lm', 'prompt'],
    [
      'a pair without its worse answer',
      'dpo.jsonl',
      `${'{"prompt":"Q","chosen":"yes","rejected":"no"}\n'.repeat(9)}{"prompt":"Q","chosen":"yes","rejected":""}\n`,
      'dpo',
    ],
    [
      'a judgment without its answer',
      'kto.jsonl',
      `${'{"prompt":"Q","completion":"yes","label":true}\n'.repeat(9)}{"prompt":"Q","completion":"","label":false}\n`,
      'kto',
    ],
  ])('%s', (_, file, text, task, instruction?: string) =>
    withData(async cwd => {
      await writeFile(path.join(cwd, file), text);
      const { status, value, stderr } = await cliJson(['init', file, '--model', 'models/llama'], { cwd });
      const columns = instruction === undefined ? {} : { instruction };
      expect([status, value], stderr).toMatchObject([0, { task, columns }]);
    }),
  );
});

describe('init explains what it cannot write', () => {
  test.each([
    [['faq.csv'], /the model is missing[\s\S]*--model HuggingFaceTB/],
    [['faq.csv', '--model', 'models/lama'], /there is no model at 'models\/lama'.*did you mean 'models\/llama'/],
    [['fag.csv', '--model', 'models/llama'], /there is no file or folder fag\.csv[\s\S]*Did you mean faq\.csv\?/],
    [['faq.csv', '--model', 'models/llama', '--output', 'mine.yaml'], /mine\.yaml is not the name of a recipe[\s\S]*\.rowtune\.yaml/],
    [['faq.csv', '--model', 'models/vit'], /faq\.csv is not a file of images/],
    [
      ['faq.csv', '--model', 'models/llama', '--task', 'image_classification'],
      /this llama model predicts the next token and can't be tuned for image_classification; use causal_lm,/,
    ],
    [['pairs.jsonl', '--model', 'models/gemma4', '--task', 'reward'], /takes no head for whole texts and can't be tuned for reward/],
    [
      ['mails.csv', '--model', 'models/vit', '--task', 'token_classification'],
      /looks at images and can't be tuned for token_classification/,
    ],
    [['faq.csv', '--model', 'models/llama', '--task', 'sparkle'], /sequence_classification/],
    [
      ['photos', '--model', 'models/llama'],
      /photos is a folder of images, and Language model \(task: causal_lm\) reads texts\. Choose a model/,
    ],
  ])('%j', (args, message) =>
    withData(async cwd => {
      const { status, stderr } = await cli(['init', ...args], { cwd });
      expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    }),
  );

  test('a recipe is never replaced', () =>
    withData(async cwd => {
      const args = ['init', 'faq.csv', '--model', 'models/llama', '--output', 'mine.rowtune.yaml'];
      await writeFile(path.join(cwd, 'mine.rowtune.yaml'), 'mine');
      expect(await cli(args, { cwd })).toMatchObject({ status: 2, stderr: expect.stringContaining('mine.rowtune.yaml exists already') });
      expect(await readFile(path.join(cwd, 'mine.rowtune.yaml'), 'utf8')).toBe('mine');
    }));

  test('data that cannot be read is named', () =>
    withData(async cwd => {
      await writeFile(path.join(cwd, 'empty.jsonl'), '');
      const { status, stderr } = await cli(['init', 'empty.jsonl', '--model', 'models/llama'], { cwd });
      expect([status, stderr]).toEqual([0, expect.stringMatching(/the data cannot be read: /)]);
    }));

  test('a key that the chat template does not read is named', () =>
    withData(async cwd => {
      const messages = [
        { role: 'user', content: 'Q' },
        { role: 'assistant', content: 'A' },
      ];
      await writeFile(path.join(cwd, 'tools.jsonl'), JSON.stringify({ tools: [{ name: 'f' }], messages }));
      const { stderr } = await cli(['init', 'tools.jsonl', '--model', 'models/llama'], { cwd });
      expect(stderr).toMatch(/the data does not fit yet: line 1: key "tools": the model's chat template does not use/);
    }));

  test('data that does not fit is named, and the recipe is there to map its columns', () =>
    withData(async cwd => {
      await writeFile(path.join(cwd, 'odd.csv'), 'kind,note\na,b\n');
      const { status, stderr, stdout } = await cli(['init', 'odd.csv', '--model', 'models/llama'], { cwd });
      expect(status).toBe(0);
      expect(stdout).toContain('wrote llama-spsft.rowtune.yaml');
      expect(stderr).toMatch(/the data does not fit yet: line 2: the keys "kind" and "note"/);
    }));
});
