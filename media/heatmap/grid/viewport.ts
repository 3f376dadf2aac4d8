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

/** Zooms around an item if its middle is visible, and keeps all of it in view; otherwise around the middle of the view. */
export function zoomedAt(view: Viewport, factor: number, item: number, limits: Limits): Viewport {
  const anchor = (item + 0.5 - view.start) / view.length;
  const isVisible = anchor >= 0 && anchor <= 1;
  return isVisible ? revealing(zoomed(view, factor, anchor, limits), item, limits) : zoomed(view, factor, 0.5, limits);
}

/** Scrolls so that an item is visible completely if a part of it is; a view that was moved away from it stays. */
export function completing(view: Viewport, item: number, limits: Limits): Viewport {
  const isPartlyVisible = item < view.start + view.length && item + 1 > view.start;
  return isPartlyVisible ? revealing(view, item, limits) : view;
}

export const panned = (view: Viewport, by: number, limits: Limits): Viewport => bounded({ ...view, start: view.start + by }, limits);

/** Scrolls by the smallest distance that makes an item visible. */
export function revealing(view: Viewport, thing: number, limits: Limits): Viewport {
  if (thing < view.start) return bounded({ ...view, start: thing }, limits);
  if (thing + 1 > view.start + view.length) return bounded({ ...view, start: thing + 1 - view.length }, limits);
  return view;
}
