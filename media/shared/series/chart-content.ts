/** The content of a chart: curves and bands. Pure. */
import type { CurveColor, CurveLook } from './curve-look.ts';
import type { Points } from './metric-history.ts';

export interface Curve {
  readonly label: string;
  readonly look: CurveLook;
  /**
   * `faint`: the raw curve behind a smoothed one, in its color and without a legend entry. `dots`: few points, each
   * marked.
   */
  readonly kind: 'line' | 'faint' | 'dots';
  readonly points: Points;
  /** The values that the legend shows for a smoothed curve; the legend then marks the line as smoothed. */
  readonly measured?: Points;
}

/** A band behind the curves, between two values. */
export interface Level {
  readonly color: CurveColor;
  readonly from: number;
  readonly to: number;
}

export interface ChartContent {
  readonly curves: readonly Curve[];
  readonly levels?: readonly Level[];
  readonly logarithmic?: boolean;
}

/** Names the lines that are smoothed, for the legend, whose values are not. */
export function smoothedText(curves: readonly Curve[]): string {
  const smoothed = curves.filter(({ measured }) => measured !== undefined);
  if (smoothed.length === 0) return '';
  if (smoothed.length === curves.length) return curves.length === 1 ? 'smoothed line' : 'smoothed lines';
  return `smoothed line: ${smoothed.map(({ label }) => label).join(', ')}`;
}
