/** Finds the keys within the sections of a recipe that its conversion did not read, so that none is lost silently. */
import { isMap, type Plain } from './foreign-tool.ts';

export interface WatchedRecipe {
  /** The recipe, of which every key that is read is remembered. */
  readonly recipe: Plain;
  /** The part of a top-level section that was not read, without switches that are off; undefined if nothing is left. */
  readonly unread: (key: string) => unknown;
}

export function watchKeys(plain: Plain): WatchedRecipe {
  const read = new WeakMap<object, Set<PropertyKey>>();
  const views = new WeakMap<object, object>();
  const watched = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const known = views.get(value);
    if (known !== undefined) return known;
    const keys = new Set<PropertyKey>();
    const view = new Proxy(value, {
      get: (target, key, receiver) => {
        keys.add(key);
        return watched(Reflect.get(target, key, receiver));
      },
    });
    read.set(value, keys);
    views.set(value, view);
    return view;
  };
  const restOf = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      const rests = value.filter(isMap).flatMap(item => restOf(item) ?? []);
      return rests.length > 0 ? rests : undefined;
    }
    if (!isMap(value)) return undefined;
    const rests = Object.entries(value).flatMap(([key, inner]) => {
      // Components are chosen by the tool itself.
      if (OFF.has(inner) || key.startsWith('_')) return [];
      const rest = read.get(value)?.has(key) ? restOf(inner) : inner;
      return rest === undefined ? [] : [[key, rest] as const];
    });
    return rests.length > 0 ? Object.fromEntries(rests) : undefined;
  };
  const recipe = watched(plain);
  return { recipe: isMap(recipe) ? recipe : plain, unread: key => restOf(plain[key]) };
}

const OFF: ReadonlySet<unknown> = new Set([null, undefined, false, '']);
