/** Tests the labels that users see instead of catalog names. */
import { describe, expect, test } from 'vitest';
import { artifactCatalog } from '../../../trainer/catalog/artifacts.ts';
import { engineCatalog } from '../../../trainer/catalog/engines.ts';
import { namesOf } from '../../../trainer/catalog/entries.ts';
import { type CatalogName, labelIn, labelOfSetting, methodLabel } from '../../../trainer/catalog/labels.ts';
import { measureCatalog } from '../../../trainer/catalog/measures.ts';
import { methodCatalog } from '../../../trainer/catalog/methods.ts';
import { objectiveCatalog } from '../../../trainer/catalog/objectives.ts';

const catalogs: Readonly<Record<CatalogName, Readonly<Record<string, { readonly label: string }>>>> = {
  method: methodCatalog,
  measure: measureCatalog,
  objective: objectiveCatalog,
  engine: engineCatalog,
  artifact: artifactCatalog,
};

/** Characters that a list of the editor shows in a line. */
const LIST_COLUMNS = 80;

describe.each(namesOf(catalogs))('labels of the catalog %s', catalog => {
  test('no two entries share one, and none is an identifier', () => {
    const labels = Object.keys(catalogs[catalog]).map(name => labelIn(catalog, name));
    expect(new Set(labels).size).toBe(labels.length);
    for (const label of labels) expect(label).toMatch(/^[A-Z][^_]*$/);
  });
});

test('an unknown name is its own label, even a name such as constructor', () => {
  expect(labelIn('method', 'from_the_future')).toBe('from_the_future');
  expect(labelIn('method', 'constructor')).toBe('constructor');
});

test('a setting has labels if a catalog lists its values', () => {
  expect(labelOfSetting('task', 'sequence_classification')).toBe('Text classification');
  expect(labelOfSetting('importance.measure', 'taylor_row')).toBe('Taylor (rows)');
  expect(labelOfSetting('engine', 'auto')).toBeUndefined();
  expect(labelOfSetting('learning_rate', '0.1')).toBeUndefined();
  expect(labelOfSetting('method', undefined)).toBeUndefined();
});

test.each([
  ['rows', 'Sparse rows (SPSFT)'],
  ['columns', 'Sparse columns (SPSFT)'],
  ['coupled', 'Sparse rows and columns (SPSFT)'],
  [undefined, 'Sparse fine-tuning (SPSFT)'],
  ['from_the_future', 'Sparse fine-tuning (SPSFT)'],
  ['constructor', 'Sparse fine-tuning (SPSFT)'],
])('a run that trains %s is called %s', (trains, label) => expect(methodLabel('spsft', trains)).toBe(label));

test('a method that trains something else keeps its label, whatever the recipe says', () => {
  expect(methodLabel('lora', 'columns')).toBe('LoRA');
  expect(methodLabel('from_the_future', 'columns')).toBe('from_the_future');
});

test("the labels of an export's types fit in the editor's list", () => {
  const labels = Object.values(artifactCatalog).flatMap(({ types = {} }) => Object.values(types));
  expect(labels.length).toBeGreaterThan(10);
  expect(labels.filter(label => label.length > LIST_COLUMNS)).toEqual([]);
});
