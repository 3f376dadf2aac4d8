/** Finds the samples of JSON Lines, or of lists of JSON, in one pass over them, or in two where some are drawn. */
import { elementAt } from '../../narrow.ts';
import { DataError, DataProblems } from '../data-error.ts';
import { drawPlaces } from '../draw.ts';
import type { DataFile } from '../read/list-files.ts';
import type { SegmentWork } from '../tokens/thread-messages.ts';
import { scanInThreads, type ThreadsParams } from '../tokens/tokenize-threads.ts';
import type { DataFormat } from '../types.ts';
import type { IndexWriter, LineIndex } from './line-index.ts';
import { type Decide, type LineSettings, type ScannedSegment, scanSegment } from './scan-segment.ts';
import { SEGMENT_BYTES, type Segment, segmentsOf } from './segments.ts';
import { spoolSamples } from './spool-samples.ts';

export interface FindParams {
  readonly files: readonly DataFile[];
  readonly settings: { readonly maxSamples?: number; readonly seed: number };
  readonly lines: LineSettings;
  /** Decides about records, and checks all of which some are drawn, in this process. */
  readonly deciders: () => { readonly decide: Decide; readonly check: Decide };
  /** Samples are copied into the cache, since they cannot be read from their files by places; false if left out. */
  readonly isCopied?: boolean;
  /** Present where several threads may do so. */
  readonly threads?: ThreadsParams | undefined;
  readonly totalBytes: number;
  readonly detected: { readonly format: DataFormat; readonly reason: string };
  readonly segmentBytes?: number | undefined;
  /** Receives the bytes that were read, of all that will be, and is waited for. */
  readonly onScan?: ((bytes: number, totalBytes: number) => void | Promise<void>) | undefined;
}

/** @throws DataError that lists what is wrong with lines; NoPlacesError where places cannot be found, or samples not be copied */
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
  /** All records of the files. */
  readonly count: number;
  /** Those that are drawn of each segment, by their ascending places in it. */
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
  /** Lines of its file before the segment. */
  readonly line: number;
}

/** The work on the segment of a place in their order. */
type WorkOf = (segment: number) => Omit<SegmentWork, 'segment'>;

/** One pass over all segments. @param before bytes that were read @throws DataError at its end, of all problems */
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

/** In threads where there are several, else here. */
function scan(
  params: FindParams,
  workOf: WorkOf,
): AsyncIterable<{ readonly segment: Segment; readonly found: ScannedSegment }> | Iterable<{ segment: Segment; found: ScannedSegment }> {
  const { files, lines, threads, totalBytes, segmentBytes = SEGMENT_BYTES } = params;
  const works = function* (): Generator<SegmentWork> {
    let place = 0;
    for (const segment of segmentsOf(files, segmentBytes)) yield { segment, ...workOf(place++) };
  };
  const count = Math.min(threads?.count ?? 1, Math.ceil(totalBytes / segmentBytes));
  if (threads && count > 1) return scanInThreads(works(), { ...threads, count });
  const { decide, check } = params.deciders();
  return (function* () {
    for (const { segment, isCheck, chosen } of works())
      yield { segment, found: scanSegment(segment, lines, isCheck ? check : decide, chosen) };
  })();
}
