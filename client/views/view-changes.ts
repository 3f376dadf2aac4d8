/** Differences between the items that a view shows and those it should show. Pure. */
import { isDeepStrictEqual } from 'node:util';

export interface ViewGroup<Item> {
  readonly name: string;
  /** The folder of a sweep whose runs are the items. */
  readonly sweepDir?: string;
  /** True if the sweep is on a cluster, where it can be stopped. */
  readonly isOnCluster?: boolean;
  readonly items: readonly Item[];
}

export interface ItemChange<Item> {
  readonly shown: Item;
  readonly now: Item;
}

/** Returns the items whose text changed; undefined if items were added, removed or moved, so that everything must be redrawn. */
export function changesOf<Item extends { readonly id: string }>(
  shown: readonly ViewGroup<Item>[],
  now: readonly ViewGroup<Item>[],
): readonly ItemChange<Item>[] | undefined {
  if (!isDeepStrictEqual(shapeOf(shown), shapeOf(now))) return undefined;
  const after = now.flatMap(({ items }) => items);
  return shown
    .flatMap(({ items }) => items)
    .flatMap((item, i) => {
      const next = after[i];
      return next === undefined || isDeepStrictEqual(item, next) ? [] : [{ shown: item, now: next }];
    });
}

const shapeOf = (groups: readonly ViewGroup<{ readonly id: string }>[]) =>
  groups.map(({ name, isOnCluster, items }) => [name, isOnCluster, items.map(({ id }) => id)]);
