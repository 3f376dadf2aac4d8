/** Decides the labels of a recipe from the names of classes that its data declares. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { DataError } from '../data-error.ts';
import { mayHoldImages } from '../image/image-samples.ts';
import { folderEntries } from '../read/folder-entries.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import type { RemoteFile } from '../read/ranged-source.ts';
import { readRecords } from '../read/read-records.ts';
import { type FileFeatures, featuresFinder } from './file-features.ts';
import { labelColumn } from './label-column.ts';

/** The names of classes by number that files declare for the column with the labels. */
export interface Declared {
  readonly names: readonly string[];
  readonly column: string;
  readonly source: string;
}

/** The names of classes that data declares, with remarks. */
export interface DeclaredLabels {
  /** Absent if nothing is declared, or it cannot be used. */
  readonly declared?: Declared;
  /** Remarks about names that are not used. */
  readonly warnings: readonly string[];
}

type Reading = Pick<Recipe, 'task' | 'data'>;

/** Maximum number of files of a path whose description is read; the files of a data set have the same columns. */
const MAX_DESCRIBED = 64;

/**
 * Finds the names that local files declare.
 * @param remote further Parquet files, of which only the metadata is on this machine
 * @throws DataError if files declare different names
 */
export async function declaredLabels(
  paths: readonly string[],
  recipe: Reading,
  remote: readonly RemoteFile[] = [],
): Promise<DeclaredLabels> {
  const finder = featuresFinder();
  const found: FileFeatures[] = [];
  for (const { source, footer } of remote) {
    const features = await finder.findIn(source.path, footer.metadata);
    if (features) found.push(features);
  }
  for (const one of paths)
    for (const file of (await filesOf(one, recipe)).slice(0, MAX_DESCRIBED)) {
      const features = await finder.find(file);
      if (features && !(await holdsNames(file, features, recipe))) found.push(features);
    }
  const { declared, warnings } = labelsIn(found, recipe);
  return { ...(declared && { declared }), warnings: [...finder.ignored, ...warnings] };
}

/** The data files of a path; none if it cannot be listed, which reading it reports. */
async function filesOf(one: string, { task }: Reading): Promise<readonly DataFile[]> {
  try {
    if (objectiveCatalog[task].reads !== 'images') return await listDataFiles([one]);
    const status = await stat(one);
    const entries = status.isDirectory() ? await folderEntries(one) : [];
    const names = entries.flatMap(({ name, kind }) => (kind === 'file' ? [path.join(one, name)] : []));
    return await listDataFiles((status.isDirectory() ? names : [one]).filter(isTable));
  } catch {
    return [];
  }
}

/** True for a table with a column of images. */
const isTable = (name: string): boolean => mayHoldImages(name) && !name.endsWith('.bin');

/** True if the first label of a file is a name that is not declared, or that needs no number because the recipe has labels. */
async function holdsNames(file: DataFile, features: FileFeatures, recipe: Reading): Promise<boolean> {
  if (features.source === file.file) return false;
  const { declared } = labelsIn([features], recipe);
  if (declared === undefined) return false;
  try {
    const tagged = objectiveCatalog[recipe.task].target === 'tags';
    for await (const { value } of readRecords({ files: [file], textSplit: 'file', maxSamples: 1, tagged })) {
      const label = value[declared.column];
      const labels: readonly unknown[] = Array.isArray(label) ? label : [label];
      const given = labels.filter((each): each is string => typeof each === 'string' && !/^\s*\d+\s*$/.test(each));
      return recipe.data.labels.length > 0 ? given.length > 0 : given.some(name => !declared.names.includes(name.trim()));
    }
  } catch {
    // Reading the samples reports what is wrong with them.
  }
  return false;
}

