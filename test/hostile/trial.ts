/** The hostile trial: parts that consist of cases. Each case is one attack (or some attacks of a kind) and ends with a verdict. */
import { elementAt } from '../../trainer/narrow.ts';
import { createRandom } from '../../trainer/random.ts';

/** lost: something that existed or was acknowledged is gone or changed. wrong: the message or the result is incorrect. */
export const FAILINGS = ['lost', 'hung', 'crashed', 'wrong'] as const;
export type Failing = (typeof FAILINGS)[number];

export interface Verdict {
  readonly failing?: Failing;
  /** Details for investigation. */
  readonly detail?: string;
}

export const OK: Verdict = {};
export const failed = (failing: Failing, detail: string): Verdict => ({ failing, detail });

export interface Case {
  /** The same in every trial with the same seed, so that an interrupted trial can continue. */
  readonly id: string;
  /** Number of attacks in this case. */
  readonly count: number;
  run(): Promise<Verdict>;
}

export interface PreparedPart {
  readonly cases: readonly Case[];
  dispose(): Promise<void> | void;
}

export interface TrialSettings {
  /** Folder of the bundles. */
  readonly bundles: string;
  readonly root: string;
  readonly seed: number;
  /** True for a bounded part of the whole trial, for continuous integration. */
  readonly isSample: boolean;
}

export interface Part {
  readonly name: string;
  /** The unit of the count: "kills", "mutated files". */
  readonly unit: string;
  prepare(settings: TrialSettings): Promise<PreparedPart>;
}

/** Returns a generator of numbers from 0 to 1 for a seed. */
export function randomOf(...seed: readonly number[]): () => number {
  const random = createRandom(...seed);
  return () => random.uniform();
}

/** Returns about `count` items at equal distances, starting at a position given by the seed. */
export function sampleOf<T>(all: readonly T[], count: number, seed: number): T[] {
  const step = Math.max(1, all.length / count);
  const start = randomOf(seed)() * step;
  return Array.from({ length: Math.min(count, all.length) }, (_, i) =>
    elementAt(all, Math.min(all.length - 1, Math.floor(start + i * step))),
  );
}
