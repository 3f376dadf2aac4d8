/** How a recipe of another tool is recognized, and what its settings become here: the words in which each tool is described. Pure. */

export type Plain = Readonly<Record<string, unknown>>;

/** A setting of ours by its dotted path, or with `note` why there is none. */
export type Converted = { readonly to: string; readonly value: unknown; readonly note?: string } | { readonly note: string };

/** What one key becomes; undefined leaves it to the table of renamed keys. `recipe` is the whole foreign recipe. */
export type Convert = (value: unknown, recipe: Plain) => readonly Converted[] | undefined;

export interface ForeignTool {
  readonly name: string;
  /** How surely a recipe is of this tool: the number of its own keys in it. */
  readonly marks: (recipe: Plain) => number;
  readonly keys: Readonly<Record<string, Convert>>;
  /** What the tool does where a recipe says nothing, and we would do something else. */
  readonly defaults: (recipe: Plain) => readonly Converted[];
}

export const isMap = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);
export const count = (recipe: Plain, keys: readonly string[]): number => keys.filter(key => Object.hasOwn(recipe, key)).length;
export const set = (to: string, value: unknown, note?: string): Converted[] =>
  value === undefined || value === null ? [] : [{ to, value, note }];
export const none = (note: string): Converted[] => [{ note }];
export const words = (value: unknown): unknown =>
  typeof value === 'string' && value.includes(',') ? value.split(',').map(word => word.trim()) : value;

/** Keys that were written for the other trainer itself, not for the model. */
export const ofTheTool = (...keys: readonly string[]): Readonly<Record<string, Convert>> =>
  Object.fromEntries(keys.map(key => [key, () => none('of the other tool alone')]));

export const recompute: Convert = value =>
  set('recompute', value === true || value === 'true' || typeof value === 'string' ? 'block' : 'none');
/** Half precision of any kind is bfloat16 here; `auto` leaves it to the device. */
export const floatType: Convert = value =>
  value === true || value === 'bf16' || value === 'fp16'
    ? set('dtype', 'bfloat16')
    : value === 'auto'
      ? set('dtype', 'auto')
      : none('float32 is the default');
