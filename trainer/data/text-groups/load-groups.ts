/** Loads files as tokenized texts that belong together or apart, with a report. */
import type { TextPrompts } from '../../protocol/pooling.ts';
import { DataProblems, noSample } from '../data-error.ts';
import type { ColumnNames } from '../detect-format.ts';
import { drawStream } from '../draw.ts';
import { createSegmentEncoder, type SegmentTokenizer } from '../example/segment-encoder.ts';
import { samplesOf } from '../load/samples-of.ts';
import { type DataFile, listDataFiles } from '../read/list-files.ts';
import { type DataReport, lengthQuantiles } from '../shown/data-report.ts';
import type { DataRecord } from '../types.ts';
import { findGroupColumns, type GroupColumns } from './group-columns.ts';
import type { GroupForm } from './group-form.ts';
import { type GroupTexts, groupRecord } from './group-record.ts';

/** One sample: an anchor with its positive and hard negatives, or two texts with a score. */
export interface TextGroup {
  /** Token ids of each text, the anchor first; every sample has the same number of texts. */
  readonly texts: readonly Int32Array[];
  /** The index where the second part of each text begins, for texts with two parts. */
  readonly secondAts?: readonly number[];
  /** The score from −1 to 1; 0 without scores. */
  readonly score: number;
  readonly file: string;
  readonly line: number;
}

export interface LoadGroupsInput {
  readonly paths: readonly string[];
  readonly tokenizer: SegmentTokenizer;
  readonly columns: ColumnNames;
  readonly form: GroupForm;
  /** Prompts that are prepended to the anchor and to the other texts. */
  readonly prompts?: TextPrompts | undefined;
  /** Maximum number of tokens of each text, including special tokens. */
  readonly maxLength: number;
  /** Draws at most this many samples with the seed. */
  readonly maxSamples?: number;
  readonly seed: number;
}

/** The texts as the model reads them, the anchor first. */
export const promptedTexts = (texts: readonly string[], { query = '', document = '' }: TextPrompts = {}): string[] =>
  texts.map((text, side) => (side === 0 ? query : document) + text);

/** @throws DataError (file, line, key) for anything malformed, and if there is no sample */
export async function loadGroups(input: LoadGroupsInput): Promise<{ readonly groups: readonly TextGroup[]; readonly report: DataReport }> {
  const { form, maxLength, maxSamples: count, seed } = input;
  const files = await listDataFiles(input.paths);
  const encoder = createSegmentEncoder(input.tokenizer);
  const problems = new DataProblems();
  let columns: GroupColumns | undefined;
  const records = groupSamples(input, files, { problems, onFirst: found => (columns = found) });
  let drawnFrom: number | undefined;
  const notes = new GroupNotes();
  const groups: TextGroup[] = [];
  let truncated = 0;
  for await (const sample of drawStream(records, { count, seed }, seen => (drawnFrom = seen))) {
    notes.add(sample);
    const encoded = promptedTexts(sample.texts, input.prompts).map(text => encoder.encode(text, undefined, maxLength));
    truncated += Number(encoded.some(({ truncated: isTruncated }) => isTruncated));
    const { score, file, line } = sample;
    groups.push({ texts: encoded.map(({ ids }) => ids), score, file, line });
  }
  problems.end();
  if (!columns) throw noSample(files);
  const { negatives } = columns;
  const unused = form.maxScore === undefined && form.negatives === 0 && negatives.length > 0;
  return {
    groups,
    report: {
      format: 'text groups',
      formatReason: describeGroupColumns(columns, form),
      files: files.length,
      read: groups.length,
      drawnFrom,
      dropped: {},
      truncated,
      ...summarizeGroups(groups),
      notes: { ...notes.counts, ...(unused ? { 'with hard negatives that are not used: set embedding: negatives': groups.length } : {}) },
    },
  };
}

interface GroupSamplesHooks {
  readonly problems: DataProblems;
  readonly onFirst?: (columns: GroupColumns) => void;
}

/** The texts of each record. @throws DataError if the first record lacks columns */
export const groupSamples = (
  { columns: renames, form }: Pick<LoadGroupsInput, 'columns' | 'form'>,
  files: readonly DataFile[],
  { problems, onFirst }: GroupSamplesHooks,
): AsyncGenerator<GroupTexts & Pick<DataRecord, 'file' | 'line'>> =>
  samplesOf({
    files,
    renames,
    problems,
    find: record => {
      const columns = findGroupColumns(record);
      onFirst?.(columns);
      return columns;
    },
    read: (record, known) => groupRecord(record, known, form),
  });

/** Counts samples whose comparison is uninformative or wrong. */
class GroupNotes {
  private readonly positives = new Set<string>();
  private same = 0;
  private repeated = 0;

  add({ texts: [anchor, positive = ''] }: GroupTexts): void {
    this.same += Number(anchor === positive);
    this.repeated += Number(this.positives.size === this.positives.add(positive).size);
  }

  get counts(): Record<string, number> {
    const all = {
      'with the same text twice': this.same,
      'with a positive that another sample has too: in one batch it counts as a wrong answer': this.repeated,
    };
    return Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0));
  }
}

/** Describes the columns: "anchor" with "positive". */
export function describeGroupColumns(
  { anchor, positive, negatives, score }: GroupColumns,
  { maxScore, negatives: used }: GroupForm,
): string {
  if (maxScore !== undefined) return `"${anchor}" and "${positive}" with "${score}"`;
  const hard = used > 0 ? ` against ${negatives.map(name => `"${name}"`).join(', ')}` : '';
  return `"${anchor}" with "${positive}"${hard}`;
}

/** Summarizes the samples; no token of theirs is trained. */
function summarizeGroups(groups: readonly TextGroup[]): Pick<DataReport, 'kept' | 'tokens' | 'targets' | 'lengths' | 'labelCounts'> {
  const lengths = groups.flatMap(({ texts }) => texts.map(ids => ids.length));
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  return { kept: groups.length, tokens, targets: 0, lengths: lengthQuantiles(lengths), labelCounts: {} };
}
