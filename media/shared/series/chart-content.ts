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
