/** Makes measurements one after the other or several at a time, keeps each as soon as it is there, and tells how long the rest takes. */

import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { elementAt } from '../trainer/narrow.ts';
import { messageOf } from '../trainer/protocol/error-facts.ts';
import { type Configuration, describe, describeWork, guessSeconds } from './configuration.ts';
import { coreSets, measure, type RawRow, type Sides } from './run-side.ts';

/** A configuration and how often its step is measured. */
export interface Planned {
  readonly configuration: Configuration;
  readonly steps: number;
  /** A better guess of how long its process takes than that from the model's cost on a processor. */
  readonly seconds?: number;
}

/** The guess for its process, in seconds of `threads` cores. */
const guessOf = ({ configuration, steps, seconds }: Planned, threads: number): number =>
  seconds ?? guessSeconds(configuration, threads, steps);

export const log = (line: string): void => console.error(line);
export const minutes = (seconds: number): string => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** Learns from what is done how long the rest takes. */
export class Clock {
  private readonly started = performance.now();
  private done = 0;
  private readonly total: number;
  private readonly jobs: number;

  /** @param total guessed seconds of all processes, of which so many run at a time */
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

/** Lines of JSON, one a measurement; those of an interrupted run are found again, unless code was changed since. */
export class MeasurementStore<Row extends object = RawRow> {
  private readonly known = new Map<string, Row>();
  private readonly file: string;

  /** @param resume false: what earlier runs kept is not looked at */
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
    // A line of its own, whatever the one before it was cut off from.
    appendFileSync(this.file, `\n${JSON.stringify({ key, row })}`);
  }
}

/** The last line may have been cut off. */
function parseEntry<Row>(line: string): { readonly key: string; readonly row: Row } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** A measurement depends on the configuration and on the code of its side. */
export function measurementKey(
  sides: Pick<Sides, 'peer' | 'scripts' | 'device' | 'engine'>,
  { configuration, steps }: Planned,
  threads: number,
): string {
  const script = configuration.implementation === 'pytorch' ? sides.peer : path.join(sides.scripts, 'step.mjs');
  return JSON.stringify({ ...configuration, steps, threads, device: sides.device, engine: sides.engine, code: codeHash(script) });
}

/** Tells one version of a bundle or script from another. */
export const codeHash = (script: string): string => createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 12);

export interface MeasureAllParams {
  readonly sides: Sides;
  readonly planned: readonly Planned[];
  readonly threads: number;
  /** How many processes run at a time, each on cores of its own. */
  readonly jobs: number;
  readonly clock: Clock;
  /** Left out: everything is measured, and kept by the caller alone. */
  readonly store?: MeasurementStore;
  /** Called before each that is not kept: brings what it needs. */
  readonly prepare?: (configuration: Configuration) => Promise<void>;
  /** In milliseconds since 1970: what would not be done by then is left out and said, and what still runs then is ended. */
  readonly until?: number | undefined;
}

/** @returns rows in the order of the plan, and as sentences what failed and what the time did not allow */
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

/** Seconds of processor time, of what is not kept already. */
export const guessAll = ({ sides, planned, threads, store }: Omit<MeasureAllParams, 'clock' | 'jobs'>): number =>
  planned.filter(one => !store?.find(measurementKey(sides, one, threads))).reduce((sum, one) => sum + guessOf(one, threads), 0);
