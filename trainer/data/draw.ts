/**
 * Draws a random subset of the samples if a recipe asks for fewer than exist. Each sample is equally likely, because files are often sorted
 * by label. Reservoir sampling (Vitter 1985, algorithm R): one pass, and only the drawn samples are held in memory.
 */
import { createRandom } from '../random.ts';

/** The random stream of the draw; batches, the split and importance use others. */
const DRAW = 5;

export interface DrawSettings {
  /** Maximum number of samples to draw; undefined draws all. */
  readonly count: number | undefined;
  readonly seed: number;
}

export interface Reservoir<T> {
  readonly add: (item: T) => void;
  /** Returns the drawn samples in their original order. */
  readonly drawn: () => T[];
  /** Returns the number of samples offered. */
  readonly seen: () => number;
}

export function reservoir<T>({ count = Number.POSITIVE_INFINITY, seed }: DrawSettings): Reservoir<T> {
  const random = createRandom(seed, DRAW);
  const kept: { readonly item: T; readonly at: number }[] = [];
  let seen = 0;
  return {
    add(item) {
      const at = seen++;
      const place = at < count ? at : random.below(at + 1);
      if (place < count) kept[place] = { item, at };
    },
    drawn: () => kept.sort((a, b) => a.at - b.at).map(({ item }) => item),
    seen: () => seen,
  };
}

/**
 * Draws from a stream. If all samples are drawn, they pass through as they arrive.
 * @param onSeen receives the number of samples at the end
 */
export async function* drawStream<T>(
  source: AsyncIterable<T> | Iterable<T>,
  settings: DrawSettings,
  onSeen?: (seen: number) => void,
): AsyncGenerator<T> {
  if (settings.count === undefined) return yield* source;
  const found = reservoir<T>(settings);
  for await (const item of source) found.add(item);
  onSeen?.(found.seen());
  yield* found.drawn();
}

export function drawFrom<T>(items: readonly T[], settings: DrawSettings): readonly T[] {
  if (settings.count === undefined || items.length <= settings.count) return items;
  const found = reservoir<T>(settings);
  for (const item of items) found.add(item);
  return found.drawn();
}

/** The indices, ascending, that `drawStream` draws from `total` samples. */
export function drawPlaces(total: number, settings: DrawSettings): readonly number[] {
  const found = reservoir<number>(settings);
  for (let place = 0; place < total; place++) found.add(place);
  return found.drawn();
}
