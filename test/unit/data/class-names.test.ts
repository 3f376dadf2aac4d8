/** Tests the names of classes that data declares: in its files, as datasets 5.2 writes them, and next to them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { declaredLabels, withDeclaredLabels } from '../../../trainer/data/class-names/declared-labels.ts';
import { parseRecipe } from '../../../trainer/protocol/recipe/parse-recipe.ts';
import { makeTemporaryFolder, removeTemporaryFolders } from '../../support/machine/temporary-folder.ts';

afterAll(removeTemporaryFolders);

const fixtures = path.join(import.meta.dirname, 'fixtures', 'class-names');
const at = (name: string): string => path.join(fixtures, name);

const recipeOf = (task: string, data: object = {}) =>
  parseRecipe(JSON.stringify({ model: 'm', task, data: { train: 'x', ...data } })).resolved;
const CLASSES = 'sequence_classification';

/** Returns the labels of a recipe with this data, and the warnings. */
async function labelsOf(paths: readonly string[], task = CLASSES, data: object = {}, trained: readonly string[] = []) {
  const recipe = recipeOf(task, data);
  const labeled = withDeclaredLabels(recipe, await declaredLabels(paths, recipe), trained);
  return { labels: labeled.recipe.data.labels, warnings: labeled.warnings, info: labeled.info };
}

