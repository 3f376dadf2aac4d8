/** Counts the samples of each label if that is quick: in a file, or in a folder with one folder per class. */

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { DataError } from '../../data/data-error.ts';
import { renameColumns } from '../../data/detect-format.ts';
import { judgmentsOf } from '../../data/example/format-judged.ts';
import { isImageFile, listImages, VALIDATION_LIST } from '../../data/image/image-samples.ts';
import { judgmentName } from '../../data/load/load-judged.ts';
import { findColumns } from '../../data/load/load-labeled.ts';
import { type FolderEntry, folderEntries } from '../../data/read/folder-entries.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { readRecords } from '../../data/read/read-records.ts';
import { labelName } from '../../data/read/record-fields.ts';
import { labelNames } from '../../data/several-labels.ts';
import { findTaggedColumns, taggedRecord } from '../../data/tagged/tagged-record.ts';
import type { DataRecord } from '../../data/types.ts';
import type { Recipe } from '../../protocol/recipe/recipe-schema.ts';

export type LabelCounts = Readonly<Record<string, number>>;

/** Maximum size of a file whose labels are counted here, which takes about 50 ms; the trainer counts longer files. */
export const MAX_COUNTED_BYTES = 4 * 2 ** 20;
/**
 * Maximum number of entries to read; ImageNet has 1000 classes. An incomplete path may be any folder of the disk, so no further entries and
 * no subfolders are read.
 */
const MAX_CLASSES = 1000;

/**
 * Counts the samples of each label, the words of each tag, or good and bad answers. Undefined if a sample has none; the first such sample
 * is reported with its line.
 */
export async function countFileLabels(file: string, { data, task }: Pick<Recipe, 'data' | 'task'>): Promise<LabelCounts | undefined> {
  const counts: Record<string, number> = Object.create(null);
  let key: string | undefined;
  const { target, model, compares } = objectiveCatalog[task];
  const tagged = target === 'tags';
  const namesIn = (record: DataRecord): readonly string[] => {
    if (tagged) return taggedRecord(record, findTaggedColumns(record), data.labels).tags;
    if (compares?.answers === 'judged') return judgmentsOf(record).map(judgmentName);
    if (target === 'labels') return labelNames(record, findColumns(record, data.labels), data.labels);
    key ??= model === 'causal' ? 'label' : findColumns(record).label;
    return [labelName(record, key, data.labels)];
  };
  let isRead = tagged;
  try {
    for await (const given of readRecords({ files: await listDataFiles([file]), textSplit: 'file', tagged })) {
      for (const name of namesIn(renameColumns(given, data.columns))) counts[name] = (counts[name] ?? 0) + 1;
      isRead = true;
    }
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
  return isRead ? counts : undefined;
}

/** Counts the images of each class; undefined for a folder with another layout. */
export async function countFolderLabels(folder: string): Promise<LabelCounts | undefined> {
  const entries = await entriesOf(folder);
  if (entries.some(({ name }) => name === VALIDATION_LIST)) return countListedLabels(folder);
  const classes = entries.filter(({ name, kind }) => kind === 'folder' && !name.startsWith('.'));
  if (classes.length === 0 || classes.length > MAX_CLASSES) return undefined;
  const counts = await Promise.all(classes.map(async ({ name }) => [name, await countImages(path.join(folder, name))] as const));
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** Counts from the list in Tiny-ImageNet's validation part; undefined if the list is long or wrong, which the trainer reports. */
async function countListedLabels(folder: string): Promise<LabelCounts | undefined> {
  try {
    if ((await stat(path.join(folder, VALIDATION_LIST))).size > MAX_COUNTED_BYTES) return undefined;
    const { samples } = await listImages({ paths: [folder], columns: {}, labels: [], seed: 0 });
    const counts: Record<string, number> = Object.create(null);
    for (const { label } of samples) counts[label] = (counts[label] ?? 0) + 1;
    return counts;
  } catch {
    return undefined;
  }
}

/** Counts the images of a class; Tiny-ImageNet has class/images/. */
async function countImages(folder: string): Promise<number> {
  const entries = await entriesOf(folder);
  const inner = entries.some(({ name, kind }) => kind === 'folder' && name === 'images')
    ? await entriesOf(path.join(folder, 'images'))
    : [];
  return [...entries, ...inner].filter(entry => isImageFile(entry.name)).length;
}

const entriesOf = (folder: string): Promise<FolderEntry[]> => folderEntries(folder).catch(() => []);
