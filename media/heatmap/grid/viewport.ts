/** The visible part of a row of items: its start and length, in items. Zooming keeps the point under the pointer in place. */

export interface Viewport {
  readonly start: number;
  readonly length: number;
}

export interface Limits {
  /** Total number of items. */
  readonly total: number;
  /** Minimum number of visible items. */
  readonly least: number;
}

export const whole = ({ total }: Limits): Viewport => ({ start: 0, length: total });

/** Limits a view so that it does not extend past either end. */
export function bounded({ start, length }: Viewport, { total, least }: Limits): Viewport {
  const fits = Math.min(total, Math.max(Math.min(least, total), length));
  return { start: Math.min(Math.max(0, start), total - fits), length: fits };
}

/**
 * @param factor above 1 zooms in
 * @param anchor the position in the view that stays in place, 0 to 1
 */
export function zoomed(view: Viewport, factor: number, anchor: number, limits: Limits): Viewport {
  const length = bounded({ start: 0, length: view.length / factor }, limits).length;
  return bounded({ start: view.start + anchor * (view.length - length), length }, limits);
}

export const panned = (view: Viewport, by: number, limits: Limits): Viewport => bounded({ ...view, start: view.start + by }, limits);

/** Scrolls by the smallest distance that makes an item visible. */
export function revealing(view: Viewport, thing: number, limits: Limits): Viewport {
  if (thing < view.start) return bounded({ ...view, start: thing }, limits);
  if (thing + 1 > view.start + view.length) return bounded({ ...view, start: thing + 1 - view.length }, limits);
  return view;
}
