/** Finds the samples of line-based data files in one pass over their lines, or in two where some are drawn. */
import { existsSync } from 'node:fs';
import { elementAt } from '../../narrow.ts';
import { DataError, DataProblems } from '../data-error.ts';
import { drawPlaces } from '../draw.ts';
import type { DataFile } from '../read/list-files.ts';
import type { LargeData } from '../tokens/large-data.ts';
import type { SegmentWork } from '../tokens/thread-messages.ts';
import type { RecordSettings } from '../tokens/tokenize-records.ts';
import { scanInThreads } from '../tokens/tokenize-threads.ts';
import type { DataFormat } from '../types.ts';
import { type KeepTools, recordChecker, sampleDecider } from './keeps-target.ts';
import type { IndexWriter, LineIndex } from './line-index.ts';
import { type LineSettings, type ScannedSegment, scanSegment } from './scan-segment.ts';
import { type Segment, segmentsOf } from './segments.ts';

export interface FindParams extends KeepTools {
  readonly files: readonly DataFile[];
  readonly settings: { readonly maxSamples?: number; readonly seed: number };
  readonly lines: LineSettings;
  readonly recordSettings: RecordSettings;
  readonly totalBytes: number;
  readonly detected: { readonly format: DataFormat; readonly reason: string };
  readonly large: LargeData;
  readonly segmentBytes?: number;
  /** Receives the bytes that were read, of all that will be. */
  readonly onScan?: (bytes: number, totalBytes: number) => void;
}

/** @throws DataError that lists what is wrong with lines */
export async function findSamples(params: FindParams, writer: IndexWriter): Promise<LineIndex> {
  const { files, detected, settings } = params;
  const segments = [...segmentsOf(files, params.segmentBytes)];
  const dropped: Record<string, number> = {};
  const numbers = new Map(files.map(({ file }, i) => [file, i]));
  let read = 0;
  try {
    const drawn = settings.maxSamples === undefined ? undefined : await drawRecords(params, segments, writer);
    const works = segments.map((segment, i): SegmentWork => ({ segment, chosen: drawn?.bySegment[i] }));
    for await (const { segment, found, line } of pass(params, works, { before: drawn ? params.totalBytes : 0 })) {
      writer.add(found, numbers.get(segment.file) ?? -1, line);
      read += found.read;
      for (const [reason, count] of Object.entries(found.dropped)) dropped[reason] = (dropped[reason] ?? 0) + count;
    }
    return await writer.end({ read, dropped, drawnFrom: drawn?.count, format: detected.format, formatReason: detected.reason });
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

interface DrawnRecords {
  /** All records of the files. */
  readonly count: number;
  /** Those that are drawn of each segment, by their ascending places in it. */
  readonly bySegment: readonly Uint32Array[];
}

/** Checks all records and draws some of them, as `drawStream` does. */
async function drawRecords(params: FindParams, segments: readonly Segment[], writer: IndexWriter): Promise<DrawnRecords> {
  const counts: number[] = [];
  const works = segments.map((segment): SegmentWork => ({ segment, isCheck: true }));
  for await (const { found } of pass(params, works, { before: 0 })) {
    counts.push(found.read);
    writer.addLabels(found.labelNames);
  }
  const count = counts.reduce((sum, own) => sum + own, 0);
  const { maxSamples, seed } = params.settings;
  const drawn = drawPlaces(count, { count: maxSamples, seed });
  let [at, first] = [0, 0];
  const bySegment = counts.map(own => {
    const begin = at;
    while (at < drawn.length && elementAt(drawn, at) < first + own) at++;
    const places = Uint32Array.from(drawn.slice(begin, at), place => place - first);
    first += own;
    return places;
  });
  return { count, bySegment };
}

interface Passed {
  readonly segment: Segment;
  readonly found: ScannedSegment;
  /** Lines of its file before the segment. */
  readonly line: number;
}

/** One pass over segments. @throws DataError at its end, of all problems */
async function* pass(params: FindParams, works: readonly SegmentWork[], { before }: { readonly before: number }): AsyncGenerator<Passed> {
  const { totalBytes, settings } = params;
  const allBytes = settings.maxSamples === undefined ? totalBytes : 2 * totalBytes;
  const problems = new DataProblems();
  let [bytes, line, file] = [before, 0, ''];
  for await (const { segment, found } of scan(params, works)) {
    if (segment.file !== file) [file, line] = [segment.file, 0];
    for (const problem of found.problems) problems.add(new DataError({ ...problem, line: (problem.line ?? 0) + line }));
    yield { segment, found, line };
    line += found.lineCount;
    bytes += segment.to - segment.from;
    params.onScan?.(bytes, allBytes);
  }
  problems.end();
}

/** In threads where there are several, else here. */
function scan(
  params: FindParams,
  works: readonly SegmentWork[],
): AsyncIterable<{ readonly segment: Segment; readonly found: ScannedSegment }> | Iterable<{ segment: Segment; found: ScannedSegment }> {
  const { lines, recordSettings: settings, large, totalBytes } = params;
  const count = Math.min(large.threads, Math.ceil(totalBytes / elementAt(works, 0).segment.to));
  if (count > 1 && existsSync(large.threadFile)) {
    const data = { tokenizer: large.tokenizer, now: large.now.getTime(), settings, lines };
    return scanInThreads(works, { count, file: large.threadFile, data });
  }
  const [decide, check] = [sampleDecider(settings, params), recordChecker(settings)];
  return (function* () {
    for (const { segment, isCheck, chosen } of works)
      yield { segment, found: scanSegment(segment, lines, isCheck ? check : decide, chosen) };
  })();
}
