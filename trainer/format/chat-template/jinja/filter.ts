/** The type of a template filter. */
import type { Value } from './values.ts';

/** The part of the renderer that a filter needs. */
export interface FilterContext {
  filter(name: string, value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>): Value;
  test(name: string, value: Value, args: readonly Value[]): boolean;
}

export type Filter = (value: Value, args: readonly Value[], named: ReadonlyMap<string, Value>, context: FilterContext) => Value;
