/** What is known of a recipe's data files: whether they are there, the columns, and the first sample that can't be used. */

import { stat } from 'node:fs/promises';
import path from 'node:path';
import { measureCatalog } from '../catalog/measures.ts';
import type { Recipe } from '../protocol/recipe-schema.ts';
import { DataError } from '../train/data/data-error.ts';
import { checkSameFormat, detectFormat, renameColumns } from '../train/data/detect-format.ts';
import { type FormatSettings, formatExample } from '../train/data/format-example.ts';
import { listDataFiles } from '../train/data/list-files.ts';
import { findColumns, type LabelledColumns, labelledRecord } from '../train/data/load-labelled.ts';
import { readRecords } from '../train/data/read-records.ts';
import type { DataFormat, DataRecord, RenderChat } from '../train/data/types.ts';
import { countFileLabels, countFolderLabels, type LabelCounts, MAX_COUNTED_BYTES } from './count-labels.ts';
import { countRows, type RowCount } from './count-rows.ts';
import { nearbyName } from './model-facts.ts';

export interface DataFact {
  /** As the recipe writes it. */
  readonly written: string;
  readonly full: string;
  readonly state: 'ok' | 'missing' | 'unreadable' | 'bad-sample';
  readonly isFolder: boolean;
  readonly reason?: string;
  /** From 1, in `full`. */
  readonly line?: number;
  readonly key?: string;
  readonly suggestion?: string;
  /** Samples in the file, where counting them is quick. */
  readonly rows?: RowCount;
  /** Of the file. */
  readonly bytes?: number;
  /** Keys of the first sample, under their names in the data. */
  readonly columns: readonly string[];
  readonly format?: DataFormat;
  /** Samples of each label, where the task or the measure asks for labels and counting them is quick. */
  readonly labels?: LabelCounts;
}

/** Enough to meet a wrong key or type that runs through the file, and quick. */
const CHECKED_SAMPLES = 20;
/** A .json file is parsed in one piece and a .parquet row group may be large: larger files are left to the trainer. */
const MAX_WHOLE_BYTES = 4 * 2 ** 20;
const MAX_CACHED = 64;

type DataSettings = Recipe['data'];
type Task = Recipe['task'];
type Asked = Pick<Recipe, 'data' | 'task' | 'importance'>;

/** What is shown of labels: whether there are two of a classifier's, and whether a measure over classes has enough of each. */
const needsLabels = ({ task, importance }: Asked): boolean =>
  task === 'sequence_classification' ||
  task === 'image_classification' ||
  (task === 'causal_lm' && measureCatalog[importance.measure].needsBalancedLabels);

export class DataCache {
  readonly #entries = new Map<string, Promise<DataFact>>();

  /** Never rejects. */
  async look(written: string, asked: Asked, baseDir: string): Promise<DataFact> {
    const { data, task } = asked;
    const full = path.resolve(baseDir, written);
    const found = await stat(full).catch(() => undefined);
    const base = { written, full, isFolder: found?.isDirectory() === true, columns: [] };
    if (found === undefined) return { ...base, state: 'missing', suggestion: await nearbyName(written, full) };
    // A half-typed path may be the root of the disk: folders of images are counted no deeper than their classes, others left to the trainer.
    if (base.isFolder && task === 'image_classification') return { ...base, state: 'ok', labels: await countFolderLabels(full) };
    if (base.isFolder || task === 'image_classification') return { ...base, state: 'ok' };
    const counts = needsLabels(asked) && found.size <= MAX_COUNTED_BYTES;
    const key = JSON.stringify([full, found.mtimeMs, found.size, task, data.format, data.columns, data.labels, counts]);
    const known = this.#entries.get(key) ?? inspect(base, { data, task, counts }, found.size);
    this.#entries.delete(key);
    this.#entries.set(key, known);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_CACHED && oldest !== undefined) this.#entries.delete(oldest);
    return known;
  }
}

async function inspect(
  base: Omit<DataFact, 'state'>,
  { data, task, counts }: { readonly data: DataSettings; readonly task: Task; readonly counts: boolean },
  bytes: number,
): Promise<DataFact> {
  let first: DataRecord | undefined;
  let format: DataFormat | undefined;
  try {
    const files = await listDataFiles([base.full]);
    const isWhole = files.some(({ extension }) => extension === '.json' || extension === '.parquet');
    if (isWhole && bytes > MAX_WHOLE_BYTES) return { ...base, state: 'ok' };
    let renamedFirst: DataRecord | undefined;
    let labelled: LabelledColumns | undefined;
    let checked = 0;
    for await (const record of readRecords({ files, maxSamples: CHECKED_SAMPLES, textSplit: 'file' })) {
      first ??= record;
      checked++;
      const renamed = renameColumns(record, data.columns);
      renamedFirst ??= renamed;
      if (task !== 'causal_lm') {
        labelled ??= findColumns(renamed);
        checkLabelled(renamed, labelled, { task, labels: data.labels });
        continue;
      }
      format ??= data.format === 'auto' ? detectFormat(renamed).format : data.format;
      if (data.format === 'auto') checkSameFormat(renamed, format, renamedFirst);
      formatExample(renamed, formatSettings(format, data));
    }
    const columns = columnsOf(first);
    if (first === undefined) return { ...base, state: 'unreadable', reason: 'the file holds no sample' };
    const rows = await countRows({ ...(files[0] ?? { file: base.full, extension: '.txt' }), bytes, checked, limit: CHECKED_SAMPLES });
    const labels = counts ? await countFileLabels(base.full, { data, task }) : undefined;
    return { ...base, state: 'ok', columns, format, rows, bytes, labels };
  } catch (error) {
    const columns = columnsOf(first);
    if (!(error instanceof DataError)) return { ...base, state: 'unreadable', reason: String(error), columns };
    const { line, key } = error.place;
    const reason = `${error.problem}. ${error.advice}`;
    return { ...base, state: line === undefined ? 'unreadable' : 'bad-sample', reason, line, key, columns, format };
  }
}

/** As a classifier or a regression reads it. */
function checkLabelled(
  record: DataRecord,
  columns: LabelledColumns,
  { task, labels }: { readonly task: Task; readonly labels: readonly string[] },
): void {
  labelledRecord(record, columns, { regression: task === 'sequence_regression', labels });
}

const columnsOf = (record: DataRecord | undefined): string[] => Object.keys(record?.value ?? {}).slice(0, 200);

/** The template of the model says only how a chat is written; any will do to see whether there is one. */
const plainChat: RenderChat = messages => messages.map(({ role, content }) => `${role}: ${content}\n`).join('');

const formatSettings = (format: DataFormat, data: DataSettings): FormatSettings => ({
  format,
  promptTemplate: data.prompt,
  labels: data.labels,
  shownLabels: data.labels,
  chat: false,
  completionOnly: data.completion_only,
  renderChat: plainChat,
});
