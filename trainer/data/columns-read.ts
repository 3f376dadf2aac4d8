/** The columns of a data set that a recipe reads. Other columns may be missing. */
import { objectiveCatalog } from '../catalog/objectives.ts';
import type { Recipe } from '../protocol/recipe/recipe-schema.ts';
import { type ColumnNames, detectFormat, renameColumns } from './detect-format.ts';
import { OF_ANSWERS, OF_FORMAT } from './format-columns.ts';
import { glueTask } from './glue.ts';
import { findColumns } from './load/load-labeled.ts';
import { columnsOf, type RemoteFile } from './read/ranged-source.ts';
import { findTaggedColumns } from './tagged/tagged-record.ts';
import { findGroupColumns } from './text-groups/group-columns.ts';
import type { DataRecord } from './types.ts';
import { IMAGE_COLUMNS } from './vision/image-parts.ts';

export interface ColumnsQuestion {
  /** All columns, as the file names them. */
  readonly columns: readonly string[];
  /** The file, for messages; official data sets are also recognized by their folders. */
  readonly file: string;
  readonly recipe: Pick<Recipe, 'task' | 'data'>;
}

/** A file, and the names of the columns that are read from it. */
export interface NamedFile extends RemoteFile {
  readonly names: ReadonlySet<string>;
}

/** Adds the names of the columns that are read from each file. @throws DataError as `columnsRead` */
export const withNames = (files: readonly RemoteFile[], recipe: ColumnsQuestion['recipe']): NamedFile[] =>
  files.map(file => ({ ...file, names: new Set(columnsRead({ columns: columnsOf(file), file: file.source.path, recipe })) }));

const OF_IMAGES = ['image', 'img', 'label', 'fine_label', 'labels'] as const;

/**
 * @returns names of the file's columns, in its order; detection of the format gives the same result as with all columns
 * @throws DataError if the file lacks a column that the recipe names, or has no known column
 */
export function columnsRead({ columns, file, recipe }: ColumnsQuestion): string[] {
  const names: ColumnNames = recipe.data.columns;
  const given: DataRecord = { file, line: 1, value: Object.fromEntries(columns.map(name => [name, null])) };
  const record = renameColumns(given, names);
  const keys = keysOf(record, { columns, file, recipe });
  const theirs = new Set([...keys.map(key => names[key] ?? key), ...Object.values(names)]);
  return columns.filter(name => theirs.has(name));
}

function keysOf(record: DataRecord, { columns, file, recipe: { task, data } }: ColumnsQuestion): readonly string[] {
  const { target, reads } = objectiveCatalog[task];
  if (reads === 'images') return OF_IMAGES;
  switch (target) {
    case 'tokens':
      return [...OF_FORMAT[data.format === 'auto' ? detectFormat(record).format : data.format], ...IMAGE_COLUMNS];
    case 'preference':
    case 'judgment':
      if (data.format === 'auto') detectFormat(record);
      return OF_ANSWERS;
    case 'label':
    case 'labels':
    case 'number': {
      const { first, second, label, flags = [] } = findColumns(record, target === 'labels' ? data.labels : []);
      // A task that is recognized by its columns must stay recognizable.
      return glueTask(file, columns) === undefined ? [first, ...(second === undefined ? [] : [second]), label, ...flags] : columns;
    }
    case 'tags': {
      const found = findTaggedColumns(record);
      return found.kind === 'words' ? [found.words, found.tags] : [found.text, found.spans];
    }
    case 'similarity': {
      const { anchor, positive, negatives, score } = findGroupColumns(record);
      return [anchor, positive, ...negatives, ...(score === undefined ? [] : [score])];
    }
  }
}
