/** The part of a row of things that is in view: where it starts and how long it is, in things. Zooming keeps what is under the pointer in place. */

export interface Viewport {
  readonly start: number;
  readonly length: number;
}

export interface Limits {
  /** Things in all. */
  readonly total: number;
  /** The fewest that may fill the view. */
  readonly least: number;
}

export const whole = ({ total }: Limits): Viewport => ({ start: 0, length: total });

/** Nothing beyond either end is in view. */
export function bounded({ start, length }: Viewport, { total, least }: Limits): Viewport {
  const fits = Math.min(total, Math.max(Math.min(least, total), length));
  return { start: Math.min(Math.max(0, start), total - fits), length: fits };
}

/** @param factor above 1 shows less, larger @param anchor 0 to 1, the place in the view that stays */
export function zoomed(view: Viewport, factor: number, anchor: number, limits: Limits): Viewport {
  const length = bounded({ start: 0, length: view.length / factor }, limits).length;
  return bounded({ start: view.start + anchor * (view.length - length), length }, limits);
}

export const panned = (view: Viewport, by: number, limits: Limits): Viewport => bounded({ ...view, start: view.start + by }, limits);

/** Moves as little as is needed to have a thing in view. */
export function revealing(view: Viewport, thing: number, limits: Limits): Viewport {
  if (thing < view.start) return bounded({ ...view, start: thing }, limits);
  if (thing + 1 > view.start + view.length) return bounded({ ...view, start: thing + 1 - view.length }, limits);
  return view;
}
