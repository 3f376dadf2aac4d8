/** Describes another tool's recipes: how to recognize them, and how to convert their settings. Pure. */

export type Plain = Readonly<Record<string, unknown>>;

/** A setting of ours by its dotted path, or a `note` that explains why there is none. */
export type Converted = { readonly to: string; readonly value: unknown; readonly note?: string } | { readonly note: string };

/** Converts one key; if it returns undefined, the table of renamed keys applies. `recipe` is the whole foreign recipe. */
export type Convert = (value: unknown, recipe: Plain) => readonly Converted[] | undefined;

export interface ForeignTool {
  /** Returns the number of this tool's own keys in a recipe, as a measure of certainty. */
  readonly marks: (recipe: Plain) => number;
  readonly keys: Readonly<Record<string, Convert>>;
  /** The tool's defaults that differ from ours. */
  readonly defaults: (recipe: Plain) => readonly Converted[];
}

export const isMap = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);
export const count = (recipe: Plain, keys: readonly string[]): number => keys.filter(key => Object.hasOwn(recipe, key)).length;
export const set = (to: string, value: unknown, note?: string): Converted[] =>
  value === undefined || value === null ? [] : [{ to, value, note }];
export const none = (note: string): Converted[] => [{ note }];
export const words = (value: unknown): unknown =>
  typeof value === 'string' && value.includes(',') ? value.split(',').map(word => word.trim()) : value;

/** Keys that configure the other trainer itself, not the model. */
export const ofTheTool = (...keys: readonly string[]): Readonly<Record<string, Convert>> =>
  Object.fromEntries(keys.map(key => [key, () => none('specific to the other tool')]));

export const recompute: Convert = value =>
  set('recompute', value === true || value === 'true' || typeof value === 'string' ? 'block' : 'none');
/** Converts half precision of any kind to bfloat16; `auto` leaves the choice to the device. */
export const floatType: Convert = value =>
  value === true || value === 'bf16' || value === 'fp16'
    ? set('dtype', 'bfloat16')
    : value === 'auto'
      ? set('dtype', 'auto')
      : none('float32 is the default');
