/** Reads the beginning of a data file, or all of a short one: its columns, and unusable samples. */
import { objectiveCatalog } from '../../catalog/objectives.ts';
import { DataError, type DataPlace } from '../../data/data-error.ts';
import { checkSameFormat, detectFormat, renameColumns } from '../../data/detect-format.ts';
import { type FormatSettings, formatExample } from '../../data/format-example.ts';
import { formatJudged } from '../../data/format-judged.ts';
import { formatPair, pairMargin } from '../../data/format-pair.ts';
import { findColumns, type LabeledColumns, labeledRecord } from '../../data/load-labeled.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { readRecords } from '../../data/read/read-records.ts';
import { tagScheme } from '../../data/tagged/tag-scheme.ts';
import { findTaggedColumns, type TaggedColumns, tagColumn, taggedRecord } from '../../data/tagged/tagged-record.ts';
import { findGroupColumns, type GroupColumns } from '../../data/text-groups/group-columns.ts';
import { groupForm } from '../../data/text-groups/group-form.ts';
import { groupRecord } from '../../data/text-groups/group-record.ts';
import type { ChatRenderer, DataFormat, DataRecord } from '../../data/types.ts';
import type { Recipe } from '../../protocol/recipe-schema.ts';
import { countFileLabels } from './count-labels.ts';
import { countRows } from './count-rows.ts';
import type { BadSample, DataFact, DataFactParams, OddSamples } from './data-facts.ts';

type DataSettings = Recipe['data'];
type Task = Recipe['task'];

/** Bytes read of a file longer than `MAX_WHOLE_BYTES`: enough to find a wrong key or type, and quick. */
const CHECKED_SAMPLES = 1000;
/** A person fixes these before looking again. */
const MAX_BAD = 20;
/**
 * Shorter files are checked completely. A .json file is parsed in one piece and a .parquet row group may be large:
 * larger ones are left to the trainer.
 */
const MAX_WHOLE_BYTES = 4 * 2 ** 20;

