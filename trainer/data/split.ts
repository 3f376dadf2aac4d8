/** Parts samples into training and validation by a seed, in equal shares of each label. */

import { createRandom, permutation } from '../random.ts';
import { DataError } from './data-error.ts';
import type { Example } from './types.ts';

export interface SplitSettings {
  readonly count: number;
  /** Below 1 a share of the samples, from 1 a number of them; 0 holds out none. */
  readonly validation: number;
  readonly seed: number;
  /** The label of each sample; without it there is one stratum. */
  readonly labels?: readonly string[];
}

export interface Split {
  /** Both ascending; together every sample once. */
  readonly train: readonly number[];
  readonly validation: readonly number[];
}

/** The stream of random numbers of the split; the batches take others. */
const SPLIT = 3;

/** Below this many samples the parts of long documents are split instead: a text in one file can hold out a share of itself too. */
const MIN_DOCUMENTS = 20;

/** Parts examples, the parts of one document staying together where there are enough documents. Labels share equally. */
export function splitExamples(
  examples: readonly Example[],
  { validation, seed }: Pick<SplitSettings, 'validation' | 'seed'>,
): { train: Example[]; validation: Example[] } {
  const documents = new Map<string, Example[]>();
  for (const example of examples) {
    const { file, line, element } = example;
    const name = `${file}:${line}:${element ?? ''}`;
    const parts = documents.get(name);
    if (parts === undefined) documents.set(name, [example]);
    else parts.push(example);
  }
  const units = documents.size < MIN_DOCUMENTS ? examples.map(example => [example]) : [...documents.values()];
  const labels = units.map(([first]) => first?.label ?? '');
  const split = splitSamples({ count: units.length, validation, seed, labels });
  const pick = (indices: readonly number[]) => indices.flatMap(index => units[index] ?? []);
  return { train: pick(split.train), validation: pick(split.validation) };
}

/** A pure function of its settings. Throws DataError where no sample would be left on one side. */
export function splitSamples({ count, validation, seed, labels }: SplitSettings): Split {
  if (validation === 0) return { train: Array.from({ length: count }, (_, index) => index), validation: [] };
  const wanted = validation < 1 ? Math.max(1, Math.round(validation * count)) : validation;
  if (!Number.isInteger(wanted) || wanted >= count) {
    const problem = `${validation} held out of ${count} samples leaves nothing to train on, or is no whole number`;
    throw new DataError({ problem, advice: 'Lower val_size, or add samples' });
  }
  const strata = new Map<string, number[]>();
  for (const index of permutation(count, createRandom(seed, SPLIT))) {
    const label = labels?.[index] ?? '';
    const stratum = strata.get(label);
    if (stratum === undefined) strata.set(label, [index]);
    else stratum.push(index);
  }
  const names = [...strata.keys()].sort();
  const shares = largestRemainders(
    names.map(name => strata.get(name)?.length ?? 0),
    wanted,
  );
  const held = new Set(names.flatMap((name, index) => strata.get(name)?.slice(0, shares[index]) ?? []));
  const all = Array.from({ length: count }, (_, index) => index);
  return { train: all.filter(index => !held.has(index)), validation: all.filter(index => held.has(index)) };
}

/** Whole numbers in proportion to the sizes that add up to `total` (Hamilton's method; ties go to the first). */
function largestRemainders(sizes: readonly number[], total: number): number[] {
  const sum = sizes.reduce((all, size) => all + size, 0);
  const exact = sizes.map(size => (size * total) / sum);
  const shares = exact.map(Math.floor);
  const order = exact
    .map((value, index) => ({ index, rest: value - Math.floor(value) }))
    .sort((a, b) => b.rest - a.rest || a.index - b.index);
  const missing = total - shares.reduce((all, share) => all + share, 0);
  for (const { index } of order.slice(0, missing)) shares[index] = (shares[index] ?? 0) + 1;
  return shares;
}