/** Combines what files declare. @throws DataError if two declare different names */
export function labelsIn(files: readonly FileFeatures[], recipe: Reading): DeclaredLabels {
  const warnings = new Set<string>();
  let declared: Declared | undefined;
  for (const { file, source, features } of files) {
    const all = features.flatMap(({ columns, classes }): Declared[] => {
      const column = labelColumn(columns, file, recipe);
      const names = column === undefined ? undefined : classes.get(column);
      return column === undefined || names === undefined ? [] : [{ names, column, source }];
    });
    const [first, ...others] = all;
    if (first === undefined) continue;
    if (others.some(({ names }) => !isDeepStrictEqual(names, first.names)))
      warnings.add(`${source} names the classes of "${first.column}" differently for several configurations, so these names are not used`);
    else if (areOtherNumbers(first.names))
      warnings.add(
        `${source} names the classes of "${first.column}" ${shortList(first.names)}, which could be confused with the numbers of the classes, so these names are not used`,
      );
    else {
      declared ??= first;
      const different = differentNames(file, first, declared);
      if (different && recipe.data.labels.length === 0) throw different;
    }
  }
  return { ...(declared && { declared }), warnings: [...warnings] };
}

/** True if a name is a number but not that of its class: labels that are numbers would be ambiguous. */
const areOtherNumbers = (names: readonly string[]): boolean => names.some((name, at) => /^\d+$/.test(name) && name !== String(at));

/** The error for a file whose names differ from those of another one; undefined if they are the same. */
export function differentNames(file: string, { names, column, source }: Declared, other: Declared): DataError | undefined {
  if (isDeepStrictEqual(names, other.names)) return undefined;
  return new DataError({
    file,
    key: column,
    problem: `its classes are named ${shortList(names)}${source === file ? '' : ` (by ${source})`}, but ${other.source} names them ${shortList(other.names)}`,
    advice: 'Use data whose classes have the same numbers and names, or set data: labels to the names by number for all files',
  });
}

const SHOWN = 8;

/** The first names, with their number if there are more. */
const shortList = (names: readonly string[]): string =>
  names.length <= SHOWN ? names.join(', ') : `${names.slice(0, SHOWN).join(', ')} … (${names.length})`;

/** A recipe with labels that its data declares. */
export interface LabeledRecipe<R> {
  readonly recipe: R;
  /** How the labels got their names, for the log. */
  readonly info?: string;
  readonly warnings: readonly string[];
}

/**
 * Gives a recipe the declared labels unless it names labels itself.
 * @param trained the labels that a checkpoint or an adapter was trained with
 * @throws DataError if a model was trained with other names
 */
export function withDeclaredLabels<R extends Reading>(
  recipe: R,
  { declared, warnings }: DeclaredLabels,
  trained: readonly string[] = [],
): LabeledRecipe<R> {
  if (declared === undefined) return { recipe, warnings };
  const { names, column, source } = declared;
  const { labels } = recipe.data;
  if (labels.length > 0) {
    const contradiction = contradictionOf(labels, declared);
    return { recipe, warnings: contradiction === undefined ? warnings : [...warnings, contradiction] };
  }
  if (trained.length > 0 && !(trained.length === names.length && names.every(name => trained.includes(name)))) {
    // The labels of a run that did not know the names.
    if (trained.every(name => /^\d+$/.test(name))) return { recipe, warnings };
    throw new DataError({
      file: source,
      key: column,
      problem: `the classes are named ${shortList(names)}, but the model was trained with ${shortList(trained)}`,
      advice: 'Use data with the same classes, or set data: labels to the labels of the model, in the order of the numbers in this data',
    });
  }
  const info = `labels: ${shortList(names)}, the names of the classes in the column "${column}" (from ${source})`;
  return { recipe: { ...recipe, data: { ...recipe.data, labels: names } }, info, warnings };
}

/** Says that the labels of a recipe are not those that the data declares; undefined if they only have other names. */
export function contradictionOf(labels: readonly string[], { names, column, source }: Declared): string | undefined {
  if (isDeepStrictEqual(labels, names)) return undefined;
  const isOther = labels.length !== names.length || labels.some((name, at) => names.includes(name) && names[at] !== name);
  if (!isOther) return undefined;
  return `data.labels names the classes ${shortList(labels)} in the order of their numbers, but ${source} names those of "${column}" ${shortList(names)}. data.labels is used: check its order`;
}
