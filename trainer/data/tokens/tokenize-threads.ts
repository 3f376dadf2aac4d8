/** Tokenizes batches of records, or scans segments of files, in several threads; results arrive in the order of the work. */
import { Worker } from 'node:worker_threads';
import { DataError } from '../data-error.ts';
import type { ScannedSegment } from '../lazy/scan-segment.ts';
import type { Segment } from '../lazy/segments.ts';
import type { DataRecord } from '../types.ts';
import type { SegmentWork, ThreadAnswer, ThreadData, ThreadRequest, ThreadWork } from './thread-messages.ts';
import type { TokenizedRecords } from './tokenize-records.ts';

/** Number of batches to queue at a thread: it never idles, and memory use stays small. */
const WAITING = 3;

export interface MadeBatch {
  readonly records: readonly DataRecord[];
  readonly made: TokenizedRecords;
}

export interface ThreadsParams {
  readonly count: number;
  /** The bundle of the thread. */
  readonly file: string;
  readonly data: ThreadData;
}

/** @throws DataError as tokenizing the records does; Error if a thread ends unexpectedly */
export async function* tokenizeInThreads(batches: AsyncIterable<readonly DataRecord[]>, params: ThreadsParams): AsyncGenerator<MadeBatch> {
  for await (const { item: records, made } of inThreads(batches, params, item => ({ records: item }))) {
    if (!('tokens' in made)) throw new TypeError('a thread answered records with something else than tokens');
    yield { records, made };
  }
}

/** Yields the segments with their results, in order. @throws as {@link tokenizeInThreads} */
export async function* scanInThreads(
  segments: Iterable<SegmentWork>,
  params: ThreadsParams,
): AsyncGenerator<{ readonly segment: Segment; readonly found: ScannedSegment }> {
  for await (const { item, made } of inThreads(segments, params, work => work)) {
    if (!('lineCount' in made)) throw new TypeError('a thread answered a segment with something else than its lines');
    yield { segment: item.segment, found: made };
  }
}

interface Done<Item> {
  readonly item: Item;
  readonly made: Result;
}

/** Yields results in the order of the items. */
async function* inThreads<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  { count, file, data }: ThreadsParams,
  workOf: (item: Item) => ThreadWork,
): AsyncGenerator<Done<Item>> {
  const threads = Array.from({ length: count }, () => new Thread(file, data));
  const pending: { readonly item: Item; readonly made: Promise<Result> }[] = [];
  const whenMade = async ({ item, made }: (typeof pending)[number]): Promise<Done<Item>> => ({ item, made: await made });
  try {
    let turn = 0;
    for await (const item of items) {
      const thread = threads[turn++ % count];
      if (thread === undefined) throw new RangeError('at least one thread is needed');
      const result = thread.ask(workOf(item));
      // If an earlier item fails, this result is never awaited.
      result.catch(() => undefined);
      pending.push({ item, made: result });
      const oldest = pending.length > WAITING * count ? pending.shift() : undefined;
      if (oldest) yield await whenMade(oldest);
    }
    for (const one of pending) yield await whenMade(one);
  } finally {
    await Promise.all(threads.map(thread => thread.end()));
  }
}

type Result = TokenizedRecords | ScannedSegment;

class Thread {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, { resolve(made: Result): void; reject(error: Error): void }>();
  private nextId = 0;
  private failure: Error | undefined;

  constructor(file: string, data: ThreadData) {
    this.worker = new Worker(file, { workerData: data, execArgv: [] });
    this.worker.on('message', (answer: ThreadAnswer) => this.receive(answer));
    this.worker.on('error', error => this.fail(new Error(`a thread that tokenizes failed: ${error.message}`, { cause: error })));
    this.worker.on('exit', () => this.fail(new Error('a thread that tokenizes ended unexpectedly')));
  }

  ask(work: ThreadWork): Promise<Result> {
    if (this.failure) return Promise.reject(this.failure);
    const request: ThreadRequest = { id: this.nextId++, ...work };
    return new Promise((resolve, reject) => {
      this.waiting.set(request.id, { resolve, reject });
      this.worker.postMessage(request);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private receive(answer: ThreadAnswer): void {
    const waiting = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if ('made' in answer) waiting?.resolve(answer.made);
    else waiting?.reject('problem' in answer ? new DataError(answer.problem) : new Error(answer.failure));
  }

  private fail(error: Error): void {
    this.failure ??= error;
    for (const { reject } of this.waiting.values()) reject(this.failure);
    this.waiting.clear();
  }
}
