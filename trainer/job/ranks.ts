/** The processes that train one run together: what they exchange in addition to gradients, and how they agree to stop. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { ExchangeCounts, Group, Residuals } from '../engine/engine.ts';
import type { Parts } from '../graph/graph.ts';
import { RunError } from '../run-error.ts';
import type { Job, StopRequest } from './job.ts';

/** The sign of life of a rank that has failed, as engine/mpi/native/rank-watch.cc writes it. */
const FAILED = /^failed (.+)/;

/** Empty if the file can't be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/**
 * All ranks must call the same methods in the same order: each waits until all have called it.
 * @throws RunError 'rank-lost' from every method if another rank has failed or is gone
 */
export class Ranks {
  readonly rank: number;
  readonly size: number;
  private readonly group: Group;
  private readonly job: Job;
  /** The folder with the signs of life. */
  private folder: string | undefined;

  constructor(group: Group, job: Job) {
    this.group = group;
    this.job = job;
    this.rank = group.rank;
    this.size = group.size;
    job.awaitAgreement();
  }

  /** The part of each batch that this process computes. */
  get parts(): Parts {
    return { count: this.size, own: this.rank };
  }

  /** Only the first rank writes to the run's folder. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** The value of each rank, in their order. Values are data: numbers, texts, arrays, maps. */
  all<T>(value: T): T[] {
    return this.gather(value).map((bytes): T => deserialize(bytes));
  }

  private gather(value: unknown): Uint8Array[] {
    try {
      return this.group.gather(serialize(value));
    } catch (error) {
      throw this.explain(error);
    }
  }

  /** The first rank's value, which the others need not know. */
  first<T>(value: T | undefined): T {
    const [first = new Uint8Array()] = this.gather(this.isFirst ? value : undefined);
    return deserialize(first);
  }

  /** Each number summed over the ranks, in their order. */
  sum(values: readonly number[]): number[] {
    const all = this.all(Float64Array.from(values));
    return values.map((_, i) => all.reduce((total, each) => total + (each[i] ?? Number.NaN), 0));
  }

  /** The same of many numbers. */
  sumArrays(values: Float32Array): Float32Array {
    const all = this.all(values);
    return values.map((_, i) => all.reduce((total, each) => total + (each[i] ?? Number.NaN), 0));
  }

  /** Lets a request to stop that any rank has got be followed by all of them, at the same place. */
  agree(): void {
    const requests = this.all<StopRequest | undefined>(this.job.pendingStop).filter(request => request !== undefined);
    const agreed = requests.find(({ save }) => !save) ?? requests[0];
    if (agreed) this.job.adopt(agreed);
  }

  /** The exchanges of this process so far. */
  counts(): ExchangeCounts {
    return this.group.counts();
  }

  get residuals(): Residuals {
    return this.group.residuals;
  }

  /** From now on, a rank that gives no sign of life in this shared folder for so long is lost. */
  watch(folder: string, seconds: number): void {
    this.folder = folder;
    this.group.watch(folder, seconds);
  }

  /** The error of a step or of an exchange; if a rank was lost, the reason is that one. */
  explain(error: unknown): unknown {
    const failure = this.group.failure();
    if (failure === undefined || error instanceof RunError) return error;
    return new RunError('rank-lost', this.reasonOfAnother() ?? failure, undefined, { cause: error });
  }

  /** A rank writes why it fails before it goes; the others may see first that it is gone. */
  private reasonOfAnother(): string | undefined {
    for (let rank = 0; this.folder !== undefined && rank < this.size; rank++) {
      const reason = rank === this.rank ? undefined : FAILED.exec(textOf(path.join(this.folder, `rank-${rank}.beat`)))?.[1];
      if (reason !== undefined) return `rank ${rank} failed: ${reason}`;
    }
    return undefined;
  }
}
