/** Tokenizes batches of records in several threads; results come in the order of the records. */
import { Worker } from 'node:worker_threads';
import { DataError } from '../data-error.ts';
import type { DataRecord } from '../types.ts';
import type { ThreadAnswer, ThreadData, ThreadRequest } from './thread-messages.ts';
import type { TokenizedRecords } from './tokenize-records.ts';

/** Batches that wait at a thread while it works on one: it never runs dry, and memory stays small. */
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

/** @throws DataError as the tokenizing of records does; Error where a thread ends unexpectedly */
export async function* tokenizeInThreads(
  batches: AsyncIterable<readonly DataRecord[]>,
  { count, file, data }: ThreadsParams,
): AsyncGenerator<MadeBatch> {
  const threads = Array.from({ length: count }, () => new Thread(file, data));
  const pending: { readonly records: readonly DataRecord[]; readonly made: Promise<TokenizedRecords> }[] = [];
  const whenMade = async ({ records, made }: (typeof pending)[number]): Promise<MadeBatch> => ({ records, made: await made });
  try {
    let turn = 0;
    for await (const records of batches) {
      const thread = threads[turn++ % count];
      if (thread === undefined) throw new RangeError('at least one thread is needed');
      const result = thread.tokenize(records);
      // Where an earlier batch fails, nobody waits for this one.
      result.catch(() => undefined);
      pending.push({ records, made: result });
      const oldest = pending.length > WAITING * count ? pending.shift() : undefined;
      if (oldest) yield await whenMade(oldest);
    }
    for (const batch of pending) yield await whenMade(batch);
  } finally {
    await Promise.all(threads.map(thread => thread.end()));
  }
}

class Thread {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, { resolve(made: TokenizedRecords): void; reject(error: Error): void }>();
  private nextId = 0;
  private failure: Error | undefined;

  constructor(file: string, data: ThreadData) {
    this.worker = new Worker(file, { workerData: data, execArgv: [] });
    this.worker.on('message', (answer: ThreadAnswer) => this.receive(answer));
    this.worker.on('error', error => this.fail(new Error(`a thread that tokenizes failed: ${error.message}`, { cause: error })));
    this.worker.on('exit', () => this.fail(new Error('a thread that tokenizes ended unexpectedly')));
  }

  tokenize(records: readonly DataRecord[]): Promise<TokenizedRecords> {
    if (this.failure) return Promise.reject(this.failure);
    const request: ThreadRequest = { id: this.nextId++, records };
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
