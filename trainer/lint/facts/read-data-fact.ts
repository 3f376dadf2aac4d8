/** Reads the beginning of a data file: its columns, and the first sample that can't be used. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { DataError } from '../../data/data-error.ts';
import { checkSameFormat, detectFormat, renameColumns } from '../../data/detect-format.ts';
import { type FormatSettings, formatExample } from '../../data/format-example.ts';
import { findColumns, type LabelledColumns, labelledRecord } from '../../data/load-labelled.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { readRecords } from '../../data/read/read-records.ts';
import type { DataFormat, DataRecord, RenderChat } from '../../data/types.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { countFileLabels } from './count-labels.ts';
import { countRows } from './count-rows.ts';
import type { DataFact, DataFactParams } from './data-facts.ts';

type DataSettings = Recipe['data'];
type Task = Recipe['task'];

/** Enough to meet a wrong key or type that runs through the file, and quick. */
const CHECKED_SAMPLES = 20;
/** A .json file is parsed in one piece and a .parquet row group may be large: larger files are left to the trainer. */
const MAX_WHOLE_BYTES = 4 * 2 ** 20;

/** What the beginning of one file says. Never rejects; plain data. */
export async function readDataFact({ written, full, data, task, counts, bytes }: DataFactParams): Promise<DataFact> {
  const base = { written, full, isFolder: false, columns: [] };
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
      if (objectiveCatalog[task].model === 'classifier') {
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
  labelledRecord(record, columns, { regression: objectiveCatalog[task].target === 'number', labels });
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
