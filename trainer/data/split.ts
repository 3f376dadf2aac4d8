/** Splits samples into training and validation data with a seed, in equal proportions of each label. */

import { createRandom, permutation } from '../random.ts';
import { DataError } from './data-error.ts';
import type { Examples } from './tokens/example-store.ts';

export interface SplitSettings {
  readonly count: number;
  /** Below 1, the share of samples to hold out; from 1, their number; 0 holds out none. */
  readonly validation: number;
  readonly seed: number;
  /** The label of each sample; without labels, there is one stratum. */
  readonly labels?: readonly string[];
}

export interface Split {
  /** Sample indices, ascending; each sample is in either `train` or `validation`. */
  readonly train: readonly number[];
  readonly validation: readonly number[];
}

/** The random stream of the split; batches use other streams. */
const SPLIT = 3;

/** With fewer documents than this, their parts are split instead, so that a text in one file can have held-out data too. */
const MIN_DOCUMENTS = 20;

/** Splits examples in equal proportions of each label. The parts of one document stay together if there are enough documents. */
export function splitExamples(
  examples: Examples,
  { validation, seed }: Pick<SplitSettings, 'validation' | 'seed'>,
): { train: Examples; validation: Examples } {
  const { length } = examples;
  const places = new Map<number, number>();
  const documentOf = Int32Array.from({ length }, (_, index) => {
    const document = examples.document(index);
    const place = places.get(document) ?? places.size;
    places.set(document, place);
    return place;
  });
  const enough = places.size >= MIN_DOCUMENTS;
  const unitOf = enough ? documentOf : Int32Array.from({ length }, (_, index) => index);
  const count = enough ? places.size : length;
  const labels = new Array<string>(count).fill('');
  for (let index = length - 1; index >= 0; index--) labels[unitOf[index] as number] = examples.label(index) ?? '';
  const split = splitSamples({ count, validation, seed, labels });
  const held = new Uint8Array(count);
  for (const unit of split.validation) held[unit] = 1;
  return { train: byUnit(examples, unitOf, held, 0), validation: byUnit(examples, unitOf, held, 1) };
}

/**
 * Splits samples as `splitExamples` does, if each sample is a document without a label. Does not read their tokens.
 * @throws DataError as `splitSamples` does
 */
export function splitPlaces(
  count: number,
  { validation, seed }: Pick<SplitSettings, 'validation' | 'seed'>,
): { readonly train: Int32Array; readonly validation: Int32Array } | undefined {
  if (validation === 0) return undefined;
  const wanted = heldCount(count, validation);
  const held = new Uint8Array(count);
  for (const index of permutation(count, createRandom(seed, SPLIT)).subarray(0, wanted)) held[index] = 1;
  const [train, kept] = [new Int32Array(count - wanted), new Int32Array(wanted)];
  let [trained, out] = [0, 0];
  for (let index = 0; index < count; index++) {
    if (held[index] === 1) kept[out++] = index;
    else train[trained++] = index;
  }
  return { train, validation: kept };
}

/** The samples of held-out units, or of the others: unit by unit, which is the original order unless a file is listed twice. */
function byUnit(examples: Examples, unitOf: Int32Array, held: Uint8Array, wanted: 0 | 1): Examples {
  const places = Array.from(unitOf.keys()).filter(index => held[unitOf[index] as number] === wanted);
  return examples.select(places.sort((a, b) => (unitOf[a] as number) - (unitOf[b] as number)));
}

/** Splits samples; a pure function of its settings. @throws DataError if one side would have no sample */
export function splitSamples({ count, validation, seed, labels }: SplitSettings): Split {
  if (validation === 0) return { train: Array.from({ length: count }, (_, index) => index), validation: [] };
  const wanted = heldCount(count, validation);
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

/** The number of samples to hold out. @throws DataError if nothing would be left for training */
function heldCount(count: number, validation: number): number {
  const problem = nothingLeft(count, validation);
  if (problem !== undefined) throw new DataError({ problem, advice: 'Lower val_size, or add samples' });
  return wantedCount(count, validation);
}

const wantedCount = (count: number, validation: number): number =>
  validation < 1 ? Math.max(1, Math.round(validation * count)) : validation;

/** The problem of a `val_size` that takes every sample or part of one; undefined if samples are left to train on. */
export function nothingLeft(count: number, validation: number): string | undefined {
  if (validation > 1 && !Number.isInteger(validation)) return `val_size: ${validation} is not a whole number`;
  if (validation === 0 || wantedCount(count, validation) < count) return undefined;
  return `val_size: ${validation} leaves nothing to train on, because the training data has ${count === 1 ? '1 sample' : `${count} samples`}`;
}

/** Splits samples so that those of one group stay together. @param groups the group of each sample; `validation` refers to groups */
export function splitGroups(groups: readonly string[], settings: Pick<SplitSettings, 'validation' | 'seed'>): Split {
  const names = [...new Set(groups)];
  const held = new Set(splitSamples({ count: names.length, ...settings }).validation.map(place => names[place]));
  const places = groups.map((_, index) => index);
  return { train: places.filter(index => !held.has(groups[index])), validation: places.filter(index => held.has(groups[index])) };
}

/** Integers in proportion to the sizes that add up to `total` (Hamilton's method; ties go to the first). */
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