/** The content of the beginning of one file. Never rejects; plain data. */
export async function readDataFact({ written, full, data, task, embedding, counts, bytes }: DataFactParams): Promise<DataFact> {
  const base = { written, full, isFolder: false, columns: [] };
  let first: DataRecord | undefined;
  let format: DataFormat | undefined;
  const bad: BadSample[] = [];
  const report = (error: unknown): void => {
    if (!(error instanceof DataError) || error.place.line === undefined || bad.length >= MAX_BAD) throw error;
    bad.push({ line: error.place.line, key: error.place.key, reason: `${error.problem}. ${error.advice}` });
  };
  try {
    const files = await listDataFiles([base.full]);
    const isWhole = files.some(({ extension }) => extension === '.json' || extension === '.parquet');
    if (isWhole && bytes > MAX_WHOLE_BYTES) return { ...base, state: 'ok' };
    const limit = bytes <= MAX_WHOLE_BYTES ? Number.MAX_SAFE_INTEGER : CHECKED_SAMPLES;
    let renamedFirst: DataRecord | undefined;
    // The columns of the first sample hold for the file, as in training.
    let labeled: LabeledColumns | undefined;
    let words: TaggedColumns | undefined;
    let texts: GroupColumns | undefined;
    const tagged = objectiveCatalog[task].target === 'tags';
    const tags = new Map<string, DataPlace>();
    const same: number[] = [];
    const repeated: number[] = [];
    const documents = new Map<string, number>();
    let checked = 0;
    const check = (record: DataRecord): void => {
      const renamed = renameColumns(record, data.columns);
      renamedFirst ??= renamed;
      if (tagged) {
        words ??= findTaggedColumns(renamed);
        const columns = words;
        for (const tag of taggedRecord(renamed, columns, data.labels).tags)
          if (!tags.has(tag)) tags.set(tag, { file: record.file, line: record.line, key: tagColumn(columns) });
        return;
      }
      if (objectiveCatalog[task].embeds) {
        texts ??= findGroupColumns(renamed);
        const [anchor, positive] = groupRecord(renamed, texts, groupForm(embedding)).texts;
        if (anchor === positive) same.push(record.line);
        return;
      }
      const { compares } = objectiveCatalog[task];
      if (compares) {
        if (compares.answers === 'judged') {
          format ??= data.format === 'auto' ? detectFormat(renamed).format : data.format;
          if (data.format === 'auto') checkSameFormat(renamed, format, renamedFirst);
          formatJudged(renamed, formatSettings(format, data));
          return;
        }
        format = 'preference';
        const { chosen, rejected } = formatPair(renamed, formatSettings(format, data));
        if (chosen.repeatsPrompt || rejected.repeatsPrompt) repeated.push(record.line);
        if (compares.readsMargin) pairMargin(renamed);
        return;
      }
      if (objectiveCatalog[task].model === 'classifier') {
        labeled ??= findColumns(renamed, objectiveCatalog[task].target === 'labels' ? data.labels : []);
        const query = checkLabeled(renamed, labeled, { task, labels: data.labels });
        if (objectiveCatalog[task].ranks) documents.set(query, (documents.get(query) ?? 0) + 1);
        return;
      }
      format ??= data.format === 'auto' ? detectFormat(renamed).format : data.format;
      if (data.format === 'auto') checkSameFormat(renamed, format, renamedFirst);
      formatExample(renamed, formatSettings(format, data));
    };
    for await (const record of readRecords({ files, maxSamples: limit, textSplit: 'file', onProblem: report, tagged })) {
      const isFirst = first === undefined;
      first ??= record;
      checked++;
      try {
        check(record);
      } catch (error) {
        report(error);
        // If the first sample lacks a format or columns, the whole file is likely to lack them.
        if (isFirst && format === undefined && labeled === undefined && words === undefined && texts === undefined) break;
      }
      if (bad.length >= MAX_BAD) break;
    }
    if (tagged && bad.length === 0) tagScheme(tags);
    const columns = columnsOf(first);
    if (bad.length > 0)
      return { ...base, state: 'bad-sample', badSamples: bad.slice(0, MAX_BAD), isCut: bad.length >= MAX_BAD, columns, format };
    if (first === undefined) return { ...base, state: 'unreadable', reason: 'the file contains no samples' };
    const rows = await countRows({ ...(files[0] ?? { file: base.full, extension: '.txt' }), bytes, checked, limit });
    const labels = counts ? await countFileLabels(base.full, { data, task }) : undefined;
    const odd = (lines: readonly number[]): OddSamples | undefined =>
      lines[0] === undefined ? undefined : { count: lines.length, of: checked, line: lines[0] };
    const single = [...documents.values()].filter(count => count === 1).length;
    const queries = documents.size > 0 && checked < limit ? { count: documents.size, single } : undefined;
    return { ...base, state: 'ok', columns, format, rows, bytes, labels, sameTexts: odd(same), repeatedPrompts: odd(repeated), queries };
  } catch (error) {
    const columns = columnsOf(first);
    if (!(error instanceof DataError)) return { ...base, state: 'unreadable', reason: String(error), columns };
    const reason = `${error.problem}. ${error.advice}`;
    const { line, key } = error.place;
    if (line === undefined) return { ...base, state: 'unreadable', reason, columns, format };
    return {
      ...base,
      state: 'bad-sample',
      badSamples: [...bad, { line, key, reason }].slice(0, MAX_BAD),
      isCut: bad.length >= MAX_BAD,
      columns,
      format,
    };
  }
}

/** Reads a sample as a classifier or a regression does. @returns its text, the query of a reranker */
function checkLabeled(
  record: DataRecord,
  columns: LabeledColumns,
  { task, labels }: { readonly task: Task; readonly labels: readonly string[] },
): string {
  const { target, ranks } = objectiveCatalog[task];
  return labeledRecord(record, columns, { ranks, regression: target === 'number', multiple: target === 'labels', labels }).first;
}

const columnsOf = (record: DataRecord | undefined): string[] => Object.keys(record?.value ?? {}).slice(0, 200);

/** Stands for the model's template, which is not read here: it shows whether the samples are chats. */
const plainChat: ChatRenderer = {
  marksGeneration: false,
  mentions: () => true,
  render: ({ messages }) => ({ text: messages.map(message => `${everyText(message)}\n`).join(''), generated: [] }),
};

/** All strings of a value, one after the other. */
function everyText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value !== null && typeof value === 'object' ? Object.values(value).map(everyText).join(' ') : '';
}

const formatSettings = (format: DataFormat, data: DataSettings): FormatSettings => ({
  format,
  promptTemplate: data.prompt,
  labels: data.labels,
  shownLabels: data.labels,
  chat: false,
  completionOnly: data.completion_only,
  trainedTurns: data.trained_turns,
  chatRenderer: plainChat,
});
