/** Finds the column of a data set that has the labels of a task. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';
import { DataError } from '../data-error.ts';
import { type ColumnNames, detectFormat, renameColumns } from '../detect-format.ts';
import { IMAGE_KEYS, labelKey } from '../image/image-samples.ts';
import { findColumns } from '../load/load-labeled.ts';
import { findTaggedColumns } from '../tagged/tagged-record.ts';
import type { DataRecord } from '../types.ts';

/**
 * The column, by its name in the data; undefined if the task has no labels, or the data has another form.
 * @param columns all columns, by their names in the data
 */
export function labelColumn(columns: readonly string[], file: string, recipe: Pick<Recipe, 'task' | 'data'>): string | undefined {
  const renames: ColumnNames = recipe.data.columns;
  const given: DataRecord = { file, line: 1, value: Object.fromEntries(columns.map(name => [name, null])) };
  try {
    const key = keyOf(renameColumns(given, renames), recipe);
    return key === undefined ? undefined : (renames[key] ?? key);
  } catch (error) {
    // Reading the data reports the missing columns.
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** @throws DataError if columns are missing */
function keyOf(record: DataRecord, { task, data }: Pick<Recipe, 'task' | 'data'>): string | undefined {
  const { target, reads } = objectiveCatalog[task];
  if (reads === 'images') return IMAGE_KEYS.some(key => Object.hasOwn(record.value, key)) ? labelKey(record) : undefined;
  if (target === 'label' || target === 'labels') return findColumns(record).label;
  if (target === 'tags') {
    const found = findTaggedColumns(record);
    return found.kind === 'words' ? found.tags : undefined;
  }
  if (target !== 'tokens') return undefined;
  return (data.format === 'auto' ? detectFormat(record).format : data.format) === 'text_label' ? 'label' : undefined;
}
