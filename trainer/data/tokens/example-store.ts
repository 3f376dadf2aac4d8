/** Stores tokenized samples without an object for each: positions and sizes in typed arrays, tokens in one file or in memory. */
import type { SampleSize } from '../batch/batch-plan.ts';
import { type Example, WEIGHT_STEPS } from '../types.ts';

/** A list that is read element by element; arrays qualify. */
export interface List<T> extends Iterable<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

/** A list whose elements are made on demand. */
export const listOf = <T>(length: number, make: (index: number) => T): List<T> => ({
  length,
  at: index => (index >= 0 && index < length ? make(index) : undefined),
  *[Symbol.iterator]() {
    for (let i = 0; i < length; i++) yield make(i);
  },
});

/** The samples of a data set, or a part of them. Reading a sample reads its tokens from memory or from the file. */
export interface Examples extends List<Example> {
  /** Length and number of targets of each sample, for planning batches. */
  readonly sizes: List<SampleSize>;
  /** The largest id of all samples. */
  readonly largestId: number;
  /** Whether all tokens are in memory. */
  readonly inMemory: boolean;
  label(index: number): string | undefined;
  /** Returns the document number, which the parts of one document share. */
  document(index: number): number;
  /** Returns some of the samples, by their indices. */
  select(indices: ArrayLike<number>): Examples;
}

/** Packed tokens: the sign bit is set for a target, the seven bits below hold its weight, and the next bit is set if an answer begins. */
export interface PackedTokens {
  /** Reads tokens from `start`; the result is valid until the next call. */
  read(start: number, count: number): Int32Array;
  readonly inMemory: boolean;
}

/** All properties of the samples except their tokens. */
export interface ExampleColumns {
  /** [samples + 1] index of each sample's first token; the last entry is the end. */
  readonly starts: Uint32Array;
  readonly targets: Uint32Array;
  /** Indices of `fileNames`. */
  readonly files: Uint32Array;
  readonly lines: Uint32Array;
  /** Index of the record in its list; −1 if it is not in a list. */
  readonly elements: Int32Array;
  /** Indices of `labelNames`; −1 without a label. */
  readonly labels: Int32Array;
  readonly documents: Uint32Array;
  readonly fileNames: readonly string[];
  readonly labelNames: readonly string[];
  readonly largestId: number;
  /** [samples] the images of each sample; left out if none has any. They are never in a file of tokens. */
  readonly images?: ReadonlyArray<Example['images']> | undefined;
}

export const TARGET_BIT = 0x80000000;
const ID_BITS = 0x7fffffff;

/** The lowest bit of a target's weight, in steps; 0 stands for the weight 1. */
const WEIGHT_SHIFT = 24;
const WEIGHT_MASK = 0x7f;
/** Set if an answer begins; larger than any token id. */
export const ANSWER_BIT = 0x800000;

export const weightBits = (weight = 1): number => (weight === 1 ? 0 : Math.round(weight * WEIGHT_STEPS) << WEIGHT_SHIFT);

/** @param tokens the tokens of a whole data set, or of a part that is read in order */
export function createExamples(columns: ExampleColumns, tokens: PackedTokens, ahead: (indices: Int32Array) => PackedTokens): Examples {
  const { starts } = columns;
  // Larger ids, which no model has, are reported as such and not misread as marks.
  const hasMarks = columns.largestId < ANSWER_BIT;
  const exampleAt = (index: number, from: PackedTokens): Example => {
    const start = starts[index] as number;
    const packed = from.read(start, (starts[index + 1] as number) - start);
    const ids = new Int32Array(packed.length);
    const train = new Uint8Array(packed.length);
    let weights: Float32Array | undefined;
    const answers: number[] = [];
    for (let i = 0; i < packed.length; i++) {
      const token = packed[i] as number;
      train[i] = token >>> 31;
      const steps = hasMarks ? (token >>> WEIGHT_SHIFT) & WEIGHT_MASK : 0;
      ids[i] = token & (hasMarks ? ANSWER_BIT - 1 : ID_BITS);
      if (hasMarks && (token & ANSWER_BIT) !== 0) answers.push(i);
      if (steps === 0) continue;
      weights ??= new Float32Array(packed.length).fill(1);
      weights[i] = steps / WEIGHT_STEPS;
    }
    const element = columns.elements[index] as number;
    return {
      ids,
      train,
      ...(weights && { weights }),
      ...(answers.length > 0 && { answers }),
      file: columns.fileNames[columns.files[index] as number] ?? '',
      line: columns.lines[index] as number,
      ...(element >= 0 && { element }),
      ...labelOf(columns, index),
      ...(columns.images?.[index] && { images: columns.images[index] }),
    };
  };
  const part = (places: Int32Array): Examples => {
    const own = <T>(read: (place: number) => T): List<T> => listOf(places.length, index => read(placeAt(places, index)));
    return {
      ...own(place => exampleAt(place, tokens)),
      *[Symbol.iterator]() {
        const inOrder = ahead(places);
        for (const place of places) yield exampleAt(place, inOrder);
      },
      sizes: own(place => ({
        length: (starts[place + 1] as number) - (starts[place] as number),
        targets: columns.targets[place] as number,
      })),
      largestId: columns.largestId,
      inMemory: tokens.inMemory,
      label: index => labelOf(columns, places[index] ?? -1).label,
      document: index => columns.documents[places[index] ?? -1] ?? -1,
      select: indices => part(Int32Array.from(indices, index => placeAt(places, index))),
    };
  };
  return part(Int32Array.from(columns.targets, (_, place) => place));
}

/** @throws RangeError for an index without an entry */
export function placeAt(places: Int32Array, index: number): number {
  const place = places[index];
  if (place === undefined) throw new RangeError(`no sample ${index} among ${places.length}`);
  return place;
}

function labelOf({ labels, labelNames }: ExampleColumns, place: number): { readonly label?: string } {
  const label = labelNames[labels[place] ?? -1];
  return label === undefined ? {} : { label };
}
