/** The content of a chart: curves and bands. Pure. */
import type { CurveColor, CurveLook } from './curve-look.ts';
import type { Points } from './metric-history.ts';

export interface Curve {
  readonly label: string;
  readonly look: CurveLook;
  /** `faint` is the raw curve behind a smoothed one, in the same color and without a legend entry. `dots` marks each of a few points. */
  readonly kind: 'line' | 'faint' | 'dots';
  readonly points: Points;
  /** The values that the legend shows for a smoothed curve, which it marks as smoothed. */
  readonly measured?: Points;
}

/** A band between two values, behind the curves. */
export interface Level {
  readonly color: CurveColor;
  readonly from: number;
  readonly to: number;
}

export interface ChartContent {
  readonly curves: readonly Curve[];
  readonly levels?: readonly Level[];
  readonly logarithmic?: boolean;
  /** The text in place of curves without points, if it depends on the content. */
  readonly empty?: string;
}

/** Names the smoothed curves for the legend, whose values are not smoothed. */
export function smoothedText(curves: readonly Curve[]): string {
  const smoothed = curves.filter(({ measured }) => measured !== undefined);
  if (smoothed.length === 0) return '';
  if (smoothed.length === curves.length) return curves.length === 1 ? 'smoothed line' : 'smoothed lines';
  return `smoothed line: ${smoothed.map(({ label }) => label).join(', ')}`;
}
