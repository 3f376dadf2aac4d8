/** The processes that train one run together: exchanges values between them in addition to gradients, and lets them agree to stop. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { ExchangeCounts, Group, Residuals } from '../engine/engine.ts';
import type { Parts } from '../graph/graph.ts';
import { RunError } from '../run-error.ts';
import type { Job, StopRequest } from './job.ts';

/** Matches the sign of life of a rank that has failed, as engine/mpi/native/rank-watch.cc writes it. */
const FAILED = /^failed (.+)/;

/** The content of a file; empty if it cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/**
 * The ranks of a run. All must call the same methods in the same order: each call waits until all ranks have made it.
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

  /** True for the first rank, the only one that writes to the run's folder. */
  get isFirst(): boolean {
    return this.rank === 0;
  }

  /** The values of all ranks, in order. Values are plain data: numbers, texts, arrays, maps. */
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

  /** Sums each number over the ranks, in order. */
  sum(values: readonly number[]): number[] {
    const all = this.all(Float64Array.from(values));
    return values.map((_, i) => all.reduce((total, each) => total + (each[i] ?? Number.NaN), 0));
  }

  /** Sums each element of an array over the ranks, in order. */
  sumArrays(values: Float32Array): Float32Array {
    const all = this.all(values);
    return values.map((_, i) => all.reduce((total, each) => total + (each[i] ?? Number.NaN), 0));
  }

  /** Lets all ranks follow a stop request that any of them has received, at the same point. */
  agree(): void {
    const requests = this.all<StopRequest | undefined>(this.job.pendingStop).filter(request => request !== undefined);
    const agreed = requests.find(({ save }) => !save) ?? requests[0];
    if (agreed) this.job.adopt(agreed);
  }

  /** The number of exchanges of this process so far. */
  counts(): ExchangeCounts {
    return this.group.counts();
  }

  get residuals(): Residuals {
    return this.group.residuals;
  }

  /** From now on, a rank without a sign of life in this shared folder for this many seconds counts as lost. */
  watch(folder: string, seconds: number): void {
    this.folder = folder;
    this.group.watch(folder, seconds);
  }

  /** The error of a step or of an exchange; if a rank was lost, the reason for that. */
  explain(error: unknown): unknown {
    const failure = this.group.failure();
    if (failure === undefined || error instanceof RunError) return error;
    return new RunError('rank-lost', this.reasonOfAnother() ?? failure, undefined, { cause: error });
  }

  /** The reason for which another rank failed. A rank writes it before it ends, but the others may first notice that it is gone. */
  private reasonOfAnother(): string | undefined {
    for (let rank = 0; this.folder !== undefined && rank < this.size; rank++) {
      const reason = rank === this.rank ? undefined : FAILED.exec(textOf(path.join(this.folder, `rank-${rank}.beat`)))?.[1];
      if (reason !== undefined) return `rank ${rank} failed: ${reason}`;
    }
    return undefined;
  }
}
