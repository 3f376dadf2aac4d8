/** The differences from block to block: windows and rotary positions, by the ways in which configs say it. */
import type { ConfigValues } from '../../../config-keys.ts';
import type { Sizes, switchedWindow } from './decoder-keys.ts';

export type LayerType = 'full_attention' | 'sliding_attention';
/** A window for each block; undefined: all keys before it; `unsized`: a window of which the config does not say the size. */
export type Windows = (number | 'unsized' | undefined)[];

const eachLayer = <Value>(c: Pick<Sizes, 'num_hidden_layers'>, value: (layer: number) => Value): Value[] =>
  Array.from({ length: c.num_hidden_layers }, (_, layer) => value(layer));

export const everywhere = <Value>(c: Pick<Sizes, 'num_hidden_layers'>, value: Value): Value[] => eachLayer(c, () => value);

/** The blocks from `max_window_layers` on, or those that `layer_types` lists, and only where `use_sliding_window` says so. */
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

/** Those that are listed; otherwise every `pattern`-th block sees everything and the others have a window. */
export const layerTypes = (c: Typed, pattern: number): LayerType[] =>
  eachLayer(c, layer => c.layer_types?.[layer] ?? ((layer + 1) % pattern ? 'sliding_attention' : 'full_attention'));

export const windowsOf = (c: Typed, types: readonly LayerType[]): Windows =>
  types.map(type => (type === 'sliding_attention' ? (c.sliding_window ?? 'unsized') : undefined));

/** Whether each block turns its queries and keys. */
export const turning = (
  c: Typed & {
    readonly no_rope_layers?: readonly (boolean | number)[] | null | undefined;
    readonly no_rope_layer_interval?: number | null | undefined;
  },
): boolean[] => eachLayer(c, layer => Boolean(c.no_rope_layers?.[layer] ?? (layer + 1) % (c.no_rope_layer_interval ?? 4) !== 0));
