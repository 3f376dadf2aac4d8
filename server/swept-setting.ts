/** Finds the setting whose values a sweep lists: a key under `sweep.over`. Pure. */
import { type Setting, settings } from '../trainer/protocol/recipe/recipe-schema.ts';

export interface SweptSetting {
  readonly name: string;
  readonly setting: Setting;
  /** The path inside the setting's range: min, max, scale or count. */
  readonly rest: readonly string[];
}

const isOver = ([top, part]: readonly string[]): boolean => top === 'sweep' && part === 'over';

/** @param keys the path of a key or value in a recipe */
export function sweptSettingAt(keys: readonly string[]): SweptSetting | undefined {
  const [, , name, ...rest] = keys;
  const setting = isOver(keys) && name !== undefined && Object.hasOwn(settings, name) ? settings[name] : undefined;
  return name === undefined || setting === undefined ? undefined : { name, setting, rest };
}

/** True if the keys at this path are names of settings. */
export const namesSweptSettings = (keys: readonly string[]): boolean => keys.length === 2 && isOver(keys);

export const RANGE_KEYS: Readonly<Record<string, string>> = {
  min: 'The lowest value.',
  max: 'The highest value.',
  scale: 'Whether values are spaced by ratio (log) or by difference (linear).',
  count: 'The number of values.',
};

export const RANGE_SCALES: Readonly<Record<string, string>> = {
  log: 'Spaced by ratio, for learning rates and sizes.',
  linear: 'Spaced by difference.',
};
