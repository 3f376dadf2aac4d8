/** Recipes beside their model, data and memory: each fixture is text with carets under what is wrong. */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { checkView, makeWorkspace, problemsOf, viewOf } from './check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fixtures: Readonly<Record<string, string>> = {
  'nothing wrong': `model: models/tiny
r: 8
max_length: 32
data:
  train: spam.jsonl`,
  'a misspelt model folder': `model: models/tinny
       ^^^^^^^^^^^^ error model-not-found replace-value models/tiny
data: {train: spam.jsonl}`,
  'a path without a model': `model: ./nowhere/at/all
       ^^^^^^^^^^^^^^^^ error model-not-found
data: {train: spam.jsonl}`,
  'a name on the hub is not looked for': `model: someone/some-model
target_modules: [anything]
data: {train: spam.jsonl}`,
  'another architecture': `model: bert
       ^^^^ error unsupported-model
data: {train: spam.jsonl}`,
  'a folder without weights': `model: empty
       ^^^^^ error unreadable-model
data: {train: spam.jsonl}`,
  'modules that match nothing': `model: models/tiny
target_modules: [q_proj, v_prj, query_key_value]
                         ^^^^^ error unknown-module replace-value v_proj
                                ^^^^^^^^^^^^^^^ error unknown-module
r: 8
max_length: 32
data: {train: spam.jsonl}`,
  'one module that matches nothing, as text': `model: models/tiny
target_modules: upproj
                ^^^^^^ error unknown-module replace-value up_proj
r: 8
max_length: 32
data: {train: spam.jsonl}`,
  'everything targeted is frozen': `model: models/tiny
target_modules: [q_proj]
r: 8
freeze: [attention]
        ^^^^^^^^^^^ error nothing-to-train
max_length: 32
data: {train: spam.jsonl}`,
  'more rows than a layer has': `model: models/tiny
r: 100000
   ^^^^^^ error rank-above-layer replace-value 32
max_length: 32
data: {train: spam.jsonl}`,
  'longer than the positions': `model: models/tiny
r: 8
max_length: 100000
            ^^^^^^ error length-above-positions replace-value 64
data: {train: spam.jsonl}`,
  'data that is not there': `model: models/tiny
r: 8
max_length: 32
data:
  train: [spm.jsonl, spam.jsonl]
          ^^^^^^^^^ error data-not-found replace-value spam.jsonl
  eval: elsewhere/x.jsonl
        ^^^^^^^^^^^^^^^^^ error data-not-found`,
  'a file of no known kind': `model: models/tiny
r: 8
max_length: 32
data:
  train: notes.docx
         ^^^^^^^^^^ error unreadable-data`,
  'samples that are malformed, or of a wrong type': `model: models/tiny
r: 8
max_length: 32
data:
  train: [broken.jsonl, wrong-type.jsonl, chats.jsonl]
          ^^^^^^^^^^^^ error bad-sample
                        ^^^^^^^^^^^^^^^^ error bad-sample`,
  'columns that need a rename': `model: models/tiny
r: 8
max_length: 32
data:
  train: mails.csv
         ^^^^^^^^^ error bad-sample`,
  'columns with their rename': `model: models/tiny
r: 8
max_length: 32
data:
  train: mails.csv
  columns: {text: body, label: kind}`,
  'facts are shown beside other mistakes': `model: models/tinny
       ^^^^^^^^^^^^ error model-not-found replace-value models/tiny
lr: 1.0e-4
^^ error foreign-key rename-key learning_rate
data: {train: spm.jsonl}
              ^^^^^^^^^ error data-not-found replace-value spam.jsonl`,
};

describe('problems of model and data', () => {
  for (const [name, fixture] of Object.entries(fixtures)) it(name, async () => expect(await checkView(fixture, { folder })).toBe(fixture));

  it('a malformed sample is told with its line and key', async () => {
    const view = await viewOf('model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: wrong-type.jsonl}', { folder });
    const [found] = problemsOf(view);
    expect(found?.message).toContain('line 2: key "text"');
    expect(found?.related).toMatchObject({ line: 1 });
  });

  it('a run that takes more than is free is a warning with the split', async () => {
    const fixture = `model: models/tiny
r: 8
max_length: 32
per_device_train_batch_size: 8
                             ^ warning memory-above-free
data: {train: spam.jsonl}`;
    expect(await checkView(fixture, { folder, availableBytes: 500e6 })).toBe(fixture);
    const [found] = problemsOf(await viewOf(fixture.replace(/ +\^.*\n/, ''), { folder, availableBytes: 500e6 }));
    expect(found?.message).toMatch(/weights, .*activations \(recompute: \w+\), .*engine/);
  });
});

describe('half-typed text', () => {
  const whole = fixtures['facts are shown beside other mistakes']?.replaceAll(/^ *\^.*\n?/gm, '') ?? '';
  it('has a view at every prefix', async () => {
    for (let end = 0; end <= whole.length; end += 3) await expect(viewOf(whole.slice(0, end), { folder })).resolves.toBeDefined();
  });

  it.each(['', ':', '- ', '{', '[', '"', 'model:', 'data:', 'data: [', '\t', '? ', '&a *a', 'model: {x: 1}', 'a: b: c'])(
    '%j',
    async text => {
      await expect(viewOf(text, { folder })).resolves.toBeDefined();
    },
  );
});
