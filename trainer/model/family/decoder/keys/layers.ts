/** The differences between blocks: windows and rotary positions, in the various forms that configs use. */
import type { ConfigValues } from '../../../config-keys.ts';
import type { Sizes, switchedWindow } from './decoder-keys.ts';

export type LayerType = 'full_attention' | 'sliding_attention';
/** A window for each block; undefined: all earlier keys; `unsized`: a window whose size the config does not state. */
export type Windows = (number | 'unsized' | undefined)[];

const eachLayer = <Value>(c: Pick<Sizes, 'num_hidden_layers'>, value: (layer: number) => Value): Value[] =>
  Array.from({ length: c.num_hidden_layers }, (_, layer) => value(layer));

export const everywhere = <Value>(c: Pick<Sizes, 'num_hidden_layers'>, value: Value): Value[] => eachLayer(c, () => value);

/** Windows for the blocks from `max_window_layers` on, or for those that `layer_types` lists, if `use_sliding_window` is set. */
export function switchedWindows(c: Sizes & ConfigValues<typeof switchedWindow>): Windows {
  if (!c.use_sliding_window) return everywhere(c, undefined);
  const isNarrow = (layer: number) => (c.layer_types ? c.layer_types[layer] === 'sliding_attention' : layer >= c.max_window_layers);
  const unsized = c.layer_types ? 'unsized' : undefined;
  return eachLayer(c, layer => (isNarrow(layer) ? (c.sliding_window ?? unsized) : undefined));
}

interface Typed extends Pick<Sizes, 'num_hidden_layers'> {
  readonly layer_types?: readonly LayerType[] | null | undefined;
  readonly sliding_window?: number | null | undefined;
}

/** The listed types; by default, every `pattern`-th block has global attention and the others have a window. */
export const layerTypes = (c: Typed, pattern: number): LayerType[] => typesOf(c, layer => (layer + 1) % pattern === 0);

/** The listed types; by default, global attention for the blocks that `isGlobal` chooses, and a window for the others. */
export const typesOf = (c: Typed, isGlobal: (layer: number) => boolean): LayerType[] =>
  eachLayer(c, layer => c.layer_types?.[layer] ?? (isGlobal(layer) ? 'full_attention' : 'sliding_attention'));

export const windowsOf = (c: Pick<Typed, 'sliding_window'>, types: readonly LayerType[]): Windows =>
  types.map(type => (type === 'sliding_attention' ? (c.sliding_window ?? 'unsized') : undefined));

/** For each block, whether it rotates its queries and keys. */
export const usesRope = (
  c: Typed & {
    readonly no_rope_layers?: readonly (boolean | number)[] | null | undefined;
    readonly no_rope_layer_interval?: number | null | undefined;
  },
): boolean[] => eachLayer(c, layer => Boolean(c.no_rope_layers?.[layer] ?? (layer + 1) % (c.no_rope_layer_interval ?? 4) !== 0));
