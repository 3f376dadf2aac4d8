/** Describes a data file for a list, from its first sample. */
import { stat } from 'node:fs/promises';
import { DataError } from '../../data/data-error.ts';
import { detectFormat } from '../../data/detect-format.ts';
import { listDataFiles } from '../../data/read/list-files.ts';
import { readRecords } from '../../data/read/read-records.ts';
import { findTaggedColumns } from '../../data/tagged/tagged-record.ts';
import { findGroupColumns } from '../../data/text-groups/group-columns.ts';
import type { DataFormat, DataRecord } from '../../data/types.ts';
import { isRecord } from '../../narrow.ts';
import { taggedExtensions } from '../../protocol/data-extensions.ts';
import { chatColumns } from '../../protocol/recipe/column-roles.ts';
import type { DataFileInfo } from '../../protocol/view/data.ts';

/** Maximum number of characters of the first sample. */
const MAX_SAMPLE = 300;
/** Maximum number of columns to name if the format is unknown. */
const MAX_COLUMNS = 8;

const LABELS: Readonly<Record<DataFormat, string>> = {
  alpaca: 'instructions with answers',
  messages: 'chats',
  sharegpt: 'chats (ShareGPT)',
  prompt_completion: 'prompts with answers',
  preference: 'pairs of answers',
  text: 'plain texts',
  text_label: 'texts with a label',
};

/** Describes a file. Never rejects because of its content. */
export async function describeData(file: string): Promise<DataFileInfo> {
  const { size: bytes } = await stat(file);
  try {
    const files = await listDataFiles([file]);
    const tagged = files.some(({ extension }) => taggedExtensions.some(each => each === extension));
    for await (const record of readRecords({ files, textSplit: 'file', maxSamples: 1, tagged }))
      return { bytes, ...layoutOf(record), sample: sampleText(record) };
    return { bytes, problem: 'it contains no samples' };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { bytes, problem: error.problem };
  }
}

function layoutOf(record: DataRecord): Pick<DataFileInfo, 'format'> {
  const found = fits(() => LABELS[detectFormat(record).format]) ?? fits(() => findTaggedColumns(record) && 'words with labels');
  if (found !== undefined) return { format: found };
  const groups = fits(() => findGroupColumns(record));
  if (groups !== undefined) return { format: groups.score === undefined ? 'texts that belong together' : 'texts with a similarity' };
  const keys = Object.keys(record.value);
  if (chatColumns(keys) !== undefined) return { format: 'questions with answers' };
  return { format: `columns ${keys.slice(0, MAX_COLUMNS).join(', ')}${keys.length > MAX_COLUMNS ? ' …' : ''}` };
}

/** Returns undefined if the sample has other columns. */
function fits<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return undefined;
  }
}

/** The text of a value: turns of a chat by their texts, words separated by spaces. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textOf).join(' ');
  const text = isRecord(value) ? (value.content ?? value.value) : undefined;
  return text === undefined ? JSON.stringify(value) : textOf(text);
}

function sampleText({ value }: DataRecord): string {
  const texts = Object.values(value)
    .filter(each => each !== null && each !== '')
    .map(textOf);
  // Words with tags occur under several names.
  const text = [...new Set(texts)].join(' → ').slice(0, MAX_SAMPLE).replace(/\s+/g, ' ');
  return text.length < MAX_SAMPLE ? text : `${text.slice(0, -1)}…`;
}
