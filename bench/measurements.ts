/** Runs measurements one or several at a time, stores each at once, and reports the remaining time. */

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { elementAt } from '../trainer/narrow.ts';
import { messageOf } from '../trainer/protocol/error-facts.ts';
import { type Configuration, describe, describeWork, guessSeconds } from './configuration.ts';
import { coreSets, measure, type RawRow, type Sides } from './run-side.ts';

/** A configuration and the number of its measured steps. */
export interface Planned {
  readonly configuration: Configuration;
  readonly steps: number;
  /** A better guess of the process's duration than the one from the model's cost on a processor, in seconds. */
  readonly seconds?: number;
}

/** The estimated duration of the process in seconds, on `threads` cores. */
const guessOf = ({ configuration, steps, seconds }: Planned, threads: number): number =>
  seconds ?? guessSeconds(configuration, threads, steps);

export const log = (line: string): void => console.error(line);
export const minutes = (seconds: number): string => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** Estimates the remaining time from what is done. */
export class Clock {
  private readonly started = performance.now();
  private done = 0;
  private readonly total: number;
  private readonly jobs: number;

  /** @param total estimated seconds of all processes, of which `jobs` run at a time */
  constructor(total: number, jobs = 1) {
    this.total = total;
    this.jobs = jobs;
  }

  advance(guess: number): void {
    this.done += guess;
  }

  left(): number {
    const elapsed = (performance.now() - this.started) / 1000;
    return this.done === 0 ? this.total / this.jobs : (elapsed / this.done) * (this.total - this.done);
  }
}

/** Measurements as lines of JSON. Those of an interrupted run are reused, unless the code has changed since. */
export class MeasurementStore<Row extends object = RawRow> {
  private readonly known = new Map<string, Row>();
  private readonly file: string;

  /** @param resume false to ignore the measurements of earlier runs */
  constructor(file: string, resume: boolean) {
    this.file = file;
    mkdirSync(path.dirname(file), { recursive: true });
    if (!resume || !existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const entry = parseEntry<Row>(line);
      if (entry) this.known.set(entry.key, entry.row);
    }
  }

  find(key: string): Row | undefined {
    return this.known.get(key);
  }

  keep(key: string, row: Row): void {
    // Start on a new line, because the previous one may be cut off.
    appendFileSync(this.file, `\n${JSON.stringify({ key, row })}`);
  }
}

/** Parses a line; the last one may be cut off. */
function parseEntry<Row>(line: string): { readonly key: string; readonly row: Row } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Identifies a measurement by its configuration and the code of its side. */
export function measurementKey(
  sides: Pick<Sides, 'peer' | 'scripts' | 'device' | 'engine'>,
  { configuration, steps }: Planned,
  threads: number,
): string {
  const script = configuration.implementation === 'pytorch' ? sides.peer : path.join(sides.scripts, 'step.mjs');
  return JSON.stringify({ ...configuration, steps, threads, device: sides.device, engine: sides.engine, code: codeHash(script) });
}

/** Returns a hash that identifies the version of a bundle or script. */
export const codeHash = (script: string): string => createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 12);

export interface MeasureAllParams {
  readonly sides: Sides;
  readonly planned: readonly Planned[];
  readonly threads: number;
  /** Number of processes that run at a time, each on its own cores. */
  readonly jobs: number;
  readonly clock: Clock;
  /** Undefined to measure everything; the caller then keeps the results. */
  readonly store?: MeasurementStore;
  /** Called before each new measurement, to provide what it needs. */
  readonly prepare?: (configuration: Configuration) => Promise<void>;
  /** In milliseconds since 1970: measurements that would not finish by then are skipped and named, and running ones are ended. */
  readonly until?: number | undefined;
}

/** @returns rows in the order of the plan, and sentences about failures and about measurements for which there was no time */
export async function measureAll(params: MeasureAllParams): Promise<{ rows: RawRow[]; failures: string[]; left: string[] }> {
  const { sides, planned, threads, jobs, clock, store, prepare, until = Number.POSITIVE_INFINITY } = params;
  const rows: (RawRow | undefined)[] = planned.map(() => undefined);
  const failures: string[] = [];
  const left: string[] = [];
  let next = 0;
  const work = async (cores: readonly number[]): Promise<void> => {
    for (let i = next++; i < planned.length; i = next++) {
      const one = elementAt(planned, i);
      const key = measurementKey(sides, one, threads);
      const kept = store?.find(key);
      const leftMs = until - Date.now();
      if (!kept && leftMs < 1000 * guessOf(one, threads)) {
        left.push(`${describeWork(one.configuration)}: ${describe(one.configuration)}`);
        continue;
      }
      try {
        if (!kept) await prepare?.(one.configuration);
        const timeoutMs = Number.isFinite(leftMs) ? leftMs : undefined;
        const row = kept ?? (await measure(sides, one.configuration, { cores, steps: one.steps, timeoutMs }));
        rows[i] = row;
        if (!kept) store?.keep(key, row);
        log(`${describe(row).padEnd(44)} ${summary(row)}${kept ? '  kept' : ''}`);
      } catch (error) {
        const failure = `${describeWork(one.configuration)}: ${describe(one.configuration)}: ${messageOf(error)}`;
        failures.push(failure);
        log(failure);
      }
      if (kept) continue;
      clock.advance(guessOf(one, threads));
      log(`  ${minutes(clock.left())} left`);
    }
  };
  await Promise.all(coreSets(threads, jobs).map(work));
  return { rows: rows.filter(row => row !== undefined), failures, left };
}

const summary = ({ secondsPerStep, peakBytes, cpuShare, loadAverage }: RawRow): string =>
  `${secondsPerStep.toFixed(2)} s/step  peak ${(peakBytes / 2 ** 20).toFixed(0)} MiB  CPU ${(100 * cpuShare).toFixed(0)}%  load ${loadAverage.toFixed(1)}`;

/** The estimated seconds of processor time for measurements that are not stored yet. */
export const guessAll = ({ sides, planned, threads, store }: Omit<MeasureAllParams, 'clock' | 'jobs'>): number =>
  planned.filter(one => !store?.find(measurementKey(sides, one, threads))).reduce((sum, one) => sum + guessOf(one, threads), 0);
