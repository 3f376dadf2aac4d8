/** Resolves paths in command-line overrides like the shell: relative to the current folder, wherever the recipe is. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { isDataSetName } from '../files/data-set-name.ts';
import { parseRecipe } from '../protocol/recipe/parse-recipe.ts';
import { settings, settingValue } from '../protocol/recipe/recipe-schema.ts';

/** Settings whose values are paths, or lists or maps of paths. */
const PATH_SETTINGS = Object.entries(settings).flatMap(([key, { type }]) => (type.holdsPaths ? [key] : []));

/** Settings whose values are models. */
const MODEL_SETTINGS = Object.entries(settings).flatMap(([key, { type }]) => (type.namesModel ? [key] : []));

/**
 * Returns the overrides, followed by overrides with absolute paths. Later overrides win, so the recipe reads the same from any folder.
 * Malformed overrides, and those that remove a setting, are not changed.
 * @param folder absolute base of relative paths in the overrides
 */
export function absoluteOverrides(overrides: readonly string[], folder: string): string[] {
  const given = overrides.map(override => override.slice(0, Math.max(0, override.indexOf('='))).trim());
  const { resolved } = parseRecipe('', { overrides });
  const isGiven = (key: string): boolean => given.some(name => name === key || key.startsWith(`${name}.`) || name.startsWith(`${key}.`));
  const absolute = (file: string): string => path.resolve(folder, file);
  const dataPath = (file: string): string => (isDataSetName(file, folder) ? file : absolute(file));
  const files = PATH_SETTINGS.filter(isGiven).flatMap(key =>
    written(key, settingValue(resolved, key), key.startsWith('data.') ? dataPath : absolute),
  );
  const models = MODEL_SETTINGS.filter(isGiven).flatMap(key => {
    const model = settingValue(resolved, key);
    // A value that is not an existing path is a hub name.
    const isPath = typeof model === 'string' && (/^\.{1,2}([/\\]|$)/.test(model) || existsSync(absolute(model)));
    return isPath ? written(key, model, absolute) : [];
  });
  return [...overrides, ...files, ...models];
}

/** Overrides for a value: a list as a whole, a map entry by entry, so that other entries of the recipe stay. */
function written(key: string, value: unknown, absolute: (file: string) => string): string[] {
  if (typeof value === 'string') return [`${key}=${JSON.stringify(absolute(value))}`];
  if (Array.isArray(value)) return value.length === 0 ? [] : [`${key}=${JSON.stringify(value.map(file => absolute(String(file))))}`];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).map(([name, file]) => `${key}.${name}=${JSON.stringify(absolute(String(file)))}`);
}