/** Writes files into a new folder and returns it. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = makeTemporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), content);
  }
  return folder;
}

const NUMBERED = '{"text":"good","label":1}\n{"text":"bad","label":0}\n';
const infoOf = (label: unknown): string => JSON.stringify({ features: { text: { dtype: 'string', _type: 'Value' }, label } });
const cardOf = (config: string): string => `---\nlicense: mit\ndataset_info:\n${config}---\n# Films\n`;
const column = (indent: string, names: string): string =>
  `${indent}- name: text\n${indent}  dtype: string\n${indent}- name: label\n${indent}  dtype:\n${indent}    class_label:\n${indent}      names:\n${names}`;
const CARD = cardOf(`  features:\n${column('  ', "          '0': bad\n          '1': good\n")}`);
const configured = (name: string, first: string): string =>
  `  - config_name: ${name}\n    features:\n${column('    ', `            '0': ${first}\n            '1': good\n`)}`;

describe('the names that the files of datasets declare', () => {
  test.each([
    ['films.parquet', CLASSES, ['neg', 'pos']],
    ['saved', CLASSES, ['neg', 'pos']],
    ['words.parquet', 'token_classification', ['O', 'B-PER', 'I-PER']],
    ['several.parquet', 'multi_label_classification', ['joy', 'anger']],
    ['photos.parquet', 'image_classification', ['cat', 'dog']],
    ['films.parquet', 'causal_lm', ['neg', 'pos']],
    ['films.parquet', 'sequence_regression', []],
    ['words.parquet', 'causal_lm', []],
  ])('%s for %s', async (name, task, labels) => {
    expect(await labelsOf([at(name)], task)).toMatchObject({ labels, warnings: [] });
  });

  test('of a renamed column', async () => {
    const folder = folderOf({
      'a.jsonl': '{"body":"x","kind":0}\n',
      'dataset_info.json': JSON.stringify({ features: { body: {}, kind: { _type: 'ClassLabel', names: ['b', 'a'] } } }),
    });
    const data = { columns: { text: 'body', label: 'kind' } };
    expect((await labelsOf([path.join(folder, 'a.jsonl')], CLASSES, data)).labels).toEqual(['b', 'a']);
  });

  test('of a folder of images', async () => {
    const folder = folderOf({ 'notes.txt': 'x', 'README.md': CARD });
    expect((await labelsOf([folder, fixtures], 'image_classification')).labels).toEqual(['cat', 'dog']);
  });
});

describe('the names next to files of text', () => {
  test.each([
    ['dataset_info.json', { 'a.jsonl': NUMBERED, 'dataset_info.json': infoOf({ _type: 'ClassLabel', names: ['bad', 'good'] }) }],
    ['a list of one feature', { 'a.jsonl': NUMBERED, 'dataset_info.json': infoOf([{ _type: 'ClassLabel', names: ['bad', 'good'] }]) }],
    ['a card', { 'a.csv': 'text,label\ngood,1\n', 'README.md': CARD }],
    ['a card two folders above', { 'data/train/a.jsonl': NUMBERED, 'README.md': CARD }],
    [
      'the configuration of a folder',
      { 'films/a.jsonl': NUMBERED, 'README.md': cardOf(configured('films', 'bad') + configured('books', 'dull')) },
    ],
    ['labels that are these names', { 'a.jsonl': '{"text":"x","label":"good"}\n', 'README.md': CARD }],
  ])('%s', async (_, files) => {
    expect(await labelsOf([folderOf(files)])).toMatchObject({ labels: ['bad', 'good'], warnings: [] });
  });

  test('are not those of data with other names', async () => {
    expect((await labelsOf([folderOf({ 'a.jsonl': '{"text":"x","label":"great"}\n', 'README.md': CARD })])).labels).toEqual([]);
  });

  test('of a list of tags in a card', async () => {
    const card = cardOf(
      "  features:\n  - name: tokens\n    sequence: string\n  - name: ner_tags\n    sequence:\n      class_label:\n        names:\n          '0': O\n          '1': B-X\n",
    );
    const folder = folderOf({ 'a.jsonl': '{"tokens":["a"],"ner_tags":[1]}\n', 'README.md': card });
    expect((await labelsOf([folder], 'token_classification')).labels).toEqual(['O', 'B-X']);
  });
});

describe('names that cannot be used are announced', () => {
  const named = (names: unknown) => infoOf({ _type: 'ClassLabel', names });
  test.each([
    ['malformed JSON', 'dataset_info.json', '{"features": {', /malformed JSON/],
    ['deep JSON', 'dataset_info.json', '['.repeat(200_000), /malformed JSON/],
    ['names that are no list', 'dataset_info.json', named({ '0': 'bad' }), /no list of names/],
    ['a name twice', 'dataset_info.json', named(['bad', 'bad']), /the name "bad" twice/],
    ['an empty name', 'dataset_info.json', named(['bad', '']), /a name \(of class 1\)/],
    ['too many names', 'dataset_info.json', named(Array.from({ length: 100_001 }, (_, i) => `n${i}`)), /100001 names; at most/],
    ['numbers of other classes', 'dataset_info.json', named(['1', '2']), /could be confused/],
    ['malformed YAML', 'README.md', cardOf('  features: [{\n'), /malformed YAML/],
    ['deep YAML', 'README.md', cardOf(`  features: ${'['.repeat(5000)}\n`), /too great a length/],
    ['names that skip a number', 'README.md', CARD.replace("'1'", "'2'"), /a name \(of class 1\)/],
    ['configurations that differ', 'README.md', cardOf(configured('films', 'bad') + configured('books', 'dull')), /several configurations/],
  ])('%s', async (_, name, content, message) => {
    const { labels, warnings } = await labelsOf([folderOf({ 'a.jsonl': NUMBERED, [name]: content })]);
    expect([labels, warnings]).toEqual([[], [expect.stringMatching(message)]]);
    expect(warnings[0]).toMatch(/not used$/);
  });

  test('thousands of names can be used', async () => {
    const names = Array.from({ length: 21_841 }, (_, i) => `class ${i}`);
    const folder = folderOf({ 'a.jsonl': NUMBERED, 'dataset_info.json': named(names) });
    const { labels, info } = await labelsOf([folder]);
    expect(labels).toEqual(names);
    expect(info).toMatch(/^labels: class 0, .* … \(21841\), the names of the classes in the column "label" \(from .*dataset_info.json\)$/);
  });

  test('missing and damaged data is left to the reader of its samples', async () => {
    const folder = folderOf({ 'a.parquet': 'PAR1', 'b.arrow': 'ARROW1' });
    const paths = ['nowhere', path.join(folder, 'a.parquet'), path.join(folder, 'b.arrow')];
    expect(await labelsOf(paths)).toMatchObject({ labels: [], warnings: [] });
  });
});

describe('labels of the recipe', () => {
  const films = [at('films.parquet')];

  test.each([
    ['the same', ['neg', 'pos'], []],
    ['other words', ['bad', 'good'], []],
    ['another order', ['pos', 'neg'], [/names the classes pos, neg in the order of their numbers, but .*films.parquet names .* neg, pos/]],
    ['another number', ['neg', 'pos', 'none'], [/data.labels is used/]],
  ])('%s', async (_, labels, warnings) => {
    const found = await labelsOf(films, CLASSES, { labels });
    expect([found.labels, found.warnings]).toEqual([labels, warnings.map(each => expect.stringMatching(each))]);
  });

  test('files that declare different names need them', async () => {
    const both = [...films, at('swapped.parquet')];
    await expect(labelsOf(both)).rejects.toThrow(
      /swapped.parquet: key "label": its classes are named pos, neg, but .*films.parquet names them neg, pos/,
    );
    expect((await labelsOf(both, CLASSES, { labels: ['neg', 'pos'] })).labels).toEqual(['neg', 'pos']);
  });
});

test.each([
  ['the same names in another order', ['pos', 'neg'], ['neg', 'pos']],
  ['numbers, of a run that did not know the names', ['0', '1'], []],
])('a model that was trained with %s', async (_, trained, labels) => {
  expect((await labelsOf([at('films.parquet')], CLASSES, {}, trained)).labels).toEqual(labels);
});

test('a model that was trained with other names is refused', async () => {
  await expect(labelsOf([at('films.parquet')], CLASSES, {}, ['bad', 'good'])).rejects.toThrow(
    /the classes are named neg, pos, but the model was trained with bad, good/,
  );
});
