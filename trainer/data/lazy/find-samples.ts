/** Finds the samples of large data in one pass over its files, or in two if some are drawn. */
import { elementAt } from '../../narrow.ts';
import { DataError, DataProblems } from '../data-error.ts';
import { drawPlaces } from '../draw.ts';
import type { SegmentWork } from '../tokens/thread-messages.ts';
import { scanInThreads } from '../tokens/tokenize-threads.ts';
import type { FindParams } from './find-params.ts';
import type { IndexWriter, LineIndex } from './line-index.ts';
import { type ScannedSegment, scanSegment } from './scan-segment.ts';
import { SEGMENT_BYTES, type Segment, segmentsOf } from './segments.ts';
import { spoolSamples } from './spool-samples.ts';

/**
 * Finds the samples.
 * @throws DataError that lists problems of lines; NoPlacesError if positions cannot be found, or samples cannot be copied
 */
export async function findSamples(params: FindParams, writer: IndexWriter): Promise<LineIndex> {
  try {
    return await (params.isCopied ? spoolSamples : findPlaces)(params, writer);
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

async function findPlaces(params: FindParams, writer: IndexWriter): Promise<LineIndex> {
  const { files, detected, settings } = params;
  const dropped: Record<string, number> = {};
  const numbers = new Map(files.map(({ file }, i) => [file, i]));
  let read = 0;
  const drawn = settings.maxSamples === undefined ? undefined : await drawRecords(params, writer);
  const before = drawn ? params.totalBytes : 0;
  for await (const { segment, found, line } of pass(params, i => ({ chosen: drawn?.bySegment[i] }), before)) {
    writer.add(found, numbers.get(segment.file) ?? -1, line);
    read += found.read;
    for (const [reason, count] of Object.entries(found.dropped)) dropped[reason] = (dropped[reason] ?? 0) + count;
  }
  return writer.end({ read, dropped, drawnFrom: drawn?.count, format: detected.format, formatReason: detected.reason });
}

interface DrawnRecords {
  /** Number of records in all files. */
  readonly count: number;
  /** The drawn records of each segment, as ascending indices within the segment. */
  readonly bySegment: readonly Uint32Array[];
}

/** Checks all records and draws some of them, as `drawStream` does. */
async function drawRecords(params: FindParams, writer: IndexWriter): Promise<DrawnRecords> {
  const counts: number[] = [];
  for await (const { found } of pass(params, () => ({ isCheck: true }), 0)) {
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
  /** Number of lines of the file before the segment. */
  readonly line: number;
}

/** Returns the work on a segment, by its index. */
type WorkOf = (segment: number) => Omit<SegmentWork, 'segment'>;

/** Makes one pass over all segments. @param before number of bytes already read @throws DataError at its end, with all problems */
async function* pass(params: FindParams, workOf: WorkOf, before: number): AsyncGenerator<Passed> {
  const { totalBytes, settings } = params;
  const allBytes = settings.maxSamples === undefined ? totalBytes : 2 * totalBytes;
  const problems = new DataProblems();
  let [bytes, line, file] = [before, 0, ''];
  for await (const { segment, found } of scan(params, workOf)) {
    if (segment.file !== file) [file, line] = [segment.file, 0];
    for (const problem of found.problems) problems.add(new DataError({ ...problem, line: (problem.line ?? 0) + line }));
    yield { segment, found, line };
    line += found.lineCount;
    bytes += segment.to - segment.from;
    await params.onScan?.(bytes, allBytes);
  }
  problems.end();
}

/** Scans in several threads if possible, otherwise in this one. */
function scan(
  params: FindParams,
  workOf: WorkOf,
): AsyncIterable<{ readonly segment: Segment; readonly found: ScannedSegment }> | Iterable<{ segment: Segment; found: ScannedSegment }> {
  const { files, tables, lines, threads, totalBytes, segmentBytes = SEGMENT_BYTES } = params;
  const works = function* (): Generator<SegmentWork> {
    let place = 0;
    for (const segment of segmentsOf(files, tables, segmentBytes)) yield { segment, ...workOf(place++) };
  };
  const count = Math.min(threads?.count ?? 1, Math.ceil(totalBytes / segmentBytes));
  if (threads && count > 1) return scanInThreads(works(), { ...threads, count });
  const { decider, checker } = params.deciders();
  return (function* () {
    for (const { segment, isCheck, chosen } of works())
      yield { segment, found: scanSegment(segment, lines, isCheck ? checker : decider, chosen) };
  })();
}
