/** Tests hover, completion, hints, symbols, folding and links, at the `|` of a text. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readCard } from '../../../server/card-setting.ts';
import { completionsAt } from '../../../server/completion.ts';
import { hoverAt } from '../../../server/hover.ts';
import { inlayHints, MAX_LABEL } from '../../../server/inlay-hints.ts';
import { foldsOf, linksOf, symbolsOf } from '../../../server/outline.ts';
import { cardCatalog } from '../../../trainer/catalog/cards.ts';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { applyChange } from '../../support/apply-change.ts';
import { atCursor, makeWorkspace, viewOf } from '../lint/check-view.ts';

const folder = makeWorkspace();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function labels(marked: string): Promise<string[]> {
  const { text, at } = atCursor(marked);
  return (await completionsAt(await viewOf(text, { folder }), at, path.join(folder, 'cache'))).map(({ label }) => label);
}

async function completed(marked: string, label: string, name?: string): Promise<string> {
  const { text, at } = atCursor(marked);
  const found = (await completionsAt(await viewOf(text, { folder, ...(name && { name }) }), at, path.join(folder, 'cache'))).find(
    choice => choice.label === label,
  );
  return found === undefined ? `no ${label}` : applyChange(text, { range: found.range, newText: found.insert });
}

async function hover(marked: string): Promise<string | undefined> {
  const { text, at } = atCursor(marked);
  return hoverAt(await viewOf(text, { folder }), at)?.markdown;
}

describe('completion', () => {
  it('offers the keys that are not given yet', async () => {
    const found = await labels('model: m\nlear|');
    expect(found).toContain('learning_rate');
    expect(found).toContain('data');
    expect(found).not.toContain('model');
    expect(await completed('model: m\nlear|', 'learning_rate')).toBe('model: m\nlearning_rate: ');
    expect(await completed('model: m\nda|', 'data')).toBe('model: m\ndata:\n  ');
  });

  it('offers a key that is typed to its end, which Enter would otherwise replace by another one', async () => {
    expect(await labels('model: m\neval_steps: 3\ntrains|')).toContain('trains');
    expect(await completed('model: m\neval_steps: 3\ntrains|', 'trains')).toBe('model: m\neval_steps: 3\ntrains: ');
    expect(await labels('model: m\ndata:\n  train: a.jsonl\n  format|')).toContain('format');
    // The key is written elsewhere, or complete with its colon.
    expect(await labels('trains: rows\nmodel: m\ntrain|')).not.toContain('trains');
    expect(await labels('model: m\ntrains|: rows')).not.toContain('trains');
  });

  it('writes JSON into a JSON recipe, between quotes or with its own', async () => {
    const inJson = (marked: string, label: string) => completed(marked, label, 'mine.rowtune.json');
    expect(await inJson('{\n  "lear|"\n}', 'learning_rate')).toBe('{\n  "learning_rate"\n}');
    expect(await inJson('{\n  lear|\n}', 'learning_rate')).toBe('{\n  "learning_rate": \n}');
    expect(await inJson('{\n  "da|"\n}', 'data')).toBe('{\n  "data"\n}');
    expect(await inJson('{\n  da|\n}', 'data')).toBe('{\n  "data": {}\n}');
    expect(await inJson('{\n  "method": "|"\n}', 'spsft+lora')).toBe('{\n  "method": "spsft+lora"\n}');
    expect(await inJson('{\n  "method": |\n}', 'spsft')).toBe('{\n  "method": "spsft"\n}');
    expect(await inJson('{\n  "packing": |\n}', 'true')).toBe('{\n  "packing": true\n}');
  });

  it('offers the keys of a group in block and flow style', async () => {
    expect(await labels('data:\n  fo|')).toContain('format');
    expect(await labels('data:\n  train: x\n  |')).not.toContain('train');
    expect(await labels('data: {tr|')).toContain('train');
  });

  it('offers choices with their words, and truth values', async () => {
    expect(await labels('model: m\nmethod: |')).toEqual(expect.arrayContaining(['spsft', 'lora', 'full']));
    expect(await labels('importance:\n  measure: tay|')).toContain('taylor_row');
    expect(await labels('packing: |')).toEqual(['true', 'false']);
    expect(await labels('data: {format: |}')).toContain('alpaca');
    expect(await labels('freeze:\n  - |')).toContain('attention');
    expect(await labels('freeze: [mlp, |]')).toContain('attention');
  });

  it('offers the settings of a sweep, their words, and the keys of a range', async () => {
    const found = await labels('model: m\nsweep:\n  over:\n    r: [8]\n    lear|');
    expect(found).toEqual(expect.arrayContaining(['learning_rate', 'data.max_samples', 'importance.measure']));
    for (const refused of ['r', 'output_dir', 'data.eval', 'sweep.seed', 'data']) expect(found).not.toContain(refused);
    expect(await labels('sweep:\n  over:\n    method: [spsft, |]')).toEqual(expect.arrayContaining(['lora', 'dora']));
    expect(await labels('sweep:\n  over:\n    learning_rate: {|}')).toEqual(['min', 'max', 'scale', 'count']);
    expect(await labels('sweep:\n  over:\n    learning_rate: {scale: |}')).toEqual(['log', 'linear']);
    expect(await labels('sweep:\n  strategy: |')).toEqual(['grid', 'random', 'halving']);
  });

  it('offers the modules of this model', async () => {
    const found = await labels('model: models/tiny\ntarget_modules: [|]');
    expect(found[0]).toBe('all-linear');
    expect(found).toEqual(expect.arrayContaining(['q_proj', 'down_proj', 'lm_head']));
    expect(await completed('model: models/tiny\ntarget_modules:\n  - q_|', 'q_proj')).toBe(
      'model: models/tiny\ntarget_modules:\n  - q_proj',
    );
  });

  it('offers models, data files and columns of this data', async () => {
    expect(await labels('model: |')).toEqual(expect.arrayContaining(['models', 'bert']));
    expect(await completed('model: models/t|', 'models/tiny')).toBe('model: models/tiny');
    const files = await labels('data:\n  train: |');
    expect(files).toContain('spam.jsonl');
    expect(files).not.toContain('notes.docx');
    expect(await labels('data:\n  train: mails.csv\n  columns: {text: |}')).toEqual(['body', 'kind']);
    expect(await labels('data:\n  train: mails.csv\n  columns:\n    text: |')).toEqual(['body', 'kind']);
  });

  it('offers models that were downloaded', async () => {
    const download = path.join(folder, 'cache', 'models', 'someone--some-model', 'a'.repeat(40));
    mkdirSync(download, { recursive: true });
    expect(await labels('model: |')).not.toContain('someone/some-model');
    writeFileSync(path.join(download, '.complete'), '');
    expect(await completed('model: some|', 'someone/some-model')).toBe('model: someone/some-model');
  });

  it('offers nothing in a comment', async () => expect(await labels('model: m # lear|')).toEqual([]));
});

describe('hover', () => {
  it('describes the setting that a sweep changes', async () => {
    expect(await hover('model: m\nsweep:\n  over:\n    learning_|rate: [1.0e-4]')).toContain('**learning_rate**');
    expect(await hover('model: m\nsweep:\n  over:\n    method: [lo|ra]')).toContain('`lora`:');
    expect(await hover('model: m\nsweep:\n  ov|er:\n    r: [8]')).toContain('**sweep.over**');
  });

  it('tells doc, default, bounds and memory of a setting', async () => {
    const text = await hover('model: m\nper_device_train_|batch_size: 2');
    expect(text).toContain('integer from 1 to 4096, default 4');
    expect(text).toContain('Samples per forward and backward pass.');
    expect(text).toContain('*Memory:* Activations grow linearly.');
  });

  it('tells what a choice means', async () => expect(await hover('model: m\nmethod: lo|ra')).toMatch(/^`lora`: Train a low-rank product/));
  it('tells family, parameters and blocks of the model', async () =>
    expect(await hover('model: models|/tiny')).toMatch(/\*llama\*, .* parameters .*, 2 blocks/));
  it('tells what a group is for', async () =>
    expect(await hover('da|ta:\n  train: x')).toContain('The data: files, format and preprocessing'));
  it('tells the memory of the run', async () =>
    expect(await hover('model: models/tiny\nr: 8\nmax_leng|th: 32\ndata: {train: spam.jsonl}')).toContain('This run: about'));
  it('tells what a setting means for the memory of this run', async () => {
    const text =
      'model: models/tiny\nr: 8\nmax_length: 32\nper_device_train_batch_size: 2\nrecompute: cheap\nmethod: spsft\ndata: {train: spam.jsonl}';
    const at = (key: string): Promise<string | undefined> => hover(text.replace(key, `|${key}`));
    expect(await at('per_device_train')).toMatch(
      /Each sample of a batch takes about [\d.]+ [kM]B of activations: 4 instead of 2 would add/,
    );
    expect(await at('max_length')).toMatch(/half the length saves about [\d.]+ [kM]B/);
    expect(await at('r: 8')).toMatch(/Each step of r adds [\d,]+ of them, and [\d.]+ k?B/);
    expect(await at('recompute')).toMatch(/\| none \| .*\n\| \*\*cheap\*\* \| /);
    expect(await at('method')).toMatch(/\| spsft, r 8 \| .*\n(.*\n)*\| lora, r \d+ \| /);
    expect(await at('model')).toContain('The weights take');
  });
  it('has nothing to say of an unknown key', async () => expect(await hover('mod|ell: m')).toBeUndefined());
});

describe('inlay hints', () => {
  it('show trained parameters, memory and the effective batch', async () => {
    const text =
      'model: models/tiny\nr: 8\nmax_length: 32\nper_device_train_batch_size: 2\ngradient_accumulation_steps: 4\ndata: {train: spam.jsonl}\n';
    const hints = inlayHints(await viewOf(text, { folder }));
    expect(hints.map(({ at }) => at.line)).toEqual([1, 3, 4, 5]);
    expect(hints[0]?.label).toMatch(/trained, [\d.]+%/);
    expect(hints[1]?.label).toMatch(/of 64.* free, recompute: none/);
    expect(hints[2]?.label).toBe('8 samples per update');
    expect(hints[3]?.label).toBe('≈ 3 updates (1 per epoch)');
  });

  it('are about the card that the settings name, of which the whole may be used', async () => {
    const text = 'model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n';
    const here = await viewOf(text, { folder });
    const view = await viewOf(text, { folder, card: 'rtx-4090' });
    expect(inlayHints(view)[1]?.label).toMatch(/^[\d.]+ [kM]B of 24\.7 GB on RTX 4090$/);
    expect(inlayHints(view)[1]?.tooltip).toMatch(/^[\d.]+ [kM]B of 24\.7 GB on RTX 4090, recompute: none: /);
    // The worker and its code are not on the card.
    expect(view.estimate?.totalBytes).toBeLessThan((here.estimate?.totalBytes ?? 0) / 10);
    expect(readCard({ rowtune: { card: 'RTX 4090' } })).toBe('rtx-4090');
    for (const settings of [{ rowtune: { card: '' } }, { rowtune: { card: 'toaster' } }, { rowtune: {} }, undefined])
      expect(readCard(settings)).toBeUndefined();
  });

  it('are about each card where the run has several devices', async () => {
    const text = 'model: models/tiny\nr: 8\nmax_length: 32\nengine: pjrt\ndata: {train: spam.jsonl}\n';
    const one = await viewOf(text, { folder, card: 'rtx-4090' });
    const two = await viewOf(`${text}devices: 2\n`, { folder, card: 'rtx-4090' });
    const hint = inlayHints(two).find(({ label }) => label.includes('RTX 4090'));
    expect(hint?.label).toMatch(/^[\d.]+ [kM]B of 24\.7 GB on each RTX 4090$/);
    expect(hint?.tooltip).toMatch(/on each RTX 4090, recompute: none: each of 2 devices has /);
    // The device's part of the batch is as large. The sums of gradients are added, minus tables of results: gradients are summed after
    // their kernels.
    const more = (two.estimate?.totalBytes ?? 0) - (one.estimate?.totalBytes ?? 0);
    expect(more).toBeGreaterThan(1.5 * 4 * (one.estimate?.trainable ?? Number.NaN));
  });

  it('say nothing of the free memory of another machine', async () => {
    const farDaemon = { url: 'wss://gpu-box:8421' };
    const view = await viewOf('model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n', { folder, farDaemon });
    expect(inlayHints(view)[1]?.label).toMatch(/^[\d.]+ MB, recompute: none if it fits$/);
    expect(inlayHints(view)[1]?.tooltip).toMatch(/^[\d.]+ MB, recompute: none if that much is free on the daemon’s machine: /);
  });

  it.each(namesOf(cardCatalog))('on %s are short enough for the editor, which cuts longer ones', async card => {
    const text = 'model: models/tiny\nr: 8\nmax_length: 32\ndata: {train: spam.jsonl}\n';
    const labels = inlayHints(await viewOf(text, { folder, card })).map(({ label }) => label);
    expect(labels[1]).toMatch(/^[\d.]+ [kM]B of [\d.]+ GB on /);
    expect(Math.max(...labels.map(({ length }) => length))).toBeLessThanOrEqual(MAX_LABEL);
  });

  it.each([
    ['num_train_epochs: 3\ndata: {train: hundred.jsonl}', '≈ 75 updates (25 per epoch)'],
    ['num_train_epochs: 0.5\ndata: {train: hundred.jsonl}', '≈ 13 updates (25 per epoch)'],
    ['gradient_accumulation_steps: 8\ndata: {train: hundred.csv}', '≈ 12 updates (4 per epoch)'],
    ['max_steps: 50\ndata: {train: hundred.jsonl}', '≈ 2 epochs'],
    ['max_steps: 25\ndata: {train: hundred.jsonl}', '≈ 1 epoch'],
    ['val_size: 0.2\nnum_train_epochs: 1\ndata: {train: hundred.jsonl}', '≈ 20 updates (20 per epoch)'],
    ['num_train_epochs: 1\ndata: {train: [hundred.jsonl, hundred.csv], max_samples: 120}', '≈ 30 updates (30 per epoch)'],
  ])('show the length of the run: %j', async (text, label) =>
    expect(inlayHints(await viewOf(`model: someone/some-model\nper_device_train_batch_size: 4\n${text}`, { folder })).at(-1)?.label).toBe(
      label,
    ),
  );

  it('say nothing of the length where texts are cut into samples', async () => {
    writeFileSync(path.join(folder, 'book.txt'), 'It was a dark and stormy night.\n'.repeat(200));
    const text = 'model: someone/some-model\nnum_train_epochs: 3\nmax_length: 512\ndata: {train: book.txt}\n';
    expect(inlayHints(await viewOf(text, { folder }))).toEqual([]);
  });

  it('say nothing of the length where samples are packed or not known', async () => {
    for (const text of ['packing: true\ndata: {train: hundred.jsonl}', 'data: {train: nowhere.jsonl}', 'data: {train: models}'])
      expect(inlayHints(await viewOf(`model: someone/some-model\nnum_train_epochs: 3\n${text}`, { folder }))).toEqual([]);
  });

  it('say nothing where the model is not known', async () =>
    expect(inlayHints(await viewOf('model: someone/some-model\nr: 8\ndata: {train: notes.docx}', { folder }))).toEqual([]));
});

describe('outline', () => {
  const text = '# one\n# two\nmodel: models/tiny\ndata:\n  train: spam.jsonl\n  eval: nowhere.jsonl\nr: 8\n';

  it('lists settings with those of groups below', async () => {
    const symbols = symbolsOf((await viewOf(text, { folder })).root);
    expect(symbols.map(({ name }) => name)).toEqual(['model', 'data', 'r']);
    expect(symbols[1]?.children.map(({ name, detail }) => `${name} ${detail}`)).toEqual(['train spam.jsonl', 'eval nowhere.jsonl']);
  });

  it('folds groups and comments', async () =>
    expect(foldsOf(await viewOf(text, { folder }))).toEqual([
      { startLine: 3, endLine: 5 },
      { startLine: 0, endLine: 1, kind: 'comment' },
    ]));

  it('links what is there', async () => {
    const links = linksOf(await viewOf(text, { folder }));
    expect(links.map(({ file, range }) => `${file.slice(folder.length)} ${range.start.line}`)).toEqual([
      '/models/tiny/config.json 2',
      '/spam.jsonl 4',
    ]);
  });
});
